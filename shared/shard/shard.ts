/**
 * One cache server of a ring, as the journeys see it: it answers within its deadline, or it is unavailable.
 *
 * Every method throws ShardUnavailable and nothing else; the caller goes on to the next layer, or to the origin.
 * The connection is made by us, never by ioredis: while the breaker is open there is none. What was sent before it
 * opened may still run when a hung server continues; fills are safe by their lease's token, a late lease runs out.
 */
import { randomBytes } from 'node:crypto';
import { Redis, type RedisOptions } from 'ioredis';
import { ShardUnavailable, messageOf } from '../errors/errors.ts';
import { leaseKey } from '../key/cache-key.ts';
import { Breaker } from '../lifecycle/breaker.ts';
import { withinDeadline } from '../lifecycle/deadline.ts';
import type { DecodedBatch } from '../change/change-batch.ts';
import type { LeaseBase } from '../origin/row-select.ts';
import { type Entry, encodeEntry } from '../entry/entry.ts';
import { type SeenStamp, StampReader } from '../stamp/stamp-reader.ts';
import { type Endpoint, redisOptions } from './endpoint.ts';
import { type Fetched, ReadBatch, type ShardRead } from './read-batch.ts';
import { defineScripts } from './scripts.ts';

export type ShardState = 'ok' | 'down';

/** Field, value, field, value, …; empty where something else than a hash lies under the key. */
export type HashReply = readonly Buffer[];

/** `read` is the one multi-key read of a tick. */
export type ShardCommand = 'read' | 'lease' | 'fill' | 'release' | 'apply' | 'snapshot' | 'audit';

export interface ShardOptions {
  readonly name: string;
  readonly ring: string;
  readonly endpoint: Endpoint;
  /** Where changes are followed: the key of the shard's stamp, and the hash of the ring that it belongs to. */
  readonly followed?: { readonly stampKey: string; readonly ringHash: string } | undefined;
  /** The longest that one command may take. */
  readonly timeoutMs: number;
  /** How many late or failed commands in a row take the shard out; a closed connection does at once. */
  readonly failuresToOpen: number;
  readonly onChange: (shard: Shard, state: ShardState, why: string) => void;
  /** It is down for another reason than was told before. */
  readonly onStillDown?: (why: string) => void;
  /** A command was answered. */
  readonly onAnswer?: (command: ShardCommand, seconds: number) => void;
}

/**
 * What a lease may be taken over: `nothing` that is fresh; an `entry` although it is fresh; or even another's `lease`,
 * whose read began earlier and must not be stored after ours.
 */
export type LeaseOver = 'nothing' | 'entry' | 'lease';

export interface LeaseRequest {
  /** The table's name in the stamp; nothing for a table that is not followed. */
  readonly followedAs?: string | undefined;
  readonly shape: string;
  /** Longer than the longest origin read. */
  readonly leaseTtlMs: number;
  readonly over: LeaseOver;
}

export type LeaseOutcome =
  | { readonly kind: 'lease'; readonly token: string; readonly base: LeaseBase | undefined }
  | { readonly kind: 'busy' }
  | { readonly kind: 'entry'; readonly stored: Buffer }
  /** The shard has no stamp, or does not follow the table or the ring. */
  | { readonly kind: 'off' };

/**
 * - `lost`: the lease is gone. - `off`: table or ring are not followed any more.
 * - `early`: the read is not known to include all that was applied before it. - `older`: what is there is newer.
 */
export type FillOutcome = 'stored' | 'lost' | 'off' | 'early' | 'older';

export type ApplyOutcome =
  /** `readBack`: entries that were removed and want to be read again. */
  | { readonly kind: 'applied'; readonly to: string; readonly readBack: readonly string[] }
  /** The message is of a plan that was replaced. */
  | { readonly kind: 'fenced' }
  /** What lies between the stamp's `to` and the message's `from` never came. */
  | { readonly kind: 'gap'; readonly to: string };

/** Establishing a connection takes several round trips; it may take this many command deadlines. */
const CONNECT_DEADLINES = 4;

export class Shard {
  readonly name: string;
  readonly ring: string;
  readonly #options: ShardOptions;
  readonly #breaker: Breaker;
  readonly #reads: ReadBatch<Buffer>;
  readonly #mirrorReads: ReadBatch<HashReply>;
  readonly #stamps = new StampReader();
  readonly #tokenPrefix = randomBytes(9).toString('base64url');
  #leases = 0;
  #nextStamp: Promise<SeenStamp | undefined> | undefined;
  #attempts = 0;
  #redis: Redis | undefined;
  #whyDown = 'not connected yet';
  #stopped = false;

