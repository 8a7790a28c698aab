/** What the journey takes from a shard on the strength of its stamp, and what it remembers of having answered it. */
import { type Entry, type EntryHead, VERSION_ZERO } from '../../shared/entry/entry.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { Candidate } from '../../shared/ring/layers.ts';
import type { FollowedAs } from '../../shared/shard/fill-scripts.ts';
import { standingIn } from './after-write.ts';
import type { Reached } from './answered-ahead.ts';
import type { Ports } from './ports.ts';
import type { ShardPort } from './shard-port.ts';
import type { RowRequest } from './row-request.ts';
import { type Trust, usableEntry } from './trust.ts';

export interface VouchedEntry {
  readonly entry: Entry;
  readonly trust: Trust;
}

/** The shard's entry for the row, fresh or not, if it counts now. Throws ShardUnavailable. */
export async function readVouched(
  ports: Ports,
  request: RowRequest,
  candidate: Candidate<ShardPort>,
): Promise<VouchedEntry | undefined> {
  const { stored, seen } = await candidate.shard.read(request.cacheKey);
  const standing = standingIn(ports, request, candidate, seen);
  if (standing.kind !== 'vouches' || stored === null) return undefined;
  const { trust } = standing;
  const entry = usableEntry(stored, request.table, trust);
  return entry !== undefined && mayFollow(ports, request, candidate, entry, trust) ? { entry, trust } : undefined;
}

/** Whether time runs forward with it. */
export function mayFollow(
  ports: Ports,
  { cacheKey }: RowRequest,
  { shard }: Candidate<ShardPort>,
  entry: EntryHead,
  trust: Trust,
): boolean {
  return ports.answeredAhead.mayFollow(shard.name, cacheKey, entry, readMsMax(ports), reachedBy(trust));
}

export function noteAnswered(
  ports: Ports,
  { cacheKey }: RowRequest,
  { shard }: Candidate<ShardPort>,
  entry: EntryHead,
  trust: Trust,
): void {
  if (trust.kind !== 'by-ttl') ports.answeredAhead.note(shard.name, cacheKey, entry, readMsMax(ports), trust.stamp);
}

/**
 * What was read and stored under a lease. It takes the place of all that was answered before: a replica was only asked if
 * that could not be ahead of it, and the primary's word is of after the lease, and so of after all that was stored here
 * before.
 */
export function noteFilled(
  ports: Ports,
  request: RowRequest,
  candidate: Candidate<ShardPort>,
  entry: EntryHead,
  trust: Trust,
): void {
  ports.answeredAhead.forget(candidate.shard.name, request.cacheKey);
  noteAnswered(ports, request, candidate, entry, trust);
}

/** Whether something that was answered from this shard may be ahead of what a replica says. */
export function isAhead(
  { answeredAhead }: Ports,
  { cacheKey }: RowRequest,
  { shard }: Candidate<ShardPort>,
  trust: Trust,
): boolean {
  return answeredAhead.isAhead(shard.name, cacheKey, reachedBy(trust));
}

/** A read that takes longer has lost its lease. Its time is by its gateway's clock, `asOf` by the sync worker's. */
function readMsMax({ leaseTtlMs, trustRules }: Ports): number {
  return leaseTtlMs + (trustRules?.stalenessBoundMs ?? 0);
}

const NOWHERE: Reached = { to: VERSION_ZERO, asOf: 0 };

/** How far the shard has heard of changes; nowhere where no stamp says so. */
function reachedBy(trust: Trust): Reached {
  return trust.kind === 'by-ttl' ? NOWHERE : trust.stamp;
}

/** Up to which version the shard has heard of changes; the lowest of all where no stamp says so. */
export function stampedTo(trust: Trust): string {
  return reachedBy(trust).to;
}

/** By what names a row that is filled there is told of its changes; nothing where it is not. */
export function followedAs({ followedName }: ExposedTable, trust: Trust): FollowedAs | undefined {
  return trust.kind === 'by-ttl' ? undefined : { table: followedName, ring: trust.ring };
}
