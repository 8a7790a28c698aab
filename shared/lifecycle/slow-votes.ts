/**
 * Decides whether a server is slow, from what its answers took over the last 500 ms.
 *
 * The time is cut into slices of 50 ms, and each has one vote, by the larger part of its answers. A count of answers would
 * mislead twice: thousands of quick ones from before would outvote the few that a slow server gives; and a single stall,
 * whose answers all come at once, would outvote the quick ones around it.
 *
 *     slow: at least 3 answers late, at least 4 slices that say slow, and more of them than say quick
 *
 * So 100 ms answers turned 150 ms ones are noticed after about 300 ms, and a stall of 150 ms is let pass.
 */
const SLICE_MS = 50;
const SLICES = 10;
const LATE_ANSWERS_MIN = 3;
const SLOW_SLICES_MIN = 4;

interface Slice {
  /** Counted from the clock's beginning. */
  number: number;
  quick: number;
  /** Answers that came late, and looks at one that was overdue. */
  slow: number;
  /** Answers that were found to be late, each once. */
  late: number;
}

export class SlowVotes {
  #slices: readonly Slice[] = emptySlices();

  quick(nowMs: number): void {
    this.#slice(nowMs).quick += 1;
  }

  /** An answer came late, or is overdue. @param isNews this one was not known to be late before. */
  slow(nowMs: number, isNews: boolean): void {
    const slice = this.#slice(nowMs);
    slice.slow += 1;
    if (isNews) slice.late += 1;
  }

  /** @returns for how much of the last 500 ms it was slow, in ms; nothing where it is not to be called slow. */
  verdict(nowMs: number): number | undefined {
    const recent = this.#recent(nowMs);
    const [slow, quick] = [recent.filter(isSlow).length, recent.filter(isQuick).length];
    const late = recent.reduce((sum, slice) => sum + slice.late, 0);
    const isBad = late >= LATE_ANSWERS_MIN && slow >= SLOW_SLICES_MIN && slow > quick;
    return isBad ? slow * SLICE_MS : undefined;
  }

  /** The same of a server that has just come back, which one slice is enough for. */
  verdictOnTrial(nowMs: number): number | undefined {
    return this.#recent(nowMs).some(isSlow) ? SLICE_MS : undefined;
  }

  forget(): void {
    this.#slices = emptySlices();
  }

  #recent(nowMs: number): Slice[] {
    const oldest = Math.floor(nowMs / SLICE_MS) - SLICES + 1;
    return this.#slices.filter(({ number }) => number >= oldest);
  }

  #slice(nowMs: number): Slice {
    const number = Math.floor(nowMs / SLICE_MS);
    const slice = this.#slices[number % SLICES] as Slice;
    if (slice.number !== number) Object.assign(slice, { number, quick: 0, slow: 0, late: 0 } satisfies Slice);
    return slice;
  }
}

export const SLOW_WINDOW_MS = SLICES * SLICE_MS;

function emptySlices(): Slice[] {
  return Array.from({ length: SLICES }, () => ({ number: -1, quick: 0, slow: 0, late: 0 }));
}

function isSlow({ slow, quick }: Slice): boolean {
  return slow > quick;
}

function isQuick({ slow, quick }: Slice): boolean {
  return quick > 0 && quick >= slow;
}
