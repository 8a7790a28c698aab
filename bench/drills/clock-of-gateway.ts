import { ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

const HOUR_MS = 3_600_000;

export const clockOfGateway: Drill = {
  name: 'clock-of-gateway',
  title: 'the clock of one of two gateways jumps',
  done: 'the clock of gateway-1 is an hour ahead, then an hour behind, then right again. Its shards look old, or from the future.',
  world: { ...THREE_AND_TWO, gateways: 2, hasShiftedClocks: true },
  load: CLOSED_LOOP,
  seconds: 12,
  claims: ORIGIN_WELL,
  run: async ({ world, harmed, mark, until }) => {
    const clock = world.clock('gateway-1');
    clock.shift(HOUR_MS);
    harmed('gateway-1 is an hour ahead', { shards: ['r1', 'r2', 'r3'], gateways: ['gateway-1'] });
    await until(0.25);
    clock.shift(-HOUR_MS);
    mark('gateway-1 is an hour behind');
    await until(0.5);
    clock.shift(0);
    mark('its clock is right again');
  },
};
