/**
 * A ring's continuum: which of its shards owns a key. The one small port behind which the `hashring` package sits.
 *
 * Its traps, kept in here (hashring 3.2.0):
 * - its lookup cache is a plain object, where a key `__proto__` pollutes Object.prototype: `range()` goes round that
 *   cache, and a bounded map of our own stands in for it (MD5 and search cost 3.4 µs a key, the map 0.1-0.2 µs);
 * - `add`, `remove` and `swap` move keys that need not move: a new membership is a new Continuum, never a changed one.
 */
import HashRing from 'hashring';
import { LRUCache } from 'lru-cache';

/**
 * - `balanced`: 8,000 points a shard; the busiest shard has at most 1.05 of its share.
 * - `ketama`: 160 points a shard, placed as twemproxy does with `hash: md5`, `distribution: ketama`; there the shards'
 *   names must be twemproxy's server names.
 */
export type Placement = 'balanced' | 'ketama';

export const POINTS_PER_SHARD: Readonly<Record<Placement, number>> = { balanced: 8_000, ketama: 160 };

/** Each digest of a shard's name gives four points (as in libketama). */
const POINTS_PER_DIGEST = 4;

/** How many keys' owners are remembered. 100,000 keys of 30 characters take about 15 MB. */
const REMEMBERED_KEYS_MAX = 100_000;

export class Continuum {
  readonly #ring: HashRing;
  readonly #shards: readonly string[];
  readonly #remembered = new LRUCache<string, string>({ max: REMEMBERED_KEYS_MAX });

  /** @param shards names, at least one; the order does not matter. */
  constructor(shards: readonly string[], placement: Placement) {
    if (shards.length === 0) throw new Error('a ring needs at least one shard');
    const vnodes = POINTS_PER_SHARD[placement] / POINTS_PER_DIGEST;
    this.#shards = [...shards];
    this.#ring = new HashRing([...shards], 'md5', { 'vnode count': vnodes, 'max cache size': 1 });
  }

  owner(key: string): string {
    const remembered = this.#remembered.get(key);
    if (remembered !== undefined) return remembered;
    const owner = this.#ring.range(key, 1, false)[0] as string;
    this.#remembered.set(key, owner);
    return owner;
  }

  /** The part of the hash space that each shard owns; the parts add up to 1. */
  shares(): Map<string, number> {
    // hashring's types call this an array of records; it returns one record: shard -> points.
    const points = this.#ring.points([...this.#shards]) as unknown as Record<string, number[]>;
    const continuum = Object.entries(points)
      .flatMap(([shard, values]) => values.map((value) => ({ shard, value })))
      .toSorted((a, b) => a.value - b.value);
    const owned = new Map(this.#shards.map((shard) => [shard, 0]));
    // A point owns the arc that ends at it; the first one's arc reaches round from the last.
    let previous = (continuum.at(-1)?.value ?? 0) - HASH_SPACE;
    for (const { shard, value } of continuum) {
      owned.set(shard, (owned.get(shard) ?? 0) + (value - previous) / HASH_SPACE);
      previous = value;
    }
    return owned;
  }
}

const HASH_SPACE = 2 ** 32;
