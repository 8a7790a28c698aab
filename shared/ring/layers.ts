/**
 * The rings in order: layer 0 is primary, layer 1 the first fallback, and so on. Health never changes a ring, only
 * which layer is used; so a key has the same candidates before, during and after a failure.
 *
 * While a ring changes, its layer has its former definitions as well, the newest first. A key's owner by the newest comes
 * first; whoever owns it by a former one may still have it. Changes go to all of them.
 */
import { continuumOf } from './continua.ts';
import { type Continuum, type Placement, placeOf } from './continuum.ts';
import { ringHash } from './ring-hash.ts';
import { EVERY_LAYER, type Route } from './route.ts';

/** A shard where a key may lie. */
export interface Candidate<Shard> {
  readonly layer: number;
  readonly ring: string;
  readonly shard: Shard;
  /** The definitions of the ring by which the key lies there (`ringHash`), the newest first. */
  readonly rings: readonly string[];
}

/** What places keys: the same shards in the same placement place them alike. */
export interface Placing<Shard> {
  readonly placement: Placement;
  readonly shards: ReadonlyMap<string, Shard>;
}

export interface RingDefinition<Shard> extends Placing<Shard> {
  readonly name: string;
  /** The newest first. A shard that several definitions name is the same one. */
  readonly formers?: readonly Placing<Shard>[];
}

export interface Layer<Shard> {
  readonly name: string;
  readonly placement: Placement;
  /** By name; those of former definitions come last. */
  readonly shards: ReadonlyMap<string, Shard>;
  /** Of the hash space, by shard of the newest definition; adds up to 1. */
  readonly shares: ReadonlyMap<string, number>;
  /** Its definitions, the newest first. */
  readonly rings: readonly string[];
}

/** A key, or its place in the hash space (`placeOf`) for whoever knows it already. */
export type Placed = string | number;

export class Layers<Shard> {
  readonly layers: readonly Layer<Shard>[];
  readonly #places: readonly LayerPlaces<Shard>[];
  readonly #byName: ReadonlyMap<string, Candidate<Shard>>;

  constructor(rings: readonly RingDefinition<Shard>[]) {
    this.#places = rings.map((ring, layer) => new LayerPlaces(ring, layer));
    this.layers = this.#places.map(({ layer }) => layer);
    this.#byName = new Map(this.#places.flatMap(({ named }) => [...named]));
  }

  /** Every shard, layer by layer. */
  get shards(): Shard[] {
    return this.layers.flatMap(({ shards }) => [...shards.values()]);
  }

  get depth(): number {
    return this.#places.length;
  }

  /** The key's owner in a layer, `0 <= layer < depth`. */
  owner(key: Placed, layer: number): Candidate<Shard> {
    return this.owners(key, layer)[0] as Candidate<Shard>;
  }

  /** The key's owner in a layer, and then those by its former definitions, each once. */
  owners(key: Placed, layer: number): readonly Candidate<Shard>[] {
    return (this.#places[layer] as LayerPlaces<Shard>).at(placed(key));
  }

  /** The owners in each layer, in order. */
  candidates(key: Placed): Candidate<Shard>[] {
    return this.routed(key, EVERY_LAYER);
  }

  /** Those that a route leaves, in order. */
  routed(key: Placed, route: Route): Candidate<Shard>[] {
    if (route.kind === 'shard') return this.#named(route.name);
    const place = placed(key);
    return this.#places.slice(0, route.count).flatMap((places) => places.at(place));
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

function placed(key: Placed): number {
  return typeof key === 'number' ? key : placeOf(key);
}

/** Of one layer: where a key lies, by each of its definitions. */
class LayerPlaces<Shard> {
  readonly layer: Layer<Shard>;
  /** Each shard, with every definition that it stands in. */
  readonly named: ReadonlyMap<string, Candidate<Shard>>;
  readonly #continua: readonly Continuum[];
  /** That of the only definition, as mostly: requests need no lists then. */
  readonly #only: Continuum | undefined;
  /** By their owners' names, one of each definition. Made once: this is looked up for every request. */
  readonly #owners = new Map<string, readonly Candidate<Shard>[]>();

  constructor({ name, placement, shards, formers = [] }: RingDefinition<Shard>, layer: number) {
    const definitions = [{ placement, shards }, ...formers];
    const rings = definitions.map((of) => ringHash(of.shards.keys(), of.placement));
    const all = new Map(definitions.toReversed().flatMap((of) => [...of.shards]));
    const inOrder = [...new Set(definitions.flatMap((of) => [...of.shards.keys()]))];
    this.#continua = definitions.map((of) => continuumOf([...of.shards.keys()], of.placement));
    this.#only = this.#continua.length === 1 ? this.#continua[0] : undefined;
    this.layer = {
      name,
      placement,
      shards: new Map(inOrder.map((shard) => [shard, all.get(shard) as Shard])),
      shares: (this.#continua[0] as Continuum).shares(),
      rings,
    };
    this.named = new Map(
      inOrder.map((shard) => {
        const standsIn = rings.filter((_, index) => definitions[index]?.shards.has(shard) === true);
        return [shard, { layer, ring: name, shard: all.get(shard) as Shard, rings: standsIn }];
      }),
    );
  }

  at(place: number): readonly Candidate<Shard>[] {
    if (this.#only !== undefined) return this.#ownerNamed(this.#only.ownerAt(place));
    return this.#ownersNamed(this.#continua.map((continuum) => continuum.ownerAt(place)));
  }

  #ownerNamed(name: string): readonly Candidate<Shard>[] {
    return this.#owners.get(name) ?? this.#ownersNamed([name]);
  }

  #ownersNamed(names: readonly string[]): readonly Candidate<Shard>[] {
    const of = names.join('\n');
    const known = this.#owners.get(of);
    if (known !== undefined) return known;
    const owners = [...new Set(names)].map((name) => {
      const candidate = this.named.get(name) as Candidate<Shard>;
      return { ...candidate, rings: this.layer.rings.filter((_, index) => names[index] === name) };
    });
    this.#owners.set(of, owners);
    return owners;
  }
}
