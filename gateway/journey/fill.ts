/**
 * A miss: lease -> origin -> fill, of one row into one shard. What arrives: a row that the shard does not have. What
 * leaves: the origin's word, and whether it was stored, or why not.
 *
 * A followed row is stored only with the proof of what its read includes:
 *   1. The lease notes the shard's stamp, S0.   2. The origin is read, as of F.
 *   3. A change is applied: it takes the lease.  4. The fill is refused without the lease, or if F is below S0.
 * Throws OriginUnavailable; ShardUnavailable only before the origin was asked, so that no row is read twice.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry } from '../../shared/entry/entry.ts';
import { ShardUnavailable } from '../../shared/errors/errors.ts';
import { entryToStore, type StoredEntry, whyUnstorable } from '../../shared/fill/entry-to-store.ts';
import type { LeaseBase, OriginRow } from '../../shared/origin/row-select.ts';
import type { Candidate } from '../../shared/ring/layers.ts';
import type { LeaseOver } from '../../shared/shard/fill-scripts.ts';
import type { FillOutcome, LeaseOutcome } from '../../shared/shard/shard.ts';
import { type Answer, foundAs, foundIn, type ForwardReason, type Found, placeOf, type Unstored } from './answer.ts';
import type { Ports } from './ports.ts';
import type { ShardPort } from './shard-port.ts';
import type { RowRequest } from './row-request.ts';
import { type Trust, usableEntry } from './trust.ts';
import { followedAs, isAhead, noteAnswered, noteFilled, readVouched } from './vouched.ts';

/** One row to be filled into one shard. */
export interface Errand {
  readonly request: RowRequest;
  readonly candidate: Candidate<ShardPort>;
  readonly trust: Trust;
  readonly fwd: ForwardReason;
  readonly over: LeaseOver;
}

/** One at a time in this process: a shard's fill of a row. */
export function flightName({ request, candidate }: Errand): string {
  return `${candidate.shard.name} ${request.cacheKey}`;
}

/** Looking again at a lease that another holds: soon at first, then every so often. */
const LOOK_AGAIN_FIRST_MS = 2;
const LOOK_AGAIN_MS_MAX = 25;

/** @param readBegins is called just before the origin is asked. */
export async function fillUnderLease(ports: Ports, errand: Errand, readBegins: () => void): Promise<Answer> {
  const lease = await leaseOrWait(ports, errand);
  switch (lease.kind) {
    case 'entry': {
      const entry = await lookAgain(ports, errand, lease.stored);
      if (entry !== undefined) return collapsed(errand, foundIn(entry));
      return readUnstored(ports, errand, readBegins, 'lease-busy');
    }
    case 'busy':
      return readUnstored(ports, errand, readBegins, 'lease-busy');
    case 'off':
      return readUnstored(ports, errand, readBegins, 'not-followed');
    case 'lease': {
      readBegins();
      const readAtMs = ports.now();
      const row = await readOrRelease(ports, errand, lease);
      return store(ports, errand, lease, row, readAtMs);
    }
  }
}

/**
 * Someone was faster. A followed shard is not believed by the stamp that was read before the wait: a dump may have been
 * put back meanwhile, and with it this entry.
 */
async function lookAgain(ports: Ports, errand: Errand, stored: Buffer): Promise<Entry | undefined> {
  const { request, candidate, trust } = errand;
  if (trust.kind !== 'by-stamp') return usableEntry(stored, request.table, trust);
  const found = await readVouched(ports, request, candidate);
  if (found !== undefined) noteAnswered(ports, request, candidate, found.entry, found.trust);
  return found?.entry;
}

async function readUnstored(ports: Ports, errand: Errand, readBegins: () => void, because: Unstored): Promise<Answer> {
  readBegins();
  return unstored(errand, await ports.origin.read(errand.request.table, errand.request.id), because);
}

