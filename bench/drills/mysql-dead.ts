import { kill } from '../../stack/faults.ts';
import { ALWAYS } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { OPEN_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

const DEAD_MS = 30_000;

export const mysqlDead: Drill = {
  name: 'mysql-dead',
  title: 'MySQL dead for 30 s',
  done: 'kill -9 of MySQL, started again after 30 s. Rows that were cached are served (onSyncLost: serve); others get 503.',
  world: { ...THREE_AND_TWO, onSyncLost: 'serve' },
  load: OPEN_LOOP,
  coldShare: 0.05,
  seconds: 37,
  claims: ALWAYS,
  run: async ({ world, harmed, mark, wait }) => {
    const { mysql } = world.ground;
    await kill(mysql);
    harmed('kill -9 of MySQL');
    await wait(DEAD_MS);
    await mysql.restart();
    mark('MySQL is ready again');
  },
};
