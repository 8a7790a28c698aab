/**
 * How fast a snapshot may go: so many rows a second, and slower while the origin is slower than it was. While chunks take
 * the origin several times as long a row as the best ones did, each is followed by a pause as long as itself, and more.
 */
import { setTimeout as sleep } from 'node:timers/promises';

export interface PaceOptions {
  readonly rowsPerSecondMax: number;
  readonly now?: () => number;
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** So much slower than its best is still no reason to wait. */
const SLOWER_IS_FINE = 3;
/** For each time that it is slower than that, so much of what it took. */
const PAUSE_SHARE = 0.5;
const PAUSE_MS_MAX = 5_000;
/** The best is forgotten slowly: rows may have become larger. */
const BEST_FADES = 1.02;
/** What the last chunk weighs against those before it: a single slow one is no word about the origin. */
const LAST_WEIGHS = 0.3;
/** Below that a chunk says nothing about the origin. */
const ROWS_TELLING = 50;

export class Pace {
  readonly #options: Required<PaceOptions>;
  #bestMsPerRow = Infinity;
  #lately: number | undefined;
  #since: number;
  #rows = 0;

  constructor({ rowsPerSecondMax, now = () => performance.now(), pause = pauseFor }: PaceOptions) {
    this.#options = { rowsPerSecondMax, now, pause };
    this.#since = now();
  }

  get rowsPerSecondMax(): number {
    return this.#options.rowsPerSecondMax;
  }

  /**
   * After a chunk: waits until the next may begin.
   * @param originMs what it took the origin; nothing where something else was waited for.
   */
  async took(rows: number, originMs: number | undefined, signal: AbortSignal): Promise<void> {
    const { rowsPerSecondMax, now, pause } = this.#options;
    let waitMs = originMs === undefined ? 0 : this.#slownessMs(rows, originMs);
    this.#rows += rows;
    const dueMs = (this.#rows / rowsPerSecondMax) * 1000 - (now() - this.#since);
    waitMs = Math.max(waitMs, dueMs);
    if (waitMs > 0) await pause(waitMs, signal);
    // What was not used is not saved up.
    if (dueMs < -1000) {
      this.#since = now();
      this.#rows = 0;
    }
  }

  #slownessMs(rows: number, originMs: number): number {
    if (rows < ROWS_TELLING) return 0;
    const msPerRow = originMs / rows;
    this.#bestMsPerRow = Math.min(this.#bestMsPerRow * BEST_FADES, msPerRow);
    this.#lately = LAST_WEIGHS * msPerRow + (1 - LAST_WEIGHS) * (this.#lately ?? msPerRow);
    const slower = this.#lately / this.#bestMsPerRow / SLOWER_IS_FINE;
    return slower <= 1 ? 0 : Math.min(PAUSE_MS_MAX, originMs * PAUSE_SHARE * slower);
  }
}

async function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
