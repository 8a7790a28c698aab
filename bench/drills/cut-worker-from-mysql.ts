import { noticed, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const cutWorkerFromMysql: Drill = {
  name: 'cut-worker-from-mysql',
  title: 'the sync worker cut off from MySQL',
  done: 'the line from the sync worker to MySQL carries nothing: no shard hears of changes, and the origin is asked.',
  world: { ...THREE_AND_TWO, isLinked: (from, to) => from === 'worker' && to === 'mysql' },
  load: CLOSED_LOOP,
  seconds: 17,
  claims: [...ORIGIN_WELL, noticed],
  run: async ({ world, harmed, mark, until }) => {
    const link = world.link('worker', 'mysql');
    link.cut();
    harmed('the sync worker cut off from MySQL', { shards: ['r1', 'r2', 'r3'] });
    await until(0.35);
    link.heal();
    mark('healed');
  },
};