  constructor(options: ShardOptions) {
    this.name = options.name;
    this.ring = options.ring;
    this.#options = options;
    this.#reads = new ReadBatch(
      (keys) => this.#fetch(keys),
      (stored) => stored.length,
    );
    this.#mirrorReads = new ReadBatch(
      (keys) => this.#fetchMirrored(keys),
      (pairs) => pairs.reduce((sum, { length }) => sum + length, 0),
    );
    this.#breaker = new Breaker({
      failuresToOpen: options.failuresToOpen,
      probe: () => this.#connect(),
      onProbeFailed: (error) => {
        const why = messageOf(error);
        if (why !== this.#whyDown) options.onStillDown?.(why);
        this.#whyDown = why;
      },
      onChange: (state, why) => {
        if (state === 'open') this.#disconnect();
        this.#whyDown = why;
        options.onChange(this, state === 'open' ? 'down' : 'ok', why);
      },
    });
  }

  get state(): ShardState {
    return this.#redis === undefined ? 'down' : 'ok';
  }

  /** Settles when the first attempt to connect has; a shard that is down then is tried again in the background. */
  async start(): Promise<void> {
    try {
      await this.#connect();
      this.#options.onChange(this, 'ok', 'connected');
    } catch (error) {
      this.#breaker.trip(messageOf(error));
    }
  }

  /** Joins the one multi-key read of this tick. The stamp comes with the entries. */
  async read(entryKey: string): Promise<ShardRead> {
    if (this.#redis === undefined) throw this.#unavailable();
    return this.#reads.read(entryKey);
  }

  /** The same for a mirrored row: its hash, as HGETALL replies. */
  async readMirrored(entryKey: string): Promise<ShardRead<HashReply>> {
    if (this.#redis === undefined) throw this.#unavailable();
    return this.#mirrorReads.read(entryKey);
  }

  async lease(entryKey: string, request: LeaseRequest): Promise<LeaseOutcome> {
    this.#leases += 1;
    const token = `${this.#tokenPrefix}${this.#leases}`;
    const { followedAs, shape, leaseTtlMs, over } = request;
    const { followed } = this.#options;
    const [outcome, ...rest] = await this.#command('lease', (redis) =>
      followedAs === undefined || followed === undefined
        ? redis.leaseUnsyncedBuffer(entryKey, leaseKey(entryKey), token, shape, Date.now(), leaseTtlMs, over)
        : redis.leaseBuffer(
            followed.stampKey,
            entryKey,
            leaseKey(entryKey),
            token,
            followedAs,
            followed.ringHash,
            shape,
            Date.now(),
            leaseTtlMs,
            over,
          ),
    );
    switch (outcome?.toString('latin1')) {
      case 'entry':
        return { kind: 'entry', stored: rest[0] as Buffer };
      case 'busy':
        return { kind: 'busy' };
      case 'off':
        return { kind: 'off' };
      default: {
        const [to, origin, gtid] = rest.map((text) => text.toString('utf8'));
        const base = to === undefined ? undefined : { to, origin: origin ?? '', gtid: gtid ?? '' };
        return { kind: 'lease', token, base };
      }
    }
  }

  /**
   * What was read under the lease.
   * @param followedAs as in the lease's request.
   * @param ttlMs until Redis forgets the entry: its TTL and the grace after it.
   */
  fill(entryKey: string, token: string, entry: Entry, ttlMs: number, followedAs?: string): Promise<FillOutcome> {
    const { followed } = this.#options;
    const stored = encodeEntry(entry);
    return this.#command('fill', (redis) =>
      followedAs === undefined || followed === undefined
        ? redis.fillUnsynced(entryKey, leaseKey(entryKey), token, stored, ttlMs)
        : redis.fill(
            followed.stampKey,
            entryKey,
            leaseKey(entryKey),
            token,
            followedAs,
            followed.ringHash,
            entry.version,
            stored,
            ttlMs,
          ),
    );
  }

  /** One message, whole. `force`: go on over a gap; what the shard holds then counts as absent. */
  async apply({ head, changeTables, changes }: DecodedBatch, force: boolean): Promise<ApplyOutcome> {
    const { followed } = this.#options;
    if (followed === undefined) throw new Error(`shard ${this.name} is not followed`);
    const [outcome, ...rest] = await this.#command('apply', (redis) =>
      redis.applyBatch(
        1 + changes.length,
        followed.stampKey,
        ...changes.map(({ key }) => key),
        JSON.stringify({ ...head, changeTables, now: Date.now() }),
        force ? '1' : '0',
        ...changes.flatMap((change) => [change.head, change.body]),
      ),
    );
    switch (outcome) {
      case 'applied':
        return { kind: 'applied', to: rest[0] as string, readBack: rest.slice(1) };
      case 'fenced':
        return { kind: 'fenced' };
      case 'gap':
        return { kind: 'gap', to: rest[0] as string };
    }
  }

  /** The shard's stamp alone; nothing where it has none. Asked once for all who ask in one tick. */
  seenStamp(): Promise<SeenStamp | undefined> {
    if (this.#redis === undefined) return Promise.reject(this.#unavailable());
    if (this.#nextStamp === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      setImmediate(resolve);
      this.#nextStamp = promise.then(async () => {
        this.#nextStamp = undefined;
        return (await this.#fetch([])).seen;
      });
    }
    return this.#nextStamp;
  }

  /** Gives a lease back unfilled. `drop`: the origin was read, and the entry is not what it says any more. */
  async release(entryKey: string, token: string, entry: 'keep' | 'drop'): Promise<void> {
    const drop = entry === 'drop' ? '1' : '0';
    await this.#command('release', (redis) => redis.releaseLease(entryKey, leaseKey(entryKey), token, drop));
  }

  /** Whatever else one has to say to it, such as a snapshot's scripts. Throws ShardUnavailable. */
  run<T>(command: ShardCommand, run: (redis: Redis) => Promise<T>): Promise<T> {
    return this.#command(command, run);
  }

  stop(): void {
    this.#stopped = true;
    this.#breaker.stop();
    this.#disconnect();
  }

  async #fetch(keys: readonly string[]): Promise<Fetched<Buffer>> {
    const { followed } = this.#options;
    if (followed === undefined) {
      return { stored: await this.#command('read', (redis) => redis.mgetBuffer([...keys])), seen: undefined };
    }
    const [stamp = null, ...stored] = await this.#command('read', (redis) =>
      redis.mgetBuffer([followed.stampKey, ...keys]),
    );
    return { stored, seen: this.#stamps.read(stamp) };
  }

  /** One transaction: a row that is absent, and a stamp of another time, which says that none is missing, cannot meet. */
  async #fetchMirrored(keys: readonly string[]): Promise<Fetched<HashReply>> {
    const { followed } = this.#options;
    if (followed === undefined) throw new Error(`shard ${this.name} is not followed`);
    const replies = await this.#command('read', async (redis) => {
      const transaction = redis.multi();
      for (const key of keys) transaction.callBuffer('HGETALL', key);
      return (await transaction.getBuffer(followed.stampKey).exec()) as [Error | null, unknown][];
    });
    const stored = keys.map((_, index) => {
      const [error, pairs] = replies[index] as [Error | null, HashReply];
      if (error !== null) return [];
      return pairs.length === 0 ? null : pairs;
    });
    const [error, stamp] = replies[keys.length] as [Error | null, Buffer | null];
    return { stored, seen: this.#stamps.read(error === null ? stamp : null) };
  }

  #unavailable(): ShardUnavailable {
    return new ShardUnavailable(this.name, this.#whyDown);
  }

  async #command<T>(command: ShardCommand, run: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = this.#redis;
    if (redis === undefined) throw this.#unavailable();
    const { timeoutMs, onAnswer } = this.#options;
    const started = performance.now();
    try {
      const reply = await withinDeadline(run(redis), timeoutMs, () => new Error(`no answer within ${timeoutMs} ms`));
      this.#breaker.succeeded();
      onAnswer?.(command, (performance.now() - started) / 1000);
      return reply;
    } catch (error) {
      // A reply that says no (OOM, WRONGTYPE, NOPERM) comes from a server that is there; silence does not.
      if (!isErrorReply(error)) this.#breaker.failed(messageOf(error));
      throw new ShardUnavailable(this.name, messageOf(error), { cause: error });
    }
  }

  async #connect(): Promise<void> {
    const connectTimeoutMs = this.#options.timeoutMs * CONNECT_DEADLINES;
    const options: RedisOptions = {
      ...redisOptions(this.#options.endpoint, this.#attempts++),
      sentinelCommandTimeout: this.#options.timeoutMs,
      protocol: 2,
      lazyConnect: true,
      connectionName: 'ringfill',
      connectTimeout: connectTimeoutMs,
      retryStrategy: () => null,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
    };
    const redis = new Redis(options as RedisOptions & { replyMapping: 'legacy' });
    defineScripts(redis);
    // ioredis reports here what connect() does not reject with; the last word is the better explanation.
    let reported: Error | undefined;
    redis.on('error', (error: Error) => {
      reported = error;
    });
    try {
      const connected = redis.connect().then(() => redis.ping());
      await withinDeadline(connected, connectTimeoutMs, () => new Error(`no connection within ${connectTimeoutMs} ms`));
      // A refused SELECT of the database is only reported; the connection would go on with database 0.
      if (reported !== undefined) throw reported;
    } catch (error) {
      redis.disconnect();
      throw reported ?? error;
    }
    if (this.#stopped) {
      redis.disconnect();
      return;
    }
    redis.on('close', () => {
      if (this.#redis === redis) this.#breaker.trip(reported === undefined ? 'connection closed' : messageOf(reported));
    });
    this.#redis = redis;
  }

  #disconnect(): void {
    const redis = this.#redis;
    this.#redis = undefined;
    redis?.disconnect();
  }
}

/** Redis' own `-ERR …` replies; ioredis throws them as ReplyError. */
function isErrorReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}
