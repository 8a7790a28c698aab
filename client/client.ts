import { batchesOf } from './batches.ts';
import { withinBounds } from './bounds.ts';
import { Coalescer } from './coalescer.ts';
import { RingfillError } from './errors.ts';
import { Exchange } from './exchange.ts';
import { KeptRows } from './kept-rows.ts';
import {
  type ClientOptions,
  type ReadOptions,
  type Settings,
  settingsOf,
  termsOf,
  TIMER_MS_MAX,
  within,
} from './options.ts';
import type { Invalidation, KeyStory, Status } from './operations.ts';
import type { Owner, Ring } from './ring.ts';
import { type Id, percentEncode, segmentOf } from './row-id.ts';
import { type RowAnswer, type RowObject, RowReader } from './row-reader.ts';

/** The requests of one `getMany` that run at once, so that a long one leaves connections to the others. */
const BATCHES_AT_ONCE = 4;

/**
 * Reads rows through a ringfill gateway.
 *
 *     const client = new RingfillClient({ url: 'http://127.0.0.1:8080' });
 *     const user = await client.get<User>('test', 'users', 1);
 *     const lines = await client.getMany<Line>('shop', 'order_items', [[1001, 1], [1001, 2]]);
 *     await client.close();
 *
 * Every row handed out is the caller's own, to keep and to change. The type parameter is the caller's word; rows are not
 * checked against it.
 *
 * Calls reject with RingfillError (`code` tells what to do), with TypeError or RangeError for arguments that can never be
 * right, and with the reason of an aborted `signal`. A `code` of a 503 that reaches the caller has outlived the retries.
 */
export class RingfillClient {
  readonly #settings: Settings;
  readonly #exchange: Exchange;
  readonly #rows: RowReader;
  readonly #coalescer: Coalescer | undefined;
  #closed: Promise<void> | undefined;

