/** The rings as a gateway shows them to operators. */

export interface Ring {
  /** In order: the primary ring, the first fallback, … */
  readonly layers: readonly RingLayer[];
}

export interface RingLayer {
  readonly ring: string;
  readonly shards: readonly RingShard[];
}

export interface RingShard {
  readonly shard: string;
  /** `ok` while the gateway uses it. */
  readonly state: string;
  /** Of the hash space, 0 to 1; a ring's shares add up to 1. */
  readonly share: number;
  /** Up to when changes have been applied here, ISO 8601; null without sync. */
  readonly asOf: string | null;
  /** Milliseconds; null without sync. */
  readonly lagMs: number | null;
  /** It has lost what it held then, and is filled again; ISO 8601, only while that is so. */
  readonly refillingSince?: string;
}

export interface Owner {
  readonly key: string;
  /** The shard that owns the key in each layer, in the layers' order. */
  readonly candidates: readonly Candidate[];
}

export interface Candidate {
  readonly layer: number;
  readonly ring: string;
  readonly shard: string;
  readonly state: string;
}
