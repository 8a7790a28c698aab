import { ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { clientOf } from './harness/dumps.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const full: Drill = {
  name: 'full',
  title: 'a shard that is full and evicts nothing',
  done: 'maxmemory 1 MB with noeviction on r2: it takes no lease and no fill. Rows that were not cached are asked for, too.',
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  coldShare: 0.05,
  seconds: 11,
  claims: ORIGIN_WELL,
  run: async ({ world, harmed, mark, until }) => {
    const redis = clientOf(world.shard('r2').server);
    await redis.config('SET', 'maxmemory-policy', 'noeviction');
    await redis.config('SET', 'maxmemory', '1mb');
    harmed('r2 is full');
    await until(0.6);
    await redis.config('SET', 'maxmemory', 0);
    redis.disconnect();
    mark('no bound any more');
  },
};
