import { kill } from '../../stack/faults.ts';
import { originQuiet, ORIGIN_WELL } from './harness/claims.ts';
import type { Drill, Stage } from './harness/drill.ts';
import { OPEN_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

async function loseR4({ world, harmed, until }: Stage): Promise<void> {
  await kill(world.shard('r4').server);
  harmed('kill -9 of r4', { shards: ['r4'] });
  await until(1);
}

/** At 99 % hits: so many go to rows that nobody has. */
const COLD = 0.01;
/** For what is read most to be warm in the fallback ring, as it is after a while of any load. */
const QUIET_SECONDS = 60;
const AFTER_SECONDS = 40;

export const originOnLoss: Drill = {
  name: 'origin-on-loss',
  title: 'what losing one of 5 shards costs MySQL, at 99 % hits',
  done: 'a minute of load, and kill -9 of r4; it stays away. One row in a hundred was not cached.',
  world: { ...THREE_AND_TWO, primary: 5 },
  load: OPEN_LOOP,
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
  world: { ...originOnLoss.world, copies: 2 },
  quietSeconds: 10,
  claims: [...ORIGIN_WELL, originQuiet(2, 2)],
};
