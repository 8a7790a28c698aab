/**
 * Reads rows from the origin: one SELECT for all the misses that gather, never one a miss.
 *
 * Gathering says when a table's next SELECT is due; here is what it reads, and how many run at once.
 *
 * What can go wrong: the queue is full, or does not move (OriginUnavailable `origin-overloaded`: an endless queue answers
 * nobody); the server is gone or late; it refuses the statement; the table has changed (its schema is read again, once).
 */
import { codeOf, messageOf, OriginUnavailable } from '../errors/errors.ts';
import { parseRowId, type RowId } from '../key/row-id.ts';
import { CellMismatch } from '../row/row-json.ts';
import type { ExposedTable } from './exposed-table.ts';
import { Gathering, SELECT_SPACING_MS } from './gathering.ts';
import type { LeaseBase, OriginRow, ReadRows, Wanted } from './row-select.ts';

export interface RowReaderOptions {
  /** Reads a batch of a table that is not followed; of one that is. By segment; what is not found is absent. */
  readonly readPlain: ReadRows;
  readonly readProved?: ReadRows;
  /** The most SELECTs that run at once. */
  readonly connections: number;
  readonly batchRowsMax: number;
  /** The most ids that may wait. */
  readonly waitingMax: number;
  /** The longest that an id may wait for a connection, in ms. */
  readonly waitMsMax: number;
  /** Reads a table's schema again. */
  readonly reload: (table: ExposedTable) => Promise<void>;
  readonly onRead?: (table: ExposedTable, rowsAsked: number, seconds: number) => void;
}

const ABSENT: OriginRow = { kind: 'absent', proof: undefined };

interface Asked {
  readonly id: RowId;
  /** Of those who asked for the row, the newest. */
  base: LeaseBase | undefined;
  readonly resolve: (row: OriginRow) => void;
  readonly reject: (error: Error) => void;
  readonly answer: Promise<OriginRow>;
}

/** A table's reads to be. */
interface Queue {
  readonly table: ExposedTable;
  readonly gathering: Gathering<Asked>;
  looksAtEndOfTick: boolean;
  /** Looks again while anybody waits. */
  timer: NodeJS.Timeout | undefined;
}

export class RowReader {
  readonly #options: RowReaderOptions;
  readonly #queues = new Map<ExposedTable, Queue>();
  #waiting = 0;
  #running = 0;

  constructor(options: RowReaderOptions) {
    this.#options = options;
  }

  /** How many ids wait for a connection. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * The read begins after this call. Throws OriginUnavailable, RequestRefused (if the key's type has changed).
   * @param base what it should be known to include.
   */
  read(table: ExposedTable, id: RowId, base?: LeaseBase): Promise<OriginRow> {
    const queue = this.#queueOf(table);
    const same = queue.gathering.find(id.segment);
    if (same !== undefined) {
      if (base !== undefined && base.to > (same.base?.to ?? '')) same.base = base;
      return same.answer;
    }
    if (this.#waiting >= this.#options.waitingMax) {
      return Promise.reject(overloaded(`${this.#waiting} reads already wait for MySQL (origin.waitingMax).`));
    }
    const { promise, resolve, reject } = Promise.withResolvers<OriginRow>();
    queue.gathering.add(id.segment, { id, base, resolve, reject, answer: promise }, performance.now());
    this.#waiting += 1;
    this.#lookAtEndOfTick(queue);
    return promise;
  }

  #queueOf(table: ExposedTable): Queue {
    let queue = this.#queues.get(table);
    if (queue === undefined) {
      const gathering = new Gathering<Asked>(this.#options.batchRowsMax);
      queue = { table, gathering, looksAtEndOfTick: false, timer: undefined };
      this.#queues.set(table, queue);
    }
    return queue;
  }

