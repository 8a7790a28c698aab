/**
 * The request's journey for a mirrored table: Redis has every row, or the shard does not claim that it has.
 *
 *     candidates of the table's route -> the row and the stamp in one transaction; next copy if the shard is down or silent
 *        the row, and it counts               -> reply                              hit
 *        no row, and the shard is complete    -> "no such row"                      hit
 *        no row, and it is not complete, or something that cannot be judged         -> next copy
 *     no shard vouches: what the table's onSyncLost says of those that did until lately
 *     nobody knows: what its onIncomplete says                                      503, or the origin, unstored
 *
 * MySQL is not read otherwise, whatever the request's Cache-Control asks for: what the shards say is the latest word.
 * Throws RequestRefused `mirror-unavailable`, `sync-lost`, `row-too-large`, `write-not-applied`; OriginUnavailable.
 */
import { decodeMirrorEntry } from '../../shared/entry/mirror-entry.ts';
import { TaggedBody } from '../../shared/entry/tagged-body.ts';
import { RequestRefused, ShardUnavailable } from '../../shared/errors/errors.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { Candidate } from '../../shared/ring/layers.ts';
import { EVERY_LAYER } from '../../shared/ring/route.ts';
import type { ShardRead } from '../../shared/shard/read-batch.ts';
import type { HashReply } from '../../shared/shard/replies.ts';
import { floorOf, isComplete, isTrusted, type Stamp } from '../../shared/stamp/stamp.ts';
import { includes, readAfterWrite, standingIn } from './after-write.ts';
import { type Answer, foundAs, type Found, placeOf } from './answer.ts';
import type { Ports } from './ports.ts';
import type { ShardPort } from './shard-port.ts';
import type { RowRequest } from './row-request.ts';
import { type SilentBecause, type Trust, trustOfSilent } from './trust.ts';

/** Why a shard does not answer for a row. */
type Unknowing =
  | 'down'
  | SilentBecause
  /** It is not known whether all rows that belong there are there. */
  | 'incomplete'
  /** There is a row, and it is larger than `rowBytesMax`. */
  | 'too-large'
  /** It was written for other columns than ours. */
  | 'other-shape'
  /** What lies under the key is not of ours. */
  | 'unreadable'
  /** The client's own write has not been applied there. */
  | 'write-not-applied';

type Word = { readonly found: Found } | { readonly unknowing: Unknowing };

/** A shard that has not heard of the changes lately, and what it had to say until then. */
interface Lost {
  readonly candidate: Candidate<ShardPort>;
  readonly trust: Trust & { readonly kind: 'until-lost' };
  readonly word: Word;
}

export async function readMirror(ports: Ports, request: RowRequest): Promise<Answer> {
  const { table } = request;
  const first = await askShards(ports, request);
  if ('answer' in first) return first.answer;
  const isOutdated = [...first.reasons.values()].some(
    (reason) => reason === 'other-shape' || reason === 'not-followed',
  );
  if (!isOutdated || !(await ports.lookAgain(table))) return withoutShards(ports, request, first.reasons);
  const second = await askShards(ports, request);
  return 'answer' in second ? second.answer : withoutShards(ports, request, second.reasons);
}

type Asked = { readonly answer: Answer } | { readonly reasons: ReadonlyMap<string, Unknowing> };

async function askShards(ports: Ports, request: RowRequest): Promise<Asked> {
  const { table, cacheKey, terms } = request;
  const reasons = new Map<string, Unknowing>();
  const lost: Lost[] = [];
  for (const candidate of ports.layers.routed(request.place, table.settings.mirrored ?? EVERY_LAYER)) {
    const { shard } = candidate;
    try {
      const read = await readAfterWrite(ports, request, candidate, () => shard.readMirrored(cacheKey));
      const standing = standingIn(ports, request, candidate, read.seen);
      if (standing.kind === 'silent') {
        reasons.set(shard.name, standing.because);
        const trust = trustOfSilent(standing, table, candidate.rings);
        if (trust?.kind === 'until-lost')
          lost.push({ candidate, trust, word: wordOf(request, candidate, read, trust) });
      } else if (terms.after !== undefined && !includes(read.seen, terms.after)) {
        reasons.set(shard.name, 'write-not-applied');
      } else {
        const word = wordOf(request, candidate, read, standing.trust);
        if ('unknowing' in word && word.unknowing === 'unreadable') {
          ports.onUnreadable('mirror-entry', shard.name, cacheKey);
        }
        if ('found' in word) return { answer: answerOf(ports, candidate, standing.trust, word.found) };
        reasons.set(shard.name, word.unknowing);
      }
    } catch (error) {
      if (!(error instanceof ShardUnavailable)) throw error;
      reasons.set(shard.name, 'down');
    }
  }
  if (table.settings.onSyncLost === 'serve' && terms.after === undefined) {
    for (const { candidate, trust, word } of lost) {
      if ('found' in word) return { answer: answerOf(ports, candidate, trust, word.found) };
    }
  }
  return { reasons };
}

