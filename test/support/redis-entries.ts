/** What lies in the shards, looked at from outside the gateway: by tests that count entries, age them or spoil them. */
import { after } from 'node:test';
import { Redis } from 'ioredis';
import type { TestStack } from './stack.ts';

/** An entry's header, from shared/entry/entry.ts: where its fields stand. */
const READ_AT = { start: 56, end: 64 };

export class RedisEntries {
  readonly #shards: ReadonlyMap<string, Redis>;
  readonly #keyPrefix: string;

  /** @param keyPrefix the gateway's; keys are named without it. */
  constructor(stack: TestStack, keyPrefix: string) {
    this.#shards = new Map(stack.redis.map(({ shard, port }) => [shard, new Redis({ host: '127.0.0.1', port })]));
    this.#keyPrefix = keyPrefix;
    after(() => {
      for (const redis of this.#shards.values()) redis.disconnect();
    });
  }

  /** Every key under the gateway's prefix in every shard, sorted; one that lies in two shards comes twice. */
  async keys(): Promise<string[]> {
    const found: string[] = [];
    for (const redis of this.#shards.values()) {
      let cursor = '0';
      do {
        const [next, keys] = await redis.scan(cursor, 'MATCH', `${this.#keyPrefix}*`, 'COUNT', 1_000);
        cursor = next;
        found.push(...keys.map((key) => key.slice(this.#keyPrefix.length)));
      } while (cursor !== '0');
    }
    return found.toSorted();
  }

  async clear(): Promise<void> {
    const keys = new Set(await this.keys());
    if (keys.size === 0) return;
    const full = [...keys].map((key) => this.#keyPrefix + key);
    await Promise.all([...this.#shards.values()].map((redis) => redis.del(full)));
  }

  /** The shard that holds the key. */
  async holderOf(key: string): Promise<Redis> {
    for (const redis of this.#shards.values()) if ((await redis.exists(this.#keyPrefix + key)) === 1) return redis;
    throw new Error(`no shard holds ${this.#keyPrefix}${key}`);
  }

  async read(key: string): Promise<Buffer> {
    return (await (await this.holderOf(key)).getBuffer(this.#keyPrefix + key)) as Buffer;
  }

  async readIn(shard: string, key: string): Promise<Buffer | null> {
    return await this.#shard(shard).getBuffer(this.#keyPrefix + key);
  }

  async removeIn(shard: string, ...keys: string[]): Promise<void> {
    await this.#shard(shard).del(keys.map((key) => this.#keyPrefix + key));
  }

  /** As it lies there. */
  async copyBetween(from: string, to: string, key: string): Promise<void> {
    await this.#shard(to).set(this.#keyPrefix + key, (await this.readIn(from, key)) as Buffer);
  }

  /** Puts other bytes in the entry's place. */
  async replace(key: string, bytes: Buffer | string): Promise<void> {
    await (await this.holderOf(key)).set(this.#keyPrefix + key, bytes, 'KEEPTTL');
  }

  /** Puts a hash in the entry's place. */
  async replaceByHash(key: string): Promise<void> {
    const redis = await this.holderOf(key);
    await redis.del(this.#keyPrefix + key);
    await redis.hset(this.#keyPrefix + key, { not: 'an entry' });
  }

  /** Makes the entry older, as if the origin had been read so long ago. */
  async age(key: string, seconds: number): Promise<void> {
    const bytes = Buffer.from(await this.read(key));
    const readAtMs = Number.parseInt(bytes.toString('latin1', READ_AT.start, READ_AT.end), 36) - seconds * 1000;
    bytes.write(readAtMs.toString(36).padStart(READ_AT.end - READ_AT.start, '0'), READ_AT.start, 'latin1');
    await this.replace(key, bytes);
  }

  #shard(name: string): Redis {
    return this.#shards.get(name) as Redis;
  }
}
