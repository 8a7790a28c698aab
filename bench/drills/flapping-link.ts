import { noticed, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

const EVERY_MS = 2_000;

export const flappingLink: Drill = {
  name: 'flapping-link',
  title: 'a shard that everyone loses and finds again every 2 s, with all that it held',
  done: 'the lines to r2, of the gateway and of the worker, carry nothing for a second in every 2 s.',
  world: { ...THREE_AND_TWO, isLinked: (_, to) => to === 'r2' },
  load: CLOSED_LOOP,
  seconds: 16,
  claims: [...ORIGIN_WELL, noticed],
  run: async ({ world, seconds, harmed, mark, wait }) => {
    const links = ['gateway-1', 'worker'].map((from) => world.link(from, 'r2'));
    for (let flap = 1; flap * EVERY_MS < seconds * 1_000; flap += 1) {
      for (const link of links) link.cut();
      harmed(`cut ${flap} of r2`, { shards: ['r2'] });
      await wait(EVERY_MS / 2);
      for (const link of links) link.heal();
      await wait(EVERY_MS / 2);
    }
    mark('r2 stays');
  },
};
