/**
 * As many requests as a target answers, so many under way at any time. By wrk where it is installed, which takes least of a
 * core for a request; else by the bench's own generator, as also for fractions of a second, which wrk does not know. The
 * same one for all targets of a run.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { runGenerator } from './run-generator.ts';
import type { LoadSpec } from './load-spec.ts';
import { runTool, type Surroundings } from './run-tool.ts';

export interface ClosedLoop {
  readonly target: Pick<LoadSpec, 'host' | 'port' | 'path' | 'expect'>;
  readonly first: number;
  readonly count: number;
  readonly connections: number;
  readonly batch: number;
  readonly seconds: number;
  readonly seed: number;
}

export interface ClosedLoopSeen {
  readonly requests: number;
  readonly perSecond: number;
  /** From sending a request to its answer, under as many as there are connections. */
  readonly p99Ms: number;
  /** Failed connections, and answers that were not 200; from the bench's own generator also those with a wrong body. */
  readonly wrong: number;
}

const SCRIPT = join(import.meta.dirname, 'random-rows.lua');

export function isWrkInstalled(): boolean {
  return spawnSync('wrk', ['--version'], { stdio: 'ignore' }).error === undefined;
}

export async function runClosedLoop(world: Surroundings, loop: ClosedLoop): Promise<ClosedLoopSeen> {
  const { target, first, count, connections, batch, seconds, seed } = loop;
  if (!isWrkInstalled() || !Number.isInteger(seconds)) {
    const seen = await runGenerator(world, {
      ...target,
      connections,
      batch,
      seconds,
      seed,
      loop: { kind: 'closed' },
      ids: { kind: 'random', first, count },
    });
    const { requests, wrong, latencyMs } = seen;
    return { requests, perSecond: requests / seen.seconds, p99Ms: latencyMs.p99, wrong };
  }
  const url = `http://${target.host}:${target.port}/`;
  const wrk = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '--timeout', '5s', '-s', SCRIPT, url, '--'];
  const out = await runTool(world, 'generator', 'wrk', [
    ...wrk,
    target.path,
    ...[first, count, batch, seed].map(String),
  ]);
  const told = JSON.parse(out.trim().split('\n').at(-1) ?? '') as Record<
    'requests' | 'micros' | 'failed' | 'statuses' | 'p99Micros',
    number
  >;
  return {
    requests: told.requests,
    perSecond: told.requests / (told.micros / 1e6),
    p99Ms: told.p99Micros / 1_000,
    wrong: told.failed + told.statuses,
  };
}
