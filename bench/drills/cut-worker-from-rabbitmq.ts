import { noticed, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const cutWorkerFromRabbitmq: Drill = {
  name: 'cut-worker-from-rabbitmq',
  title: 'the sync worker cut off from RabbitMQ',
  done: 'the line from the sync worker to RabbitMQ carries nothing: no shard hears of changes, and the origin is asked.',
  world: { ...THREE_AND_TWO, isLinked: (from, to) => from === 'worker' && to === 'rabbitmq' },
  load: CLOSED_LOOP,
  seconds: 18,
  claims: [...ORIGIN_WELL, noticed],
  run: async ({ world, harmed, mark, until }) => {
    const link = world.link('worker', 'rabbitmq');
    link.cut();
    harmed('the sync worker cut off from RabbitMQ', { shards: ['r1', 'r2', 'r3'] });
    await until(0.35);
    link.heal();
    mark('healed');
  },
};
