/**
 * A shard's stamp as this process sees it: decoded once, however many reads bring the same bytes, and compared with those
 * seen before. A dump that is one second old passes every other test: its stamp is young, its entries are whole, and
 * what was applied in that second is gone. Only who saw the later stamp can tell.
 */
import { decodeStamp, type Stamp } from './stamp.ts';

export interface SeenStamp {
  readonly stamp: Stamp;
  /** This process has seen a later `to` from this shard. */
  readonly wentBack: boolean;
  /** When its `asOf` was first seen here, by performance.now(): a clock that is set back makes no stamp younger. */
  readonly since: number;
}

/** The highest `to` that was seen of one shard, by whichever reader. */
export interface HighestSeen {
  to: string;
}

/**
 * What is remembered of each shard for as long as the process runs: a reload of the configuration makes new readers, and
 * a dump that is put back just then must not be believed for it.
 *
 * By the shard's name and the key of its stamp, whatever its address. All that hears of the shard's queue goes on from
 * what was applied under that name: a replacement that comes up empty has a later `to` from its first message on, and one
 * that came up with a copy of the data is as good as a dump until it has caught up.
 */
export class HighestStamps {
  readonly #seen = new Map<string, HighestSeen>();

  of(stampKey: string, shard: string): HighestSeen {
    const name = JSON.stringify([stampKey, shard]);
    let seen = this.#seen.get(name);
    if (seen === undefined) this.#seen.set(name, (seen = { to: '' }));
    return seen;
  }
}

export class StampReader {
  readonly #highest: HighestSeen;
  readonly #onUnreadable: (() => void) | undefined;
  #stored: Buffer | null = null;
  #seen: SeenStamp | undefined;

  /**
   * @param highest shared with whoever else reads this shard; another reader may have seen more.
   * @param onUnreadable is told of bytes that are no stamp, once while they are the same.
   */
  constructor(highest: HighestSeen = { to: '' }, onUnreadable?: () => void) {
    this.#highest = highest;
    this.#onUnreadable = onUnreadable;
  }

  /** The highest `to` seen so far. */
  get highest(): string {
    return this.#highest.to;
  }

  /**
   * Nothing where the shard has no stamp.
   * @param highestBefore as it was when the shard was asked: over another connection, an answer to a later question may
   * have come first.
   */
  read(stored: Buffer | null, highestBefore = this.#highest.to): SeenStamp | undefined {
    if (stored === null) {
      this.#stored = null;
      this.#seen = undefined;
      return undefined;
    }
    if (this.#stored?.equals(stored) !== true) {
      const stamp = decodeStamp(stored);
      if (stamp === undefined) this.#onUnreadable?.();
      this.#stored = stored;
      const before = this.#seen;
      const since = before !== undefined && before.stamp.asOf === stamp?.asOf ? before.since : performance.now();
      this.#seen = stamp === undefined ? undefined : { stamp, wentBack: false, since };
    }
    if (this.#seen === undefined) return undefined;
    const { stamp } = this.#seen;
    if (stamp.to > this.#highest.to) this.#highest.to = stamp.to;
    // The same bytes as before may be older than what another reader has seen since.
    return stamp.to < highestBefore ? { ...this.#seen, wentBack: true } : this.#seen;
  }
}
