/**
 * The request's journey: DESIGN.md's first, branch by branch.
 *
 *     candidates -> one read a shard and tick, next layer if the shard does not answer
 *        fresh entry              -> reply                                        hit
 *        none                     -> lease -> origin, batched -> fill -> reply    stored, or unstored and why
 *        another holds the lease  -> wait briefly, look again                     collapsed
 *        no shard answers         -> origin, behind a bound                       unstored: no-shard
 *        origin down              -> expired entry within grace                   expired; else OriginUnavailable
 *
 * Throws OriginUnavailable, and RequestRefused `not-cached`. A shard's trouble never leaves this file.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ageSeconds, decodeEntry, type Entry, freshSeconds, VERSION_ZERO } from '../../shared/entry/entry.ts';
import { OriginUnavailable, RequestRefused, ShardUnavailable } from '../../shared/errors/errors.ts';
import { absenceIsCacheable } from '../../shared/key/key-part.ts';
import type { RowId } from '../../shared/key/row-id.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { OriginRow } from '../../shared/origin/row-reader.ts';
import type { Candidate, Layers } from '../../shared/ring/layers.ts';
import type { ShardRead } from '../../shared/shard/read-batch.ts';
import type { FillOutcome, LeaseOutcome, LeaseOver, LeaseRequest, ShardState } from '../../shared/shard/shard.ts';
import type { Answer, ForwardReason, Found, Place, Unstored } from './answer.ts';
import type { Flights } from './flights.ts';
import type { RowRequest } from './row-request.ts';

/** What the journey needs of a shard. All but `state` may throw ShardUnavailable. */
export interface ShardPort {
  readonly name: string;
  readonly state: ShardState;
  read(cacheKey: string): Promise<ShardRead>;
  lease(cacheKey: string, request: LeaseRequest): Promise<LeaseOutcome>;
  fill(cacheKey: string, token: string, entry: Entry, ttlMs: number, followedAs?: string): Promise<FillOutcome>;
  release(cacheKey: string, token: string, entry: 'keep' | 'drop'): Promise<void>;
}

export interface OriginPort {
  read(table: ExposedTable, id: RowId): Promise<OriginRow>;
}

export interface Ports {
  readonly layers: Layers<ShardPort>;
  readonly origin: OriginPort;
  readonly flights: Flights;
  /** Longer than the longest origin read, in ms. */
  readonly leaseTtlMs: number;
  readonly now: () => number;
  readonly random: () => number;
  /** Whether it is worth asking; a refresh that would fail is not tried. */
  readonly isOriginUp: () => boolean;
  /** A refresh behind a hit has ended. */
  readonly onRefresh: (table: ExposedTable, outcome: Answer['story']['outcome'] | 'failed') => void;
}

/** Looking again at a lease that another holds: soon at first, then every so often. */
const LOOK_AGAIN_FIRST_MS = 2;
const LOOK_AGAIN_MS_MAX = 25;

export async function readThrough(ports: Ports, request: RowRequest): Promise<Answer> {
  for (let layer = 0; layer < ports.layers.depth; layer += 1) {
    const candidate = ports.layers.owner(request.cacheKey, layer);
    if (candidate.shard.state === 'down') continue;
    try {
      return await throughShard(ports, request, candidate);
    } catch (error) {
      if (!(error instanceof ShardUnavailable)) throw error;
    }
  }
  if (request.terms.onlyIfCached) throw notCached();
  return {
    ...(await readUnstored(ports, request)),
    story: { outcome: 'unstored', fwd: 'bypass', because: 'no-shard' },
  };
}

/** One row to be filled into one shard. */
interface Errand {
  readonly request: RowRequest;
  readonly candidate: Candidate<ShardPort>;
  readonly fwd: ForwardReason;
  readonly over: LeaseOver;
}

async function throughShard(ports: Ports, request: RowRequest, candidate: Candidate<ShardPort>): Promise<Answer> {
  const { table, terms } = request;
  const { stored } = await candidate.shard.read(request.cacheKey);
  const entry = stored === null ? undefined : usable(stored, table);
  const now = ports.now();

  if (
    entry !== undefined &&
    !terms.noCache &&
    freshSeconds(entry, now) > 0 &&
    ageSeconds(entry, now) <= terms.maxAgeSeconds
  ) {
    if (isSoftlyExpired(entry, table, now)) refreshInBackground(ports, request, candidate);
    return hit(entry, candidate, now);
  }
  if (terms.onlyIfCached) throw notCached();
  const fwd = whyForward(request, entry, now);
  const errand: Errand = { request, candidate, fwd, over: leaseOver(request, stored, entry, fwd) };
  try {
    if (terms.noStore) return unstored(errand, await ports.origin.read(table, request.id), 'no-store');
    if (terms.noCache) return await fillUnderLease(ports, errand, () => undefined);

    const { answer, joined } = await ports.flights.join(flightName(errand), (readBegins) =>
      fillUnderLease(ports, errand, readBegins),
    );
    return joined ? collapsed(errand, answer.found) : answer;
  } catch (error) {
    // Whoever asked for the origin's own word is not given an entry's instead; and a refusal is the origin's own word.
    const forgiven = error instanceof OriginUnavailable && error.code !== 'origin-refused' && !terms.noCache;
    if (forgiven && entry !== undefined && isWithinGrace(entry, table, now)) {
      return expired(entry, candidate, now, error);
    }
    throw error;
  }
}

