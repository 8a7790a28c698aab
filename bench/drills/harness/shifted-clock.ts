/** A process' clock that can be made to jump: clock-preload.ts, loaded into it by NODE_OPTIONS, looks at a file. */
import { renameSync, writeFileSync } from 'node:fs';

export const CLOCK_FILE_VARIABLE = 'DRILL_CLOCK_FILE';
/** By then a jump has been noticed. ms. */
export const CLOCK_NOTICED_MS = 50;

export class ShiftedClock {
  readonly #file: string;

  /** @param file is written, and says that the clock is right. */
  constructor(file: string) {
    this.#file = file;
    this.shift(0);
  }

  /** What the process is to be started with. */
  get env(): Readonly<Record<string, string>> {
    const preload = new URL('clock-preload.ts', import.meta.url).href;
    return { NODE_OPTIONS: `--import=${preload}`, [CLOCK_FILE_VARIABLE]: this.#file };
  }

  /** Ahead by so much from now on; behind, if it is negative. */
  shift(milliseconds: number): void {
    writeFileSync(`${this.#file}.new`, String(milliseconds));
    renameSync(`${this.#file}.new`, this.#file);
  }
}
