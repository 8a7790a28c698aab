/**
 * A key's whole story: where it may lie, what lies there, what that is worth to a request that came now, and what MySQL
 * says. Looks, and changes nothing: no lease is taken, nothing is filled, and what is said here is not remembered as
 * answered.
 *
 * Rows come from the encoder that answers requests, so a column that is denied there is not here either.
 */
import { decodeEntry } from '../../shared/entry/entry.ts';
import { decodeMirrorEntry } from '../../shared/entry/mirror-entry.ts';
import { OriginUnavailable, RequestRefused, ShardUnavailable } from '../../shared/errors/errors.ts';
import { parseRowId } from '../../shared/key/row-id.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import { placeOf } from '../../shared/ring/continuum.ts';
import type { Candidate, Layers } from '../../shared/ring/layers.ts';
import { EVERY_LAYER } from '../../shared/ring/route.ts';
import { floorOf, isComplete, isTrusted } from '../../shared/stamp/stamp.ts';
import type { SeenStamp } from '../../shared/stamp/stamp-reader.ts';
import { standingIn } from '../journey/after-write.ts';
import type { Ports } from '../journey/ports.ts';
import type { ShardPort } from '../journey/shard-port.ts';
import { onAnyTerms, type RowRequest } from '../journey/row-request.ts';
import { lifeOf, type Standing, type Trust, trustOfSilent, usableEntry } from '../journey/trust.ts';
import { mayFollow } from '../journey/vouched.ts';
import type { HeldStory, KeyStory } from '../ui/wire.ts';

/**
 * @param asked a cache key, with or without `keyPrefix`; or `db/table/id`.
 * Throws RequestRefused: `table-not-exposed`, `bad-id`, `bad-encoding`.
 */
