import { hang, resume } from '../../stack/faults.ts';
import { detected, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const hungBehind: Drill = {
  name: 'hung-behind',
  title: 'a shard that hangs and goes on, and hears of what it missed only later',
  done: 'SIGSTOP of r2, and the line from the sync worker to it goes dead. SIGCONT; the line is healed some seconds after that.',
  world: { ...THREE_AND_TWO, isLinked: (from, to) => from === 'worker' && to === 'r2' },
  load: CLOSED_LOOP,
  seconds: 12,
  claims: [...ORIGIN_WELL, detected],
  run: async ({ world, harmed, mark, until }) => {
    const { server } = world.shard('r2');
    const link = world.link('worker', 'r2');
    link.cut();
    hang(server);
    harmed('SIGSTOP of r2', { shards: ['r2'] });
    await until(0.3);
    resume(server);
    mark('SIGCONT of r2');
    await until(0.7);
    link.heal();
    mark('the sync worker reaches r2 again');
  },
};
