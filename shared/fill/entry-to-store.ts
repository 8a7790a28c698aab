/** What was read under a lease -> the entry to store, or why it must not be stored. */
import { type Entry, VERSION_ZERO } from '../entry/entry.ts';
import { absenceIsCacheable } from '../key/key-part.ts';
import type { RowId } from '../key/row-id.ts';
import type { ExposedTable } from '../origin/exposed-table.ts';
import type { LeaseBase, OriginRow, Proof } from '../origin/row-select.ts';
import { epochOf, versionOf } from '../version/version.ts';

export type Unstorable =
  /** The table has become one that a start would refuse. */
  | 'unsuitable'
  /** Past `rowBytesMax`. */
  | 'too-large'
  /** The spelling asked for is not the row's own: an entry under it would never hear of a change. */
  | 'other-spelling'
  /** "No such row" under a collation that has other spellings of this text. */
  | 'absence-unprovable'
  /** The row was locked for too long to prove what the read includes. */
  | 'unproved'
  /** It was read from another server than the one whose changes the shard hears of. */
  | 'other-origin';

/** @param base of the lease; nothing where the table is not followed. */
export function whyUnstorable(
  row: OriginRow,
  table: ExposedTable,
  id: RowId,
  base: LeaseBase | undefined,
): Unstorable | undefined {
  if (table.unusable !== undefined) return 'unsuitable';
  if (base !== undefined) {
    if (row.proof === undefined) return 'unproved';
    if (row.proof.origin !== base.origin) return 'other-origin';
  }
  if (row.kind === 'absent') {
    return table.schema.key.every((part) => absenceIsCacheable(part.type)) ? undefined : 'absence-unprovable';
  }
  if (row.id.segment !== id.segment) return 'other-spelling';
  return row.body.length > table.settings.rowBytesMax ? 'too-large' : undefined;
}

export interface StoredEntry {
  readonly entry: Entry;
  /** Until Redis forgets it: its TTL and the grace after it. */
  readonly keptMs: number;
}

export interface StoringTerms {
  /** When the read began. */
  readonly readAtMs: number;
  /** A shard that has the row only while another is away keeps it for no longer. */
  readonly ttlSecondsMax?: number;
  readonly random: () => number;
}

export function entryToStore(
  row: OriginRow,
  table: ExposedTable,
  base: LeaseBase | undefined,
  { readAtMs, ttlSecondsMax = Infinity, random }: StoringTerms,
): StoredEntry {
  const { ttlSeconds, negativeTtlSeconds, followedTtlSeconds, ttlJitterPercent, graceSeconds } = table.settings;
  const jittered = (seconds: number) =>
    Math.max(1, Math.round(Math.min(seconds, ttlSecondsMax) * (1 - (random() * ttlJitterPercent) / 100)));
  const proof = base === undefined ? undefined : row.proof;
  const common = {
    exactness: proof?.exactness ?? ('inexact' as const),
    isSecondHand: proof !== undefined && !('at' in proof.reaches),
    version: base === undefined || proof === undefined ? VERSION_ZERO : versionReached(proof, base),
    readAtMs,
  };
  if (row.kind === 'row') {
    const ttl = jittered(proof === undefined ? ttlSeconds : followedTtlSeconds);
    const entry: Entry = { ...common, kind: 'row', shape: row.shape, ttlSeconds: ttl, body: row.body };
    return { entry, keptMs: keptMsOf('row', ttl, graceSeconds) };
  }
  // A followed "no such row" hears of the INSERT.
  const ttl = jittered(proof === undefined ? negativeTtlSeconds : followedTtlSeconds);
  const entry: Entry = {
    ...common,
    kind: 'negative',
    shape: table.schema.shape,
    ttlSeconds: ttl,
    body: Buffer.alloc(0),
  };
  return { entry, keptMs: keptMsOf('negative', ttl, graceSeconds) };
}

/** An expired "no such row" is never served, so it need not be kept. @param seconds at least 1. */
export function keptMsOf(kind: Entry['kind'], seconds: number, graceSeconds: number): number {
  return (seconds + (kind === 'row' ? graceSeconds : 0)) * 1000;
}

/** F. A place in the binlog is of the epoch of the stamp that the lease was taken under: it is the same server's. */
function versionReached({ reaches }: Proof, base: LeaseBase): string {
  return 'at' in reaches ? versionOf(epochOf(base.to), reaches.at) : reaches.stampTo;
}