/** What this shard knows of the row. */
function wordOf(
  { table }: RowRequest,
  { rings }: Candidate<ShardPort>,
  { stored }: ShardRead<HashReply>,
  trust: Trust,
): Word {
  if (trust.kind === 'by-ttl') return { unknowing: 'not-followed' };
  const { stamp, floor } = trust;
  const { shape } = table.schema;
  const ofNoRow = (): Word =>
    rings.some((ring) => isCompleteBy(ring, stamp, table))
      ? { found: { kind: 'absent' } }
      : { unknowing: 'incomplete' };
  if (stored === null) return ofNoRow();
  const entry = decodeMirrorEntry(stored);
  if (entry === undefined) return { unknowing: 'unreadable' };
  // Every row that there is has been written since the shard is complete: this one is left over.
  if (!isTrusted({ version: entry.version, exactness: 'exact' }, stamp, floor)) return ofNoRow();
  if (entry.shape !== shape) return { unknowing: 'other-shape' };
  if (entry.kind === 'too-large') return { unknowing: 'too-large' };
  const body = table.schema.encoder.ofTexts(entry.texts);
  return body === undefined ? { unknowing: 'unreadable' } : { found: { kind: 'row', body: new TaggedBody(body) } };
}

function isCompleteBy(ring: string, stamp: Stamp, { followedName, schema }: ExposedTable): boolean {
  const floor = floorOf(stamp, followedName, ring);
  return floor !== undefined && isComplete(stamp, followedName, ring, schema.shape, floor);
}

function answerOf(ports: Ports, candidate: Candidate<ShardPort>, trust: Trust, found: Found): Answer {
  const asOf = trust.kind === 'by-ttl' ? ports.now() : trust.stamp.asOf;
  const ageSeconds = Math.max(0, Math.floor((ports.now() - asOf) / 1000));
  const lost = trust.kind === 'until-lost' ? { syncLost: trust.syncLost } : {};
  return { found, story: { outcome: 'hit', place: placeOf(candidate), ageSeconds, ...lost } };
}

async function withoutShards(
  ports: Ports,
  request: RowRequest,
  reasons: ReadonlyMap<string, Unknowing>,
): Promise<Answer> {
  const { table, id } = request;
  const isLost = [...reasons.values()].some((reason) => SILENT.has(reason));
  const asksOrigin = table.settings.onIncomplete === 'origin' || (isLost && table.settings.onSyncLost === 'origin');
  if (!asksOrigin) throw refusalOf(table, reasons, isLost);
  const row = await ports.origin.read(table, id);
  return { found: foundAs(row, id), story: { outcome: 'unstored', fwd: 'bypass', because: 'mirror-unavailable' } };
}

const SILENT: ReadonlySet<Unknowing> = new Set([
  'no-stamp',
  'not-followed',
  'behind',
  'clock-ahead',
  'went-back',
  'told-again',
]);

function refusalOf(table: ExposedTable, reasons: ReadonlyMap<string, Unknowing>, isLost: boolean): RequestRefused {
  const told = [...reasons].map(([shard, reason]) => `${shard}: ${reason}`).join(', ');
  const all = new Set(reasons.values());
  if (all.has('too-large')) {
    return new RequestRefused('row-too-large', `The row is larger than the mirror keeps (rowBytesMax; ${told}).`);
  }
  if (all.has('write-not-applied')) {
    return new RequestRefused(
      'write-not-applied',
      `The write that Ringfill-After names has not arrived yet (${told}).`,
    );
  }
  if (isLost && all.size === 1 && table.settings.onSyncLost === 'unavailable' && all.has('behind')) {
    return new RequestRefused('sync-lost', `No shard has heard of the changes of ${table.label} lately (${told}).`);
  }
  return new RequestRefused('mirror-unavailable', `No shard can say whether ${table.label} has this row (${told}).`);
}
