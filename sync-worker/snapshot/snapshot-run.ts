/**
 * One snapshot of a mirrored table: every row, in the order of the key, into the shards where it belongs, beside the
 * running stream of changes.
 *
 *     begin the chunk in each shard       from now on the shard notes what is deleted; S0 = its stamp
 *     the next keys                       key-walk.ts
 *     those rows, with proof              each as of F, exactly, and F lies behind S0
 *     write them                          unless the shard has it newer, or deleted it after F; then the progress
 *     … until the table's end             the next chunk is read while this one is written
 *     rows that were locked               asked for again until they can be proved
 *     until the changes have come         that the reads have seen
 *     what is left over is removed        keys that were not written since the snapshot began
 *     complete                            the shard may say "no such row"
 *
 * 1. The row is read as of F.   2. It is changed or deleted; the shard applies that.   3. The row is written as of F: the
 * script sees the newer version, or the note, and lets it be.
 *
 * A shard that goes away goes on later by itself, from where it was; the others are finished. So does one that has lost
 * the last moment (a replica took over), or whose floor has risen above what was written: it is told by the shard.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { OriginUnavailable, ShardUnavailable } from '../../shared/errors/errors.ts';
import type { RowId } from '../../shared/key/row-id.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { cellText } from '../../shared/origin/cells.ts';
import { binlogEndQuery, identityQuery, originIdentity } from '../../shared/origin/origin-identity.ts';
import type { OriginPool, TextResult } from '../../shared/origin/origin-pool.ts';
import { provedRead } from '../../shared/origin/proved-read.ts';
import type { FoundRow, OriginRow, Proof, ReadRows } from '../../shared/origin/row-select.ts';
import type { SqlServer } from '../../shared/origin/server-version.ts';
import type { TableSchema } from '../../shared/origin/table-schema.ts';
import type { Candidate, Layers } from '../../shared/ring/layers.ts';
import { EVERY_LAYER } from '../../shared/ring/route.ts';
import { CellMismatch } from '../../shared/row/row-json.ts';
import type { Shard } from '../../shared/shard/shard.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { epochOf, type LogPosition, versionOf } from '../../shared/version/version.ts';
import { type KeyStep, nextKeys, presentKeys } from './key-walk.ts';
import type { Pace } from './pace.ts';
import {
  type BegunChunk,
  type SnapshotProgress,
  SnapshotLost,
  type SnapshotRow,
  SnapshotShard,
} from './snapshot-shard.ts';
import { tableKeysIn } from './table-keys.ts';

export interface SnapshotOptions {
  readonly table: ExposedTable;
  readonly keyPrefix: string;
  readonly layers: Layers<Shard>;
  /** The shards that are to become complete; by layer, the hash of its ring. */
  readonly targets: readonly Candidate<Shard>[];
  readonly origin: OriginPool;
  readonly server: () => SqlServer;
  readonly pace: Pace;
  /** From the first row on, whatever an earlier one has done. */
  readonly anew: boolean;
  /** How long the table's last rows, which are locked, are waited for; then the run ends, and another goes on. */
  readonly lockedPatienceMs: number;
  readonly signal: AbortSignal;
  /** Told first of all from where it goes on. */
  readonly onProgress: (progress: SnapshotProgress) => void;
  readonly log: Log;
}

/** Why a shard is not complete after a run. */
export interface SnapshotFailure {
  readonly kind:
    | 'down'
    /** No sync worker has told it about the table. */
    | 'not-followed'
    /** Its server may evict rows to make room. */
    | 'evicts'
    /** Another run has taken it over, it has lost something, or what was written counts as absent by now. */
    | 'interrupted'
    /** It has everything but the latest changes. */
    | 'behind'
    /** It is not as far as the others: it is due next. */
    | 'waits-its-turn'
    /** Rows are locked all the time. */
    | 'locked';
  readonly why: string;
}

export interface SnapshotReport {
  /** Those that are complete now. */
  readonly complete: readonly string[];
  readonly failed: ReadonlyMap<string, SnapshotFailure>;
  /** Read by this run; an earlier one may have read others. */
  readonly rows: number;
  readonly removed: number;
}

/** The table has changed; a snapshot of what it was is of no use. */
export class TableChanged extends Error {
  constructor(label: string) {
    super(`${label} has changed`);
    this.name = 'TableChanged';
  }
}

