/**
 * Whether a shard is to be asked to take a row. One that refuses writes (full, read-only, its disk failing) would refuse
 * every miss in turn, at a round trip each: it is tried once a second, and the others know beforehand.
 */
const TRIED_AGAIN_AFTER_MS = 1_000;

export class WriteGate {
  readonly #onChange: (refusedBecause: string | undefined) => void;
  readonly #now: () => number;
  #refusedBecause: string | undefined;
  #triedAt = 0;

  /** @param onChange is given why writes are refused, and nothing when they are taken again. */
  constructor(onChange: (refusedBecause: string | undefined) => void, now = () => performance.now()) {
    this.#onChange = onChange;
    this.#now = now;
  }

  get refusedBecause(): string | undefined {
    return this.#refusedBecause;
  }

  /** @returns why it is not to be asked; nothing where it is. */
  whyNot(): string | undefined {
    if (this.#refusedBecause === undefined) return undefined;
    const now = this.#now();
    if (now - this.#triedAt < TRIED_AGAIN_AFTER_MS) return this.#refusedBecause;
    this.#triedAt = now;
    return undefined;
  }

  refused(why: string): void {
    this.#triedAt = this.#now();
    if (this.#refusedBecause === why) return;
    this.#refusedBecause = why;
    this.#onChange(why);
  }

  /** Something was written. */
  taken(): void {
    if (this.#refusedBecause === undefined) return;
    this.#refusedBecause = undefined;
    this.#onChange(undefined);
  }
}
