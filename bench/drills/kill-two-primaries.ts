import { kill } from '../../stack/faults.ts';
import { detected, hitsBack, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const killTwoPrimaries: Drill = {
  name: 'kill-two-primaries',
  title: 'two of 3 primary shards killed at once',
  done: 'kill -9 of r1 and r3; later both are started again, empty.',
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  seconds: 12,
  claims: [...ORIGIN_WELL, detected, hitsBack],
  run: async ({ world, harmed, mark, until }) => {
    const servers = ['r1', 'r3'].map((name) => world.shard(name).server);
    await Promise.all(servers.map(kill));
    harmed('kill -9 of r1 and r3', { shards: ['r1', 'r3'] });
    await until(0.6);
    await Promise.all(servers.map((server) => server.restart()));
    mark('both started again, empty');
  },
};
