import { hang, resume } from '../../stack/faults.ts';
import { detected, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { OPEN_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const hung: Drill = {
  name: 'hung',
  title: 'a shard that hangs and goes on',
  done: 'SIGSTOP of r2, its rows changing meanwhile; then SIGCONT: it goes on as if no time had passed.',
  world: THREE_AND_TWO,
  load: OPEN_LOOP,
  seconds: 12,
  claims: [...ORIGIN_WELL, detected],
  run: async ({ world, harmed, mark, until }) => {
    const { server } = world.shard('r2');
    hang(server);
    harmed('SIGSTOP of r2', { shards: ['r2'] });
    await until(0.6);
    resume(server);
    mark('SIGCONT of r2');
  },
};
