import { hang, resume } from '../../stack/faults.ts';
import { noticed, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const workerHung: Drill = {
  name: 'worker-hung',
  title: 'the sync worker hung, and going on',
  done: 'SIGSTOP of the only sync worker; then SIGCONT: what it was about to say is old by then.',
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  seconds: 15,
  claims: [...ORIGIN_WELL, noticed],
  run: async ({ world, harmed, mark, until }) => {
    hang(world.worker);
    harmed('SIGSTOP of the sync worker', { shards: ['r1', 'r2', 'r3'] });
    await until(0.5);
    resume(world.worker);
    mark('SIGCONT of the sync worker');
  },
};
