/**
 * Events into a Redis list (RPUSH, for LPOP) or stream (XADD), kept to a length: many at once, in one transaction, so that
 * none is there without those before it.
 */
import { Redis, type RedisOptions } from 'ioredis';
import { messageOf } from '../../shared/errors/errors.ts';
import { withinDeadline } from '../../shared/lifecycle/deadline.ts';
import { describeEndpoint, redisOptions } from '../../shared/shard/endpoint.ts';

export interface RedisQueueOptions {
  readonly url: string;
  readonly kind: 'list' | 'stream';
  readonly key: string;
  /** Past it the oldest are dropped; of a stream, about so many are kept. */
  readonly lengthMax: number;
}

const ANSWERS_WITHIN_MS = 5_000;

export class RedisQueue {
  readonly #options: RedisQueueOptions;
  #redis: Redis | undefined;

  constructor(options: RedisQueueOptions) {
    this.#options = options;
  }

  /**
   * Settles when Redis has them. Throws where it does not say so: it may have them, all or none.
   * The connection is made when it is needed, and again after every failure.
   */
  async write(events: readonly Buffer[]): Promise<void> {
    try {
      this.#redis ??= await connected(this.#options.url);
      const late = () => new Error(`no answer within ${ANSWERS_WITHIN_MS} ms`);
      await withinDeadline(this.#append(this.#redis, events), ANSWERS_WITHIN_MS, late);
    } catch (error) {
      await this.stop();
      throw new Error(`Redis at ${describeEndpoint(this.#options.url)}: ${messageOf(error)}`, { cause: error });
    }
  }

  async stop(): Promise<void> {
    this.#redis?.disconnect();
    this.#redis = undefined;
  }

  async #append(redis: Redis, events: readonly Buffer[]): Promise<void> {
    const { kind, key, lengthMax } = this.#options;
    const transaction = redis.multi();
    if (kind === 'list') transaction.rpush(key, ...events).ltrim(key, -lengthMax, -1);
    else for (const event of events) transaction.xadd(key, 'MAXLEN', '~', lengthMax, '*', 'event', event);
    const replies = await transaction.exec();
    // A command that fails among others that do not: the wrong type, most often.
    for (const [error] of replies ?? [[new Error('the transaction was not executed')]]) {
      if (error instanceof Error) throw error;
    }
  }
}

async function connected(url: string): Promise<Redis> {
  const options: RedisOptions = {
    ...redisOptions(url),
    protocol: 2,
    lazyConnect: true,
    connectionName: 'ringfill outlet',
    connectTimeout: ANSWERS_WITHIN_MS,
    retryStrategy: () => null,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
  };
  const redis = new Redis(options as RedisOptions & { replyMapping: 'legacy' });
  // A refused login or SELECT is only reported here; the connection would go on as somebody else, or with database 0.
  let reported: Error | undefined;
  redis.on('error', (error: Error) => {
    reported = error;
  });
  try {
    const answered = redis.connect().then(() => redis.ping());
    await withinDeadline(answered, ANSWERS_WITHIN_MS, () => new Error(`no connection within ${ANSWERS_WITHIN_MS} ms`));
    if (reported !== undefined) throw reported;
    return redis;
  } catch (error) {
    redis.disconnect();
    throw reported ?? error;
  }
}