/** Throws ShardUnavailable only before the origin was asked, so that no row is read twice for one request. */
async function fillUnderLease(ports: Ports, errand: Errand, readBegins: () => void): Promise<Answer> {
  const { table, id } = errand.request;
  const lease = await leaseOrWait(ports, errand);
  const readAtMs = ports.now();
  switch (lease.kind) {
    case 'entry': {
      const entry = usable(lease.stored, table);
      if (entry !== undefined) return collapsed(errand, foundIn(entry));
      readBegins();
      return unstored(errand, await ports.origin.read(table, id), 'lease-busy');
    }
    case 'busy':
    case 'off':
      readBegins();
      return unstored(errand, await ports.origin.read(table, id), 'lease-busy');
    case 'lease':
      readBegins();
      return store(ports, errand, lease.token, await readOrRelease(ports, errand, lease.token), readAtMs);
  }
}

/** Another's lease is waited for: asking again is also looking again, and inherits a lease that was given back. */
async function leaseOrWait(ports: Ports, { request, candidate, over }: Errand): Promise<LeaseOutcome> {
  const { table, cacheKey } = request;
  const wanted = { shape: table.schema.shape, leaseTtlMs: ports.leaseTtlMs, over };
  const giveUpAt = ports.now() + table.settings.leaseWaitMs;
  for (let waitMs = LOOK_AGAIN_FIRST_MS; ; waitMs = Math.min(waitMs * 2, LOOK_AGAIN_MS_MAX)) {
    const outcome = await candidate.shard.lease(cacheKey, wanted);
    if (outcome.kind !== 'busy' || ports.now() >= giveUpAt) return outcome;
    await sleep(waitMs);
  }
}

async function readOrRelease(ports: Ports, errand: Errand, token: string): Promise<OriginRow> {
  try {
    return await ports.origin.read(errand.request.table, errand.request.id);
  } catch (error) {
    await release(errand, token, 'keep');
    throw error;
  }
}

async function store(ports: Ports, errand: Errand, token: string, row: OriginRow, readAtMs: number): Promise<Answer> {
  const { request, candidate, fwd } = errand;
  const reason = whyUnstorable(row, request);
  if (reason !== undefined) {
    // An entry that was there before is older than this read: left alone, it would be answered with after it.
    await release(errand, token, 'drop');
    return unstored(errand, row, reason);
  }
  const outcome = await fill(errand, token, entryOf(row, request.table, readAtMs, ports.random));
  return outcome === 'stored'
    ? { found: foundAs(row, request.id), story: { outcome: 'stored', place: placeOf(candidate), fwd } }
    : unstored(errand, row, outcome === 'lost' ? 'lease-lost' : 'shard-refused');
}

function refreshInBackground(ports: Ports, request: RowRequest, candidate: Candidate<ShardPort>): void {
  const errand: Errand = { request, candidate, fwd: 'stale', over: 'entry' };
  if (!ports.isOriginUp() || ports.flights.isUnderway(flightName(errand))) return;
  ports.flights
    .join(flightName(errand), (readBegins) => fillUnderLease(ports, errand, readBegins))
    .then(
      ({ answer }) => ports.onRefresh(request.table, answer.story.outcome),
      // The row is still fresh; the next reader tries again.
      () => ports.onRefresh(request.table, 'failed'),
    );
}

/** The origin's word when no shard can be used; the bound is the reader's. */
async function readUnstored(ports: Ports, { table, id }: RowRequest): Promise<{ found: Found }> {
  return { found: foundAs(await ports.origin.read(table, id), id) };
}

function usable(stored: Buffer, table: ExposedTable): Entry | undefined {
  const entry = decodeEntry(stored);
  return entry !== undefined && entry.shape === table.schema.shape ? entry : undefined;
}

function whyForward({ terms }: RowRequest, entry: Entry | undefined, now: number): ForwardReason {
  if (terms.noCache || terms.noStore) return 'request';
  if (entry === undefined) return 'miss';
  // A fresh entry that was not good enough is older than the client's max-age.
  return freshSeconds(entry, now) > 0 ? 'request' : 'stale';
}

