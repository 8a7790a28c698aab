import { kill } from '../../stack/faults.ts';
import { detected, hitsBack, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const sentinelFailover: Drill = {
  name: 'sentinel-failover',
  title: 'a Sentinel group fails over',
  done: 'r2 is a group of two: kill -9 of its master, and Sentinel makes the replica master, short of what was not replicated.',
  world: { ...THREE_AND_TWO, sentinelOf: 'r2' },
  load: CLOSED_LOOP,
  seconds: 12,
  claims: [...ORIGIN_WELL, detected, hitsBack],
  run: async ({ world, harmed }) => {
    await kill(world.shard('r2').server);
    harmed('kill -9 of the master of r2', { shards: ['r2'] });
  },
};
