/**
 * Rows cached by the million, without each of them being read: the gateway has cached a few in every shard, and what it put
 * before and behind a row there is put to the others, too. They are as MySQL has them, for nobody changes them.
 */
import { Redis } from 'ioredis';
import { decodeEntry, encodeEntry, type Entry } from '../../shared/entry/entry.ts';
import { Continuum } from '../../shared/ring/continuum.ts';
import type { GroundShard } from '../drills/harness/ground.ts';

interface Owner {
  readonly redis: Redis;
  readonly entry: Entry;
  readonly expiresInMs: number;
}

export interface ManyRows {
  /** One ring, placed as by default; the gateway has cached rows of the table in each. */
  readonly shards: readonly GroundShard[];
  /** What an id is put behind. */
  readonly keyPrefix: string;
  /** Ids that the gateway has cached, from 1 on. */
  readonly cached: number;
  readonly jsonOf: (id: number) => string;
  readonly signal: AbortSignal;
}

const ROWS_AT_ONCE = 5_000;

export class ManyRowsCache {
  readonly #options: ManyRows;
  readonly #continuum: Continuum;
  readonly #owners: ReadonlyMap<string, Owner>;

  private constructor(options: ManyRows, continuum: Continuum, owners: ReadonlyMap<string, Owner>) {
    this.#options = options;
    this.#continuum = continuum;
    this.#owners = owners;
  }

  /** Rejects where a row does not lie where it should. */
  static async open(options: ManyRows): Promise<ManyRowsCache> {
    const { shards, keyPrefix, cached } = options;
    const continuum = new Continuum(
      shards.map(({ name }) => name),
      'balanced',
    );
    const owners = new Map<string, Owner>();
    for (const { name, server } of shards) {
      const redis = new Redis({ host: server.host, port: server.port });
      const own = Array.from({ length: cached }, (_, index) => `${keyPrefix}${index + 1}`);
      const key = own.find((one) => continuum.owner(one) === name) ?? '';
      const [stored, expiresInMs] = [await redis.getBuffer(key), await redis.pttl(key)];
      const entry = stored === null ? undefined : decodeEntry(stored);
      if (entry === undefined || expiresInMs <= 0)
        throw new Error(`${name} does not hold ${key} as a row that expires`);
      owners.set(name, { redis, entry, expiresInMs });
    }
    return new ManyRowsCache(options, continuum, owners);
  }

  /** Rows from `first` to `last`, as far as there is time. @returns the last that is cached. */
  async cache(first: number, last: number, deadline: number): Promise<number> {
    const { keyPrefix, jsonOf, signal } = this.#options;
    for (let from = first; from <= last; from += ROWS_AT_ONCE) {
      signal.throwIfAborted();
      if (performance.now() > deadline) return from - 1;
      const pipelines = new Map([...this.#owners].map(([name, { redis }]) => [name, redis.pipeline()]));
      for (let id = from; id <= Math.min(last, from + ROWS_AT_ONCE - 1); id += 1) {
        const key = `${keyPrefix}${id}`;
        const name = this.#continuum.owner(key);
        const { entry, expiresInMs } = this.#owners.get(name) as Owner;
        pipelines.get(name)?.set(key, encodeEntry({ ...entry, body: Buffer.from(jsonOf(id)) }), 'PX', expiresInMs);
      }
      await Promise.all([...pipelines.values()].map((pipeline) => pipeline.exec()));
    }
    return last;
  }

  async stop(): Promise<void> {
    for (const { redis } of this.#owners.values()) redis.disconnect();
  }
}