/** Another's lease is waited for: asking again is also looking again, and inherits a lease that was given back. */
async function leaseOrWait(ports: Ports, errand: Errand): Promise<LeaseOutcome> {
  const { table, cacheKey } = errand.request;
  const wanted = {
    followedAs: followedAs(table, errand.trust),
    shape: table.schema.shape,
    leaseTtlMs: ports.leaseTtlMs,
    over: errand.over,
  };
  const giveUpAt = ports.now() + table.settings.leaseWaitMs;
  for (let waitMs = LOOK_AGAIN_FIRST_MS; ; waitMs = Math.min(waitMs * 2, LOOK_AGAIN_MS_MAX)) {
    const outcome = await errand.candidate.shard.lease(cacheKey, wanted);
    if (outcome.kind !== 'busy' || ports.now() >= giveUpAt) return outcome;
    await sleep(waitMs);
  }
}

async function readOrRelease(ports: Ports, errand: Errand, { token, base }: Taken): Promise<OriginRow> {
  const { request, candidate, trust, fwd } = errand;
  // The origin's own word is the primary's; and a replica may be behind what was answered from this shard before.
  const replicaWillDo =
    fwd !== 'request' && request.terms.after === undefined && !isAhead(ports, request, candidate, trust);
  try {
    return await ports.origin.read(request.table, request.id, replicaWillDo ? base : undefined);
  } catch (error) {
    await release(errand, token, 'keep');
    throw error;
  }
}

interface Taken {
  readonly token: string;
  readonly base: LeaseBase | undefined;
}

async function store(
  ports: Ports,
  errand: Errand,
  { token, base }: Taken,
  row: OriginRow,
  readAtMs: number,
): Promise<Answer> {
  const { request, candidate, fwd } = errand;
  const { table, id } = request;
  const reason = whyUnstorable(row, table, id, base);
  if (reason !== undefined) {
    // An entry that was there before is older than this read: left alone, it would be answered with after it.
    await release(errand, token, 'drop');
    return unstored(errand, row, reason);
  }
  const ttlSecondsMax = candidate.layer < table.settings.copies ? Infinity : table.settings.fallbackTtlSeconds;
  const stored = entryToStore(row, table, base, { readAtMs, ttlSecondsMax, random: ports.random });
  const outcome = await fill(errand, token, stored);
  if (outcome !== 'stored') return unstored(errand, row, WHY_UNFILLED[outcome]);
  noteFilled(ports, request, candidate, stored.entry, errand.trust);
  copyOn(ports, request, candidate);
  return { found: foundAs(row, request.id), story: { outcome: 'stored', place: placeOf(candidate), fwd } };
}

/** Into the table's other copies, behind the answer. */
function copyOn(ports: Ports, request: RowRequest, from: Candidate<ShardPort>): void {
  const copies = Math.min(request.table.settings.copies, ports.layers.depth);
  for (let layer = 0; layer < copies; layer += 1) {
    if (layer !== from.layer) ports.copies.start(ports, request, from, ports.layers.owner(request.place, layer));
  }
}

const WHY_UNFILLED: Readonly<Record<Exclude<FillOutcome, 'stored'> | 'refused', Unstored>> = {
  lost: 'lease-lost',
  off: 'not-followed',
  early: 'early',
  older: 'older',
  refused: 'shard-refused',
};

async function fill(errand: Errand, token: string, { entry, keptMs }: StoredEntry): Promise<FillOutcome | 'refused'> {
  const { request, candidate } = errand;
  try {
    return await candidate.shard.fill(request.cacheKey, token, entry, keptMs, followedAs(request.table, errand.trust));
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

export function collapsed({ candidate, fwd }: Errand, found: Found): Answer {
  return { found, story: { outcome: 'collapsed', place: placeOf(candidate), fwd } };
}

export function unstored({ request, candidate, fwd }: Errand, row: OriginRow, because: Unstored): Answer {
  return { found: foundAs(row, request.id), story: { outcome: 'unstored', place: placeOf(candidate), fwd, because } };
}
