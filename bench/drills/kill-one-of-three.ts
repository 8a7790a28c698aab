import { kill } from '../../stack/faults.ts';
import { detected, hitsBack, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const killOneOfThree: Drill = {
  name: 'kill-one-of-three',
  title: 'one of 3 primary shards killed',
  done: 'kill -9 of r2; later it is started again, empty.',
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  seconds: 12,
  claims: [...ORIGIN_WELL, detected, hitsBack],
  run: async ({ world, harmed, mark, until }) => {
    const { server } = world.shard('r2');
    await kill(server);
    harmed('kill -9 of r2', { shards: ['r2'] });
    await until(0.6);
    await server.restart();
    mark('r2 started again, empty');
  },
};
