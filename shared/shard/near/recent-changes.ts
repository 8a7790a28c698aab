/**
 * Which keys were told to have changed while a read was on its way. The reply and the news come over two connections:
 *
 *   1. A read is sent.   2. It is executed.   3. The row changes.   4. The news arrives.   5. The reply arrives, of before 3.
 *
 * Kept at 5, it would stay: the news has been. So a reply may be kept only if its key was not told of since 1.
 */

/** So many keys of 30 characters take about 2 MB. Past it no read that is on its way may be kept. */
export const RECENT_KEYS_MAX = 10_000;

export class RecentChanges {
  readonly #at = new Map<string, number>();
  readonly #keysMax: number;
  #count = 0;
  /** Of what was told up to here, it is not known any more which keys it was. */
  #forgotten = 0;

  constructor(keysMax = RECENT_KEYS_MAX) {
    this.#keysMax = keysMax;
  }

  /** Taken when a read is sent: how much had been told by then. */
  get mark(): number {
    return this.#count;
  }

  note(key: string): void {
    this.#count += 1;
    if (this.#at.size >= this.#keysMax) this.#forget();
    else this.#at.set(key, this.#count);
  }

  noteAll(): void {
    this.#count += 1;
    this.#forget();
  }

  /** Whether it may have changed since, so far as was told. */
  hasChanged(key: string, since: number): boolean {
    if (since === this.#count) return false;
    return since < this.#forgotten || (this.#at.get(key) ?? 0) > since;
  }

  #forget(): void {
    this.#at.clear();
    this.#forgotten = this.#count;
  }
}
