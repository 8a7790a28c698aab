import { hitsBack, noticed, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { clientOf, putDumpBack, takeDump } from './harness/dumps.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

const SECONDS = 5;

export const loading: Drill = {
  name: 'loading',
  title: 'a shard that loads its dataset for seconds',
  done: `r2 is killed, and started with its dump from just before; it takes ${SECONDS} s to load it, and answers LOADING.`,
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  seconds: 12,
  claims: [...ORIGIN_WELL, noticed, hitsBack],
  run: async ({ world, harmed, mark }) => {
    const { server, args } = world.shard('r2');
    const redis = clientOf(server);
    const keys = await redis.dbsize();
    redis.disconnect();
    // Redis' own means for its tests: so many µs for each key; and it looks at its clients this often, in bytes.
    const perKey = Math.round((SECONDS * 1_000_000) / keys);
    args.push('--key-load-delay', String(perKey), '--loading-process-events-interval-bytes', '1024');
    const dump = await takeDump(server);
    const loaded = putDumpBack(server, dump);
    harmed('r2 killed, and started with its dump', { shards: ['r2'] });
    await loaded;
    mark('r2 has loaded it');
  },
};