  /** Throws TypeError or RangeError for options out of bounds. Connects at the first call. */
  constructor(options: ClientOptions) {
    this.#settings = settingsOf(options);
    const { etags, headers, coalesce } = this.#settings;
    this.#exchange = new Exchange(this.#settings);
    this.#rows = new RowReader({
      exchange: this.#exchange,
      kept: etags === false ? undefined : new KeptRows(etags),
      headers,
    });
    this.#coalescer = coalesce ? new Coalescer(this.#rows) : undefined;
  }

  /** The row, or undefined where the table has none with this id. */
  async get<Row extends object = RowObject>(
    db: string,
    table: string,
    id: Id,
    options: ReadOptions = {},
  ): Promise<Row | undefined> {
    if (this.#coalescer === undefined) return (await this.getWithStatus<Row>(db, table, id, options)).row;
    this.#refuseIfClosed();
    const read = {
      tablePath: this.#tablePath(db, table),
      terms: termsOf(options),
      deadlineMs: this.#deadlineMs(options),
    };
    return (await this.#coalescer.get(read, segmentOf(id), options.signal)) as Row | undefined;
  }

  /** The row with the story of its answer. Never coalesced: a list's `Cache-Status` does not tell of one row. */
  async getWithStatus<Row extends object = RowObject>(
    db: string,
    table: string,
    id: Id,
    options: ReadOptions = {},
  ): Promise<RowAnswer<Row>> {
    this.#refuseIfClosed();
    const [tablePath, segment, terms] = [this.#tablePath(db, table), segmentOf(id), termsOf(options)];
    return (await withinBounds({ deadlineMs: this.#deadlineMs(options), signal: options.signal }, (bounds) =>
      this.#rows.readOne(tablePath, segment, terms, bounds),
    )) as RowAnswer<Row>;
  }

  /**
   * The rows in the order of `ids`, undefined where there is none. Any number of ids: they go in requests of at most 1,000,
   * four at once, all within one deadline. The first error is the whole call's. Lists are not kept for their ETags.
   */
  async getMany<Row extends object = RowObject>(
    db: string,
    table: string,
    ids: readonly Id[],
    options: ReadOptions = {},
  ): Promise<(Row | undefined)[]> {
    this.#refuseIfClosed();
    const [tablePath, segments, terms] = [this.#tablePath(db, table), ids.map(segmentOf), termsOf(options)];
    const rows: (object | undefined)[] = Array.from({ length: ids.length });
    const batches = batchesOf(segments, tablePath.length + '?ids='.length);
    await withinBounds({ deadlineMs: this.#deadlineMs(options), signal: options.signal }, async (bounds) => {
      let next = 0;
      const readInTurn = async () => {
        for (let positions = batches[next]; positions !== undefined; positions = batches[next]) {
          next += 1;
          const wanted = positions.map((position) => segments[position] as string);
          try {
            const found = await this.#rows.readMany(tablePath, wanted, terms, bounds);
            for (const [index, position] of positions.entries()) rows[position] = found[index];
          } catch (error) {
            next = batches.length;
            throw error;
          }
        }
      };
      // All are waited for, so that no request goes on unwatched.
      const settled = await Promise.allSettled(Array.from({ length: BATCHES_AT_ONCE }, readInTurn));
      for (const result of settled) if (result.status === 'rejected') throw result.reason;
    });
    return rows as (Row | undefined)[];
  }

  /** For operators: the rings, their shards and the shards' states. */
  async ring(options: Pick<ReadOptions, 'signal' | 'deadlineMs'> = {}): Promise<Ring> {
    return (await this.#document('/-/ring', options)) as Ring;
  }

  /** For operators: which shards a cache key, such as `test_users_1`, belongs to. */
  async owner(key: string, options: Pick<ReadOptions, 'signal' | 'deadlineMs'> = {}): Promise<Owner> {
    return (await this.#document(`/-/ring/owner?key=${percentEncode(key)}`, options)) as Owner;
  }

  /** For operators: the gateway at a glance. */
  async status(options: Pick<ReadOptions, 'signal' | 'deadlineMs'> = {}): Promise<Status> {
    return (await this.#document('/-/status', options)) as Status;
  }

  /** For operators: where a row may lie, and what lies there. Wants a key for the table where the gateway asks for keys. */
  async story(
    db: string,
    table: string,
    id: Id,
    options: Pick<ReadOptions, 'signal' | 'deadlineMs'> = {},
  ): Promise<KeyStory> {
    return (await this.#document(`/-/ring/story?key=${keyOf(db, table, id)}`, options)) as KeyStory;
  }

  /**
   * For operators: takes a cached row out of every shard where it may lie, so that the next request reads it from MySQL.
   * Wants a key made with --admin; ends with `table-is-mirror` for a mirror's row.
   */
  async invalidate(
    db: string,
    table: string,
    id: Id,
    options: Pick<ReadOptions, 'signal' | 'deadlineMs'> = {},
  ): Promise<Invalidation> {
    return (await this.#document(`/-/ring/invalidate?key=${keyOf(db, table, id)}`, options, 'POST')) as Invalidation;
  }

  /** Waits for the calls under way; their failed requests are not tried again. Later calls end with `client-closed`. */
  close(): Promise<void> {
    if (this.#closed === undefined) {
      this.#coalescer?.flush();
      this.#closed = this.#exchange.close();
    }
    return this.#closed;
  }

  async #document(
    path: string,
    options: Pick<ReadOptions, 'signal' | 'deadlineMs'>,
    method?: 'POST',
  ): Promise<unknown> {
    this.#refuseIfClosed();
    const bounded = { deadlineMs: this.#deadlineMs(options), signal: options.signal };
    return withinBounds(bounded, (bounds) => this.#rows.readDocument(this.#settings.basePath + path, bounds, method));
  }

  #tablePath(db: string, table: string): string {
    return `${this.#settings.basePath}/${percentEncode(db)}/${percentEncode(table)}`;
  }

  #deadlineMs({ deadlineMs }: ReadOptions): number {
    return deadlineMs === undefined ? this.#settings.deadlineMs : within('deadlineMs', deadlineMs, 1, TIMER_MS_MAX);
  }

  #refuseIfClosed(): void {
    if (this.#closed !== undefined)
      throw new RingfillError({ code: 'client-closed', detail: 'This client is closed.' });
  }
}

/** The path of a row as one parameter's value. */
function keyOf(db: string, table: string, id: Id): string {
  return percentEncode(`${db}/${table}/${segmentOf(id)}`);
}
