/** Items (bench/harness/items.ts) by the million: MySQL makes them itself. */
import type { Pool } from 'mysql2/promise';
import { itemJson, NOTE } from '../harness/items.ts';
import { numbersSql } from '../harness/numbers.ts';

/** Of one transaction. */
const ROWS_A_STATEMENT = 100_000;

/** Rows 1 to `count`, each of so many bytes of JSON. */
export async function createManyItems(
  admin: Pool,
  table: string,
  count: number,
  bytes: number,
  signal: AbortSignal,
): Promise<void> {
  await admin.query(
    `CREATE TABLE ${table} (id INT PRIMARY KEY, price DECIMAL(10,2) NOT NULL, stock INT NOT NULL, ` +
      'note VARCHAR(4000) NOT NULL) ENGINE = InnoDB',
  );
  const withoutIdAndNote = itemJson(1, () => 0).length - '1'.length;
  const note = `LEFT(REPEAT('${NOTE}', ${Math.ceil(bytes / NOTE.length)}), GREATEST(0, ${bytes - withoutIdAndNote} - LENGTH(id)))`;
  for (let first = 1; first <= count; first += ROWS_A_STATEMENT) {
    signal.throwIfAborted();
    const length = Math.min(ROWS_A_STATEMENT, count - first + 1);
    await admin.query(
      `INSERT INTO ${table} SELECT id, CONCAT(id % 10, '.50'), id % 10, ${note} FROM ${numbersSql(first, length)} ORDER BY id`,
    );
  }
}
