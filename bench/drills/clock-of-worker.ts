import { ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

const AHEAD_MS = 8_000;
const HOUR_MS = 3_600_000;

export const clockOfWorker: Drill = {
  name: 'clock-of-worker',
  title: 'the clock of the sync worker jumps',
  done:
    `the sync worker's clock is ${AHEAD_MS / 1000} s ahead, then an hour behind, then right again: its stamps are from the ` +
    'future, or too old, and none of them may make an old answer look young.',
  world: { ...THREE_AND_TWO, hasShiftedClocks: true },
  load: CLOSED_LOOP,
  seconds: 18,
  claims: ORIGIN_WELL,
  run: async ({ world, harmed, mark, until }) => {
    const clock = world.clock('worker');
    clock.shift(AHEAD_MS);
    harmed('the worker is ahead', { shards: ['r1', 'r2', 'r3'] });
    await until(0.2);
    clock.shift(-HOUR_MS);
    mark('the worker is an hour behind');
    await until(0.4);
    clock.shift(0);
    mark('its clock is right again');
  },
};
