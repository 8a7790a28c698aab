/** Runs one target over inputs that are made for it, and says what came of it. */
import { Random } from '../model/random.ts';
import { heapBytes, isFlat } from './heap.ts';
import { Mutator } from './mutator.ts';
import { Prototypes } from './prototypes.ts';
import { corpusOf, type Target } from './target.ts';

export interface RunOptions {
  readonly seed: number;
  /** Whichever comes first ends it. */
  readonly inputsMax: number;
  readonly secondsMax: number;
}

export interface TargetReport {
  readonly name: string;
  readonly inputs: number;
  readonly seconds: number;
  /** Of one input, asked for again and again: the least that it took. */
  readonly slowest: { readonly ms: number; readonly input: Buffer };
  readonly heapMebibytes: readonly number[];
  readonly isFlat: boolean;
}

/** An input for which something does not hold. */
export class Found extends Error {
  constructor(target: string, input: Buffer, cause: unknown) {
    const text = JSON.stringify(input.toString('latin1'));
    super(`${target}: ${String(cause)}\n  input: ${text.length > 2_000 ? `${text.slice(0, 2_000)}…` : text}`, {
      cause,
    });
    this.name = 'Found';
  }
}

const INPUT_MS_MAX = 150;
/** The machine may have been busy with others: what seems slow is asked for again, by this thread's own time. */
const SUSPECT_MS = 1;
const BATCH = 500;
const SAMPLES = 12;

/** Throws Found. */
export function runTarget(target: Target, { seed, inputsMax, secondsMax }: RunOptions): TargetReport {
  const corpus = corpusOf(target.name);
  const mutator = new Mutator(new Random(seed), corpus, target.words, target.bytesMax);
  const prototypes = new Prototypes();
  const samples: number[] = [];
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  const { msMax = INPUT_MS_MAX } = target;
  let inputs = 0;
  let slowest = { ms: 0, input: Buffer.alloc(0) };
  const one = (input: Buffer) => {
    const ms = timed(target, input);
    inputs += 1;
    if (ms > slowest.ms && ms > 0.05) {
      const again = ms < SUSPECT_MS ? ms : Math.min(ms, ...[0, 0, 0].map(() => ownMs(target, input)));
      if (again > slowest.ms) slowest = { ms: again, input: Buffer.from(input) };
      if (again > msMax) throw new Found(target.name, input, `it took ${again.toFixed(0)} ms`);
    }
  };
  for (const input of corpus) one(input);
  while (inputs < inputsMax && elapsed() < secondsMax) {
    for (let count = 0; count < BATCH && inputs < inputsMax; count += 1) one(mutator.next());
    prototypes.check();
    const done = Math.max(inputs / inputsMax, elapsed() / secondsMax);
    if (done * SAMPLES > samples.length) samples.push(heapBytes());
  }
  return {
    name: target.name,
    inputs,
    seconds: elapsed(),
    slowest,
    heapMebibytes: samples.map((bytes) => bytes / 2 ** 20),
    isFlat: isFlat(samples),
  };
}

/** To say no is quick where no stack is written down for it, as it is in most of what is run here. */
const { stackTraceLimit } = Error;

function timed(target: Target, input: Buffer): number {
  const started = performance.now();
  Error.stackTraceLimit = 0;
  try {
    target.run(input);
  } catch (error) {
    throw new Found(target.name, input, error);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  return performance.now() - started;
}

function ownMs(target: Target, input: Buffer): number {
  const before = process.threadCpuUsage();
  timed(target, input);
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}
