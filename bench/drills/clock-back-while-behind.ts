import { hang, resume } from '../../stack/faults.ts';
import { ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

const OUTAGE_MS = 8_000;

export const clockBackWhileBehind: Drill = {
  name: 'clock-back-while-behind',
  title: 'the clock of a gateway goes back by as much as its shards are behind',
  done:
    `the sync worker hangs for ${OUTAGE_MS / 1000} s; then the gateway's clock is set back by as much, so that the old ` +
    'stamps look young to it. Then both are mended.',
  world: { ...THREE_AND_TWO, hasShiftedClocks: true },
  load: CLOSED_LOOP,
  seconds: 17,
  claims: ORIGIN_WELL,
  run: async ({ world, harmed, mark, wait }) => {
    const clock = world.clock('gateway-1');
    hang(world.worker);
    harmed('SIGSTOP of the sync worker', { shards: ['r1', 'r2', 'r3'] });
    await wait(OUTAGE_MS);
    clock.shift(-OUTAGE_MS);
    mark(`the gateway's clock goes back by ${OUTAGE_MS / 1000} s`);
    await wait(OUTAGE_MS / 2);
    clock.shift(0);
    mark('its clock is right again');
    resume(world.worker);
    mark('SIGCONT of the sync worker');
  },
};
