import { ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { clientOf } from './harness/dumps.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

const POLICIES = { r1: 'allkeys-lru', r2: 'volatile-lru', r3: 'allkeys-random' } as const;
/** Of the memory that the shard uses when it is told to keep to less: most of that is not entries. */
const SHARE = 0.8;

export const evicting: Drill = {
  name: 'evicting',
  title: 'shards that evict entries, leases and stamps',
  done: `maxmemory below what they hold: ${Object.entries(POLICIES)
    .map(([shard, policy]) => `${shard} ${policy}`)
    .join(', ')}. Later without bound again.`,
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  seconds: 12,
  claims: ORIGIN_WELL,
  run: async ({ world, harmed, mark, until }) => {
    const shards = Object.entries(POLICIES).map(([name, policy]) => ({
      redis: clientOf(world.shard(name).server),
      policy,
    }));
    for (const { redis, policy } of shards) {
      const used = Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
      await redis.config('SET', 'maxmemory-policy', policy);
      await redis.config('SET', 'maxmemory', Math.round(used * SHARE));
    }
    harmed('every primary shard evicts');
    await until(0.7);
    for (const { redis } of shards) {
      await redis.config('SET', 'maxmemory', 0);
      redis.disconnect();
    }
    mark('no bound any more');
  },
};
