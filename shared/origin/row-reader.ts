/**
 * Reads rows from the origin: one SELECT for all the misses that gather, never one a miss.
 *
 * An id waits until its table's next SELECT is due: at the end of the tick if nothing is in flight and nobody else is
 * expected, else when
 *   - as many wait as were under way at once lately: those who are answered together ask again together, so 100 clients
 *     that each read one cold row after another make one or two SELECTs a round, not one each;
 *   - or the first has waited 20 ms, whatever is in flight;
 *   - or a whole batch waits.
 * A reader after a quiet moment waits for nobody.
 *
 * What can go wrong: the queue is full (OriginUnavailable `origin-overloaded`, at once: an endless queue answers nobody);
 * the server is gone or late; it refuses the statement; the table has changed (its schema is read again, once).
 */
import { codeOf, messageOf, OriginUnavailable } from '../errors/errors.ts';
import { sqlLiteral } from '../key/key-part.ts';
import { parseRowId, type RowId, rowIdOfCells } from '../key/row-id.ts';
import { CellMismatch } from '../row/row-json.ts';
import type { ExposedTable } from './exposed-table.ts';
import type { TextResult } from './origin-pool.ts';
import { quoteName } from './table-name.ts';
import { describeTypes, type Queryable, type TableSchema } from './table-schema.ts';

export type OriginRow =
  /** `id` is made of the row's own key cells: it need not be the one that was asked for. */
  | { readonly kind: 'row'; readonly id: RowId; readonly body: Buffer; readonly shape: string }
  | { readonly kind: 'absent' };

export interface RowReaderOptions {
  readonly origin: Queryable;
  /** The most SELECTs that run at once. */
  readonly connections: number;
  readonly batchRowsMax: number;
  /** The most ids that may wait. */
  readonly waitingMax: number;
  /** Reads a table's schema again. */
  readonly reload: (table: ExposedTable) => Promise<void>;
  readonly onRead?: (table: ExposedTable, rowsAsked: number, seconds: number) => void;
}

/** The longest that an id waits for company, in ms. */
const COMPANY_WAIT_MS_MAX = 20;
/** Between the starts of two SELECTs on a table, in ms, unless a whole batch waits. */
const SELECT_SPACING_MS = 5;
/** "Lately": how fast the memory of a crowd fades (to 1/e), in ms. */
const CROWD_MEMORY_MS = 100;

interface Asked {
  readonly id: RowId;
  readonly resolve: (row: OriginRow) => void;
  readonly reject: (error: Error) => void;
  readonly answer: Promise<OriginRow>;
}

interface Gathering {
  readonly asked: Map<string, Asked>;
  /** SELECTs under way, and the ids in them. */
  inFlight: number;
  inFlightIds: number;
  /** The most ids that were under way at once: as of the last SELECT's start, fading since. */
  crowd: number;
  startedAt: number;
  /** When the first of those who wait came. */
  firstCameAt: number;
  looksAtEndOfTick: boolean;
  /** Looks again while anybody waits. */
  timer: NodeJS.Timeout | undefined;
}

export class RowReader {
  readonly #options: RowReaderOptions;
  readonly #gathering = new Map<ExposedTable, Gathering>();
  #waiting = 0;
  #running = 0;

  constructor(options: RowReaderOptions) {
    this.#options = options;
  }

  /** How many ids wait for a connection. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The read begins after this call. Throws OriginUnavailable, RequestRefused (if the key's type has changed). */
  read(table: ExposedTable, id: RowId): Promise<OriginRow> {
    const gathering = this.#gatheringOf(table);
    const same = gathering.asked.get(id.segment);
    if (same !== undefined) return same.answer;
    if (this.#waiting >= this.#options.waitingMax) {
      const detail = `${this.#waiting} reads already wait for MySQL (origin.waitingMax).`;
      return Promise.reject(new OriginUnavailable('origin-overloaded', detail));
    }
    const { promise, resolve, reject } = Promise.withResolvers<OriginRow>();
    if (gathering.asked.size === 0) gathering.firstCameAt = performance.now();
    gathering.asked.set(id.segment, { id, resolve, reject, answer: promise });
    this.#waiting += 1;
    this.#lookAtEndOfTick(table, gathering);
    return promise;
  }

