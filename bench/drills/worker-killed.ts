import { kill } from '../../stack/faults.ts';
import { noticed, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

const DEAD_MS = 10_000;

export const workerKilled: Drill = {
  name: 'worker-killed',
  title: 'the sync worker killed, and started again after 10 s',
  done: 'kill -9 of the only sync worker: no shard hears of changes, and the origin is asked (onSyncLost: origin).',
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  seconds: 17,
  claims: [...ORIGIN_WELL, noticed],
  run: async ({ world, harmed, mark, wait }) => {
    await kill(world.worker);
    harmed('kill -9 of the sync worker', { shards: ['r1', 'r2', 'r3'] });
    await wait(DEAD_MS);
    await world.worker.restart();
    mark('the sync worker is ready again');
  },
};