  #lookAtEndOfTick(queue: Queue): void {
    if (queue.looksAtEndOfTick) return;
    queue.looksAtEndOfTick = true;
    setImmediate(() => {
      queue.looksAtEndOfTick = false;
      this.#startIfDue(queue);
    });
  }

  #startIfDue(queue: Queue): void {
    clearTimeout(queue.timer);
    const now = performance.now();
    this.#refuseOverdue(queue, now);
    if (this.#running < this.#options.connections && queue.gathering.isDue(now)) this.#start(queue, now);
    if (queue.gathering.size > 0) queue.timer = setTimeout(() => this.#startIfDue(queue), SELECT_SPACING_MS);
  }

  #refuseOverdue({ gathering }: Queue, now: number): void {
    const { waitMsMax } = this.#options;
    const overdue = gathering.dropOlderThan(now - waitMsMax);
    this.#waiting -= overdue.length;
    for (const { reject } of overdue) reject(overloaded(`No connection to MySQL became free within ${waitMsMax} ms.`));
  }

  #start({ table, gathering }: Queue, now: number): void {
    const batch = gathering.depart(now);
    this.#waiting -= batch.length;
    this.#running += 1;
    void this.#answer(table, batch).finally(() => {
      this.#running -= 1;
      gathering.landed(batch.length);
      // A connection is free again, for whoever has waited longest.
      const queues = [...this.#queues.values()].toSorted((a, b) => a.gathering.waitingSince - b.gathering.waitingSince);
      for (const queue of queues) this.#startIfDue(queue);
    });
  }

  /** Settles every read of the batch; never rejects. */
  async #answer(table: ExposedTable, batch: readonly Asked[]): Promise<void> {
    try {
      const found = await this.#readAgainIfChanged(table, batch);
      for (const asked of batch) asked.resolve(found.get(asked.id.segment) ?? ABSENT);
    } catch (error) {
      const [first, ...others] = batch;
      if (first !== undefined && others.length === 0 && UNREPRESENTABLE.has(codeOf(error) ?? '')) {
        first.resolve(ABSENT);
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

  async #readAgainIfChanged(table: ExposedTable, wanted: readonly Wanted[]): Promise<Map<string, OriginRow>> {
    // It may have been mended.
    if (table.unusable?.isKeyless === true) await this.#options.reload(table);
    try {
      return await this.#readBatch(table, wanted);
    } catch (error) {
      if (!(error instanceof CellMismatch) && !CHANGED.has(codeOf(error) ?? '')) throw error;
      await this.#options.reload(table);
      return this.#readBatch(table, wanted);
    }
  }

  async #readBatch(table: ExposedTable, asked: readonly Wanted[]): Promise<Map<string, OriginRow>> {
    const { schema, unusable } = table;
    if (unusable?.isKeyless === true) throw new OriginUnavailable('origin-refused', unusable.reason);
    // The key may be another one than when these were asked for: other columns, other types (ALTER TABLE).
    const wanted = asked.map(({ id, base }) => ({ id: parseRowId(schema.key, id.segment), base }));
    const started = performance.now();
    const { readPlain, readProved } = this.#options;
    const found = await (table.settings.follow && readProved !== undefined ? readProved : readPlain)(schema, wanted);
    this.#options.onRead?.(table, wanted.length, (performance.now() - started) / 1000);
    return found;
  }
}

/** Another table than we know, or a server of another version, which does not take what the last one took. */
const CHANGED = new Set(['ER_BAD_FIELD_ERROR', 'ER_PARSE_ERROR', 'ER_UNKNOWN_SYSTEM_VARIABLE']);

/**
 * "Illegal mix of collations": a text with characters that the key column's character set does not have, such as 日 under
 * latin1. No row can have it. (The server refuses rather than converting the column, so nothing was scanned.)
 */
const UNREPRESENTABLE = new Set([
  'ER_CANT_AGGREGATE_2COLLATIONS',
  'ER_CANT_AGGREGATE_3COLLATIONS',
  'ER_CANT_AGGREGATE_NCOLLATIONS',
]);

function overloaded(detail: string): OriginUnavailable {
  return new OriginUnavailable('origin-overloaded', detail);
}

function asRefusal(error: unknown): Error {
  // Still another table than we know after its schema was read again: it cannot be used any more, or changes all the time.
  const refused = error instanceof CellMismatch || codeOf(error)?.startsWith('ER_') === true;
  if (error instanceof Error && !refused) return error;
  return new OriginUnavailable('origin-refused', `MySQL refused the read: ${messageOf(error)}.`, { cause: error });
}
