/**
 * A ring's continuum: which of its shards owns a key. The one small port behind which the `hashring` package sits.
 *
 * hashring places the points; looking up is done here, in a sorted array, for its own look-up has traps (3.2.0): its
 * cache is a plain object, where a key `__proto__` pollutes Object.prototype, and `add`, `remove` and `swap` move keys
 * that need not move. So a new membership is a new Continuum, never a changed one.
 */
import { hash } from 'node:crypto';
import HashRing from 'hashring';

/**
 * - `balanced`: 8,000 points a shard; the busiest shard has at most 1.05 of its share.
 * - `ketama`: 160 points a shard, placed as twemproxy does with `hash: md5`, `distribution: ketama`; there the shards'
 *   names must be twemproxy's server names.
 */
export type Placement = 'balanced' | 'ketama';

export const POINTS_PER_SHARD: Readonly<Record<Placement, number>> = { balanced: 8_000, ketama: 160 };

/** Each digest of a shard's name gives four points (as in libketama). */
const POINTS_PER_DIGEST = 4;

/** How many places there are. */
export const HASH_SPACE = 2 ** 32;

/** A stretch of the hash space that one shard owns: from behind the arc before it up to `last`, that place included. */
export interface Arc {
  readonly last: number;
  readonly shard: string;
}

export class Continuum {
  readonly #shards: readonly string[];
  /** Ascending; the point at index i is of shard `#shardAt[i]`. */
  readonly #points: Uint32Array;
  readonly #shardAt: Uint16Array;

  /**
   * @param shards names, at least one; their order does not matter.
   * @param placed by `placePoints` of the same; it takes some 20 ms for each shard.
   */
  constructor(shards: readonly string[], placement: Placement, placed = placePoints(shards, placement)) {
    this.#shards = inOrder(shards);
    this.#points = placed.points;
    this.#shardAt = placed.shardAt;
  }

  owner(key: string): string {
    return this.ownerAt(placeOf(key));
  }

  /** The owner of a place in the hash space: the first point at or after it, round the ring. */
  ownerAt(place: number): string {
    let [low, high] = [0, this.#points.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#points[middle] as number) < place) low = middle + 1;
      else high = middle;
    }
    const index = low === this.#points.length ? 0 : low;
    return this.#shards[this.#shardAt[index] as number] as string;
  }

  /** The whole hash space in order, from place 0 on; the last arc ends at 2^32 - 1. */
  *arcs(): Generator<Arc, void> {
    for (const [index, last] of this.#points.entries()) {
      yield { last, shard: this.#shards[this.#shardAt[index] as number] as string };
    }
    // Behind the last point begins the first one's arc.
    yield { last: HASH_SPACE - 1, shard: this.ownerAt(0) };
  }

  /** The part of the hash space that each shard owns; the parts add up to 1. */
  shares(): Map<string, number> {
    const owned = new Map(this.#shards.map((shard) => [shard, 0]));
    // A point owns the arc that ends at it; the first one's arc reaches round from the last.
    let previous = (this.#points.at(-1) ?? 0) - HASH_SPACE;
    for (const [index, point] of this.#points.entries()) {
      const shard = this.#shards[this.#shardAt[index] as number] as string;
      owned.set(shard, (owned.get(shard) ?? 0) + (point - previous) / HASH_SPACE);
      previous = point;
    }
    return owned;
  }
}

/** What a continuum is made of. */
export interface PlacedPoints {
  /** Ascending. */
  readonly points: Uint32Array<ArrayBuffer>;
  /** Of each point, its shard's index among the names in order. */
  readonly shardAt: Uint16Array<ArrayBuffer>;
}

/** @param shards names, at least one; their order does not matter. */
export function placePoints(shards: readonly string[], placement: Placement): PlacedPoints {
  if (shards.length === 0) throw new Error('a ring needs at least one shard');
  const names = inOrder(shards);
  const vnodes = POINTS_PER_SHARD[placement] / POINTS_PER_DIGEST;
  const ring = new HashRing([...names], md5, { 'vnode count': vnodes, 'max cache size': 1 });
  // hashring's types call this an array of records; it returns one record: shard -> points.
  const placed = ring.points([...names]) as unknown as Readonly<Record<string, readonly number[]>>;
  const continuum = names
    .flatMap((name, shard) => (placed[name] ?? []).map((point) => ({ point, shard })))
    .toSorted((a, b) => a.point - b.point);
  return {
    points: Uint32Array.from(continuum, ({ point }) => point),
    shardAt: Uint16Array.from(continuum, ({ shard }) => shard),
  };
}

/** Where two shards' points fall on one place, the order of the configuration decides nothing. */
function inOrder(shards: readonly string[]): readonly string[] {
  return shards.toSorted();
}

/** A key's place in the hash space, 0 to 2^32 - 1: the first four bytes of its MD5, little end first (as in libketama). */
export function placeOf(key: string): number {
  return md5(key).readUInt32LE(0);
}

/** The same digest as hashring's own `createHash`, at a third of its cost. */
function md5(text: string): Buffer {
  return hash('md5', text, 'buffer');
}
