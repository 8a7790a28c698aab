/**
 * How long this process itself was held up, so that a server is not blamed for it: by a long callback, by the garbage
 * collector, by other processes on the same cores. A timer is due every 10 ms; what it comes later is lost.
 *
 * Only what is certain counts: of each hold-up up to 10 ms are missed, and one below 10 ms altogether.
 */
const EVERY_MS = 10;

export class LoopDelay {
  readonly #onTick: (nowMs: number) => void;
  readonly #now: () => number;
  #lostMs = 0;
  #tickedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param now a monotonic clock, in ms. */
  constructor(onTick: (nowMs: number) => void = () => undefined, now = () => performance.now()) {
    this.#onTick = onTick;
    this.#now = now;
  }

  get isRunning(): boolean {
    return this.#timer !== undefined;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#tickedAt = this.#now();
    this.#timer = setInterval(() => {
      const now = this.#now();
      this.#lostMs = this.lostUntil(now);
      this.#tickedAt = now;
      this.#onTick(now);
    }, EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** In all, while it was running; in ms. Two moments' difference is what was lost between them. */
  lostUntil(nowMs: number): number {
    const lateMs = nowMs - this.#tickedAt - EVERY_MS;
    // A timer is a millisecond or two late on the quietest machine.
    return this.#timer !== undefined && lateMs > EVERY_MS ? this.#lostMs + lateMs : this.#lostMs;
  }
}
