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
}

export class StampReader {
  #stored: Buffer | null = null;
  #seen: SeenStamp | undefined;
  #highest = '';

  /** Nothing where the shard has no stamp. */
  read(stored: Buffer | null): SeenStamp | undefined {
    if (stored === null) {
      this.#stored = null;
      this.#seen = undefined;
      return undefined;
    }
    if (this.#stored?.equals(stored) !== true) {
      const stamp = decodeStamp(stored);
      this.#stored = stored;
      this.#seen = stamp === undefined ? undefined : { stamp, wentBack: stamp.to < this.#highest };
      if (stamp !== undefined && stamp.to > this.#highest) this.#highest = stamp.to;
    }
    return this.#seen;
  }
}
