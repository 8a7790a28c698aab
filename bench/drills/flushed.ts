import { hitsBack, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { clientOf } from './harness/dumps.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const flushed: Drill = {
  name: 'flushed',
  title: 'a shard flushed by hand',
  done: 'FLUSHALL on r2.',
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  seconds: 11,
  claims: [...ORIGIN_WELL, hitsBack],
  run: async ({ world, harmed }) => {
    const redis = clientOf(world.shard('r2').server);
    await redis.flushall();
    harmed('FLUSHALL on r2');
    redis.disconnect();
  },
};
