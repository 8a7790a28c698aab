import { ALWAYS } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const cutGatewayFromMysql: Drill = {
  name: 'cut-gateway-from-mysql',
  title: 'the gateway cut off from MySQL, and the worker not',
  done: 'the line from the gateway to MySQL carries nothing; changes go on. Rows that were cached are served; others get 503.',
  world: { ...THREE_AND_TWO, isLinked: (from, to) => from === 'gateway-1' && to === 'mysql' },
  load: CLOSED_LOOP,
  coldShare: 0.05,
  seconds: 12,
  claims: ALWAYS,
  run: async ({ world, harmed, mark, until }) => {
    const link = world.link('gateway-1', 'mysql');
    link.cut();
    harmed('the gateway is cut off from MySQL');
    await until(0.6);
    link.heal();
    mark('healed');
  },
};
