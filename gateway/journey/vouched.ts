/** What the journey takes from a shard on the strength of its stamp, and what it remembers of having answered it. */
import { type Entry, VERSION_ZERO } from '../../shared/entry/entry.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { Candidate } from '../../shared/ring/layers.ts';
import type { FollowedAs } from '../../shared/shard/shard.ts';
import { standingIn } from './after-write.ts';
import type { Ports, ShardPort } from './ports.ts';
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
  { answeredAhead }: Ports,
  { cacheKey }: RowRequest,
  { shard }: Candidate<ShardPort>,
  { version }: Entry,
  trust: Trust,
): boolean {
  return answeredAhead.mayFollow(shard.name, cacheKey, version, stampedTo(trust));
}

export function noteAnswered(
  { answeredAhead }: Ports,
  { cacheKey }: RowRequest,
  { shard }: Candidate<ShardPort>,
  { version }: Entry,
  trust: Trust,
): void {
  if (trust.kind !== 'by-ttl') answeredAhead.note(shard.name, cacheKey, version, trust.stamp.to);
}

/** Up to which version the shard has heard of changes; the lowest of all where no stamp says so. */
export function stampedTo(trust: Trust): string {
  return trust.kind === 'by-ttl' ? VERSION_ZERO : trust.stamp.to;
}

/** By what names a row that is filled there is told of its changes; nothing where it is not. */
export function followedAs({ followedName }: ExposedTable, trust: Trust): FollowedAs | undefined {
  return trust.kind === 'by-ttl' ? undefined : { table: followedName, ring: trust.ring };
}
