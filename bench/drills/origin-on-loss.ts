import { kill } from '../../stack/faults.ts';
import { originQuiet, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill, Stage } from './harness/drill.ts';
import { THREE_AND_TWO } from './harness/shapes.ts';

async function loseR4({ world, harmed, until }: Stage): Promise<void> {
  const { server } = world.shard('r4');
  await kill(server);
  harmed('kill -9 of r4', { shards: ['r4'] });
  await until(1);
  await server.restart();
}

/** At 99 % hits: so many go to rows that nobody has. */
const COLD = 0.01;
/** For what is read most to be warm in the fallback ring, as it is after a while of any load. */
const QUIET_SECONDS = 120;
const AFTER_SECONDS = 40;

export const originOnLoss: Drill = {
  name: 'origin-on-loss',
  title: 'what losing one of 5 shards costs MySQL, at 99 % hits',
  done: 'two minutes of load, and kill -9 of r4; it stays away for 40 s. One row in a hundred was not cached.',
  world: { ...THREE_AND_TWO, primary: 5 },
  // Enough for seconds to be compared with each other: 20 rows in each are not in the cache.
  load: { kind: 'open', perSecond: 2_000 },
  coldShare: COLD,
  quietSeconds: QUIET_SECONDS,
  seconds: AFTER_SECONDS,
  claims: [...ORIGIN_WELL, originQuiet(6, 2)],
  run: loseR4,
};

export const originOnLossWithCopies: Drill = {
  ...originOnLoss,
  name: 'origin-on-loss-with-copies',
  title: 'the same, of a table with copies: 2',
  done: 'kill -9 of r4; it stays away for 40 s. One row in a hundred was not cached.',
  world: { ...originOnLoss.world, copies: 2 },
  quietSeconds: 10,
  claims: [...ORIGIN_WELL, originQuiet(2, 2)],
};
