import { ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { restoreAfter } from './harness/dumps.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const restoredOneSecond: Drill = {
  name: 'restored-1s',
  title: 'a shard restored from a dump that is 1 s old',
  done: 'r2 writes a dump; a second later it is killed, and started with that dump.',
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  seconds: 11,
  claims: ORIGIN_WELL,
  run: restoreAfter(1_000),
};
