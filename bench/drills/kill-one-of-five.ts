import { kill } from '../../stack/faults.ts';
import { detected, hitsBack, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { OPEN_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const killOneOfFive: Drill = {
  name: 'kill-one-of-five',
  title: 'one of 5 primary shards killed',
  done: 'kill -9 of r4; later it is started again, empty.',
  world: { ...THREE_AND_TWO, primary: 5 },
  load: OPEN_LOOP,
  seconds: 12,
  claims: [...ORIGIN_WELL, detected, hitsBack],
  run: async ({ world, harmed, mark, until }) => {
    const { server } = world.shard('r4');
    await kill(server);
    harmed('kill -9 of r4', { shards: ['r4'] });
    await until(0.6);
    await server.restart();
    mark('r4 started again, empty');
  },
};
