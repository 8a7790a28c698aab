/**
 * Watches what a server's answers take, and tells when it is slow. A question that has not been answered counts from
 * `slowMs` on, not only when its answer comes: a server that hangs is a slow one first.
 *
 * An answer's time is what it took less what this process lost meanwhile (LoopDelay): whoever was held up for 300 ms itself
 * finds a 300 ms old answer in the socket, of a server that gave it in one. So a process that is held up half of the time
 * notices less; deadlines still hold. The clock runs only while something is unanswered.
 */
import { LoopDelay } from './loop-delay.ts';
import { SLOW_WINDOW_MS, SlowVotes } from './slow-votes.ts';

export interface SlowWatchOptions {
  /** What takes longer is slow, in ms; more than 0. */
  readonly slowMs: number;
  /** Called again and again while it is slow. */
  readonly onSlow: (why: string) => void;
  /** It has only just come back: the first slow moment is enough. */
  readonly isOnTrial: () => boolean;
  /** A monotonic clock, in ms. */
  readonly now?: () => number;
}

/** A question that was asked. */
export interface Asked {
  readonly atMs: number;
  readonly lostMs: number;
  isLate: boolean;
}

export class SlowWatch {
  readonly #options: SlowWatchOptions;
  readonly #now: () => number;
  readonly #delay: LoopDelay;
  readonly #votes = new SlowVotes();
  /** In the order of asking. */
  readonly #unanswered = new Set<Asked>();

  constructor(options: SlowWatchOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#delay = new LoopDelay((nowMs) => this.#look(nowMs), this.#now);
  }

  asked(): Asked {
    this.#delay.start();
    const atMs = this.#now();
    const asked = { atMs, lostMs: this.#delay.lostUntil(atMs), isLate: false };
    this.#unanswered.add(asked);
    return asked;
  }

  answered(asked: Asked): void {
    if (!this.#unanswered.delete(asked)) return;
    const nowMs = this.#now();
    if (asked.isLate || this.#isLate(asked, nowMs)) this.#votes.slow(nowMs, !asked.isLate);
    else this.#votes.quick(nowMs);
  }

  /** It will not be waited for any longer, or there will be no answer: what is known of it stays known. */
  givenUp(asked: Asked): void {
    this.#unanswered.delete(asked);
  }

  /** Another connection, another story. */
  forget(): void {
    this.#unanswered.clear();
    this.#votes.forget();
    this.#delay.stop();
  }

  #isLate({ atMs, lostMs }: Asked, nowMs: number): boolean {
    return nowMs - atMs - (this.#delay.lostUntil(nowMs) - lostMs) > this.#options.slowMs;
  }

  #look(nowMs: number): void {
    for (const asked of this.#unanswered) {
      if (!this.#isLate(asked, nowMs)) break;
      this.#votes.slow(nowMs, !asked.isLate);
      asked.isLate = true;
    }
    const isOnTrial = this.#options.isOnTrial();
    const slowForMs = isOnTrial ? this.#votes.verdictOnTrial(nowMs) : this.#votes.verdict(nowMs);
    if (this.#unanswered.size === 0) this.#delay.stop();
    if (slowForMs !== undefined) this.#options.onSlow(this.#why(slowForMs, isOnTrial));
  }

  #why(slowForMs: number, isOnTrial: boolean): string {
    const late = `answers took longer than ${this.#options.slowMs} ms`;
    return isOnTrial
      ? `slow: ${late} as soon as it was used again`
      : `slow: ${late} during ${slowForMs} of the last ${SLOW_WINDOW_MS} ms`;
  }
}
