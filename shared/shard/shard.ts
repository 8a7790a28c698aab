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
import { type Endpoint, redisOptions } from './endpoint.ts';
import { ReadBatch } from './read-batch.ts';
import { defineScripts } from './scripts.ts';

export type ShardState = 'ok' | 'down';

/** `read` is the one multi-key read of a tick. */
export type ShardCommand = 'read' | 'lease' | 'fill' | 'release';

export interface ShardOptions {
  readonly name: string;
  readonly ring: string;
  readonly endpoint: Endpoint;
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
  readonly shape: string;
  /** Longer than the longest origin read. */
  readonly leaseTtlMs: number;
  readonly over: LeaseOver;
}

export type LeaseOutcome =
  | { readonly kind: 'lease'; readonly token: string }
  | { readonly kind: 'busy' }
  | { readonly kind: 'entry'; readonly stored: Buffer };

export type FillOutcome = 'stored' | 'lost';

/** Establishing a connection takes several round trips; it may take this many command deadlines. */
const CONNECT_DEADLINES = 4;

export class Shard {
  readonly name: string;
  readonly ring: string;
  readonly #options: ShardOptions;
  readonly #breaker: Breaker;
  readonly #reads: ReadBatch;
  readonly #tokenPrefix = randomBytes(9).toString('base64url');
  #leases = 0;
  #attempts = 0;
  #redis: Redis | undefined;
  #whyDown = 'not connected yet';
  #stopped = false;

  constructor(options: ShardOptions) {
    this.name = options.name;
    this.ring = options.ring;
    this.#options = options;
    this.#reads = new ReadBatch((keys) => this.#command('read', (redis) => redis.mgetBuffer(keys)));
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

  /** Joins the one multi-key read of this tick. */
  async read(entryKey: string): Promise<Buffer | null> {
    if (this.#redis === undefined) throw this.#unavailable();
    return this.#reads.read(entryKey);
  }

  async lease(entryKey: string, request: LeaseRequest): Promise<LeaseOutcome> {
    this.#leases += 1;
    const token = `${this.#tokenPrefix}${this.#leases}`;
    const [outcome, stored] = await this.#command('lease', (redis) =>
      redis.leaseUnsyncedBuffer(
        entryKey,
        leaseKey(entryKey),
        token,
        request.shape,
        Date.now(),
        request.leaseTtlMs,
        request.over,
      ),
    );
    switch (outcome.toString('latin1')) {
      case 'entry':
        return { kind: 'entry', stored: stored as Buffer };
      case 'busy':
        return { kind: 'busy' };
      default:
        return { kind: 'lease', token };
    }
  }

  /** @param ttlMs until Redis forgets the entry: its TTL and the grace after it. */
  fill(entryKey: string, token: string, entry: Buffer, ttlMs: number): Promise<FillOutcome> {
    return this.#command('fill', (redis) => redis.fillUnsynced(entryKey, leaseKey(entryKey), token, entry, ttlMs));
  }

  /** Gives a lease back unfilled. `drop`: the origin was read, and the entry is not what it says any more. */
  async release(entryKey: string, token: string, entry: 'keep' | 'drop'): Promise<void> {
    const drop = entry === 'drop' ? '1' : '0';
    await this.#command('release', (redis) => redis.releaseLease(entryKey, leaseKey(entryKey), token, drop));
  }

  stop(): void {
    this.#stopped = true;
    this.#breaker.stop();
    this.#disconnect();
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
