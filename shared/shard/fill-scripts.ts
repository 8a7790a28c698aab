/** The scripts by which rows are leased and filled, each for many rows of one table at once. */
import type { Redis } from 'ioredis';
import { leaseKey } from '../key/cache-key.ts';
import { LEASE_TTL_MS_MAX } from '../origin/bounded-reads.ts';
import { type FillReply, fillsIn, type LeaseReply, leasesIn } from './replies.ts';

/**
 * What a lease may be taken over: `nothing` that is fresh; an `entry` although it is fresh; or even another's `lease`,
 * whose read began earlier and must not be stored after ours.
 */
export type LeaseOver = 'nothing' | 'entry' | 'lease';

/** As what a row is told of its changes: by the names in the stamp. */
export interface FollowedAs {
  readonly table: string;
  /** The definition of the ring by which the key lies here. */
  readonly ring: string;
}

/** How a table is followed there; nothing where it is not. */
export interface FollowedThere extends FollowedAs {
  readonly stampKey: string;
}

export interface LeaseTerms {
  readonly followed: FollowedThere | undefined;
  readonly shape: string;
  /** At most LEASE_TTL_MS_MAX. */
  readonly leaseTtlMs: number;
  readonly over: LeaseOver;
}

export interface LeaseRow {
  readonly entryKey: string;
  readonly token: string;
}

export async function runLeases(
  redis: Redis,
  { followed, shape, leaseTtlMs, over }: LeaseTerms,
  rows: readonly LeaseRow[],
  nowMs = Date.now(),
): Promise<LeaseReply[]> {
  const keys = keysOf(followed, rows);
  const terms = [shape, nowMs, leaseTtlMs, LEASE_TTL_MS_MAX, over];
  const tokens = rows.map(({ token }) => token);
  const reply = await (followed === undefined
    ? redis.leaseUnsyncedBuffer(keys.length, ...keys, ...terms, ...tokens)
    : redis.leaseBuffer(keys.length, ...keys, followed.table, followed.ring, ...terms, ...tokens));
  return leasesIn(reply, rows.length);
}

export interface FillRow extends LeaseRow {
  /** F. */
  readonly version: string;
  readonly stored: Buffer;
  readonly ttlMs: number;
}

export async function runFills(
  redis: Redis,
  followed: FollowedThere | undefined,
  rows: readonly FillRow[],
): Promise<FillReply[]> {
  const keys = keysOf(followed, rows);
  const reply = await (followed === undefined
    ? redis.fillUnsynced(keys.length, ...keys, ...rows.flatMap(({ token, stored, ttlMs }) => [token, stored, ttlMs]))
    : redis.fill(
        keys.length,
        ...keys,
        followed.table,
        followed.ring,
        ...rows.flatMap(({ token, version, stored, ttlMs }) => [token, version, stored, ttlMs]),
      ));
  return fillsIn(reply, rows.length);
}

function keysOf(followed: FollowedThere | undefined, rows: readonly LeaseRow[]): string[] {
  const pairs = rows.flatMap(({ entryKey }) => [entryKey, leaseKey(entryKey)]);
  return followed === undefined ? pairs : [followed.stampKey, ...pairs];
}

export function isSameLease(one: LeaseTerms, other: LeaseTerms): boolean {
  return (
    one.shape === other.shape &&
    one.over === other.over &&
    one.leaseTtlMs === other.leaseTtlMs &&
    isFollowedAlike(one.followed, other.followed)
  );
}

export function isFollowedAlike(one: FollowedThere | undefined, other: FollowedThere | undefined): boolean {
  return one?.table === other?.table && one?.ring === other?.ring;
}
