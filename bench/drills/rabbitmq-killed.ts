import { kill } from '../../stack/faults.ts';
import { noticed, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const rabbitmqKilled: Drill = {
  name: 'rabbitmq-killed',
  title: 'RabbitMQ killed and restarted',
  done: 'kill -9 of RabbitMQ; some seconds later it is started again on its data.',
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  seconds: 18,
  claims: [...ORIGIN_WELL, noticed],
  run: async ({ world, harmed, mark, until }) => {
    const { rabbitmq } = world.ground;
    await kill(rabbitmq);
    harmed('kill -9 of RabbitMQ', { shards: ['r1', 'r2', 'r3'] });
    await until(0.25);
    await rabbitmq.restart();
    mark('RabbitMQ is ready again');
  },
};
