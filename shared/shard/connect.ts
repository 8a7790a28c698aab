/**
 * A connection to a shard's Redis, made by us and never by ioredis; and the trial that one which was out of use has to
 * stand first, asked as a user's request would ask it.
 *
 * Both throw in an operator's words: `NOAUTH …`, `connect ECONNREFUSED …`, `no connection within 1000 ms`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';
import { messageOf } from '../errors/errors.ts';
import { isUntrusted } from '../errors/untrusted.ts';
import { withinDeadline } from '../lifecycle/deadline.ts';
import { LoopDelay } from '../lifecycle/loop-delay.ts';
import { type Endpoint, redisOptions } from './endpoint.ts';
import { defineScripts } from './scripts.ts';

export interface Connection {
  readonly redis: Redis;
  /** What ioredis reported last; nothing if it reported nothing. */
  readonly lastReported: () => Error | undefined;
}

/** Establishing a connection takes several round trips; it may take this many command deadlines. */
const CONNECT_DEADLINES = 4;

/** @param attempt how often it has been tried before. */
export async function connect(endpoint: Endpoint, attempt: number, timeoutMs: number): Promise<Connection> {
  const connectTimeoutMs = timeoutMs * CONNECT_DEADLINES;
  const options: RedisOptions = {
    ...redisOptions(endpoint, attempt),
    sentinelCommandTimeout: timeoutMs,
    protocol: 2,
    lazyConnect: true,
    connectionName: 'ringfill',
    connectTimeout: connectTimeoutMs,
    // It asks whether the server is the Sentinels' master; and waits, saying nothing, for one that is loading its dataset.
    enableReadyCheck: typeof endpoint !== 'string',
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
    throw inWords(reported ?? error);
  }
  return { redis, lastReported: () => reported };
}

function inWords(error: unknown): unknown {
  return isUntrusted(error)
    ? new Error(`its certificate is not trusted: ${messageOf(error)}`, { cause: error })
    : error;
}

/** It answers, and too late to be of use. */
export class TrialTooSlow extends Error {
  override readonly name = 'TrialTooSlow';
}

export interface Trial {
  /** What a user's request asks first. */
  readonly read: () => Promise<unknown>;
  /** No single answer may take longer. */
  readonly timeoutMs: number;
  /** Nor longer than this, less what this process lost meanwhile; 0: no such bound. */
  readonly slowMs: number;
}

/** More than once: a server that has just come to may answer once and pause again. */
const ROUNDS = 3;
const BETWEEN_ROUNDS_MS = 25;

export async function standTrial({ read, timeoutMs, slowMs }: Trial): Promise<void> {
  const delay = new LoopDelay();
  delay.start();
  try {
    for (let round = 1; round <= ROUNDS; round += 1) {
      const askedAt = performance.now();
      const lost = delay.lostUntil(askedAt);
      await withinDeadline(read(), timeoutMs, () => new Error(`no answer within ${timeoutMs} ms`));
      const answeredAt = performance.now();
      const tookMs = answeredAt - askedAt - (delay.lostUntil(answeredAt) - lost);
      if (slowMs > 0 && tookMs > slowMs) throw new TrialTooSlow(`slow: a trial took longer than ${slowMs} ms`);
      if (round < ROUNDS) await sleep(BETWEEN_ROUNDS_MS);
    }
  } finally {
    delay.stop();
  }
}
