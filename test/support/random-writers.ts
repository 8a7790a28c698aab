/**
 * Random transactions on a table of `id INT PRIMARY KEY, v VARCHAR, n INT`: rows come, go, change, and change their key;
 * some are rolled back, and some keep their locks for a while.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, PoolConnection } from 'mysql2/promise';
import { codeOf } from '../../shared/errors/errors.ts';
import { seededRandom, type SeededRandom } from '../../stack/demo-data/seeded-random.ts';

export interface RandomWritersOptions {
  readonly mysql: Pool;
  /** `db.table`. */
  readonly table: string;
  readonly writers: number;
  readonly seed: number;
  /** Ids are from 1 to this. */
  readonly idMax: number;
  /** Ids up to this are never deleted, nor given another key: a reader has to find them all the time. */
  readonly keptUpTo?: number;
}

/** Another writer has the row. */
const EXPECTED = new Set(['ER_LOCK_DEADLOCK', 'ER_LOCK_WAIT_TIMEOUT', 'ER_DUP_ENTRY']);
const STATEMENTS_MAX = 4;
const KEEPS_LOCKS_MS_MAX = 40;

export class RandomWriters {
  readonly #options: RandomWritersOptions;
  readonly #running: Promise<void[]>;
  #isOver = false;
  #commits = 0;
  #rollbacks = 0;

  constructor(options: RandomWritersOptions) {
    this.#options = options;
    const { writers, seed } = options;
    this.#running = Promise.all(Array.from({ length: writers }, (_, index) => this.#write(seededRandom(seed + index))));
    this.#running.catch(() => undefined);
  }

  async stop(): Promise<{ readonly commits: number; readonly rollbacks: number }> {
    this.#isOver = true;
    await this.#running;
    return { commits: this.#commits, rollbacks: this.#rollbacks };
  }

  async #write(random: SeededRandom): Promise<void> {
    const connection = await this.#options.mysql.getConnection();
    try {
      await connection.query('SET SESSION innodb_lock_wait_timeout = 1');
      while (!this.#isOver) await this.#transaction(connection, random);
    } finally {
      connection.release();
    }
  }

  async #transaction(connection: PoolConnection, random: SeededRandom): Promise<void> {
    try {
      await connection.query('BEGIN');
      const count = 1 + random.below(STATEMENTS_MAX);
      for (let n = 0; n < count; n += 1) await connection.query(this.#statement(random));
      if (random.below(10) === 0) await sleep(random.below(KEEPS_LOCKS_MS_MAX));
      const isRolledBack = random.below(5) === 0;
      await connection.query(isRolledBack ? 'ROLLBACK' : 'COMMIT');
      if (isRolledBack) this.#rollbacks += 1;
      else this.#commits += 1;
    } catch (error) {
      if (!EXPECTED.has(codeOf(error) ?? '')) throw error;
      await connection.query('ROLLBACK');
    }
  }

  #statement(random: SeededRandom): string {
    const { table, idMax, keptUpTo = 0 } = this.#options;
    const any = 1 + random.below(idMax);
    const notKept = () => keptUpTo + 1 + random.below(idMax - keptUpTo);
    const text = `'${random.below(1_000_000).toString(36)}'`;
    switch (random.below(6)) {
      case 0:
        return `INSERT IGNORE INTO ${table} (id, v, n) VALUES (${notKept()}, ${text}, 0)`;
      case 1:
        return `DELETE FROM ${table} WHERE id = ${notKept()}`;
      case 2:
        return `UPDATE IGNORE ${table} SET id = ${notKept()} WHERE id = ${notKept()}`;
      case 3:
        return `UPDATE ${table} SET v = NULL WHERE id = ${any}`;
      default:
        return `UPDATE ${table} SET v = ${text}, n = n + 1 WHERE id = ${any}`;
    }
  }
}
