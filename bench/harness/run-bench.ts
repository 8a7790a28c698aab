/** All wanted sections in turn, on the same servers, each in a world of its own; and what they amount to. */
import { messageOf } from '../../shared/errors/errors.ts';
import type { OnProgress } from '../../stack/progress.ts';
import { Ground } from '../drills/harness/ground.ts';
import { BenchWorld } from './bench-world.ts';
import { GOALS, type RatioKey, type Verdict, verdictOf } from './goals.ts';
import { describeMachine, type Machine } from './machine.ts';
import { chooseCores, type Cores, pin } from './processor.ts';
import { barOf } from './rounds.ts';
import type { Bar, ScaleName, Section, SectionResult } from './section.ts';

export interface BenchOptions {
  readonly sections: readonly Section[];
  readonly scale: ScaleName;
  readonly seed: number;
  /** Kept short by the caller: sockets lie below it. */
  readonly folder: string;
  readonly onProgress: OnProgress;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface BenchResult {
  readonly scale: ScaleName;
  readonly seed: number;
  readonly startedAt: Date;
  readonly machine: Machine;
  /** Which core did what. */
  readonly cores: string;
  readonly sections: readonly DoneSection[];
  /** Those that could not be done, with why. */
  readonly notDone: readonly { readonly name: string; readonly why: string }[];
  /** In the order of the goals; those that were measured. */
  readonly ratios: readonly JudgedRatio[];
}

export interface DoneSection extends SectionResult {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly seconds: number;
}

export interface JudgedRatio extends Bar {
  readonly key: RatioKey;
  readonly rounds: readonly number[];
  readonly verdict: Verdict;
}

const SHARDS = { primary: 3, fallback: 2 };

/** Rejects where the servers could not be had; then, as always, nothing is left running. */
export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const cores = await chooseCores();
  // It has little to do while others are measured, and must not do it on their core.
  await pin(process.pid, [cores.generator]);
  try {
    return await runOn(cores, options);
  } finally {
    await pin(process.pid, cores.all);
  }
}

async function runOn(cores: Cores, options: BenchOptions): Promise<BenchResult> {
  const { sections, scale, seed, folder, onProgress, say, signal } = options;
  const startedAt = new Date();
  const ground = await Ground.start({ folder, shards: SHARDS, onProgress, signal });
  const done: DoneSection[] = [];
  const notDone: BenchResult['notDone'][number][] = [];
  try {
    const machine = await describeMachine(ground);
    for (const section of sections) {
      signal.throwIfAborted();
      const { name, title, about } = section;
      say(`\n${name}: ${title}`);
      const from = performance.now();
      try {
        const world = await BenchWorld.open({ ground, cores, name, folder, seed, signal, say });
        try {
          const result = await section.run(world, scale);
          done.push({ ...result, name, title, about, seconds: (performance.now() - from) / 1_000 });
        } finally {
          await world.close();
          if (!signal.aborted) await world.clean();
        }
      } catch (error) {
        signal.throwIfAborted();
        notDone.push({ name, why: messageOf(error) });
        say(`  NOT DONE  ${messageOf(error)}`);
      }
    }
    return { scale, seed, startedAt, machine, cores: cores.words, sections: done, notDone, ratios: judged(done) };
  } finally {
    await ground.stop();
  }
}

function judged(sections: readonly DoneSection[]): JudgedRatio[] {
  const measured = sections.flatMap(({ ratios }) => ratios);
  return (Object.keys(GOALS) as RatioKey[]).flatMap((key) => {
    const rounds = measured.find((ratio) => ratio.key === key)?.rounds;
    if (rounds === undefined) return [];
    const bar = barOf(rounds);
    return [{ key, rounds, ...bar, verdict: verdictOf(key, bar.median) }];
  });
}

/** What `--json` writes. */
export function benchJson(result: BenchResult): object {
  const { scale, seed, startedAt, machine, cores, sections, notDone, ratios } = result;
  const round = (value: number) => Number(value.toPrecision(5));
  return {
    ratios: Object.fromEntries(ratios.map(({ key, median }) => [key, round(median)])),
    spread: Object.fromEntries(ratios.map(({ key, min, max }) => [key, [round(min), round(max)]])),
    missed: ratios.filter(({ verdict }) => verdict === 'missed').map(({ key }) => key),
    goals: GOALS,
    rounds: Object.fromEntries(ratios.map(({ key, rounds }) => [key, rounds.map(round)])),
    scale,
    seed,
    startedAt,
    machine,
    cores,
    notDone,
    wrong: sections.flatMap(({ name, wrong }) => wrong.map((words) => `${name}: ${words}`)),
    sections: Object.fromEntries(
      sections.map(({ name, seconds, notes, figures }) => [name, { seconds: round(seconds), notes, ...figures }]),
    ),
  };
}
