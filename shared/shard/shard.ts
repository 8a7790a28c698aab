/**
 * One cache server of a ring, as the journeys see it: it answers within its deadline, or it is unavailable.
 *
 *     ok --(3 late in a row; or slow for most of half a second; or it answers nothing, as while LOADING)--> out of use
 *      ^ |                                                                                                     |
 *      | +--(OOM, MISCONF, READONLY)--> refuses writes: read as before, tried once a second                    |
 *      +------------------------------------(our own trial passes, three reads in a row)-----------------------+
 *
 * Every method throws ShardUnavailable and nothing else; the caller goes on to the next layer, or to the origin.
 * The connection is made by us, never by ioredis: while the breaker is open there is none. What was sent before it
 * opened may still run when a hung server continues; fills are safe by their lease's token, a late lease runs out.
 */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { ShardUnavailable, messageOf } from '../errors/errors.ts';
import { leaseKey } from '../key/cache-key.ts';
import { Breaker } from '../lifecycle/breaker.ts';
import { withinDeadline } from '../lifecycle/deadline.ts';
import { SlowWatch } from '../lifecycle/slow-watch.ts';
import type { DecodedBatch } from '../change/change-batch.ts';
import type { LeaseBase } from '../origin/row-select.ts';
import { type Entry, encodeEntry } from '../entry/entry.ts';
import { type HighestSeen, type SeenStamp, StampReader } from '../stamp/stamp-reader.ts';
import { connect, standTrial, TrialTooSlow } from './connect.ts';
import type { Endpoint } from './endpoint.ts';
import { ChangeFeed } from './near/change-feed.ts';
import { type NearRead, NearShard } from './near/near-shard.ts';
import type { NearStore } from './near/near-store.ts';
import { type Fetched, ReadBatch, type Reader, type ShardRead } from './read-batch.ts';
import {
  type FillRow,
  type FollowedAs,
  type FollowedThere,
  type LeaseOver,
  type LeaseRow,
  type LeaseTerms,
  isFollowedAlike,
  isSameLease,
  runFills,
  runLeases,
} from './fill-scripts.ts';
import { refusalIn } from './refusal.ts';
import { type FillReply, type HashReply, hashesIn, type LeaseReply, storedIn } from './replies.ts';
import { ScriptBatch } from './script-batch.ts';
import { WriteGate } from './write-gate.ts';

/** Whether it is used at all. */
export type ShardState = 'ok' | 'down';

/**
 * The same, told apart for whoever looks: `ok`, and `refuses-writes`, where it is used and takes no rows; out of use are
 * `slow`; `refusing`, which says so itself (LOADING, NOAUTH, …); and `down`, which says nothing.
 */
export const SHARD_CONDITIONS = ['ok', 'refuses-writes', 'slow', 'refusing', 'down'] as const;
export type ShardCondition = (typeof SHARD_CONDITIONS)[number];

/** `read` is the one multi-key read of a tick; `ping` asks whether it is still there while nobody else asks. */
export type ShardCommand =
  | 'read'
  | 'lease'
  | 'fill'
  | 'release'
  | 'invalidate'
  | 'apply'
  | 'snapshot'
  | 'audit'
  | 'ping';

/** What requests wait for, and what is quick by its nature: it tells whether the shard is slow. */
const TELLS_SLOWNESS: ReadonlySet<ShardCommand> = new Set(['read', 'lease', 'fill', 'release', 'ping']);

export interface ShardOptions {
  readonly name: string;
  readonly ring: string;
  readonly endpoint: Endpoint;
  /**
   * Where changes are followed: the key of the shard's stamp, and what is known of the stamp from before.
   */
  readonly followed?: { readonly stampKey: string; readonly highest?: HighestSeen } | undefined;
  /** The longest that one command may take. */
  readonly timeoutMs: number;
  /** How many late or failed commands in a row take the shard out; a closed connection does at once. */
  readonly failuresToOpen: number;
  /** Answers that take longer are slow ones, in ms; 0, the default: none is. */
  readonly slowMs?: number;
  /** Whether it may be taken out of use for being slow; default: it may. */
  readonly mayLeaveForSlowness?: (shard: Shard) => boolean;
  readonly onChange: (shard: Shard, state: ShardState, why: string) => void;
  /** It is down for another reason than was told before. */
  readonly onStillDown?: (why: string) => void;
  /** It is slow, and used all the same. */
  readonly onKeptThoughSlow?: (why: string) => void;
  /** It takes no rows any more, and why; or it does again. */
  readonly onWrites?: (refusedBecause: string | undefined) => void;
  /** What it held under the key is none of ours, and counts as absent. */
  readonly onUnreadable?: (kind: 'stamp' | 'lease', key: string) => void;
  /** Nothing where nothing of it is kept in this process's memory. */
  readonly near?: NearOptions | undefined;
  /** A command was answered. */
  readonly onAnswer?: (command: ShardCommand, seconds: number) => void;
}

