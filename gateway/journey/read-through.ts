/**
 * The request's journey: DESIGN.md's first, branch by branch.
 *
 *     candidates -> in this process's memory, by the same rules                     hit, near
 *        one read a shard and tick: the stamp and the entries; next layer if the shard is down or silent
 *        fresh, trusted entry     -> reply                                        hit
 *        another shard has it     -> reply; copied behind it                      hit, there
 *        none                     -> lease -> origin, batched -> fill -> reply    stored, or unstored and why
 *        another holds the lease  -> wait briefly, look again                     collapsed
 *        no shard vouches         -> what the table's onSyncLost says; else
 *        no shard answers         -> origin, behind a bound                       unstored: no-shard, or why it is silent
 *        origin down              -> expired entry within grace                   expired; else OriginUnavailable
 *
 * Throws OriginUnavailable, and RequestRefused `not-cached`, `sync-lost`. A shard's trouble never leaves this file.
 */
import { type EntryHead, freshSeconds } from '../../shared/entry/entry.ts';
import { OriginUnavailable, RequestRefused, ShardUnavailable } from '../../shared/errors/errors.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { Candidate } from '../../shared/ring/layers.ts';
import type { ShardRead } from '../../shared/shard/read-batch.ts';
import type { LeaseOver } from '../../shared/shard/fill-scripts.ts';
import { includes, readAfterWrite, standingIn } from './after-write.ts';
import { type Answer, type ForwardReason, foundAs, foundIn, placeOf } from './answer.ts';
import { findElsewhere } from './elsewhere.ts';
import { collapsed, type Errand, fillUnderLease, flightName, unstored } from './fill.ts';
import { type Held, heldIn, hitWith, nearHit, toldBy } from './hit.ts';
import type { Ports } from './ports.ts';
import type { ShardPort } from './shard-port.ts';
import type { RowRequest } from './row-request.ts';
import { type Life, type Standing, type Trust, trustOfSilent } from './trust.ts';
import { noteAnswered } from './vouched.ts';

/** What was met on the way, for where it ends. */
interface Trail {
  readonly silent: Silent[];
  /** A shard would not let the row be filled. */
  refused?: true;
  /** The first entry that would do if the origin cannot be asked. */
  expired?: Held & { readonly candidate: Candidate<ShardPort> };
}

/** A candidate that has been asked already, and what came of it. */
export type Asked = { readonly candidate: Candidate<ShardPort> } & (
  | { readonly read: ShardRead }
  | { readonly error: Error }
);

export async function readThrough(ports: Ports, request: RowRequest, asked?: Asked): Promise<Answer> {
  const trail: Trail = { silent: [] };
  try {
    return await throughLayers(ports, request, trail, asked);
  } catch (error) {
    // Whoever asked for the origin's own word is not given an entry's instead; and a refusal is the origin's own word.
    const forgiven = error instanceof OriginUnavailable && error.code !== 'origin-refused' && !request.terms.noCache;
    if (!forgiven || trail.expired === undefined) throw error;
    const { found, life, candidate } = trail.expired;
    return { found, story: { outcome: 'expired', ...ages(life, candidate), because: error.code } };
  }
}

async function throughLayers(
  ports: Ports,
  request: RowRequest,
  trail: Trail,
  asked: Asked | undefined,
): Promise<Answer> {
  for (let layer = 0; layer < ports.layers.depth; layer += 1) {
    for (const candidate of ports.layers.owners(request.place, layer)) {
      const wasAsked = candidate === asked?.candidate;
      if (!wasAsked && candidate.shard.state === 'down') continue;
      const near = wasAsked ? undefined : nearHit(ports, request, candidate);
      if (near !== undefined) return near;
      try {
        const read = wasAsked
          ? readOf(asked)
          : await readAfterWrite(ports, request, candidate, () => candidate.shard.read(request.cacheKey));
        const standing = standingIn(ports, request, candidate, read.seen);
        if (standing.kind === 'vouches') {
          return await throughShard(ports, request, candidate, read, standing.trust, trail);
        }
        trail.silent.push({ candidate, read, standing });
      } catch (error) {
        if (!(error instanceof ShardUnavailable)) throw error;
        if (error.kind === 'refused') trail.refused = true;
      }
    }
  }
  return withoutVouching(ports, request, trail);
}

function readOf(asked: Asked): ShardRead {
  if ('error' in asked) throw asked.error;
  return asked.read;
}

/** A shard that answers, and does not vouch for what it holds. */
interface Silent {
  readonly candidate: Candidate<ShardPort>;
  readonly read: ShardRead;
  readonly standing: Standing & { readonly kind: 'silent' };
}

