/** How long after its COMMIT a change is answered: rows that nobody else reads or writes, one change each. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool as MysqlPool } from 'mysql2/promise';
import { Pool } from 'undici';
import { counterIn } from '../watch/checker.ts';
import type { Ledger } from '../watch/ledger.ts';

export interface VisibilityOptions {
  readonly url: string;
  /** `db.table`: rows of `id` and `n`. */
  readonly table: string;
  readonly admin: MysqlPool;
  readonly ledger: Ledger;
  /** A change that is not seen by then has failed. ms. */
  readonly withinMs: number;
  readonly signal: AbortSignal;
}

const CONNECTIONS = 16;
const LOOK_EVERY_MS_MIN = 1;
const LOOK_EVERY_MS_MAX = 250;
/** The next look is this part of the time so far away: a figure is longer than the truth by as much, at most. */
const LOOK_AGAIN_AFTER = 0.05;

export class Visibility {
  readonly #options: VisibilityOptions;
  readonly #pool: Pool;
  readonly #path: string;

  constructor(options: VisibilityOptions) {
    this.#options = options;
    this.#pool = new Pool(options.url, { connections: CONNECTIONS });
    this.#path = `/${options.table.replace('.', '/')}`;
  }

  async stop(): Promise<void> {
    await this.#pool.close();
  }

  /**
   * First reads each row, so that it is cached where anything is; then changes one after the other, spread over a time, so that
   * they are of every age by then.
   * @returns ms of each.
   */
  async measure(first: number, count: number, overMs: number): Promise<number[]> {
    const ids = Array.from({ length: count }, (_, index) => first + index);
    await Promise.all(ids.map((id) => this.#counter(id)));
    const startedAt = performance.now();
    return await Promise.all(
      ids.map(async (id, index) => {
        await sleep(startedAt + ((index + 0.5) * overMs) / count - performance.now(), undefined, {
          signal: this.#options.signal,
        });
        return await this.#change(id);
      }),
    );
  }

  /** From a COMMIT at that time until the row is answered with that counter or a higher one. Rejects where it is not. ms. */
  async seen(id: number, n: number, committedAt: number): Promise<number> {
    const { withinMs, signal } = this.#options;
    for (;;) {
      const counter = await this.#counter(id);
      const sinceMs = performance.now() - committedAt;
      if (counter !== undefined && counter >= n) return sinceMs;
      if (sinceMs > withinMs) throw new Error(`a change of row ${id} was not answered within ${withinMs} ms`);
      const pauseMs = Math.max(LOOK_EVERY_MS_MIN, Math.min(LOOK_EVERY_MS_MAX, sinceMs * LOOK_AGAIN_AFTER));
      await sleep(pauseMs, undefined, { signal });
    }
  }

  async #change(id: number): Promise<number> {
    const { admin, table, ledger } = this.#options;
    const n = ledger.issue(id);
    await admin.query(`UPDATE ${table} SET n = ${n} WHERE id = ${id}`);
    const committedAt = performance.now();
    ledger.committed(id, n, committedAt);
    return await this.seen(id, n, committedAt);
  }

  async #counter(id: number): Promise<number | undefined> {
    const { statusCode, body } = await this.#pool.request({ path: `${this.#path}/${id}`, method: 'GET' });
    const text = await body.text();
    return statusCode === 200 ? counterIn(text, id) : undefined;
  }
}
