/**
 * One drill, from its world's beginning to the verdict: rows cached -> a quiet beginning under load -> the harm -> the rest
 * of the load -> what the gateways believe and answer afterwards -> each claim judged.
 */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../../shared/errors/errors.ts';
import { type Seen, Watch } from '../../watch/watch.ts';
import { BELIEVED_WITHIN_MS, BOUND_MS } from './claims.ts';
import type { Drill, DrillOutcome, Stage } from './drill.ts';
import type { Ground } from './ground.ts';
import { COLD_ROWS, type Product, WARM_ROWS, World } from './world.ts';

/** Under load, before the harm: what the figures call before. */
const QUIET_SECONDS = 3;
const ZIPF = 1;
const WRITES_PER_SECOND = 100;
const LOOK_EVERY_MS = 100;

export interface RunOptions {
  readonly ground: Ground;
  readonly product: Product;
  readonly drill: Drill;
  readonly seed: number;
  /** Of the loaded time after the quiet beginning. */
  readonly seconds: number;
  /** Where its processes' folders are made. */
  readonly folder: string;
  /** Where logs are kept of a drill that failed. */
  readonly keepLogsIn: string;
  readonly signal: AbortSignal;
}

export interface JudgedClaim {
  readonly words: string;
  readonly isAim: boolean;
  readonly holds: boolean;
  readonly seen: string;
}

export interface DrillResult extends DrillOutcome {
  readonly name: string;
  readonly title: string;
  readonly done: string;
  readonly seed: number;
  readonly claims: readonly JudgedClaim[];
  readonly passed: boolean;
}

/** Rejects where the drill itself could not be done; then, as always, its processes are gone. */
export async function runDrill(options: RunOptions): Promise<DrillResult> {
  const { ground, product, drill, seed, folder, keepLogsIn, signal } = options;
  const name = `drill_${drill.name.replaceAll('-', '_')}`;
  const world = await World.open({ ground, product, shape: drill.world, name, folder, signal });
  let passed = false;
  try {
    const seen = await watched(options, world);
    const outcome: DrillOutcome = { seen, afterwards: await afterwards(world, signal) };
    const claims = drill.claims.map((claim) => {
      const { holds, seen: figure } = claim.judge(outcome);
      return { words: claim.words, isAim: claim.isAim ?? false, holds, seen: figure };
    });
    passed = claims.every(({ holds, isAim }) => holds || isAim);
    const { title, done } = drill;
    return { ...outcome, name: drill.name, title, done, seed, claims, passed };
  } finally {
    await world.close();
    if (!passed) keepLogs(world, folder, join(keepLogsIn, drill.name));
    if (!signal.aborted) {
      await ground.mend();
      await world.clean();
    }
  }
}

async function watched({ drill, seed, seconds, signal }: RunOptions, world: World): Promise<Seen> {
  const watch = new Watch({
    gateways: world.gateways,
    table: world.table,
    origin: world.origin,
    load: drill.load,
    warmRows: WARM_ROWS,
    cold: drill.coldShare === undefined ? undefined : { rows: COLD_ROWS, share: drill.coldShare },
    zipf: ZIPF,
    writesPerSecond: WRITES_PER_SECOND,
    boundMs: BOUND_MS,
    seed,
  });
  watch.start();
  try {
    await sleep(1_000 * (drill.quietSeconds ?? QUIET_SECONDS), undefined, { signal });
    const from = performance.now();
    const wait = async (milliseconds: number) => {
      await sleep(Math.max(0, milliseconds), undefined, { signal });
    };
    const until = (share: number) => wait(from + share * seconds * 1_000 - performance.now());
    const stage: Stage = {
      world,
      seconds,
      until,
      wait,
      mark: (words) => watch.mark(words),
      harmed: (words, { shards, gateways } = { shards: [] }) =>
        watch.harmed(words, { shards: world.labels(shards), gateways }),
    };
    await drill.run(stage);
    await until(1);
  } catch (error) {
    await watch.stop();
    throw error;
  }
  return await watch.stop();
}

/** The writer has stopped: once the bound is over, no answer may differ from MySQL. */
async function afterwards(world: World, signal: AbortSignal): Promise<DrillOutcome['afterwards']> {
  const startedAt = performance.now();
  let doubts: string | undefined;
  try {
    await world.allBelieved(BELIEVED_WITHIN_MS);
  } catch (error) {
    signal.throwIfAborted();
    doubts = messageOf(error);
  }
  const believedAfterMs = performance.now() - startedAt;
  for (;;) {
    const late = performance.now() - startedAt > BOUND_MS;
    const wrong = await wrongAnswers(world, signal);
    if (wrong.length === 0 || late) return { doubts, believedAfterMs, wrong };
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

async function wrongAnswers(world: World, signal: AbortSignal): Promise<string[]> {
  try {
    return await world.wrongAnswers();
  } catch (error) {
    signal.throwIfAborted();
    return [messageOf(error)];
  }
}

function keepLogs(world: World, folder: string, keepIn: string): void {
  mkdirSync(keepIn, { recursive: true });
  for (const name of ['worker', ...world.gateways.map((gateway) => gateway.name)]) {
    cpSync(join(folder, name, `${name}.log`), join(keepIn, `${name}.log`), { force: true });
  }
}