function leaseOver(
  { terms }: RowRequest,
  stored: Buffer | null,
  entry: Entry | undefined,
  fwd: ForwardReason,
): LeaseOver {
  if (terms.noCache) return 'lease';
  // Bytes that are no entry of ours are replaced, whatever the script would make of them.
  return fwd === 'request' || (stored !== null && entry === undefined) ? 'entry' : 'nothing';
}

function whyUnstorable(row: OriginRow, { table, id }: RowRequest): Unstored | undefined {
  if (row.kind === 'absent') {
    return table.schema.key.every((part) => absenceIsCacheable(part.type)) ? undefined : 'absence-unprovable';
  }
  if (row.id.segment !== id.segment) return 'other-spelling';
  return row.body.length > table.settings.rowBytesMax ? 'too-large' : undefined;
}

function entryOf(row: OriginRow, table: ExposedTable, readAtMs: number, random: () => number): Entry {
  const { ttlSeconds, negativeTtlSeconds, ttlJitterPercent } = table.settings;
  const jittered = (seconds: number) => Math.max(1, Math.round(seconds * (1 - (random() * ttlJitterPercent) / 100)));
  const common = { exactness: 'inexact', version: VERSION_ZERO, readAtMs } as const;
  return row.kind === 'row'
    ? { ...common, kind: 'row', shape: row.shape, ttlSeconds: jittered(ttlSeconds), body: row.body }
    : {
        ...common,
        kind: 'negative',
        shape: table.schema.shape,
        ttlSeconds: jittered(negativeTtlSeconds),
        body: Buffer.alloc(0),
      };
}

async function fill({ request, candidate }: Errand, token: string, entry: Entry): Promise<FillOutcome | 'refused'> {
  // An expired "no such row" is never served, so it need not be kept.
  const graceSeconds = entry.kind === 'row' ? request.table.settings.graceSeconds : 0;
  const keptMs = (entry.ttlSeconds + graceSeconds) * 1000;
  try {
    return await candidate.shard.fill(request.cacheKey, token, entry, keptMs);
  } catch (error) {
    if (error instanceof ShardUnavailable) return 'refused';
    throw error;
  }
}

async function release({ request, candidate }: Errand, token: string, entry: 'keep' | 'drop'): Promise<void> {
  try {
    await candidate.shard.release(request.cacheKey, token, entry);
  } catch (error) {
    // The lease runs out by itself.
    if (!(error instanceof ShardUnavailable)) throw error;
  }
}

function isSoftlyExpired(entry: Entry, table: ExposedTable, now: number): boolean {
  const { ttlSeconds, softTtlSeconds } = table.settings;
  // The entry's TTL is jittered; its soft TTL is shortened as much.
  return entry.kind === 'row' && ageSeconds(entry, now) >= entry.ttlSeconds * (softTtlSeconds / ttlSeconds);
}

function isWithinGrace(entry: Entry, table: ExposedTable, now: number): boolean {
  return entry.kind === 'row' && freshSeconds(entry, now) > -table.settings.graceSeconds;
}

function hit(entry: Entry, candidate: Candidate<ShardPort>, now: number): Answer {
  return { found: foundIn(entry), story: { outcome: 'hit', ...ages(entry, candidate, now) } };
}

function expired(entry: Entry, candidate: Candidate<ShardPort>, now: number, trouble: OriginUnavailable): Answer {
  return {
    found: foundIn(entry),
    story: { outcome: 'expired', ...ages(entry, candidate, now), because: trouble.code },
  };
}

function ages(entry: Entry, candidate: Candidate<ShardPort>, now: number) {
  return { place: placeOf(candidate), freshSeconds: freshSeconds(entry, now), ageSeconds: ageSeconds(entry, now) };
}

function collapsed({ candidate, fwd }: Errand, found: Found): Answer {
  return { found, story: { outcome: 'collapsed', place: placeOf(candidate), fwd } };
}

function unstored({ request, candidate, fwd }: Errand, row: OriginRow, because: Unstored): Answer {
  return { found: foundAs(row, request.id), story: { outcome: 'unstored', place: placeOf(candidate), fwd, because } };
}

function foundIn(entry: Entry): Found {
  return entry.kind === 'row' ? { kind: 'row', body: entry.body } : { kind: 'absent' };
}

function foundAs(row: OriginRow, asked: RowId): Found {
  if (row.kind === 'absent') return { kind: 'absent' };
  return row.id.segment === asked.segment
    ? { kind: 'row', body: row.body }
    : { kind: 'row', body: row.body, canonicalId: row.id };
}

function placeOf({ layer, shard }: Candidate<ShardPort>): Place {
  return { layer, shard: shard.name };
}

function flightName({ request, candidate }: Errand): string {
  return `${candidate.shard.name} ${request.cacheKey}`;
}

function notCached(): RequestRefused {
  return new RequestRefused(
    'not-cached',
    'The row is not in the cache, and Cache-Control: only-if-cached was asked for.',
  );
}
