import { noticed, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const cutFromWorker: Drill = {
  name: 'cut-from-worker',
  title: 'a shard cut off from the worker, and not from the gateway',
  done: 'the line from the sync worker to r2 carries nothing: r2 answers, and hears of no change.',
  world: { ...THREE_AND_TWO, isLinked: (from, to) => from === 'worker' && to === 'r2' },
  load: CLOSED_LOOP,
  seconds: 12,
  claims: [...ORIGIN_WELL, noticed],
  run: async ({ world, harmed, mark, until }) => {
    const link = world.link('worker', 'r2');
    link.cut();
    harmed('the worker is cut off from r2', { shards: ['r2'] });
    await until(0.6);
    link.heal();
    mark('healed');
  },
};
