/**
 * Which flush is confirmed, and all before it. A flush to all shards is a place to read on from once every message up to
 * and with it is confirmed: then no shard's queue lacks anything before it.
 *
 *     flush 1 (to all) closed, 0 waiting -> its checkpoint | flush 2 closed, 3 waiting | messages of the next, 1 waiting
 */
interface Flush<Place> {
  waiting: number;
  closed: boolean;
  place: Place | undefined;
}

export class ConfirmedFlushes<Place = unknown> {
  readonly #onConfirmed: (place: Place | undefined) => void;
  #flushes: Flush<Place>[] = [];
  #current: Flush<Place> = { waiting: 0, closed: false, place: undefined };
  #empty = Promise.withResolvers<void>();

  /** @param onConfirmed of several that are confirmed at once, the last. */
  constructor(onConfirmed: (place: Place | undefined) => void) {
    this.#onConfirmed = onConfirmed;
    this.#flushes.push(this.#current);
  }

  /** Flushes to all shards that are not confirmed. */
  get unconfirmed(): number {
    return this.#flushes.length - 1;
  }

  /** A message is on its way. @returns what to call when it is confirmed. */
  sent(): () => void {
    const flush = this.#current;
    flush.waiting += 1;
    return () => {
      flush.waiting -= 1;
      if (flush.waiting === 0) this.#settle();
    };
  }

  /** All shards have been told up to `place`. */
  close(place: Place | undefined): void {
    this.#current.closed = true;
    this.#current.place = place;
    this.#current = { waiting: 0, closed: false, place: undefined };
    this.#flushes.push(this.#current);
    this.#settle();
  }

  /** Settles when everything that was closed is confirmed. */
  async all(): Promise<void> {
    while (this.unconfirmed > 0) await this.#empty.promise;
  }

  #settle(): void {
    let last: Flush<Place> | undefined;
    for (let first = this.#flushes[0]; first?.closed === true && first.waiting === 0; first = this.#flushes[0]) {
      this.#flushes.shift();
      last = first;
    }
    if (last === undefined) return;
    this.#onConfirmed(last.place);
    if (this.unconfirmed > 0) return;
    this.#empty.resolve();
    this.#empty = Promise.withResolvers<void>();
  }
}
