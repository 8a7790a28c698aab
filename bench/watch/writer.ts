/**
 * Changes rows at a steady rate, and notes each commit in the ledger. A row has one write under way at a time. Writes that
 * could not be sent in time are left out rather than made up for: an origin that was away is not met by a flood.
 */
import { createPool, type Pool, type PoolOptions, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';
import { messageOf } from '../../shared/errors/errors.ts';
import type { Ledger } from './ledger.ts';

export interface WriterOptions {
  readonly origin: PoolOptions;
  /** `db.table`, with `id` and `n`. */
  readonly table: string;
  readonly ledger: Ledger;
  readonly nextRow: () => number;
  readonly perSecond: number;
}

export interface Written {
  readonly commits: number;
  /** Writes of unknown outcome, by what was said of them. */
  readonly failed: Readonly<Record<string, number>>;
}

const CONNECTIONS = 4;
const TICK_MS = 5;
const REASONS_MAX = 20;

export class Writer {
  readonly #options: WriterOptions;
  readonly #pool: Pool;
  readonly #underWay = new Map<number, Promise<void>>();
  readonly #failed = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #dueAt = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#pool = createPool({ ...options.origin, connectionLimit: CONNECTIONS, connectTimeout: 2_000 });
  }

  /** Notes what the rows 1 to this one hold now; for a table that was written before. Throws where a row is not there. */
  async note(rows: number): Promise<void> {
    const { table, ledger } = this.#options;
    const [found] = await this.#pool.query<RowDataPacket[]>(
      `SELECT id, n FROM ${table} WHERE id BETWEEN 1 AND ${rows}`,
    );
    if (found.length < rows) throw new Error(`${table} has ${found.length} of the rows 1 to ${rows}`);
    for (const { id, n } of found) ledger.begin(Number(id), Number(n), performance.now());
  }

  start(): void {
    this.#dueAt = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Settles when no write is under way any more. */
  async stop(): Promise<Written> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay.values());
    await this.#pool.end();
    return { commits: this.#options.ledger.commits, failed: Object.fromEntries(this.#failed) };
  }

  #tick(): void {
    const everyMs = 1_000 / this.#options.perSecond;
    const now = performance.now();
    for (; this.#dueAt <= now; this.#dueAt += everyMs) {
      const id = this.#options.nextRow();
      if (this.#underWay.size >= CONNECTIONS || this.#underWay.has(id)) continue;
      const writing = this.#write(id).finally(() => this.#underWay.delete(id));
      this.#underWay.set(id, writing);
    }
  }

  async #write(id: number): Promise<void> {
    const { ledger, table } = this.#options;
    const n = ledger.issue(id);
    try {
      const [{ affectedRows }] = await this.#pool.query<ResultSetHeader>(
        `UPDATE ${table} SET n = ${n} WHERE id = ${id}`,
      );
      if (affectedRows !== 1) throw new Error(`there is no row ${id} in ${table}`);
      ledger.committed(id, n, performance.now());
    } catch (error) {
      const why = messageOf(error);
      const reason = this.#failed.has(why) || this.#failed.size < REASONS_MAX ? why : 'others';
      this.#failed.set(reason, (this.#failed.get(reason) ?? 0) + 1);
    }
  }
}