export interface NearOptions {
  readonly store: NearStore;
  /** Of the keys that may be kept; none begins with another. */
  readonly prefixes: readonly string[];
  readonly keyPrefix: string;
  /** Redis tells of changes; or it does not, and why: nothing where the shard is out of use. */
  readonly onFeed: (up: boolean, why: string | undefined) => void;
}

export interface LeaseRequest {
  /** Nothing for a table that is not followed. */
  readonly followedAs?: FollowedAs | undefined;
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
export type FillOutcome = FillReply;

export type ApplyOutcome =
  /** `readBack`: entries that were removed and want to be read again. */
  | { readonly kind: 'applied'; readonly to: string; readonly readBack: readonly string[] }
  /** The message is of a plan that was replaced. */
  | { readonly kind: 'fenced' }
  /** What lies between the stamp's `to` and the message's `from` never came. */
  | { readonly kind: 'gap'; readonly to: string };

/** For so long after it came back, one failure or one slow moment takes it out again. */
const TRIAL_MS = 1_000;
/** When nobody has asked it anything for so long, we do: whoever asks next need not find out that it is gone. */
const IDLE_MS = 1_000;

export class Shard {
  readonly name: string;
  readonly ring: string;
  readonly #options: ShardOptions;
  readonly #breaker: Breaker;
  readonly #slowWatch: SlowWatch | undefined;
  readonly #writes: WriteGate;
  readonly #reads: ReadBatch<Buffer>;
  readonly #mirrorReads: ReadBatch<HashReply>;
  readonly #stamps: StampReader;
  readonly #near: NearShard | undefined;
  readonly #feed: ChangeFeed | undefined;
  readonly #tokenPrefix = randomBytes(9).toString('base64url');
  readonly #leases: ScriptBatch<LeaseTerms, LeaseRow, LeaseReply>;
  readonly #fills: ScriptBatch<FollowedThere | undefined, FillRow, FillReply>;
  #tokens = 0;
  #nextStamp: Promise<SeenStamp | undefined> | undefined;
  #attempts = 0;
  #redis: Redis | undefined;
  #whyDown = 'not connected yet';
  #outAs: 'slow' | 'refusing' | 'down' = 'down';
  #leftForSlowness = false;
  #keptThoughSlow = false;
  #askedAt = 0;
  #idleTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: ShardOptions) {
    this.name = options.name;
    this.ring = options.ring;
    this.#options = options;
    const { followed, onUnreadable } = options;
    this.#stamps = new StampReader(followed?.highest, () => onUnreadable?.('stamp', followed?.stampKey ?? ''));
    if (options.near !== undefined) {
      const { endpoint, timeoutMs } = options;
      const { store, prefixes, keyPrefix, onFeed } = options.near;
      this.#near = new NearShard(store, prefixes);
      this.#feed = new ChangeFeed({ endpoint, timeoutMs, prefixes, keyPrefix, near: this.#near, onChange: onFeed });
    }
    this.#reads = new ReadBatch(
      (keys) => this.#fetch(keys),
      (stored) => stored.length,
    );
    this.#leases = new ScriptBatch({
      areSame: isSameLease,
      bytesOf: ({ entryKey }) => entryKey.length,
      run: (terms, rows) => this.#command('lease', (redis) => runLeases(redis, terms, rows)),
    });
    this.#fills = new ScriptBatch({
      areSame: isFollowedAlike,
      bytesOf: ({ stored }) => stored.length,
      run: (followed, rows) => this.#command('fill', (redis) => runFills(redis, followed, rows)),
    });
    this.#mirrorReads = new ReadBatch(
      (keys) => this.#fetchMirrored(keys),
      (pairs) => pairs.reduce((sum, { length }) => sum + length, 0),
    );
    this.#breaker = new Breaker({
      failuresToOpen: options.failuresToOpen,
      trialMs: TRIAL_MS,
      probe: () => this.#connect(true),
      onProbeFailed: (error) => {
        const why = messageOf(error);
        const isNews = why !== this.#whyDown;
        this.#outAs = this.#outAsBy(error);
        this.#whyDown = why;
        if (isNews) options.onStillDown?.(why);
      },
      onChange: (state, why) => {
        if (state === 'open') this.#disconnect();
        this.#whyDown = why;
        options.onChange(this, state === 'open' ? 'down' : 'ok', why);
      },
    });
    const { slowMs = 0 } = options;
    if (slowMs > 0) {
      this.#slowWatch = new SlowWatch({
        slowMs,
        isOnTrial: () => this.#breaker.isOnTrial,
        onSlow: (why) => this.#isSlow(why),
      });
    }
    this.#writes = new WriteGate((why) => options.onWrites?.(why));
  }

  get state(): ShardState {
    return this.#redis === undefined ? 'down' : 'ok';
  }

  get condition(): ShardCondition {
    if (this.#redis === undefined) return this.#outAs;
    return this.#writes.refusedBecause === undefined ? 'ok' : 'refuses-writes';
  }

  /** Redis tells of its changes, so that it may be answered for out of memory. */
  get isNear(): boolean {
    return this.#feed?.isUp ?? false;
  }

  /** It was taken out of use for being slow, and has not come back; whatever it is now. */
  get leftForSlowness(): boolean {
    return this.#redis === undefined && this.#leftForSlowness;
  }

  /** Settles when the first attempt to connect has; a shard that is down then is tried again in the background. */
  async start(): Promise<void> {
    try {
      await this.#connect(false);
      this.#options.onChange(this, 'ok', 'connected');
    } catch (error) {
      this.#takeOut(this.#outAsBy(error), messageOf(error));
    }
    this.#idleTimer ??= setInterval(() => void this.#pingIfIdle(), IDLE_MS);
    this.#idleTimer.unref();
  }

  /** Joins the one multi-key read of this tick. The stamp comes with the entries. */
  async read(entryKey: string): Promise<ShardRead> {
    if (this.#redis === undefined) throw this.#unavailable();
    return this.#reads.read(entryKey);
  }

  /** The same without a promise; what is wrong is told to the reader, perhaps at once. */
  readFor(entryKey: string, reader: Reader): void {
    if (this.#redis === undefined) reader.reject(this.#unavailable());
    else this.#reads.readFor(entryKey, reader);
  }

  /** What it would reply, out of this process's memory; to be judged at once, and by the same rules. Nothing mostly. */
  near(entryKey: string): NearRead | undefined {
    return this.#near?.near(entryKey);
  }

  /** The same for a mirrored row: its hash, as HGETALL replies. */
  async readMirrored(entryKey: string): Promise<ShardRead<HashReply>> {
    if (this.#redis === undefined) throw this.#unavailable();
    return this.#mirrorReads.read(entryKey);
  }

  async lease(entryKey: string, request: LeaseRequest): Promise<LeaseOutcome> {
    const refusedBecause = this.#writes.whyNot();
    if (this.#redis !== undefined && refusedBecause !== undefined) {
      throw new ShardUnavailable(this.name, refusedBecause, { kind: 'refused' });
    }
    const token = this.#newToken();
    const { followedAs, ...terms } = request;
    const outcome = await this.#leases.call(
      { ...terms, followed: this.#followedThere(followedAs) },
      { entryKey, token },
    );
    if (outcome.kind === 'entry') this.#near?.changed(entryKey);
    if (outcome.kind !== 'lease') return outcome;
    this.#writes.taken();
    if (outcome.overForged) this.#options.onUnreadable?.('lease', leaseKey(entryKey));
    return { kind: 'lease', token, base: outcome.base };
  }

  /**
   * What was read under the lease.
   * @param followedAs as in the lease's request.
   * @param ttlMs until Redis forgets the entry: its TTL and the grace after it.
   */
  async fill(
    entryKey: string,
    token: string,
    entry: Entry,
    ttlMs: number,
    followedAs?: FollowedAs,
  ): Promise<FillOutcome> {
    const { version } = entry;
    const row = { entryKey, token, version, stored: encodeEntry(entry), ttlMs };
    try {
      return await this.#fills.call(this.#followedThere(followedAs), row);
    } finally {
      // Whoever is answered with what was filled must not be answered with what was there before.
      this.#near?.changed(entryKey);
    }
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
    try {
      await this.#command('release', (redis) => redis.releaseLease(entryKey, leaseKey(entryKey), token, drop));
    } finally {
      if (entry === 'drop') this.#near?.changed(entryKey);
    }
  }

  /**
   * Takes the entry out, and the lease out of whoever's hands: it is held until it is released, or for as long as it lasts.
   * @returns `was`: whether something lay there.
   */
  async invalidate(entryKey: string, leaseTtlMs: number): Promise<{ readonly token: string; readonly was: boolean }> {
    const token = this.#newToken();
    try {
      const removed = await this.#command('invalidate', (redis) =>
        redis.invalidateEntry(entryKey, leaseKey(entryKey), token, leaseTtlMs),
      );
      return { token, was: removed === 1 };
    } finally {
      this.#near?.changed(entryKey);
    }
  }

  /** Whatever else one has to say to it, such as a snapshot's scripts. Throws ShardUnavailable. */
  run<T>(command: ShardCommand, run: (redis: Redis) => Promise<T>): Promise<T> {
    return this.#command(command, run);
  }

  /** Nothing of it is kept in memory any more. */
  leaveNear(): void {
    this.#feed?.stop();
  }

  stop(): void {
    this.#stopped = true;
    this.leaveNear();
    clearInterval(this.#idleTimer);
    this.#breaker.stop();
    this.#disconnect();
  }

  async #fetch(keys: readonly string[]): Promise<Fetched<Buffer>> {
    const { followed } = this.#options;
    const asked = this.#near?.asks() ?? 0;
    if (followed === undefined) {
      const values = await this.#command('read', async (redis) =>
        storedIn(await redis.mgetBuffer([...keys]), keys.length),
      );
      this.#near?.replied(asked, keys, values, undefined);
      return { stored: values, seen: undefined };
    }
    const { highest } = this.#stamps;
    const [stamp = null, ...stored] = await this.#command('read', async (redis) =>
      storedIn(await redis.mgetBuffer([followed.stampKey, ...keys]), 1 + keys.length),
    );
    const seen = this.#stamps.read(stamp, highest);
    this.#near?.replied(asked, keys, stored, seen);
    return { stored, seen };
  }

  /** One transaction: a row that is absent, and a stamp of another time, which says that none is missing, cannot meet. */
  async #fetchMirrored(keys: readonly string[]): Promise<Fetched<HashReply>> {
    const { followed } = this.#options;
    if (followed === undefined) throw new Error(`shard ${this.name} is not followed`);
    const { highest } = this.#stamps;
    const { hashes, stamp } = await this.#command('read', async (redis) => {
      const transaction = redis.multi();
      for (const key of keys) transaction.callBuffer('HGETALL', key);
      return hashesIn(await transaction.getBuffer(followed.stampKey).exec(), keys.length);
    });
    return { stored: hashes, seen: this.#stamps.read(stamp, highest) };
  }

  #newToken(): string {
    this.#tokens += 1;
    return `${this.#tokenPrefix}${this.#tokens}`;
  }

  #followedThere(followedAs: FollowedAs | undefined): FollowedThere | undefined {
    const { followed } = this.#options;
    return followedAs && followed && { ...followedAs, stampKey: followed.stampKey };
  }

  #unavailable(): ShardUnavailable {
    return new ShardUnavailable(this.name, this.#whyDown, { kind: 'out-of-use' });
  }

  async #command<T>(command: ShardCommand, run: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = this.#redis;
    if (redis === undefined) throw this.#unavailable();
    const { timeoutMs, onAnswer } = this.#options;
    const started = performance.now();
    this.#askedAt = started;
    const watch = TELLS_SLOWNESS.has(command) ? this.#slowWatch : undefined;
    const asked = watch?.asked();
    try {
      const reply = await withinDeadline(run(redis), timeoutMs, () => new Error(`no answer within ${timeoutMs} ms`));
      if (asked !== undefined) watch?.answered(asked);
      this.#breaker.succeeded();
      onAnswer?.(command, (performance.now() - started) / 1000);
      return reply;
    } catch (error) {
      const refusal = refusalIn(error, this.#hasSentinels);
      if (asked !== undefined) {
        if (refusal === undefined) watch?.givenUp(asked);
        else watch?.answered(asked);
      }
      if (refusal === undefined) {
        this.#failed(redis, messageOf(error));
        throw new ShardUnavailable(this.name, messageOf(error), { cause: error, kind: 'silent' });
      }
      if (refusal.means === 'out-of-use' && this.#redis === redis) this.#takeOut('refusing', refusal.why);
      if (refusal.means === 'refuses-writes') this.#writes.refused(refusal.why);
      throw new ShardUnavailable(this.name, refusal.why, { cause: error, kind: 'refused' });
    }
  }

  get #hasSentinels(): boolean {
    return typeof this.#options.endpoint !== 'string';
  }

  /** Commands of a connection that has been given up say nothing of the next one. */
  #failed(redis: Redis, why: string): void {
    if (this.#redis !== redis) return;
    this.#outAs = 'down';
    this.#breaker.failed(why);
  }

  #takeOut(as: 'slow' | 'refusing' | 'down', why: string): void {
    this.#outAs = as;
    this.#breaker.trip(why);
  }

  #isSlow(why: string): void {
    if (this.#redis === undefined) return;
    const { mayLeaveForSlowness, onKeptThoughSlow } = this.#options;
    if (mayLeaveForSlowness?.(this) !== false) {
      this.#leftForSlowness = true;
      this.#takeOut('slow', why);
    } else if (!this.#keptThoughSlow) {
      this.#keptThoughSlow = true;
      onKeptThoughSlow?.(why);
    }
  }

  #outAsBy(error: unknown): 'slow' | 'refusing' | 'down' {
    if (error instanceof TrialTooSlow) return 'slow';
    return refusalIn(error, this.#hasSentinels) === undefined ? 'down' : 'refusing';
  }

  /** Until it answers or is out of use. */
  async #pingIfIdle(): Promise<void> {
    if (performance.now() - this.#askedAt < IDLE_MS) return;
    while (this.#redis !== undefined) {
      try {
        await this.#command('ping', (redis) => redis.ping());
        return;
      } catch (error) {
        // What it says of the shard, the breaker knows.
        if (!(error instanceof ShardUnavailable) || error.kind === 'refused') return;
      }
    }
  }

  /** @param onTrial it was out of use: it has to show that it is well. */
  async #connect(onTrial: boolean): Promise<void> {
    const { endpoint, timeoutMs, slowMs = 0, followed } = this.#options;
    const { redis, lastReported } = await connect(endpoint, this.#attempts++, timeoutMs);
    try {
      // Without a stamp there is no key that an account must be able to read; that it is answered will do.
      const read = followed === undefined ? () => redis.ping() : () => redis.getBuffer(followed.stampKey);
      if (onTrial) await standTrial({ read, timeoutMs, slowMs });
    } catch (error) {
      redis.disconnect();
      throw error;
    }
    if (this.#stopped) {
      redis.disconnect();
      return;
    }
    if (redis.status !== 'ready') throw lastReported() ?? new Error('connection closed');
    redis.on('close', () => {
      if (this.#redis === redis) this.#takeOut('down', lastReported()?.message ?? 'connection closed');
    });
    this.#redis = redis;
    this.#leftForSlowness = false;
    this.#keptThoughSlow = false;
    const readStamp = async () => (followed === undefined ? undefined : (await this.#fetch([])).seen);
    this.#feed?.follow({ redis, readStamp });
  }

  #disconnect(): void {
    const redis = this.#redis;
    this.#redis = undefined;
    this.#feed?.leave();
    this.#slowWatch?.forget();
    redis?.disconnect();
  }
}