  #gatheringOf(table: ExposedTable): Gathering {
    let gathering = this.#gathering.get(table);
    if (gathering === undefined) {
      gathering = {
        asked: new Map(),
        inFlight: 0,
        inFlightIds: 0,
        crowd: 0,
        startedAt: -Infinity,
        firstCameAt: 0,
        looksAtEndOfTick: false,
        timer: undefined,
      };
      this.#gathering.set(table, gathering);
    }
    return gathering;
  }

  #lookAtEndOfTick(table: ExposedTable, gathering: Gathering): void {
    if (gathering.looksAtEndOfTick) return;
    gathering.looksAtEndOfTick = true;
    setImmediate(() => {
      gathering.looksAtEndOfTick = false;
      this.#startIfDue(table, gathering);
    });
  }

  #startIfDue(table: ExposedTable, gathering: Gathering): void {
    clearTimeout(gathering.timer);
    if (gathering.asked.size === 0) return;
    if (this.#running < this.#options.connections && this.#isDue(gathering)) this.#start(table, gathering);
    if (gathering.asked.size === 0) return;
    gathering.timer = setTimeout(() => this.#startIfDue(table, gathering), SELECT_SPACING_MS);
  }

  #isDue(gathering: Gathering): boolean {
    const now = performance.now();
    if (gathering.asked.size >= this.#options.batchRowsMax) return true;
    if (now - gathering.firstCameAt >= COMPANY_WAIT_MS_MAX) return true;
    if (gathering.inFlight > 0 || now - gathering.startedAt < SELECT_SPACING_MS) return false;
    return gathering.asked.size >= Math.floor(crowdNow(gathering, now));
  }

  #start(table: ExposedTable, gathering: Gathering): void {
    const now = performance.now();
    gathering.crowd = Math.max(crowdNow(gathering, now), gathering.inFlightIds + gathering.asked.size);
    gathering.startedAt = now;
    const batch = [...gathering.asked.values()].slice(0, this.#options.batchRowsMax);
    for (const { id } of batch) gathering.asked.delete(id.segment);
    this.#waiting -= batch.length;
    this.#running += 1;
    gathering.inFlight += 1;
    gathering.inFlightIds += batch.length;
    void this.#answer(table, batch).finally(() => {
      this.#running -= 1;
      gathering.inFlight -= 1;
      gathering.inFlightIds -= batch.length;
      // A connection is free again: others may have waited for it.
      for (const [other, itsGathering] of this.#gathering) this.#startIfDue(other, itsGathering);
    });
  }

  /** Settles every read of the batch; never rejects. */
  async #answer(table: ExposedTable, batch: readonly Asked[]): Promise<void> {
    try {
      const ids = batch.map((asked) => asked.id);
      const found = await this.#readAgainIfChanged(table, ids);
      for (const asked of batch) asked.resolve(found.get(asked.id.segment) ?? { kind: 'absent' });
    } catch (error) {
      const [first, ...others] = batch;
      if (first !== undefined && others.length === 0 && UNREPRESENTABLE.has(codeOf(error) ?? '')) {
        first.resolve({ kind: 'absent' });
        return;
      }
      if (error instanceof OriginUnavailable || batch.length === 1) {
        for (const asked of batch) asked.reject(asRefusal(error));
        return;
      }
      // One id that the server will not take must not fail its neighbours.
      for (const asked of batch) await this.#answer(table, [asked]);
    }
  }

  async #readAgainIfChanged(table: ExposedTable, ids: readonly RowId[]): Promise<Map<string, OriginRow>> {
    try {
      return await this.#readBatch(table, ids);
    } catch (error) {
      if (!(error instanceof CellMismatch) && codeOf(error) !== 'ER_BAD_FIELD_ERROR') throw error;
      await this.#options.reload(table);
      const reparsed = ids.map((id) => parseRowId(table.schema.key, id.segment));
      return this.#readBatch(table, reparsed);
    }
  }

  async #readBatch(table: ExposedTable, ids: readonly RowId[]): Promise<Map<string, OriginRow>> {
    const { schema } = table;
    const found = new Map<string, OriginRow>();
    for (const row of await this.#select(table, schema, ids)) {
      // The server found it under this id, however it spells it itself.
      const askedAs = ids.length === 1 ? (ids[0] as RowId) : row.id;
      found.set(askedAs.segment, row);
    }
    if (ids.length > 1 && schema.key.some(({ type }) => type.kind === 'text' && !type.bytewise)) {
      // Not found by its bytes: absent, or known to the server under another spelling. Only a read of its own can tell.
      for (const id of ids) {
        if (found.has(id.segment)) continue;
        const [row] = await this.#select(table, schema, [id]);
        if (row !== undefined) found.set(id.segment, row);
      }
    }
    return found;
  }

  async #select(table: ExposedTable, schema: TableSchema, ids: readonly RowId[]): Promise<(OriginRow & { kind: 'row' })[]> {
    const started = performance.now();
    const result = await this.#options.origin.query(`${schema.select} WHERE ${whereIds(schema, ids)}`);
    this.#options.onRead?.(table, ids.length, (performance.now() - started) / 1000);
    requireSameTypes(schema, result);
    return result.rows.map((cells) => ({
      kind: 'row',
      id: rowIdOfCells(schema.key, schema.keyAt.map((at) => cells[at] as Buffer)),
      body: schema.encoder.encode(cells),
      shape: schema.shape,
    }));
  }
}

