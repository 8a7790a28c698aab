/**
 * What really happens in MySQL, through reader and assembler. A cache that knows only the transactions' changes and floors
 * follows along, and must never hold anything else than the tables do.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { pino } from 'pino';
import { parseConfig } from '../../shared/config/load.ts';
import { rowIdOfCells } from '../../shared/key/row-id.ts';
import { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { readTableSchema } from '../../shared/origin/table-schema.ts';
import { comparePositions, type LogPosition } from '../../shared/version/version.ts';
import { Assembler } from '../../sync-worker/capture/assembler/assembler.ts';
import { BinlogReader } from '../../sync-worker/capture/binlog/binlog-reader.ts';
import { viewOf } from '../../sync-worker/capture/binlog/event-table.ts';
import type { Transaction } from '../../sync-worker/capture/assembler/transaction.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const stack = await testStack();
const url = `mysql://root@${stack.mysql.host}:${stack.mysql.port}/`;
const admin = await session();
after(() => admin.end());
await admin.query('CREATE DATABASE assembled');
await admin.query('USE assembled');
await admin.query('CREATE TABLE rows_ (id INT PRIMARY KEY, v VARCHAR(20))');
await admin.query('CREATE TABLE texts (name VARCHAR(20) PRIMARY KEY, v INT)');
await admin.query('CREATE TABLE plain (id INT PRIMARY KEY) ENGINE=MyISAM');

const labels = ['assembled.rows_', 'assembled.texts'];
const config = parseConfig(
  JSON.stringify({
    origin: { url },
    rings: [{ name: 'primary', shards: { r1: 'redis://localhost' } }],
    tables: Object.fromEntries(labels.map((label) => [label, {}])),
  }),
  'test',
);
const origin = new OriginPool({ url, connections: 1, timeoutMs: 10_000, onChange: () => undefined });
after(() => origin.stop());

async function session(): Promise<Connection> {
  const connection = await createConnection(url);
  await connection.query('USE assembled').catch(() => undefined);
  return connection;
}

async function schemaOf(label: string) {
  const outcome = await readTableSchema(origin, label, {});
  assert.ok('schema' in outcome, label);
  return outcome.schema;
}

async function endOfBinlog(): Promise<LogPosition> {
  const ask = (sql: string) => admin.query<RowDataPacket[]>(sql);
  const [rows] = await ask('SHOW MASTER STATUS').catch(() => ask('SHOW BINARY LOG STATUS'));
  return { file: rows[0]?.['File'] as string, position: Number(rows[0]?.['Position']) };
}

const rowsTable = new ExposedTable('assembled.rows_', config, await schemaOf('assembled.rows_'));
const textsTable = new ExposedTable('assembled.texts', config, await schemaOf('assembled.texts'));
const followed = [rowsTable, textsTable];
const ROWS = 'assembled.rows_(id)';
const ALL = followed.map((table) => table.followedName);

/** What one scenario came to. */
interface Seen {
  changes: string[];
  floors: Set<string>;
  transactions: number;
}

class Follower {
  readonly reader: BinlogReader;
  readonly assembler: Assembler;
  readonly #lost: Promise<unknown>;
  /** key -> what is said of it; nothing for "no such row". */
  readonly #cache = new Map<string, string | undefined>();
  #applied: LogPosition;
  #seen: Seen = { changes: [], floors: new Set(), transactions: 0 };

  constructor(from: LogPosition, serverId: number) {
    this.#applied = from;
    const isFollowed = (db: string, table: string) => labels.includes(`${db}.${table}`);
    this.reader = new BinlogReader({
      url,
      serverId,
      from,
      follows: isFollowed,
      bufferBytesMax: 2 ** 24,
      heartbeatMs: 100,
      silenceMs: 20_000,
    });
    this.assembler = new Assembler({
      from,
      tables: { find: (db, table) => followed.find(({ label }) => label === `${db}.${table}`), all: () => followed },
      viewOf,
      spill: { folder: temporaryFolder(), memoryBytesMax: 1_000 },
      log: pino({ level: 'silent' }),
    });
    this.#lost = this.#follow().catch((error: unknown) => error);
  }

