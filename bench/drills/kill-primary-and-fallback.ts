import { kill } from '../../stack/faults.ts';
import { detected, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const killPrimaryAndFallback: Drill = {
  name: 'kill-primary-and-fallback',
  title: 'a primary shard and a fallback shard killed at once',
  done: 'kill -9 of r2 and of f1: rows of both have no shard, and are read from the origin. Later both are started again.',
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  seconds: 12,
  claims: [...ORIGIN_WELL, detected],
  run: async ({ world, harmed, mark, until }) => {
    const servers = ['r2', 'f1'].map((name) => world.shard(name).server);
    await Promise.all(servers.map(kill));
    harmed('kill -9 of r2 and f1', { shards: ['r2', 'f1'] });
    await until(0.5);
    await Promise.all(servers.map((server) => server.restart()));
    mark('both started again, empty');
  },
};