/** Keys in a chunk, and about how many bytes of rows it may hold. */
const CHUNK_KEYS_MAX = 2_000;
const CHUNK_KEYS_MIN = 16;
const CHUNK_KEYS_FIRST = 250;
const CHUNK_BYTES = 4 * 1_048_576;
/** At the pace that is wanted: what was read waits for as long until it is written. */
const CHUNK_SECONDS_MAX = 0.25;
/** Rows in one SELECT, and about how many bytes: it holds their locks for as long as that takes. */
const READ_ROWS_MAX = 500;
const READ_ROWS_FIRST = 32;
const READ_BYTES = 1_048_576;
const READS_AT_ONCE = 2;
/** One that took MySQL too long is cut into so many. */
const READ_ROWS_LESS = 8;
/** Larger ones do not fit into a message of the broker's: capture does not send them either. */
export const ROW_BYTES_MAX = 4 * 1_048_576;
/** How long a locked row is asked for again before the walk goes on without it. */
const LOCKED_WITHIN_MS = 200;
const LOCKED_AGAIN_MS = 10;
const LOCKED_AGAIN_MS_MAX = 1_000;
/** A shard that has yet to hear of what was read is asked again. */
const BEHIND_AGAIN_MS = 50;
/** Then the run ends, and another goes on: nothing has to be read again for it. */
const BEHIND_PATIENCE_MS = 10_000;
/** Rows that are locked all the time; past so many, the walk waits for them. */
const LEFT_OVER_MAX = 500;
const TELL_LOCKED_EVERY_MS = 60_000;

interface Target {
  readonly candidate: Candidate<Shard>;
  readonly snapshot: SnapshotShard;
}

type ExactRow = FoundRow & { readonly proof: Proof & { readonly reaches: { readonly at: LogPosition } } };

export class SnapshotRun {
  readonly #options: SnapshotOptions;
  readonly #schema: TableSchema;
  readonly #readProved: ReadRows;
  readonly #failed = new Map<string, SnapshotFailure>();
  #targets: Target[];
  #rows = 0;
  #removed = 0;
  #meanBytes: number | undefined;
  /** Since a SELECT took too long. */
  #readRowsMax = READ_ROWS_MAX;
  /** Rows that are locked, by segment. The progress names them. */
  #leftOver = new Map<string, RowId>();

