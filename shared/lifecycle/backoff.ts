/**
 * How long to wait before trying again: doubles from `firstMs` to `maxMs`, each time anywhere in the upper half of the
 * step, so that many processes do not come back to a recovering server at once.
 */
export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #attempts = 0;

  constructor(firstMs: number, maxMs: number, random: () => number = Math.random) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  nextMs(): number {
    const step = Math.min(this.#maxMs, this.#firstMs * 2 ** this.#attempts);
    this.#attempts += 1;
    return step * (0.5 + this.#random() / 2);
  }

  /** Things are well again. */
  reset(): void {
    this.#attempts = 0;
  }
}
