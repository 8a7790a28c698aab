/**
 * A bounded map of what is asked for again and again: a look-up is one look-up in a Map, where an LRU moves links about.
 * Two halves: what is asked for goes into the young one; when that is full it becomes the old one, and the old one's
 * rest is forgotten. So what is asked for at least once while `size` others are is never forgotten.
 */
export class RecentMap<Key, Value> {
  readonly #size: number;
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();

  /** @param size of one half; twice as many are kept at most. */
  constructor(size: number) {
    this.#size = size;
  }

  get(key: Key): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: Key, value: Value): void {
    if (this.#young.size >= this.#size && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}
