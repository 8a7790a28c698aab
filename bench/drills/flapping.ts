import { kill } from '../../stack/faults.ts';
import { noticed, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { OPEN_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

const EVERY_MS = 2_000;

export const flapping: Drill = {
  name: 'flapping',
  title: 'a shard that dies and comes back every 2 s for a minute',
  done: 'kill -9 of r2, and a second later its start, every 2 s.',
  world: THREE_AND_TWO,
  load: OPEN_LOOP,
  seconds: 62,
  claims: [...ORIGIN_WELL, noticed],
  run: async ({ world, seconds, harmed, mark, wait }) => {
    const { server } = world.shard('r2');
    for (let flap = 1; flap * EVERY_MS < seconds * 1_000; flap += 1) {
      await kill(server);
      harmed(`kill ${flap} of r2`, { shards: ['r2'] });
      await wait(EVERY_MS / 2);
      await server.restart();
      await wait(EVERY_MS / 2);
    }
    mark('r2 stays');
  },
};
