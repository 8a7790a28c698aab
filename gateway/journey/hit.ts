/**
 * What a shard has of a row, and whether that ends the journey: a fresh entry that the shard vouches for, good enough for
 * what the client accepts. Nothing is waited for here.
 */
import { decodeEntry, type EntryHead } from '../../shared/entry/entry.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { Candidate } from '../../shared/ring/layers.ts';
import type { ShardRead } from '../../shared/shard/read-batch.ts';
import type { SeenStamp } from '../../shared/stamp/stamp-reader.ts';
import { standingIn } from './after-write.ts';
import { type Answer, type Found, foundIn, placeOf } from './answer.ts';
import { fillUnderLease, flightName } from './fill.ts';
import type { Ports } from './ports.ts';
import type { ShardPort } from './shard-port.ts';
import type { RowRequest } from './row-request.ts';
import { isUsable, type Life, lifeOf, type Trust } from './trust.ts';
import { mayFollow, noteAnswered } from './vouched.ts';

/** An entry, and what a client is told by it. */
export interface Told {
  readonly entry: EntryHead;
  readonly found: Found;
}

/** One that counts, fresh or not. */
export interface Held extends Told {
  readonly life: Life;
}

/** Nothing where there is nothing, or nothing that can be read. */
export function toldBy(stored: Buffer | null): Told | undefined {
  const entry = stored === null ? undefined : decodeEntry(stored);
  return entry && { entry, found: foundIn(entry) };
}

export function heldIn(
  ports: Ports,
  request: RowRequest,
  candidate: Candidate<ShardPort>,
  { entry, found }: Told,
  trust: Trust,
): Held | undefined {
  if (!isUsable(entry, request.table, trust) || !mayFollow(ports, request, candidate, entry, trust)) return undefined;
  noteAnswered(ports, request, candidate, entry, trust);
  return { entry, found, life: lifeOf(entry, request.table, trust, ports.now()) };
}

/** The answer, where what is held will do; what there is to do behind it is begun. */
export function hitWith(
  ports: Ports,
  request: RowRequest,
  candidate: Candidate<ShardPort>,
  { entry, found, life }: Held,
  trust: Trust,
): Answer | undefined {
  const { table, terms } = request;
  if (terms.noCache || life.freshSeconds <= 0 || life.ageSeconds > terms.maxAgeSeconds) return undefined;
  if (isSoftlyExpired(entry, table, trust, life)) refreshInBackground(ports, request, candidate, trust);
  if (isDrawn(ports, table)) warmFallback(ports, request, candidate);
  const { freshSeconds, ageSeconds } = life;
  const hit = { outcome: 'hit', place: placeOf(candidate), freshSeconds, ageSeconds } as const;
  const syncLost = trust.kind === 'by-stamp' ? undefined : trust.syncLost;
  return { found, story: syncLost === undefined ? hit : { ...hit, syncLost } };
}

/** The end that most requests come to: the owner has been read, and has the row. Nothing where there is more to do. */
export function straightHit(
  ports: Ports,
  request: RowRequest,
  candidate: Candidate<ShardPort>,
  read: ShardRead,
): Answer | undefined {
  const told = toldBy(read.stored);
  return told && hitBy(ports, request, candidate, told, read.seen);
}

function hitBy(
  ports: Ports,
  request: RowRequest,
  candidate: Candidate<ShardPort>,
  told: Told,
  seen: SeenStamp | undefined,
): Answer | undefined {
  const standing = standingIn(ports, request, candidate, seen);
  if (standing.kind === 'silent') return undefined;
  const held = heldIn(ports, request, candidate, told, standing.trust);
  return held && hitWith(ports, request, candidate, held, standing.trust);
}

/** The same out of this process's memory. What would not be a hit by it, the shard itself is asked for. */
export function nearHit(ports: Ports, request: RowRequest, candidate: Candidate<ShardPort>): Answer | undefined {
  const { table, terms, cacheKey } = request;
  if (!table.settings.near || terms.noCache || terms.after !== undefined) return undefined;
  const read = candidate.shard.near(cacheKey);
  const entry = read?.near.entry;
  if (read === undefined || entry === undefined) return undefined;
  const found: Found = entry.kind === 'row' ? { kind: 'row', body: read.near.body } : { kind: 'absent' };
  const hit = hitBy(ports, request, candidate, { entry, found }, read.seen);
  return hit?.story.outcome === 'hit' ? { found: hit.found, story: { ...hit.story, near: true } } : undefined;
}

function refreshInBackground(ports: Ports, request: RowRequest, candidate: Candidate<ShardPort>, trust: Trust): void {
  const errand = { request, candidate, trust, fwd: 'stale', over: 'entry' } as const;
  if (!ports.isOriginUp() || ports.flights.isUnderway(flightName(errand))) return;
  ports.flights
    .join(flightName(errand), (readBegins) => fillUnderLease(ports, errand, readBegins))
    .then(
      ({ answer }) => ports.onRefresh(request.table, answer.story.outcome),
      // The row is still fresh; the next reader tries again.
      () => ports.onRefresh(request.table, 'failed'),
    );
}

function isDrawn({ random }: Ports, { settings: { warmOneIn } }: ExposedTable): boolean {
  return warmOneIn > 0 && random() * warmOneIn < 1;
}

/** What is read often is read of the next layer as soon as its shard is lost: it should be there. */
function warmFallback(ports: Ports, request: RowRequest, from: Candidate<ShardPort>): void {
  const next = from.layer + 1;
  if (next < ports.layers.depth) ports.copies.warm(ports, request, from, ports.layers.owner(request.place, next));
}

/** While its changes are followed, a row need not be read again to be known. */
function isSoftlyExpired(entry: EntryHead, table: ExposedTable, trust: Trust, { ageSeconds }: Life): boolean {
  const { ttlSeconds, softTtlSeconds } = table.settings;
  // The entry's TTL is jittered; its soft TTL is shortened as much.
  return (
    trust.kind === 'by-ttl' && entry.kind === 'row' && ageSeconds >= entry.ttlSeconds * (softTtlSeconds / ttlSeconds)
  );
}
