import { kill } from '../../stack/faults.ts';
import { detected, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { OPEN_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const killAFallback: Drill = {
  name: 'kill-a-fallback',
  title: 'a fallback shard killed that nobody needs just now',
  done: 'kill -9 of f1 while every primary shard is well; later it is started again.',
  world: THREE_AND_TWO,
  load: OPEN_LOOP,
  seconds: 10,
  claims: [
    ...ORIGIN_WELL,
    detected,
    {
      words: 'nobody feels it: the hit ratio stays above 97 %',
      judge: ({ seen: { figures } }) => ({
        holds: figures.hitRatioWorst > 0.97,
        seen: `${(100 * figures.hitRatioWorst).toFixed(1)} % in the worst half second`,
      }),
    },
  ],
  run: async ({ world, harmed, mark, until }) => {
    const { server } = world.shard('f1');
    await kill(server);
    harmed('kill -9 of f1', { shards: ['f1'] });
    await until(0.5);
    await server.restart();
    mark('f1 started again');
  },
};
