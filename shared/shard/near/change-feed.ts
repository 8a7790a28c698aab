/**
 * Redis tells which keys change, over a connection of its own: client-side caching by broadcast. What arrives: the keys
 * that changed, after the fact; and every so often the proof that all has been told up to a stamp.
 *
 *     CLIENT TRACKING ON REDIRECT <itself> BCAST PREFIX … ─▶ SUBSCRIBE ─▶ is it the server that is read? ─▶
 *     ┌─▶ the stamp, over the shard's connection ─▶ its reply ─▶ PING, over this one ─▶ its PONG: confirmed ─▶ 100 ms ─┐
 *     └───────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
 *
 * Redis 7.0 writes down a changed key while the command runs and, before it next waits for its sockets, puts all of them
 * into the output of whoever tracks them (beforeSleep, trackingBroadcastInvalidationMessages). What a reply shows was thus
 * put there at the latest before a command is read that was sent after the reply came; PONG stands behind it, in the
 * same output. The connection tracks for itself: with it goes the tracking, and none can stand without the other.
 * In RESP2, as the client library does not pass RESP3's messages on. docs/decisions/2026-11-23-near-cache.md has more.
 *
 * Never throws. Whatever goes wrong ends the connection, and another is made after a while.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { messageOf, ShardUnavailable } from '../../errors/errors.ts';
import { isLeaseKey } from '../../key/cache-key.ts';
import { withinDeadline } from '../../lifecycle/deadline.ts';
import { unlessAborted } from '../../lifecycle/unless-aborted.ts';
import type { SeenStamp } from '../../stamp/stamp-reader.ts';
import { connect } from '../connect.ts';
import type { Endpoint } from '../endpoint.ts';
import { BELIEVED_MS, type NearShard } from './near-shard.ts';

export const INVALIDATIONS = '__redis__:invalidate';
const CONFIRM_EVERY_MS = 100;
const RETRY_FIRST_MS = 100;
const RETRY_MS_MAX = 5_000;

/** The shard's own connection. */
export interface FedShard {
  readonly redis: Redis;
  /** Throws ShardUnavailable. */
  readonly readStamp: () => Promise<SeenStamp | undefined>;
}

export interface ChangeFeedOptions {
  readonly endpoint: Endpoint;
  /** The longest that one command may take. */
  readonly timeoutMs: number;
  /** Of the keys whose changes are told; none begins with another. */
  readonly prefixes: readonly string[];
  /** In front of the name of the channel by which it is told apart. */
  readonly keyPrefix: string;
  readonly near: NearShard;
  /** It tells of changes; or it does not, and why: nothing where the shard is out of use. Another reason is told again. */
  readonly onChange: (up: boolean, why: string | undefined) => void;
}

export class ChangeFeed {
  readonly #options: ChangeFeedOptions;
  #following: AbortController | undefined;
  #stopped = false;
  #state: { readonly up: boolean; readonly why: string | undefined } = { up: false, why: undefined };

  constructor(options: ChangeFeedOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#state.up;
  }

