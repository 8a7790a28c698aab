import { ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { putDumpBack, takeDump } from './harness/dumps.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

const LOADED_AFTERWARDS_SECONDS = 20;

export const restoredFromTheStart: Drill = {
  name: 'restored-from-the-start',
  title: 'shards restored from dumps of the beginning, all at once',
  done:
    'every primary shard is killed at one moment, and started with a dump from the beginning of the load: as old ' +
    'as the drill is long, but for its last 20 s (--seconds 3620 makes it an hour), with nothing in it rewritten.',
  world: { ...THREE_AND_TWO, gateways: 2 },
  load: CLOSED_LOOP,
  seconds: 16,
  claims: ORIGIN_WELL,
  run: async ({ world, seconds, harmed, mark, until }) => {
    const servers = world.shards.filter(({ ring }) => ring === 'primary').map(({ server }) => server);
    const dumps = await Promise.all(servers.map(async (server) => ({ server, dump: await takeDump(server) })));
    mark('every primary shard has written a dump');
    await until(Math.max(0.5, 1 - LOADED_AFTERWARDS_SECONDS / seconds));
    await Promise.all(dumps.map(({ server, dump }) => putDumpBack(server, dump)));
    harmed('all are back, with the dumps', { shards: ['r1', 'r2', 'r3'] });
  },
};
