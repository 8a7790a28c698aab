/**
 * The rings in order: layer 0 is primary, layer 1 the first fallback, and so on. Health never changes a ring, only
 * which layer is used; so a key has the same candidates before, during and after a failure.
 */
import { Continuum, type Placement, placeOf } from './continuum.ts';
import type { Route } from './route.ts';

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
  readonly #byName: ReadonlyMap<string, Candidate<Shard>>;
  readonly #candidateOf: readonly ((key: string) => Candidate<Shard>)[];
  readonly #candidateAt: readonly ((place: number) => Candidate<Shard>)[];

  constructor(rings: readonly RingDefinition<Shard>[]) {
    const continua = rings.map((ring) => new Continuum([...ring.shards.keys()], ring.placement));
    this.layers = rings.map((ring, layer) => ({ ...ring, shares: (continua[layer] as Continuum).shares() }));
    // One object a shard, made once: this is looked up for every request.
    const named = rings.map(
      (ring, layer) => new Map([...ring.shards].map(([name, shard]) => [name, { layer, ring: ring.name, shard }])),
    );
    this.#byName = new Map(named.flatMap((layer) => [...layer]));
    const finders = continua.map((continuum, layer) => {
      const candidates = named[layer] as Map<string, Candidate<Shard>>;
      return {
        of: (key: string) => candidates.get(continuum.owner(key)) as Candidate<Shard>,
        at: (place: number) => candidates.get(continuum.ownerAt(place)) as Candidate<Shard>,
      };
    });
    this.#candidateOf = finders.map(({ of }) => of);
    this.#candidateAt = finders.map(({ at }) => at);
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

  /** Those that a route leaves, in order. */
  routed(key: string, route: Route): Candidate<Shard>[] {
    return route.kind === 'shard'
      ? this.#named(route.name)
      : this.#candidateOf.slice(0, route.count).map((candidateOf) => candidateOf(key));
  }

  /** The same for whoever sees each key once, such as a change: nothing is remembered, and the key is hashed once. */
  routedOnce(key: string, route: Route): Candidate<Shard>[] {
    if (route.kind === 'shard') return this.#named(route.name);
    const place = placeOf(key);
    return this.#candidateAt.slice(0, route.count).map((candidateAt) => candidateAt(place));
  }

  /** Every shard that may hold rows of such a table. */
  reached(route: Route): Candidate<Shard>[] {
    if (route.kind === 'shard') return this.#named(route.name);
    return [...this.#byName.values()].filter(({ layer }) => layer < route.count);
  }

  #named(shard: string): Candidate<Shard>[] {
    const candidate = this.#byName.get(shard);
    return candidate === undefined ? [] : [candidate];
  }
}