function crowdNow({ crowd, startedAt }: Gathering, now: number): number {
  return crowd * Math.exp((startedAt - now) / CROWD_MEMORY_MS);
}

/** Nothing of a client's is in here but literals, made of digits and hex. */
export function whereIds(schema: TableSchema, ids: readonly RowId[]): string {
  const literal = (id: RowId, part: number) => sqlLiteral((schema.key[part] as (typeof schema.key)[number]).type, id.parts[part] as string);
  const [first, ...more] = schema.key;
  if (first !== undefined && more.length === 0) {
    return `${quoteName(first.column)} IN (${ids.map((id) => literal(id, 0)).join(', ')})`;
  }
  // Of equalities, not of row constructors: MariaDB uses no index range for (a, b) IN ((1, 2), …).
  return ids
    .map((id) => `(${schema.key.map((part, index) => `${quoteName(part.column)} = ${literal(id, index)}`).join(' AND ')})`)
    .join(' OR ');
}

function requireSameTypes(schema: TableSchema, result: TextResult): void {
  if (describeTypes(result) === schema.resultTypes) return;
  throw new CellMismatch(schema.columns.map((column) => column.name).join(), 'known set of types');
}

/**
 * "Illegal mix of collations": a text with characters that the key column's character set does not have, such as 日 under
 * latin1. No row can have it. (The server refuses rather than converting the column, so nothing was scanned.)
 */
const UNREPRESENTABLE = new Set(['ER_CANT_AGGREGATE_2COLLATIONS', 'ER_CANT_AGGREGATE_3COLLATIONS', 'ER_CANT_AGGREGATE_NCOLLATIONS']);

function asRefusal(error: unknown): Error {
  // Still another table than we know after its schema was read again: it cannot be used any more, or changes all the time.
  const refused = error instanceof CellMismatch || codeOf(error)?.startsWith('ER_') === true;
  if (error instanceof Error && !refused) return error;
  return new OriginUnavailable('origin-refused', `MySQL refused the read: ${messageOf(error)}.`, { cause: error });
}