  /** The shard is in use, over this connection; what was known by another one counts for nothing. */
  follow(shard: FedShard): void {
    this.leave();
    if (this.#stopped) return;
    const following = new AbortController();
    this.#following = following;
    void this.#follow(shard, following.signal);
  }

  /** It is out of use. */
  leave(): void {
    this.#following?.abort(new Error('the shard is out of use'));
    this.#following = undefined;
    this.#options.near.lost();
    this.#is(false, undefined);
  }

  /** For good. */
  stop(): void {
    this.#stopped = true;
    this.leave();
  }

  async #follow(shard: FedShard, signal: AbortSignal): Promise<void> {
    let waitMs = RETRY_FIRST_MS;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const listening = new AbortController();
      const leave = () => listening.abort(signal.reason);
      signal.addEventListener('abort', leave, { once: true });
      try {
        const { redis, lastReported } = await connect(this.#options.endpoint, attempt, this.#options.timeoutMs);
        redis.once('close', () => listening.abort(lastReported() ?? new Error('connection closed')));
        await this.#listen(redis, shard, listening.signal).finally(() => redis.disconnect());
      } catch (error) {
        if (signal.aborted) return;
        // Out of use, all is lost already, and may have begun anew.
        this.#options.near.lost();
        waitMs = this.#state.up ? RETRY_FIRST_MS : Math.min(2 * waitMs, RETRY_MS_MAX);
        this.#is(false, messageOf(listening.signal.aborted ? listening.signal.reason : error));
      } finally {
        signal.removeEventListener('abort', leave);
      }
      await sleep(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** Settles only by throwing. */
  async #listen(redis: Redis, shard: FedShard, signal: AbortSignal): Promise<never> {
    const { timeoutMs, prefixes, keyPrefix, near } = this.#options;
    const inTime: InTime = async (ask, ms = timeoutMs) => {
      signal.throwIfAborted();
      const late = () => new Error(`no answer within ${ms} ms`);
      return unlessAborted(withinDeadline(ask(), ms, late), signal);
    };
    redis.on('messageBuffer', (channel: Buffer, keys: readonly Buffer[] | null) => {
      if (!signal.aborted && channel.toString('latin1') === INVALIDATIONS) tell(near, keys);
    });
    const channel = `${keyPrefix}ringfill:near:${randomBytes(9).toString('base64url')}`;
    await askToBeTold(redis, { prefixes, channel, inTime });
    // The answer may have come before the end, and this after it: another feed may stand by now.
    signal.throwIfAborted();
    near.listens();
    // Behind one name there may be several servers: a failover, a balancer. A connection stays with its own.
    const [, listeners] = (await inTime(() => shard.redis.pubsub('NUMSUB', channel))) as [string, number];
    if (Number(listeners) !== 1) throw new Error('changes are told by another server than the one that is read');
    for (;;) {
      await this.#confirm(redis, shard, inTime, signal);
      await sleep(CONFIRM_EVERY_MS, undefined, { signal, ref: false });
    }
  }

  async #confirm(redis: Redis, shard: FedShard, inTime: InTime, signal: AbortSignal): Promise<void> {
    const begun = performance.now();
    let seen: SeenStamp | undefined;
    try {
      seen = await inTime(shard.readStamp, BELIEVED_MS);
    } catch (error) {
      // One late answer says nothing of this connection; and of the shard, its breaker knows.
      if (error instanceof ShardUnavailable) return;
      throw error;
    }
    await inTime(() => redis.ping(), BELIEVED_MS);
    signal.throwIfAborted();
    this.#options.near.confirmed(seen, begun);
    this.#is(true, undefined);
  }

  #is(up: boolean, why: string | undefined): void {
    if (this.#state.up === up && this.#state.why === why) return;
    this.#state = { up, why };
    this.#options.onChange(up, why);
  }
}

export interface ToBeTold {
  readonly prefixes: readonly string[];
  /** Subscribed to as well. */
  readonly channel: string;
  /** What each step is waited for by. */
  readonly inTime: <T>(ask: () => Promise<T>) => Promise<T>;
}

/** From then on the connection is told of every change of a key that begins so, and can ask for nothing but PING. */
export async function askToBeTold(redis: Redis, { prefixes, channel, inTime }: ToBeTold): Promise<void> {
  const id = await inTime(() => redis.client('ID'));
  const tracked = prefixes.flatMap((prefix) => ['PREFIX', prefix]);
  await inTime(() => redis.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id), 'BCAST', ...tracked));
  await inTime(() => redis.subscribe(INVALIDATIONS, channel));
}

type InTime = <T>(ask: () => Promise<T>, ms?: number) => Promise<T>;

/** Nothing instead of keys: all of them. */
function tell(near: NearShard, keys: readonly Buffer[] | null): void {
  if (keys === null) {
    near.forget();
    return;
  }
  for (const bytes of keys) {
    const key = bytes.toString('utf8');
    if (!isLeaseKey(key)) near.changed(key);
  }
}
