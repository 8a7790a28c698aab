import { detected, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const cutFromGateway: Drill = {
  name: 'cut-from-gateway',
  title: 'a shard cut off from one of two gateways, and not from the worker',
  done: 'the line from gateway-1 to r2 carries nothing; gateway-2 and the sync worker reach it.',
  world: { ...THREE_AND_TWO, gateways: 2, isLinked: (from, to) => from === 'gateway-1' && to === 'r2' },
  load: CLOSED_LOOP,
  seconds: 12,
  claims: [...ORIGIN_WELL, detected],
  run: async ({ world, harmed, mark, until }) => {
    const link = world.link('gateway-1', 'r2');
    link.cut();
    harmed('gateway-1 is cut off from r2', { shards: ['r2'], gateways: ['gateway-1'] });
    await until(0.6);
    link.heal();
    mark('healed');
  },
};
