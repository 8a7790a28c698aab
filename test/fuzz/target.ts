/** Something that reads what others wrote, and what must hold whatever they wrote. */
import { readFileSync } from 'node:fs';

export interface Target {
  readonly name: string;
  /** What such inputs are made of, beside the corpus. */
  readonly words: readonly string[];
  /** The longest input, in bytes; default: 64 KiB. */
  readonly bytesMax?: number;
  /** No input may take longer, in ms of this thread's time; default: 150. */
  readonly msMax?: number;
  /** Throws where something does not hold: whatever it throws is a finding. */
  run(input: Buffer): void;
}

/** The inputs that are kept: good ones, and those that once found something. A byte is a character there. */
export function corpusOf(name: string): Buffer[] {
  const file = new URL(`corpus/${name}.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as string[]).map((text) => Buffer.from(text, 'latin1'));
}

/** Runs it; an error of one of these classes is how it says no. */
export function unlessRefused<T>(
  run: () => T,
  ...refusals: (abstract new (...args: never[]) => Error)[]
): T | undefined {
  try {
    return run();
  } catch (error) {
    if (refusals.some((refusal) => error instanceof refusal)) return undefined;
    throw error;
  }
}
