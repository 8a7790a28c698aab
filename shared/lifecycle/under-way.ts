/** Counts what is under way, for whoever has to wait until nothing is. */
export class UnderWay {
  #count = 0;
  #waiting: (() => void)[] = [];

  get count(): number {
    return this.#count;
  }

  /** @returns what the work returns; throws what it throws. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.began();
    try {
      return await work();
    } finally {
      this.ended();
    }
  }

  began(): void {
    this.#count += 1;
  }

  /** Once for each that began. */
  ended(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#letGo();
  }

  /** Settles when nothing is under way, or after `timeoutMs`, or when the signal comes. */
  none(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (this.#count === 0 || signal.aborted) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    signal.addEventListener('abort', () => resolve(), { once: true });
    this.#waiting.push(resolve);
    return promise.finally(() => clearTimeout(timer));
  }

  #letGo(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
