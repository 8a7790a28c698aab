/**
 * The rings in order: layer 0 is primary, layer 1 the first fallback, and so on. Health never changes a ring, only
 * which layer is used; so a key has the same candidates before, during and after a failure.
 */
import { Continuum, type Placement } from './continuum.ts';

export interface Candidate<Shard> {
  readonly layer: number;
  readonly ring: string;
  readonly shard: Shard;
}

export interface RingDefinition<Shard> {
  readonly name: string;
  readonly placement: Placement;
  readonly shards: ReadonlyMap<string, Shard>;
}

export interface Layer<Shard> extends RingDefinition<Shard> {
  /** Of the hash space, by shard; adds up to 1. */
  readonly shares: ReadonlyMap<string, number>;
}

export class Layers<Shard> {
  readonly layers: readonly Layer<Shard>[];
  readonly #candidateOf: readonly ((key: string) => Candidate<Shard>)[];

  constructor(rings: readonly RingDefinition<Shard>[]) {
    const continua = rings.map((ring) => new Continuum([...ring.shards.keys()], ring.placement));
    this.layers = rings.map((ring, layer) => ({ ...ring, shares: (continua[layer] as Continuum).shares() }));
    this.#candidateOf = rings.map((ring, layer) => {
      const continuum = continua[layer] as Continuum;
      // One object a shard, made once: this is looked up for every request.
      const candidates = new Map([...ring.shards].map(([name, shard]) => [name, { layer, ring: ring.name, shard }]));
      return (key) => candidates.get(continuum.owner(key)) as Candidate<Shard>;
    });
  }

  get depth(): number {
    return this.#candidateOf.length;
  }

  /** The key's owner in a layer, `0 <= layer < depth`. */
  owner(key: string, layer: number): Candidate<Shard> {
    return (this.#candidateOf[layer] as (key: string) => Candidate<Shard>)(key);
  }

  /** The owner in each layer, in order. */
  candidates(key: string): Candidate<Shard>[] {
    return this.#candidateOf.map((candidateOf) => candidateOf(key));
  }
}