  async #follow(): Promise<void> {
    for await (const event of this.reader.events()) {
      const transaction = await this.assembler.take(event);
      if (transaction !== undefined) await this.#apply(transaction);
      this.#applied = this.assembler.passed;
    }
  }

  async #apply(transaction: Transaction): Promise<void> {
    this.#seen.transactions += 1;
    for await (const { op, key, body } of transaction.changes()) {
      this.#seen.changes.push(`${op} ${key.replace('assembled_', '')}`);
      if (op === 'write') this.#cache.set(key, body.toString());
      else if (op === 'absent') this.#cache.set(key, undefined);
      else this.#cache.delete(key);
    }
    transaction.discard();
    // After the changes: a floor covers those of its own transaction.
    for (const { followedName, keyPrefix } of followed) {
      if (!transaction.floors.includes(followedName)) continue;
      this.#seen.floors.add(followedName);
      for (const key of this.#cache.keys()) if (key.startsWith(keyPrefix)) this.#cache.delete(key);
    }
  }

  /** What has happened up to now, once all of it is passed; and nothing that the cache says is untrue. */
  async seen(): Promise<Seen> {
    const end = await endOfBinlog();
    const deadline = Date.now() + 20_000;
    while (comparePositions(this.#applied, end) < 0) {
      const lost = await Promise.race([this.#lost, new Promise((resolve) => setTimeout(resolve, 5))]);
      if (lost !== undefined) throw lost as Error;
      assert.ok(Date.now() < deadline, `at ${JSON.stringify(this.#applied)} of ${JSON.stringify(end)}`);
    }
    const seen = this.#seen;
    this.#seen = { changes: [], floors: new Set(), transactions: 0 };
    await this.#verify();
    return seen;
  }

  async #verify(): Promise<void> {
    const truth = new Map<string, string>();
    for (const table of followed) {
      const { selected, from, keyAt, key, encoder } = table.schema;
      const { rows } = await origin.query(`SELECT ${selected} FROM ${from}`);
      for (const row of rows) {
        const id = rowIdOfCells(
          key,
          keyAt.map((at) => row[at] as Buffer),
        );
        truth.set(table.cacheKey(id), encoder.encode(row).toString());
      }
    }
    for (const [key, said] of this.#cache) assert.equal(said, truth.get(key), key);
  }

  async stop(): Promise<void> {
    await this.reader.stop();
    await this.#lost;
    await this.assembler.discard();
  }
}

const follower = new Follower(await endOfBinlog(), 4_101);
after(() => follower.stop());

/** Runs the statements in a session of their own. */
async function happened(...statements: string[]): Promise<Seen> {
  const connection = await session();
  try {
    for (const sql of statements) await connection.query(sql);
  } finally {
    await connection.end();
  }
  return follower.seen();
}

test('inserts, updates, deletes and a changed key come as they were committed', async () => {
  assert.deepEqual((await happened("INSERT INTO rows_ (id, v) VALUES (1,'a'),(2,'b'),(3,'c')")).changes, [
    'write rows__1',
    'write rows__2',
    'write rows__3',
  ]);
  const { changes, floors } = await happened(
    'BEGIN',
    "UPDATE rows_ SET v = 'A' WHERE id = 1",
    'UPDATE rows_ SET id = 30 WHERE id = 3',
    'DELETE FROM rows_ WHERE id = 2',
    'COMMIT',
  );
  assert.deepEqual(changes, ['write rows__1', 'absent rows__3', 'write rows__30', 'absent rows__2']);
  assert.equal(floors.size, 0);
  // Each takes the key of the next.
  await happened(
    "REPLACE INTO rows_ (id, v) VALUES (1,'a'),(2,'b'),(3,'c')",
    'UPDATE rows_ SET id = id + 1 ORDER BY id DESC',
  );
});

test('a row has the same number in its transaction, whatever else of it is followed', async () => {
  const from = await endOfBinlog();
  await admin.query("REPLACE INTO texts VALUES ('unfollowed', 1)");
  await admin.query('BEGIN');
  await admin.query("REPLACE INTO rows_ (id, v) VALUES (71,'a'),(72,'b')");
  await admin.query("REPLACE INTO texts VALUES ('one', 1), ('two', 2)");
  await admin.query("REPLACE INTO rows_ (id, v) VALUES (73,'c')");
  await admin.query("REPLACE INTO texts VALUES ('three', 3)");
  await admin.query('COMMIT');
  const end = await endOfBinlog();
  const numbers = async (wanted: readonly ExposedTable[], serverId: number) => {
    const find = (db: string, table: string) => wanted.find(({ label }) => label === `${db}.${table}`);
    const follows = (db: string, table: string) => find(db, table) !== undefined;
    const times = { bufferBytesMax: 2 ** 24, heartbeatMs: 100, silenceMs: 20_000 };
    const reader = new BinlogReader({ url, serverId, from, follows, ...times });
    const spill = { folder: temporaryFolder() };
    const log = pino({ level: 'silent' });
    const assembler = new Assembler({ from, tables: { find, all: () => wanted }, viewOf, spill, log });
    const found = new Map<string, number>();
    for await (const event of reader.events()) {
      const transaction = await assembler.take(event);
      for await (const { key, ordinal } of transaction?.changes() ?? []) found.set(key, ordinal);
      if (comparePositions(assembler.passed, end) >= 0) break;
    }
    return found;
  };
  const all = await numbers(followed, 4_102);
  const some = await numbers([textsTable], 4_103);
  const others = await numbers([rowsTable], 4_104);
  assert.deepEqual([some.size, others.size, all.size], [4, 3, 7]);
  assert.deepEqual(new Map([...some, ...others]), all);
  const transaction = [...all].slice(1).map(([, ordinal]) => ordinal);
  assert.deepEqual(
    transaction,
    [...new Set(transaction)].toSorted((a, b) => a - b),
    'each its own, in order',
  );
  await happened('DELETE FROM texts');
});

test('a text’s key that changes by its case alone is another key', async () => {
  const { changes } = await happened(
    "INSERT INTO texts VALUES ('foo', 1)",
    "UPDATE texts SET name = 'Foo'",
    "DELETE FROM texts WHERE name = 'FOO'",
  );
  assert.deepEqual(changes, ['write texts_foo', 'remove texts_foo', 'write texts_Foo', 'remove texts_Foo']);
});

test('what is rolled back never comes, also where another engine’s rows had to be logged', async () => {
  const { changes, floors } = await happened(
    'BEGIN',
    "INSERT INTO rows_ (id, v) VALUES (40,'x')",
    'ROLLBACK',
    'BEGIN',
    "INSERT INTO rows_ (id, v) VALUES (41,'x')",
    'INSERT INTO plain VALUES (41)',
    'ROLLBACK',
    'BEGIN',
    'SAVEPOINT a',
    "INSERT INTO rows_ (id, v) VALUES (42,'x')",
    'INSERT INTO plain VALUES (42)',
    'ROLLBACK TO a',
    "INSERT INTO rows_ (id, v) VALUES (43,'x')",
    'COMMIT',
  );
  assert.deepEqual([changes, [...floors]], [['write rows__43'], []]);
});

test('what was undone up to a savepoint never comes', async () => {
  const { changes, floors } = await happened(
    'BEGIN',
    "INSERT INTO rows_ (id, v) VALUES (50,'x')",
    'SAVEPOINT `Odd``one`',
    "INSERT INTO rows_ (id, v) VALUES (51,'x')",
    'INSERT INTO plain VALUES (51)',
    'rollback /* so */ work to savepoint `odd``ONE`',
    "INSERT INTO rows_ (id, v) VALUES (52,'x')",
    'RELEASE SAVEPOINT `odd``one`',
    'COMMIT',
  );
  assert.deepEqual([changes, [...floors]], [['write rows__50', 'write rows__52'], []]);
});

test('XA changes come with XA COMMIT, also from another session, and never after XA ROLLBACK', async () => {
  const prepared = (xid: string, id: number) => [
    `XA START ${xid}`,
    `INSERT INTO rows_ (id, v) VALUES (${id},'x')`,
    `XA END ${xid}`,
    `XA PREPARE ${xid}`,
  ];
  const before = await endOfBinlog();
  assert.deepEqual((await happened(...prepared("'a','b',7", 60))).changes, []);
  const { passed, restart } = follower.assembler;
  assert.ok(comparePositions(passed, before) > 0);
  assert.deepEqual(restart, before);
  assert.deepEqual((await happened(...prepared("'gone'", 61), "XA ROLLBACK 'gone'")).changes, []);
  const { changes, floors } = await happened("XA COMMIT 'a','b',7");
  assert.deepEqual([changes, [...floors]], [['write rows__60'], []]);
  assert.deepEqual(follower.assembler.restart, follower.assembler.passed);
  const onePhase = [
    "XA START 'c'",
    "INSERT INTO rows_ (id, v) VALUES (62,'x')",
    "XA END 'c'",
    "XA COMMIT 'c' ONE PHASE",
  ];
  assert.deepEqual((await happened(...onePhase)).changes, ['write rows__62']);
  // Empty ones are not logged, or else each would raise every floor.
  const empty = ["XA START 'e'", 'SELECT * FROM rows_', "XA END 'e'", "XA PREPARE 'e'", "XA COMMIT 'e'"];
  assert.equal((await happened(...empty)).floors.size, 0);
});

test('whoever begins to read after XA PREPARE drops everything at its XA COMMIT', async () => {
  await happened("XA START 'l'", "INSERT INTO rows_ (id, v) VALUES (65,'x')", "XA END 'l'", "XA PREPARE 'l'");
  const late = new Follower(await endOfBinlog(), 4_102);
  try {
    await happened("XA COMMIT 'l'");
    const { changes, floors } = await late.seen();
    assert.deepEqual([changes, [...floors]], [[], ALL]);
  } finally {
    await late.stop();
  }
});

test('TRUNCATE and DROP raise the floor of their table, other tables’ DDL and accounts raise none', async () => {
  assert.deepEqual([...(await happened('TRUNCATE TABLE rows_')).floors], [ROWS]);
  const { floors } = await happened(
    'CREATE TABLE other_rows_ AS SELECT * FROM rows_',
    'ALTER TABLE other_rows_ ADD c INT',
    'DROP TABLE other_rows_',
    'CREATE VIEW v AS SELECT * FROM rows_',
    'DROP VIEW v',
    'ANALYZE TABLE rows_',
    'OPTIMIZE TABLE rows_',
    'CREATE USER assembled_user',
    'GRANT SELECT ON rows_ TO assembled_user',
    'DROP USER assembled_user',
    'CREATE TEMPORARY TABLE passing (id INT)',
    'INSERT INTO passing VALUES (1)',
    'DROP TEMPORARY TABLE passing',
  );
  assert.deepEqual([...floors], []);
  const swap = ['CREATE TABLE fresh LIKE rows_', 'RENAME TABLE rows_ TO old, fresh TO rows_', 'DROP TABLE old'];
  assert.deepEqual([...(await happened("INSERT INTO rows_ (id, v) VALUES (1,'a')", ...swap)).floors], [ROWS]);
});

test('ALTER raises the floor; until the schema is read anew rows are removed, and then written', async () => {
  const { floors, changes } = await happened(
    "INSERT INTO rows_ (id, v) VALUES (70,'x')",
    'ALTER TABLE rows_ ADD w INT FIRST, MODIFY v TEXT',
    'UPDATE rows_ SET w = 1',
  );
  assert.deepEqual([changes, [...floors]], [['write rows__70', 'remove rows__70'], [ROWS]]);
  rowsTable.adopt(await schemaOf('assembled.rows_'));
  assert.deepEqual((await happened('UPDATE rows_ SET w = 2')).changes, ['write rows__70']);
  await admin.query('ALTER TABLE rows_ DROP w, MODIFY v VARCHAR(20)');
  rowsTable.adopt(await schemaOf('assembled.rows_'));
  await follower.seen();
});

test('statements without rows raise every floor, and rows around them still come', async () => {
  const { changes, floors } = await happened(
    "INSERT INTO rows_ (id, v) VALUES (80,'x')",
    'SET SESSION binlog_format = STATEMENT',
    'BEGIN',
    "UPDATE rows_ SET v = 'y'",
    'COMMIT',
    'SET SESSION binlog_format = ROW',
    "INSERT INTO rows_ (id, v) VALUES (81,'x')",
  );
  assert.deepEqual(changes, ['write rows__80', 'write rows__81']);
  assert.deepEqual([...floors], ALL);
});

test('rows of which the binlog holds parts only raise their table’s floor', async () => {
  const { changes, floors } = await happened(
    "REPLACE INTO rows_ (id, v) VALUES (90,'x')",
    'SET SESSION binlog_row_image = MINIMAL',
    "UPDATE rows_ SET v = 'y' WHERE id = 90",
    "UPDATE texts SET v = 9 WHERE name = 'nobody'",
  );
  assert.deepEqual(changes, ['write rows__90']);
  assert.deepEqual([...floors], [ROWS]);
});

test('a transaction that does not fit into memory comes whole', async () => {
  const values = Array.from({ length: 5_000 }, (_, index) => `(${1_000 + index},'${'x'.repeat(index % 20)}')`);
  const { changes, transactions } = await happened(`INSERT INTO rows_ (id, v) VALUES ${values.join(',')}`);
  assert.deepEqual(
    changes,
    values.map((_, index) => `write rows__${1_000 + index}`),
  );
  assert.equal(transactions, 1);
});

test('concurrent writers with savepoints, rollbacks and key changes leave nothing untrue', async () => {
  await Promise.all(
    Array.from({ length: 4 }, async (_, writer) => {
      const connection = await session();
      for (let round = 0; round < 60; round += 1) {
        const id = 10_000 + ((writer * 7 + round * 13) % 10);
        const other = id + 10_000;
        try {
          await connection.query('BEGIN');
          await connection.query(`REPLACE INTO rows_ (id, v) VALUES (${id},'${writer}/${round}')`);
          await connection.query('SAVEPOINT s');
          await connection.query(`DELETE FROM rows_ WHERE id = ${other}`);
          await connection.query(`UPDATE rows_ SET id = ${other} WHERE id = ${id}`);
          if (round % 3 === 0) await connection.query(`INSERT IGNORE INTO plain VALUES (${writer * 1_000 + round})`);
          if (round % 2 === 0) await connection.query('ROLLBACK TO s');
          await connection.query(round % 5 === 0 ? 'ROLLBACK' : 'COMMIT');
        } catch {
          // A deadlock.
          await connection.query('ROLLBACK');
        }
      }
      await connection.end();
    }),
  );
  const { changes, floors } = await follower.seen();
  assert.ok(changes.length > 100, `${changes.length} changes`);
  assert.equal(floors.size, 0);
});