  constructor(options: SnapshotOptions) {
    const { table, keyPrefix, layers, origin, server } = options;
    this.#options = options;
    this.#schema = table.schema;
    this.#readProved = provedRead(origin, server, (schema, cells) => schema.encoder.encodeTexts(cells));
    const token = randomUUID();
    const { followedName, schema } = table;
    this.#targets = options.targets.map((candidate) => {
      const { shard, layer } = candidate;
      const rings = layers.layers[layer]?.rings.join(',') as string;
      return { candidate, snapshot: new SnapshotShard({ shard, rings, keyPrefix, followedName, schema, token }) };
    });
  }

  /** Throws OriginUnavailable, TableChanged, KeysUnspeakable, an AbortError; what becomes of one shard is in the report. */
  async run(): Promise<SnapshotReport> {
    const { anew, onProgress } = this.#options;
    const begun = this.#ofOneWalk(await this.#eachTarget((target) => target.snapshot.begin(anew ? 'anew' : 'take')));
    const all = [...begun.values()].map((chunk) => chunk.progress);
    // A shard that is ahead gets some rows again.
    const [from] = all.toSorted((a, b) => a.chunk - b.chunk);
    if (from !== undefined) {
      for (const id of all.flatMap(({ leftOver }) => leftOver)) this.#leftOver.set(id.segment, id);
      onProgress(from);
      const end = await this.#walk(from);
      if (await this.#readLeftOver(end, 0, this.#options.lockedPatienceMs)) {
        await this.#awaitChanges();
        await this.#finish();
      }
    }
    const complete = this.#targets.map(({ candidate }) => candidate.shard.name);
    return { complete, failed: this.#failed, rows: this.#rows, removed: this.#removed };
  }

  /**
   * How far shards have come can be compared only where the same run has brought them there: it counts its own chunks, and
   * they are of any size. The others wait for their turn.
   */
  #ofOneWalk(begun: Map<Target, BegunChunk>): Map<Target, BegunChunk> {
    const comparable = Map.groupBy(begun, ([, { walk, by }]) => `${walk} ${by}`);
    const [largest = []] = [...comparable.values()].toSorted((a, b) => b.length - a.length);
    const chosen = new Map(largest);
    this.#drop((target) => begun.has(target) && !chosen.has(target), {
      kind: 'waits-its-turn',
      why: 'it is not as far as the others',
    });
    return chosen;
  }

  async #walk(from: SnapshotProgress): Promise<SnapshotProgress> {
    const { pace, lockedPatienceMs, signal } = this.#options;
    if (from.isAtEnd) return from;
    let progress = from;
    let keys: Promise<KeyStep> | undefined = this.#nextKeys(from.upTo);
    keys.catch(() => undefined);
    let begun = await this.#begin();
    let writing = Promise.resolve();
    try {
      while (keys !== undefined && this.#targets.length > 0) {
        signal.throwIfAborted();
        const { ids, upTo }: KeyStep = await keys;
        // The keys may be told any time after the snapshot's beginning; the rows only within the chunk.
        keys = upTo && this.#nextKeys(upTo);
        keys?.catch(() => undefined);
        const { rows, locked, originMs } = await this.#read(ids, LOCKED_WITHIN_MS);
        await writing;
        for (const id of locked) this.#leftOver.set(id.segment, id);
        progress = {
          chunk: progress.chunk + 1,
          upTo,
          isAtEnd: upTo === undefined,
          rows: progress.rows + rows.length,
          leftOver: [...this.#leftOver.values()],
        };
        const chunk = begun;
        await pace.took(ids.length, originMs, signal);
        // Before the rows go on their way, which would have to be waited for.
        begun = await this.#begin();
        writing = this.#write(chunk, rows, progress);
        writing.catch(() => undefined);
        if (this.#leftOver.size > LEFT_OVER_MAX) {
          await writing;
          await this.#readLeftOver(progress, LEFT_OVER_MAX / 2, lockedPatienceMs);
          begun = await this.#begin();
        }
      }
    } finally {
      await writing;
    }
    return progress;
  }

  #begin(): Promise<Map<Target, BegunChunk>> {
    return this.#eachTarget((target) => target.snapshot.begin('keep'));
  }

  /**
   * Exactly as of a place, or known not to be there; the others are locked.
   * @returns also how long the origin took, where it was not for locks.
   */
  async #read(
    ids: readonly RowId[],
    withinMs: number,
  ): Promise<{ rows: ExactRow[]; locked: RowId[]; originMs: number | undefined }> {
    const { signal } = this.#options;
    const rows: ExactRow[] = [];
    const startedAt = performance.now();
    const giveUpAt = startedAt + withinMs;
    let asked: readonly RowId[] = ids;
    for (;;) {
      const locked: RowId[] = [];
      let from = 0;
      const readOn = async () => {
        while (from < asked.length) {
          const part = asked.slice(from, from + this.#rowsPerRead());
          from += part.length;
          const found = await this.#readPart(part);
          rows.push(...found.exact);
          locked.push(...found.locked);
        }
      };
      await Promise.all(Array.from({ length: READS_AT_ONCE }, readOn));
      const now = performance.now();
      if (locked.length === 0 || now > giveUpAt) {
        return { rows, locked, originMs: asked === ids && locked.length === 0 ? now - startedAt : undefined };
      }
      asked = locked;
      await sleep(LOCKED_AGAIN_MS, undefined, { signal });
    }
  }

  /** Rows may be far larger than those before; what takes MySQL too long is asked for in smaller parts from then on. */
  async #readPart(ids: readonly RowId[]): Promise<{ exact: ExactRow[]; locked: RowId[] }> {
    const { table } = this.#options;
    if (table.schema.shape !== this.#schema.shape || table.unusable !== undefined) throw new TableChanged(table.label);
    const exact: ExactRow[] = [];
    const locked: RowId[] = [];
    try {
      const found = await this.#readProved(
        this.#schema,
        ids.map((id) => ({ id, base: undefined })),
      );
      for (const id of ids) {
        const row = found.get(id.segment);
        if (row?.kind === 'row' && row.id.segment === id.segment && isExact(row)) exact.push(row);
        else if (isLocked(id, row)) locked.push(id);
      }
    } catch (error) {
      if (error instanceof CellMismatch) throw new TableChanged(table.label);
      const isTooLong = error instanceof OriginUnavailable && error.code === 'origin-timeout' && ids.length > 1;
      if (!isTooLong) throw error;
      const size = Math.ceil(ids.length / READ_ROWS_LESS);
      this.#readRowsMax = Math.min(this.#readRowsMax, size);
      for (let from = 0; from < ids.length; from += size) {
        const part = await this.#readPart(ids.slice(from, from + size));
        exact.push(...part.exact);
        locked.push(...part.locked);
      }
      return { exact, locked };
    }
    const bytes = exact.reduce((sum, { body }) => sum + body.length, 0);
    if (exact.length > 0) this.#meanBytes = bytes / exact.length;
    return { exact, locked };
  }

  #rowsPerRead(): number {
    if (this.#meanBytes === undefined) return READ_ROWS_FIRST;
    return Math.max(1, Math.min(this.#readRowsMax, Math.round(READ_BYTES / Math.max(1, this.#meanBytes))));
  }

  /** What belongs to a shard is told to it alone. A shard that a row cannot be proved for takes no further part. */
  async #write(
    begun: ReadonlyMap<Target, BegunChunk>,
    rows: readonly ExactRow[],
    progress: SnapshotProgress | undefined,
  ): Promise<void> {
    const { table, layers } = this.#options;
    const targets = new Map(this.#targets.map((target) => [target.candidate.shard, target]));
    const parts = new Map(this.#targets.map((target) => [target, [] as SnapshotRow[]]));
    for (const { id, body, proof } of rows) {
      const key = table.cacheKey(id);
      for (const { shard } of layers.routed(key, table.settings.mirrored ?? EVERY_LAYER)) {
        const target = targets.get(shard);
        const chunk = target && begun.get(target);
        if (target === undefined || chunk === undefined) continue;
        if (proof.origin !== chunk.origin) {
          targets.delete(shard);
          this.#drop((one) => one === target, failureOf(new SnapshotLost('early')));
          continue;
        }
        const isKept = body.length <= Math.min(table.settings.rowBytesMax, ROW_BYTES_MAX);
        parts.get(target)?.push({
          key,
          kind: isKept ? 'row' : 'too-large',
          version: versionOf(epochOf(chunk.to), proof.reaches.at),
          texts: isKept ? body : NO_TEXTS,
        });
      }
    }
    this.#rows += rows.length;
    await this.#eachTarget((target) => target.snapshot.write(parts.get(target) ?? [], progress));
    if (progress !== undefined) this.#options.onProgress(progress);
  }

  /**
   * @param downTo so many may stay.
   * @returns false where too many are locked still after so long; those who hold the locks are known to nobody here.
   */
  async #readLeftOver(progress: SnapshotProgress, downTo: number, patienceMs: number): Promise<boolean> {
    const { signal, log, table } = this.#options;
    const startedAt = performance.now();
    let toldAt = startedAt;
    let waitMs = LOCKED_AGAIN_MS;
    while (this.#leftOver.size > downTo && this.#targets.length > 0) {
      signal.throwIfAborted();
      const begun = await this.#begin();
      const { rows, locked } = await this.#read([...this.#leftOver.values()], 0);
      this.#leftOver = new Map(locked.map((id) => [id.segment, id]));
      const done = { ...progress, rows: progress.rows + rows.length, leftOver: locked };
      await this.#write(begun, rows, rows.length > 0 ? done : undefined);
      if (this.#leftOver.size <= downTo) break;
      const now = performance.now();
      if (now - startedAt > patienceMs) {
        this.#drop(() => true, { kind: 'locked', why: `${locked.length} rows are locked by other transactions` });
        return false;
      }
      if (now - toldAt > TELL_LOCKED_EVERY_MS) {
        log.info({ table: table.label, rows: locked.length }, 'a snapshot waits for rows that are locked');
        toldAt = now;
      }
      await sleep(waitMs, undefined, { signal });
      waitMs = Math.min(LOCKED_AGAIN_MS_MAX, waitMs * 2);
    }
    return true;
  }

  /**
   * A row that was not found may have been changed and then deleted since the shard's stamp. Complete before it has heard of
   * that, the shard would say "no such row", then bring the row with the change, and say it again: time would run backward.
   */
  async #awaitChanges(): Promise<void> {
    const { origin, server, signal } = this.#options;
    const [identity, end] = await origin.packet([identityQuery(server()), binlogEndQuery(server())]);
    const [file, position] = end?.rows[0] ?? [];
    const at = { file: cellText(file), position: Number(cellText(position)) };
    const giveUpAt = performance.now() + BEHIND_PATIENCE_MS;
    await this.#eachTarget(async (target) => {
      for (;;) {
        signal.throwIfAborted();
        const chunk = await target.snapshot.begin('keep');
        if (chunk.origin !== originIdentity(identity as TextResult)) throw new SnapshotLost('early');
        if (chunk.to >= versionOf(epochOf(chunk.to), at)) return;
        if (performance.now() > giveUpAt) throw new SnapshotLost('behind');
        await sleep(BEHIND_AGAIN_MS, undefined, { signal });
      }
    });
  }

  /** What is no more goes first; then nothing is missing. */
  async #finish(): Promise<void> {
    const { signal, table } = this.#options;
    await this.#eachTarget(async (target) => {
      let sweeping = Promise.resolve();
      try {
        // The next ones are looked for meanwhile.
        for await (const keys of tableKeysIn(target.candidate.shard, table)) {
          signal.throwIfAborted();
          await sweeping;
          sweeping = this.#sweep(target, keys);
          sweeping.catch(() => undefined);
        }
      } finally {
        await sweeping;
      }
      await target.snapshot.complete();
    });
  }

  /**
   * Where nothing has happened since an earlier snapshot, its rows are as of the same place as ours, and MySQL has to say
   * which of them are no more. One that was there when ours began was read with proof, so that it is visible, or gone by now
   * by a change that comes.
   */
  async #sweep({ snapshot }: Target, keys: readonly string[]): Promise<void> {
    const { origin, table } = this.#options;
    const { removed, unsure } = await snapshot.sweep(keys, 'older');
    this.#removed += removed;
    for (let from = 0; from < unsure.length; from += CHUNK_KEYS_MAX) {
      const asked = new Map(
        unsure.slice(from, from + CHUNK_KEYS_MAX).flatMap((key) => {
          const id = table.rowIdOf(key);
          return id === undefined ? [] : [[key, id] as const];
        }),
      );
      const present = await presentKeys(origin, this.#schema, [...asked.values()]);
      const gone = [...asked].filter(([, { segment }]) => !present.has(segment)).map(([key]) => key);
      if (gone.length === 0) continue;
      const swept = await snapshot.sweep(gone, 'same');
      this.#removed += swept.removed;
    }
  }

  #nextKeys(after: RowId | undefined): Promise<KeyStep> {
    const byBytes = this.#meanBytes === undefined ? CHUNK_KEYS_FIRST : CHUNK_BYTES / Math.max(1, this.#meanBytes);
    const byTime = CHUNK_SECONDS_MAX * this.#options.pace.rowsPerSecondMax;
    const limit = Math.ceil(Math.min(CHUNK_KEYS_MAX, byTime, Math.max(CHUNK_KEYS_MIN, byBytes)));
    return nextKeys(this.#options.origin, this.#schema, after, limit);
  }

  /** A shard that fails takes no further part. */
  async #eachTarget<T>(step: (target: Target) => Promise<T>): Promise<Map<Target, T>> {
    const results = new Map<Target, T>();
    await Promise.all(
      this.#targets.map(async (target) => {
        try {
          results.set(target, await step(target));
        } catch (error) {
          if (!(error instanceof ShardUnavailable) && !(error instanceof SnapshotLost)) throw error;
          this.#drop((one) => one === target, failureOf(error));
        }
      }),
    );
    return results;
  }

  #drop(isMeant: (target: Target) => boolean, failure: SnapshotFailure): void {
    for (const target of this.#targets.filter(isMeant)) this.#failed.set(target.candidate.shard.name, failure);
    this.#targets = this.#targets.filter((target) => !isMeant(target));
  }
}

const NO_TEXTS = Buffer.alloc(0);

function failureOf(error: ShardUnavailable | SnapshotLost): SnapshotFailure {
  if (error instanceof ShardUnavailable) return { kind: 'down', why: error.message };
  const kind = error.why === 'off' ? 'not-followed' : error.why === 'behind' ? 'behind' : 'interrupted';
  return { kind, why: error.message };
}

function isExact(row: FoundRow): row is ExactRow {
  return row.proof?.exactness === 'exact' && 'at' in row.proof.reaches;
}

/**
 * What was found for an id that is no exact row of it. Not locked is one that is proved not to be there; and one whose key
 * has become another spelling of the same (`foo`, `Foo`) since the walk told it: the change that brings that one comes.
 */
function isLocked(id: RowId, found: OriginRow | undefined): boolean {
  if (found?.proof === undefined) return true;
  return found.kind === 'row' && found.id.segment === id.segment;
}