export function keyAsked(
  tables: ExposedTables,
  layers: Layers<ShardPort>,
  keyPrefix: string,
  asked: string,
): RowRequest {
  const requestOf = (table: ExposedTable, segment: string): RowRequest =>
    onAnyTerms(table, parseRowId(table.schema.key, segment), layers);
  const [db, name, segment, ...more] = asked.replace(/^\//, '').split('/');
  if (db !== undefined && name !== undefined && segment !== undefined && more.length === 0) {
    const table = tables.find(db, name);
    if (table !== undefined) return requestOf(table, segment);
  }
  for (const key of [asked, keyPrefix + asked]) {
    for (const table of tables.all()) {
      const id = table.rowIdOf(key);
      if (id !== undefined) return requestOf(table, id.segment);
    }
  }
  throw new RequestRefused(
    'table-not-exposed',
    'No exposed table has such a key. Write it as test_users_8, or as test/users/8.',
  );
}

export async function keyStory(ports: Ports, request: RowRequest): Promise<KeyStory> {
  const { table, id, cacheKey } = request;
  const { mode, follow, mirrored } = table.settings;
  // MySQL first: what has changed since then may be seen in a shard, and is not a contradiction for long.
  const origin = await originStory(ports, request);
  const candidates = await Promise.all(
    ports.layers.routed(cacheKey, mirrored ?? EVERY_LAYER).map(async (candidate) => {
      const held = await heldStory(ports, request, candidate);
      return { ...held, agrees: agreement(held, origin) };
    }),
  );
  return {
    key: cacheKey,
    table: table.label,
    id: id.segment,
    mode,
    isFollowed: follow,
    place: placeOf(cacheKey),
    candidates,
    origin,
  };
}

async function originStory(ports: Ports, { table, id }: RowRequest): Promise<KeyStory['origin']> {
  try {
    const row = await ports.origin.read(table, id);
    if (row.kind === 'absent') return { kind: 'absent', id: null, row: null, because: null };
    const own = row.id.segment === id.segment ? null : row.id.segment;
    return { kind: 'row', id: own, row: row.body.toString(), because: null };
  } catch (error) {
    if (!(error instanceof OriginUnavailable)) throw error;
    return { kind: 'unavailable', id: null, row: null, because: error.code };
  }
}

type Held = Omit<HeldStory, 'agrees'>;

function agreement({ kind, row }: Held, origin: KeyStory['origin']): boolean | null {
  if (origin.kind === 'unavailable') return null;
  if (kind === 'row') return row === null ? null : row === origin.row;
  return kind === 'negative' ? origin.kind === 'absent' : null;
}

const NOTHING = {
  version: null,
  exactness: null,
  ageSeconds: null,
  freshSeconds: null,
  ttlSeconds: null,
  row: null,
} as const;

async function heldStory(ports: Ports, request: RowRequest, candidate: Candidate<ShardPort>): Promise<Held> {
  const { shard, layer, ring } = candidate;
  const where = { layer, ring, shard: shard.name, state: shard.condition };
  const isMirrored = request.table.settings.mode === 'mirror';
  try {
    if (shard.state === 'down') throw new ShardUnavailable(shard.name, 'out of use');
    return { ...where, ...(await (isMirrored ? ofMirror : ofCache)(ports, request, candidate)) };
  } catch (error) {
    if (!(error instanceof ShardUnavailable)) throw error;
    return {
      ...where,
      state: shard.condition,
      asOf: null,
      ...NOTHING,
      kind: 'unreached',
      counts: false,
      because: shard.condition,
    };
  }
}

type Content = Omit<Held, 'layer' | 'ring' | 'shard' | 'state'>;

async function ofCache(ports: Ports, request: RowRequest, candidate: Candidate<ShardPort>): Promise<Content> {
  const { table, cacheKey } = request;
  const { stored, seen } = await candidate.shard.read(cacheKey);
  const asOf = asOfOf(seen);
  const standing = standingIn(ports, request, candidate, seen);
  const trust = trustOf(standing, table, candidate.rings);
  const silent = standing.kind === 'silent' ? standing.because : undefined;
  if (stored === null) return { asOf, ...NOTHING, kind: 'none', counts: false, because: silent ?? 'none' };
  const entry = decodeEntry(stored);
  if (entry === undefined) return { asOf, ...NOTHING, kind: 'unreadable', counts: false, because: 'unreadable' };
  const life = lifeOf(entry, table, trust ?? { kind: 'by-ttl' }, ports.now());
  const { version, exactness, ttlSeconds } = entry;
  const why = (): string | undefined => {
    if (trust === undefined) return silent ?? 'not-followed';
    if (entry.shape !== table.schema.shape) return 'other-shape';
    if (usableEntry(stored, table, trust) === undefined) return 'dropped';
    if (!mayFollow(ports, request, candidate, entry, trust)) return 'answered-ahead';
    return life.freshSeconds > 0 ? undefined : 'expired';
  };
  const because = why();
  return {
    asOf,
    kind: entry.kind,
    counts: because === undefined,
    because: because ?? trust?.kind ?? '',
    version,
    exactness,
    ...life,
    ttlSeconds,
    // Of another shape it may have a column that has been denied since.
    row: entry.kind === 'row' && entry.shape === table.schema.shape ? entry.body.toString() : null,
  };
}

async function ofMirror(ports: Ports, request: RowRequest, candidate: Candidate<ShardPort>): Promise<Content> {
  const { table, cacheKey } = request;
  const { stored, seen } = await candidate.shard.readMirrored(cacheKey);
  const asOf = asOfOf(seen);
  const standing = standingIn(ports, request, candidate, seen);
  const trust = trustOf(standing, table, candidate.rings);
  const { shape } = table.schema;
  if (trust === undefined || trust.kind === 'by-ttl') {
    const because = standing.kind === 'silent' ? standing.because : 'not-followed';
    return { asOf, ...NOTHING, kind: stored === null ? 'none' : 'row', counts: false, because };
  }
  const { stamp, floor } = trust;
  const knowsAbsence = candidate.rings.some((ring) => {
    const from = floorOf(stamp, table.followedName, ring);
    return from !== undefined && isComplete(stamp, table.followedName, ring, shape, from);
  });
  const absence: Content = {
    asOf,
    ...NOTHING,
    kind: knowsAbsence ? 'negative' : 'none',
    counts: knowsAbsence,
    because: knowsAbsence ? 'complete' : 'incomplete',
  };
  if (stored === null) return absence;
  const entry = decodeMirrorEntry(stored);
  if (entry === undefined) return { ...absence, kind: 'unreadable', counts: false, because: 'unreadable' };
  const { version } = entry;
  const isReadable = entry.kind === 'row' && entry.shape === shape;
  const row = isReadable ? table.schema.encoder.ofTexts(entry.texts) : undefined;
  const isCounted = isTrusted({ version, exactness: 'exact' }, stamp, floor);
  const why = (): string | undefined => {
    if (!isCounted) return 'dropped';
    if (entry.shape !== shape) return 'other-shape';
    if (entry.kind === 'too-large') return 'too-large';
    return row === undefined ? 'unreadable' : undefined;
  };
  const because = why();
  return {
    asOf,
    ...NOTHING,
    kind: entry.kind,
    counts: because === undefined,
    because: because ?? trust.kind,
    version,
    exactness: 'exact',
    ageSeconds: Math.max(0, Math.floor((ports.now() - stamp.asOf) / 1_000)),
    row: row?.toString() ?? null,
  };
}

/** What a request would go by: of a silent shard, what the table's `onSyncLost` leaves. */
function trustOf(standing: Standing, table: ExposedTable, rings: readonly string[]): Trust | undefined {
  if (standing.kind === 'vouches') return standing.trust;
  return table.settings.onSyncLost === 'serve' ? trustOfSilent(standing, table, rings) : undefined;
}

function asOfOf(seen: SeenStamp | undefined): string | null {
  return seen === undefined ? null : new Date(seen.stamp.asOf).toISOString();
}
