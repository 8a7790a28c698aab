/** Hits of one gateway, as fast as it answers: what it does, and what that takes. */
import { runClosedLoop } from '../generators/closed-loop.ts';
import { runGenerator } from '../generators/run-generator.ts';
import type { LoadSpec } from '../generators/load-spec.ts';
import type { BenchWorld } from '../harness/bench-world.ts';
import { cpuSeconds, residentMebibytes, waitedSeconds, withChildren } from '../harness/processor.ts';
import { medianOf } from '../harness/rounds.ts';
import type { RingfillProcess } from '../../stack/ringfill-process.ts';
import type { GrowthPoint } from './series.ts';

export interface HitsToMeasure {
  readonly gateway: RingfillProcess;
  readonly path: string;
  readonly expect: LoadSpec['expect'];
  /** Rows 1 to this one, all cached. */
  readonly rows: number;
  readonly connections: number;
  readonly rounds: number;
  /** Of a round. */
  readonly seconds: number;
  /** Whether every row is as likely as any other; else some ten thousand of them, chosen beforehand, for less work. */
  readonly isAnyRow?: boolean;
}

/** Else it was something else that was measured. A few rows may be read again by themselves. */
const HITS_MIN = 0.99;

export class HitsMeasurer {
  readonly wrong: string[] = [];
  readonly #world: BenchWorld;

  constructor(world: BenchWorld) {
    this.#world = world;
  }

  /** Medians, after a round that does not count. */
  async measure(at: number, hits: HitsToMeasure): Promise<GrowthPoint> {
    const pids = withChildren(hits.gateway.pid);
    await this.#round(at, hits, 0);
    const rounds = [];
    for (let round = 1; round <= hits.rounds; round += 1) {
      const [before, waitedBefore, startedAt] = [cpuSeconds(pids), waitedBy(pids), performance.now()];
      const seen = await this.#round(at, hits, round);
      const cpuMicros = (1e6 * (cpuSeconds(pids) - before)) / Math.max(1, seen.requests);
      const waited = (waitedBy(pids) - waitedBefore) / ((performance.now() - startedAt) / 1_000);
      rounds.push({ ...seen, cpuMicros, waited });
    }
    return {
      at,
      perSecond: medianOf(rounds.map(({ perSecond }) => perSecond)),
      p99Ms: medianOf(rounds.map(({ p99Ms }) => p99Ms)),
      cpuMicros: medianOf(rounds.map(({ cpuMicros }) => cpuMicros)),
      mebibytes: residentMebibytes(pids),
      waited: medianOf(rounds.map(({ waited }) => waited)),
    };
  }

  async #round(
    at: number,
    { gateway, path, expect, rows, connections, seconds, isAnyRow }: HitsToMeasure,
    round: number,
  ): Promise<{ readonly requests: number; readonly perSecond: number; readonly p99Ms: number }> {
    const { host, port } = gateway;
    const target = { host, port, path, expect };
    const seed = this.#world.seed + round;
    if (isAnyRow !== true) {
      const loop = { target, first: 1, count: rows, connections, batch: 1, seconds, seed };
      const seen = await runClosedLoop(this.#world, loop);
      if (seen.wrong > 0) this.wrong.push(`${seen.wrong} failed requests at ${at}`);
      return seen;
    }
    const seen = await runGenerator(this.#world, {
      ...target,
      connections,
      loop: { kind: 'closed' },
      ids: { kind: 'random', first: 1, count: rows },
      batch: 1,
      seconds,
      seed,
      stepMs: 1_000 * seconds,
    });
    const hits = seen.steps.reduce((sum, step) => sum + step.hits, 0);
    if (hits < HITS_MIN * seen.requests) this.wrong.push(`${hits} of ${seen.requests} answers at ${at} were hits`);
    if (seen.wrong > 0) this.wrong.push(`${seen.wrong} wrong answers at ${at}, such as ${seen.examples.join(' | ')}`);
    return { requests: seen.requests, perSecond: seen.requests / seen.seconds, p99Ms: seen.latencyMs.p99 };
  }
}

/** Of the processes that answer, on average; the one that only hands connections to them is left out. */
function waitedBy(pids: readonly number[]): number {
  const answering = pids.length === 1 ? pids : pids.slice(1);
  return answering.reduce((sum, pid) => sum + waitedSeconds(pid), 0) / answering.length;
}
