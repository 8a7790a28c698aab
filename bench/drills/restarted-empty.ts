import { kill } from '../../stack/faults.ts';
import { hitsBack, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const restartedEmpty: Drill = {
  name: 'restarted-empty',
  title: 'a shard restarted empty, at once',
  done: 'kill -9 of r2, started again in the same moment without what it held.',
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  seconds: 12,
  claims: [...ORIGIN_WELL, hitsBack],
  run: async ({ world, harmed, mark }) => {
    const { server } = world.shard('r2');
    await kill(server);
    harmed('kill -9 of r2', { shards: ['r2'] });
    await server.restart();
    mark('r2 started again, empty');
  },
};
