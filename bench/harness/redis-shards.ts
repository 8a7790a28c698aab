/** All Redis of the ground, as those that look into them want them. */
import { Redis } from 'ioredis';
import type { Ground } from '../drills/harness/ground.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import { decodeStamp } from '../../shared/stamp/stamp.ts';

export class RedisShards {
  readonly #shards: readonly Redis[];

  constructor({ shards }: Ground) {
    this.#shards = shards.map(({ server: { host, port } }) => {
      const redis = new Redis({ host, port });
      // One is killed; it comes back.
      redis.on('error', () => undefined);
      return redis;
    });
  }

  async stop(): Promise<void> {
    for (const shard of this.#shards) shard.disconnect();
  }

  async flush(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.flushall()));
  }

  /** What they hold, without their clients' buffers. Bytes. */
  async usedBytes(): Promise<number> {
    const used = this.#shards.map(async (shard) => {
      const info = await shard.info('memory');
      const field = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
      return field('used_memory') - field('mem_clients_normal');
    });
    return (await Promise.all(used)).reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Whether each says that it has every row of its mirrors. */
  async areComplete(keyPrefix: string): Promise<boolean> {
    const stamps = await Promise.all(this.#shards.map((shard) => shard.getBuffer(stampKey(keyPrefix))));
    return stamps.every((stored) => stored !== null && Object.keys(decodeStamp(stored)?.complete ?? {}).length > 0);
  }
}
