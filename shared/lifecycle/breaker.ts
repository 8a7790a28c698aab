/**
 * Decides whether a server is used, from what its users report; and while it is not, asks it itself.
 *
 *     closed --(failuresToOpen failures in a row, or trip())--> open --(backoff, probe() passes)--> closed
 *                                                                 ^--(probe() fails: longer backoff)--'
 *
 * The trial after an outage is the breaker's own probe, never a user's request: nobody waits to find out. For the first
 * `trialMs` after it one failure opens it again. A server that keeps failing soon after its probe passed is kept out
 * longer each time.
 */
import { Backoff } from './backoff.ts';

export type BreakerState = 'closed' | 'open';

export interface BreakerOptions {
  readonly failuresToOpen: number;
  /** Asks the server whether it is well; rejects if not. Must have a deadline of its own. */
  readonly probe: () => Promise<void>;
  readonly onChange: (state: BreakerState, why: string) => void;
  /** The server is still not well, perhaps for another reason than at first. */
  readonly onProbeFailed?: (error: unknown) => void;
  readonly backoff?: Backoff;
  /** Failing again within this after closing counts as the same outage. */
  readonly steadyAfterMs?: number;
  /** For so long after closing, one failure opens it again. Default: 0. */
  readonly trialMs?: number;
  /** A monotonic clock, in ms. */
  readonly now?: () => number;
}

const FIRST_PROBE_AFTER_MS = 100;
const PROBE_EVERY_MS_MAX = 2_000;

export class Breaker {
  readonly #options: BreakerOptions;
  readonly #backoff: Backoff;
  readonly #steadyAfterMs: number;
  readonly #trialMs: number;
  readonly #now: () => number;
  #state: BreakerState = 'closed';
  #failuresInARow = 0;
  #closedAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: BreakerOptions) {
    this.#options = options;
    this.#backoff = options.backoff ?? new Backoff(FIRST_PROBE_AFTER_MS, PROBE_EVERY_MS_MAX);
    this.#steadyAfterMs = options.steadyAfterMs ?? 5_000;
    this.#trialMs = options.trialMs ?? 0;
    this.#now = options.now ?? (() => performance.now());
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** It has only just closed. */
  get isOnTrial(): boolean {
    return this.#state === 'closed' && this.#now() - this.#closedAt < this.#trialMs;
  }

  succeeded(): void {
    this.#failuresInARow = 0;
  }

  failed(why: string): void {
    if (this.#state === 'open') return;
    this.#failuresInARow += 1;
    if (this.#failuresInARow >= this.#options.failuresToOpen || this.isOnTrial) this.trip(why);
  }

  /** Opens at once: the failure leaves no doubt, such as a closed connection. */
  trip(why: string): void {
    if (this.#state === 'open' || this.#stopped) return;
    this.#state = 'open';
    this.#failuresInARow = 0;
    if (this.#now() - this.#closedAt > this.#steadyAfterMs) this.#backoff.reset();
    this.#options.onChange('open', why);
    this.#probeLater();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #probeLater(): void {
    this.#timer = setTimeout(() => void this.#probe(), this.#backoff.nextMs());
    this.#timer.unref();
  }

  async #probe(): Promise<void> {
    try {
      await this.#options.probe();
    } catch (error) {
      if (this.#stopped) return;
      this.#options.onProbeFailed?.(error);
      this.#probeLater();
      return;
    }
    if (this.#stopped) return;
    this.#state = 'closed';
    this.#closedAt = this.#now();
    this.#options.onChange('closed', 'answers again');
  }
}