/** Sync is lost, as far as this key goes: the table says what then. */
async function withoutVouching(ports: Ports, request: RowRequest, trail: Trail): Promise<Answer> {
  const { table, terms } = request;
  const { silent } = trail;
  const [first] = silent;
  if (first !== undefined && table.settings.onSyncLost === 'serve') {
    for (const { candidate, read, standing } of silent) {
      const trust = trustOfSilent(standing, table, candidate.rings);
      if (trust === undefined) continue;
      try {
        return await throughShard(ports, request, candidate, read, trust, trail);
      } catch (error) {
        if (!(error instanceof ShardUnavailable)) throw error;
      }
    }
  }
  if (first !== undefined && table.settings.onSyncLost === 'unavailable' && !terms.noCache && !terms.noStore) {
    throw new RequestRefused('sync-lost', `No shard has heard of the changes of ${table.label} lately.`);
  }
  if (terms.onlyIfCached) throw notCached();
  const because = trail.refused === true ? 'shard-refused' : (first?.standing.because ?? 'no-shard');
  const row = await ports.origin.read(table, request.id);
  return { found: foundAs(row, request.id), story: { outcome: 'unstored', fwd: 'bypass', because } };
}

async function throughShard(
  ports: Ports,
  request: RowRequest,
  candidate: Candidate<ShardPort>,
  read: ShardRead,
  trust: Trust,
  trail: Trail,
): Promise<Answer> {
  const { table, terms } = request;
  // A stamp says nothing of tables that are not followed.
  if (terms.after !== undefined && (trust.kind === 'by-ttl' || !includes(read.seen, terms.after))) {
    if (terms.onlyIfCached) throw notCached();
    // Its read must begin now, and no earlier one may be stored after it.
    const errand: Errand = { request, candidate, trust, fwd: 'request', over: 'lease' };
    if (terms.noStore) return unstored(errand, await ports.origin.read(table, request.id), 'no-store');
    return fillUnderLease(ports, errand, () => undefined);
  }
  const told = toldBy(read.stored);
  const held = told && heldIn(ports, request, candidate, told, trust);
  const hit = held && hitWith(ports, request, candidate, held, trust);
  if (hit !== undefined) return hit;
  // An entry that counts no more is not what that means.
  if (read.stored !== null && told === undefined) ports.onUnreadable('entry', candidate.shard.name, request.cacheKey);
  const fwd = whyForward(request, held?.life);
  if (fwd !== 'request') {
    const found = await findElsewhere(ports, request, candidate, trust);
    if (found !== undefined) {
      ports.copies.start(ports, request, found.candidate, candidate);
      noteAnswered(ports, request, found.candidate, found.entry, found.trust);
      return { found: foundIn(found.entry), story: { outcome: 'hit', ...ages(found.life, found.candidate) } };
    }
  }
  if (terms.onlyIfCached) throw notCached();
  if (held !== undefined && isWithinGrace(held, table)) trail.expired ??= { ...held, candidate };
  const over = leaseOver(request, read.stored, held?.entry, fwd, ports.now());
  const errand: Errand = { request, candidate, trust, fwd, over };
  if (terms.noStore) return unstored(errand, await ports.origin.read(table, request.id), 'no-store');
  if (terms.noCache || terms.after !== undefined) return fillUnderLease(ports, errand, () => undefined);

  const { answer, joined } = await ports.flights.join(flightName(errand), (readBegins) =>
    fillUnderLease(ports, errand, readBegins),
  );
  return joined ? collapsed(errand, answer.found) : answer;
}

function whyForward({ terms }: RowRequest, life: Life | undefined): ForwardReason {
  if (terms.noCache || terms.noStore) return 'request';
  if (life === undefined) return 'miss';
  // A fresh entry that was not good enough is older than the client's max-age.
  return life.freshSeconds > 0 ? 'request' : 'stale';
}

function leaseOver(
  { terms }: RowRequest,
  stored: Buffer | null,
  entry: EntryHead | undefined,
  fwd: ForwardReason,
  now: number,
): LeaseOver {
  if (terms.noCache || terms.after !== undefined) return 'lease';
  // Bytes that are no entry of ours are replaced, whatever the script would make of them.
  if (fwd === 'request' || (stored !== null && entry === undefined)) return 'entry';
  // The script knows the entry's own TTL only, and not that it counts for less without sync.
  return entry !== undefined && freshSeconds(entry, now) > 0 ? 'entry' : 'nothing';
}

function isWithinGrace({ entry, life }: Held, table: ExposedTable): boolean {
  return entry.kind === 'row' && life.freshSeconds > -table.settings.graceSeconds;
}

function ages(life: Life, candidate: Candidate<ShardPort>) {
  return { place: placeOf(candidate), ...life };
}

function notCached(): RequestRefused {
  return new RequestRefused(
    'not-cached',
    'The row is not in the cache, and Cache-Control: only-if-cached was asked for.',
  );
}
