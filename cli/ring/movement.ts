/** A configuration before and after -> what each ring's change moves, and what has to be filled again for it. */
import { isDeepStrictEqual } from 'node:util';
import type { Config, FormerRingConfig, RingConfig } from '../../shared/config/schema.ts';
import { copiesOf } from '../../shared/origin/exposed-table.ts';
import { Continuum, type Placement } from '../../shared/ring/continuum.ts';
import { leastToMove, type Move, movedKeys, ownedOnlyUnder } from '../../shared/ring/moved-keys.ts';

export interface Definition {
  readonly placement: Placement;
  readonly shards: readonly string[];
}

/** Shares are of the ring's keys, 0 to 1. */
export interface RingMovement {
  readonly ring: string;
  readonly layer: number;
  readonly before: Definition;
  readonly after: Definition;
  readonly moves: readonly Move[];
  readonly movedShare: number;
  readonly leastShare: number;
  /** What each shard owned before. */
  readonly shares: ReadonlyMap<string, number>;
  /** Shards of the same name on another server, which begins empty. */
  readonly replaced: readonly string[];
  /** Mirrored tables that are read from MySQL again, and into which shards. */
  readonly snapshots: readonly { readonly table: string; readonly shards: readonly string[] }[];
}

/** For every ring, in order. Both have the same rings. */
export function movementsOf(before: Config, after: Config): readonly RingMovement[] {
  return after.rings.map((ring, layer) => movementOf(before.rings[layer] as RingConfig, ring, layer, after));
}

/** What the file's newest former definitions moved. */
export function movementsUnderWay(config: Config): readonly RingMovement[] {
  return config.rings.map((ring, layer) => movementOf({ ...ring, ...ring.former?.[0] }, ring, layer, config));
}

function movementOf(was: RingConfig, is: RingConfig, layer: number, config: Config): RingMovement {
  const [before, after] = [definitionOf(was), definitionOf(is)];
  const continuum = continuumOf(was);
  const isMoved = !isDeepStrictEqual(
    { ...before, shards: before.shards.toSorted() },
    { ...after, shards: after.shards.toSorted() },
  );
  const moves = isMoved ? movedKeys(continuum, continuumOf(is)) : [];
  const replaced = after.shards.filter((shard) => {
    const endpoint = was.shards[shard];
    return endpoint !== undefined && !isDeepStrictEqual(endpoint, is.shards[shard]);
  });
  return {
    ring: is.name,
    layer,
    before,
    after,
    moves,
    movedShare: moves.reduce((sum, { share }) => sum + share, 0),
    leastShare: leastToMove(before.shards, after.shards),
    shares: continuum.shares(),
    replaced,
    // A mirror is complete by a definition of its ring.
    snapshots: snapshotsIn(isMoved ? after.shards : replaced, layer, config),
  };
}

/** The part of a ring's keys that is found under none of the definitions that are kept, 0 to 1. */
export function coldShare(dropped: readonly FormerRingConfig[], kept: readonly FormerRingConfig[]): number {
  return ownedOnlyUnder(dropped.map(continuumOf), kept.map(continuumOf));
}

/** Of these shards of a ring. */
function snapshotsIn(shards: readonly string[], layer: number, config: Config) {
  return Object.entries(config.tables).flatMap(([table, settings]) => {
    if ((settings.mode ?? config.defaults.mode) !== 'mirror') return [];
    const reached = layer < copiesOf(settings, config) ? shards : [];
    const holding = settings.shard === undefined ? reached : shards.filter((shard) => shard === settings.shard);
    return holding.length === 0 ? [] : [{ table, shards: holding }];
  });
}

function definitionOf({ shards, placement }: FormerRingConfig): Definition {
  return { placement: placement ?? 'balanced', shards: Object.keys(shards) };
}

function continuumOf(ring: FormerRingConfig): Continuum {
  const { shards, placement } = definitionOf(ring);
  return new Continuum(shards, placement);
}
