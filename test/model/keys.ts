/** The few rows that a round is about, and the rings that place them. */
import { EVERY_LAYER, type Route } from '../../shared/ring/route.ts';
import { ringHash } from '../../shared/ring/ring-hash.ts';
import { routeOfFollowed } from '../../shared/stamp/followed.ts';

export interface RowKey {
  /** The followed name of its table. */
  readonly table: string;
  /** The entry's key, without the shard's prefix. */
  readonly name: string;
  readonly number: number;
  readonly isMirrored: boolean;
  /** Where it may lie. */
  readonly route: Route;
}

export interface Rows {
  readonly tables: readonly string[];
  readonly keys: readonly RowKey[];
  /** Of one table, in the order of its key. */
  readonly mirrored: readonly RowKey[];
}

/** Few, so that everything meets everything. */
function rowsOf(...tables: (readonly [followed: string, letter: string, count: number])[]): Rows {
  const keys = tables.flatMap(([table, letter, count], of) => {
    const isMirrored = table.includes(' mirror ');
    const route = isMirrored ? routeOfFollowed(table) : EVERY_LAYER;
    return Array.from({ length: count }, (_, id) => ({
      table,
      name: `${letter}_${id}`,
      number: of * 3 + id,
      isMirrored,
      route,
    }));
  });
  return { tables: tables.map(([table]) => table), keys, mirrored: keys.filter(({ isMirrored }) => isMirrored) };
}

export const CACHED_ROWS = rowsOf(['shop.users(id)', 't0', 3], ['shop.orders(id)', 't1', 2]);

/** One mirror beside a cached table: in the first layer, in both, or in one shard that stands in every version of its ring. */
export const MIRRORED_ROWS: readonly Rows[] = ['x1', 'x2', '@b'].map((route) =>
  rowsOf(['shop.users(id)', 't0', 2], [`shop.items(id) mirror ${route}`, 'm', 4]),
);

export const SHARDS = ['a', 'b', 'c', 'd'] as const;

export interface Ring {
  readonly hash: string;
  readonly layer: number;
  readonly members: readonly string[];
}

const ring = (layer: number, ...members: string[]): Ring => ({ hash: ringHash(members, 'ketama'), layer, members });

/** What each layer's ring was, is and will be. Some shards stand in both layers, which configurations avoid. */
export const LAYERS: readonly (readonly Ring[])[] = [
  [ring(0, 'a', 'b', 'c'), ring(0, 'a', 'b'), ring(0, 'b', 'c')],
  [ring(1, 'c', 'd'), ring(1, 'd'), ring(1, 'a', 'd')],
];

/** Not the real continuum: with so few keys some shards would own none. */
export function ownerOf({ members }: Ring, key: RowKey): string {
  return members[key.number % members.length] as string;
}

/** A shard that may hold a row, and by which ring. */
export interface Place {
  readonly ring: Ring;
  readonly shard: string;
}

/** By these rings, in their order. */
export function placesOf(rings: readonly Ring[], key: RowKey): Place[] {
  const { route } = key;
  if (route.kind === 'shard') {
    return rings.filter(({ members }) => members.includes(route.name)).map((of) => ({ ring: of, shard: route.name }));
  }
  return rings.filter(({ layer }) => layer < route.count).map((of) => ({ ring: of, shard: ownerOf(of, key) }));
}

/** Where a row may lie by these definitions of a ring: each shard once, with those by which it does. */
export function ownersOf(rings: readonly Ring[], key: RowKey): SnapshotPlace[] {
  const places = placesOf(rings, key);
  const shards = [...new Set(places.map(({ shard }) => shard))];
  return shards.map((shard) => ({
    shard,
    rings: places.filter((place) => place.shard === shard).map(({ ring: of }) => of),
  }));
}

/** A shard that may hold rows, and the definitions of its layer's ring, the newest first. */
export interface SnapshotPlace {
  readonly rings: readonly Ring[];
  readonly shard: string;
}

/** Every shard that may hold rows of a table with such rows; one of two layers takes part in the last. */
export function placesReached(layers: readonly (readonly Ring[])[], keys: readonly RowKey[]): SnapshotPlace[] {
  const route = keys[0]?.route ?? EVERY_LAYER;
  const places = layers.flatMap((rings, layer) =>
    rings
      .flatMap(({ members }) => members)
      .filter((shard) => (route.kind === 'shard' ? shard === route.name : layer < route.count))
      .map((shard) => ({ rings, shard })),
  );
  return [...new Map(places.map((place) => [place.shard, place])).values()];
}
