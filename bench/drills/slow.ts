import { noticed, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { OPEN_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

const DELAY_MS = 150;

export const slow: Drill = {
  name: 'slow',
  title: 'a shard that has become slow, and within its deadline',
  done: `every answer of r2 comes ${DELAY_MS} ms later; the deadline of a command is 250.`,
  world: { ...THREE_AND_TWO, isLinked: (from, to) => from === 'gateway-1' && to === 'r2' },
  load: OPEN_LOOP,
  seconds: 11,
  claims: [...ORIGIN_WELL, noticed],
  run: async ({ world, harmed, mark, until }) => {
    const link = world.link('gateway-1', 'r2');
    link.delay(DELAY_MS);
    harmed(`r2 answers ${DELAY_MS} ms late`, { shards: ['r2'] });
    await until(0.6);
    link.delay(0);
    mark('r2 is quick again');
  },
};
