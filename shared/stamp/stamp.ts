/**
 * A shard's stamp: what apply keeps in each shard, read together with the entries. "Every change up to version `to` has
 * been applied here, as of time `asOf`." A shard is believed by its own stamp only (invariant 4).
 *
 * One JSON object under one key, so that an MGET brings it. What Redis holds is not trusted: whatever does not decode
 * counts as absent, and a shard without a stamp vouches for nothing.
 */
import type { Entry } from '../entry/entry.ts';
import { isPlausiblePlan, isPlausibleVersion, isVersion } from '../version/version.ts';

/**
 * A stamp of ten thousand tables has some five million bytes. Longer ones, which every read would bring along, are none;
 * the next message replaces them. The same bound as in the scripts (stamp.lua).
 */
export const STAMP_BYTES_MAX = 8 * 1024 * 1024;

export interface Stamp {
  /** Raised when another capture takes over and when routing or tables change. A shard refuses lower ones. */
  readonly plan: number;
  readonly to: string;
  /** Entries below it count as absent: changes before it may be missing. */
  readonly floor: string;
  /** Every change committed before this time has been applied here. ms since 1970, by the capture's clock. */
  readonly asOf: number;
  /** The identity of the server whose binlog this is; origin-identity.ts. */
  readonly origin: string;
  /** All of the transactions up to `to`, as the server writes a GTID set; empty where it has none. */
  readonly gtid: string;
  /** The rings by which changes are routed, by hash: from which version on all of them were routed so. */
  readonly rings: Readonly<Record<string, string>>;
  /** The followed tables (`followedName`): entries of a table below its floor count as absent. */
  readonly tables: Readonly<Record<string, string>>;
  /**
   * Versions above the first and below the second of a pair count as absent: the binlog lost its tail there. Inexact
   * entries do below the second: they may hold more than their version says.
   */
  readonly holes: readonly (readonly [above: string, below: string])[];
  /** The mirrors (`followedName`) of which every row that belongs here is here. */
  readonly complete: Readonly<Record<string, Completeness>>;
  /**
   * Changes are told again, from before what has been read here: another capture has begun before it, in an epoch of its
   * own. Mirrors say nothing until `asOf` has come to this, when it was noticed. ms since 1970, by the applier's clock.
   */
  readonly again?: number;
  /** When some or all of what the shard held was lost to it, last: ms since 1970, by the applier's clock. */
  readonly lostAt?: number;
}

/** A snapshot has brought every row as of `since` or later, and changes all that came after. */
export interface Completeness {
  /** The definitions of the ring by which it was told what belongs here, the newest first, joined by commas. */
  readonly rings: string;
  readonly shape: string;
  readonly since: string;
}

/** Nothing where the bytes are not a stamp. */
export function decodeStamp(stored: Buffer): Stamp | undefined {
  if (stored.length > STAMP_BYTES_MAX) return undefined;
  let stamp: unknown;
  try {
    stamp = JSON.parse(stored.toString('utf8'));
  } catch {
    return undefined;
  }
  // A script cannot write an empty list: it would be an empty object.
  return isStamp(stamp) ? { ...stamp, holes: stamp.holes ?? [], complete: stamp.complete ?? {} } : undefined;
}

type StoredStamp = Omit<Stamp, 'holes' | 'complete'> & Partial<Pick<Stamp, 'holes' | 'complete'>>;

function isStamp(value: unknown): value is StoredStamp {
  if (typeof value !== 'object' || value === null) return false;
  const {
    plan,
    to,
    floor,
    asOf,
    origin,
    gtid,
    rings,
    tables,
    holes = [],
    complete = {},
    again,
    lostAt,
  } = value as Record<string, unknown>;
  return (
    isPlausiblePlan(plan) &&
    isPlausibleVersion(to) &&
    isPlausibleVersion(floor) &&
    Number.isSafeInteger(asOf) &&
    typeof origin === 'string' &&
    typeof gtid === 'string' &&
    isVersionMap(rings) &&
    isVersionMap(tables) &&
    Array.isArray(holes) &&
    holes.every((hole) => Array.isArray(hole) && hole.length === 2 && hole.every(isVersion)) &&
    isMap(complete) &&
    Object.values(complete).every(isCompleteness) &&
    (again === undefined || Number.isSafeInteger(again)) &&
    (lostAt === undefined || Number.isSafeInteger(lostAt))
  );
}

function isCompleteness(value: unknown): value is Completeness {
  if (typeof value !== 'object' || value === null) return false;
  const { rings, shape, since } = value as Record<string, unknown>;
  return typeof rings === 'string' && typeof shape === 'string' && isVersion(since);
}

function isVersionMap(value: unknown): value is Record<string, string> {
  return isMap(value) && Object.values(value).every(isVersion);
}

function isMap(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** From which version on entries of this table, placed by this ring, count; nothing where they are not followed. */
export function floorOf(stamp: Stamp, table: string, ring: string): string | undefined {
  // Own members only: a table is not called __proto__, but what Redis holds may be anything.
  const since = Object.hasOwn(stamp.rings, ring) ? stamp.rings[ring] : undefined;
  const tableFloor = Object.hasOwn(stamp.tables, table) ? stamp.tables[table] : undefined;
  if (since === undefined || tableFloor === undefined) return undefined;
  const floor = since > tableFloor ? since : tableFloor;
  return floor > stamp.floor ? floor : stamp.floor;
}

/** By whichever of these rings the shard has been told of the table's changes for longest; nothing by none of them. */
export function oldestFloorOf(
  stamp: Stamp,
  table: string,
  rings: readonly string[],
): { readonly ring: string; readonly floor: string } | undefined {
  let oldest: { readonly ring: string; readonly floor: string } | undefined;
  for (const ring of rings) {
    const floor = floorOf(stamp, table, ring);
    if (floor !== undefined && (oldest === undefined || floor < oldest.floor)) oldest = { ring, floor };
  }
  return oldest;
}

/** Whether an entry counts, given its shape does; the same rule as in the scripts. */
export function isTrusted(
  { version, exactness }: Pick<Entry, 'version' | 'exactness'>,
  stamp: Stamp,
  floor: string,
): boolean {
  const mayHoldMore = exactness === 'inexact';
  return version >= floor && !stamp.holes.some(([above, below]) => (version > above || mayHoldMore) && version < below);
}

/**
 * Whether every row of this mirror that belongs into the shard is there: whatever was dropped or lost since then made it
 * incomplete. The same rule as in the scripts.
 * @param floor of the table and the ring (`floorOf`).
 */
export function isComplete(stamp: Stamp, table: string, ring: string, shape: string, floor: string): boolean {
  const mark = Object.hasOwn(stamp.complete, table) ? stamp.complete[table] : undefined;
  if (mark === undefined || !mark.rings.split(',').includes(ring) || mark.shape !== shape) return false;
  return mark.since >= floor && !stamp.holes.some(([, below]) => mark.since < below);
}
