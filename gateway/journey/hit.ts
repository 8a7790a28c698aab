/**
 * What a shard has of a row, and whether that ends the journey: a fresh entry that the shard vouches for, good enough for
 * what the client accepts. Nothing is waited for here.
 */
import { decodeEntry, type Entry } from '../../shared/entry/entry.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { Candidate } from '../../shared/ring/layers.ts';
import type { ShardRead } from '../../shared/shard/read-batch.ts';
import { standingIn } from './after-write.ts';
import { type Answer, type Found, foundIn, placeOf } from './answer.ts';
import { fillUnderLease, flightName } from './fill.ts';
import type { Ports, ShardPort } from './ports.ts';
import type { RowRequest } from './row-request.ts';
import { isUsable, type Life, lifeOf, type Trust } from './trust.ts';
import { mayFollow, noteAnswered } from './vouched.ts';

/** An entry that counts, fresh or not. */
export interface Held {
  readonly entry: Entry;
  readonly life: Life;
}

export function heldIn(
  ports: Ports,
  request: RowRequest,
  candidate: Candidate<ShardPort>,
  entry: Entry | undefined,
  trust: Trust,
): Held | undefined {
  if (
    entry === undefined ||
    !isUsable(entry, request.table, trust) ||
    !mayFollow(ports, request, candidate, entry, trust)
  )
    return undefined;
  noteAnswered(ports, request, candidate, entry, trust);
  return { entry, life: lifeOf(entry, request.table, trust, ports.now()) };
}

/** The answer, where what is held will do; what there is to do behind it is begun. */
export function hitWith(
  ports: Ports,
  request: RowRequest,
  candidate: Candidate<ShardPort>,
  { entry, life }: Held,
  trust: Trust,
  found = foundIn(entry),
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
  const standing = standingIn(ports, request, candidate, read.seen);
  if (standing.kind === 'silent') return undefined;
  const { stored } = read;
  const entry = stored === null ? undefined : decodeEntry(stored);
  const held = heldIn(ports, request, candidate, entry, standing.trust);
  return held && hitWith(ports, request, candidate, held, standing.trust);
}

/** The same out of this process's memory. What would not be a hit by it, the shard itself is asked for. */
export function nearHit(ports: Ports, request: RowRequest, candidate: Candidate<ShardPort>): Answer | undefined {
  const { table, terms, cacheKey } = request;
  if (!table.settings.near || terms.noCache || terms.after !== undefined) return undefined;
  const read = candidate.shard.near(cacheKey);
  if (read === undefined) return undefined;
  const standing = standingIn(ports, request, candidate, read.seen);
  if (standing.kind === 'silent') return undefined;
  const { entry, body } = read.near;
  const held = heldIn(ports, request, candidate, entry, standing.trust);
  const found: Found = held?.entry.kind === 'row' && body !== undefined ? { kind: 'row', body } : { kind: 'absent' };
  const hit = held && hitWith(ports, request, candidate, held, standing.trust, found);
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
  if (next < ports.layers.depth) ports.copies.warm(ports, request, from, ports.layers.owner(request.cacheKey, next));
}

/** While its changes are followed, a row need not be read again to be known. */
function isSoftlyExpired(entry: Entry, table: ExposedTable, trust: Trust, { ageSeconds }: Life): boolean {
  const { ttlSeconds, softTtlSeconds } = table.settings;
  // The entry's TTL is jittered; its soft TTL is shortened as much.
  return (
    trust.kind === 'by-ttl' && entry.kind === 'row' && ageSeconds >= entry.ttlSeconds * (softTtlSeconds / ttlSeconds)
  );
}
