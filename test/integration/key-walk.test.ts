/**
 * The walk through a table's keys (sync-worker/snapshot/key-walk.ts) on a real server: it tells every key that there was
 * when it began, in the binlog's eyes, whatever type the key is of, and however many keys a step has; also those that
 * other transactions have just written or deleted.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createConnection, type Connection } from 'mysql2/promise';
import type { TableConfig } from '../../shared/config/schema.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { provedRead } from '../../shared/origin/proved-read.ts';
import { sqlServerOf } from '../../shared/origin/server-version.ts';
import { readTableSchema, type TableSchema } from '../../shared/origin/table-schema.ts';
import { KeysUnspeakable, nextKeys } from '../../sync-worker/snapshot/key-walk.ts';
import { type RowId, rowIdOfCells } from '../../shared/key/row-id.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { testStack } from '../support/stack.ts';
import { mysqlUrl } from '../support/least-privilege.ts';

const CHUNKS = [1, 7, 1_000];

const stack = await testStack();
const isMariadb = stack.mysql.flavour === 'mariadb';
const client = new MysqlClient(stack);
await client.ownDatabase('walking');
const origin = new OriginPool({
  url: mysqlUrl(stack.mysql),
  connections: 2,
  timeoutMs: 5_000,
  packets: true,
  onChange: () => undefined,
});
after(() => origin.stop());
const { rows: version } = await origin.query('SELECT VERSION()');
const server = sqlServerOf(String(version[0]?.[0]));

async function connect(): Promise<Connection> {
  const connection = await createConnection({ socketPath: stack.mysql.socket, user: 'root', database: 'walking' });
  after(() => connection.end());
  return connection;
}

let names = 0;

async function create(columns: string, values: string, config: TableConfig = {}): Promise<TableSchema> {
  const name = `t${(names += 1)}`;
  await client.run(
    `CREATE TABLE walking.${name} (${columns}) ENGINE=InnoDB; INSERT IGNORE INTO walking.${name} VALUES ${values}`,
  );
  const outcome = await readTableSchema(origin, `walking.${name}`, config);
  if ('problems' in outcome) throw new Error(JSON.stringify(outcome.problems));
  return outcome.schema;
}

/** Every id that is told, in the order in which it is. */
async function walk(schema: TableSchema, limit: number, atStep?: (step: number) => Promise<void>): Promise<RowId[]> {
  const told: RowId[] = [];
  let upTo: RowId | undefined;
  let steps = 0;
  do {
    steps += 1;
    assert.ok(steps < 5_000, 'the walk goes on for ever');
    const step = await nextKeys(origin, schema, upTo, limit);
    told.push(...step.ids);
    upTo = step.upTo;
    await atStep?.(steps);
  } while (upTo !== undefined);
  return told;
}

function segments(ids: readonly RowId[]): string[] {
  return [...new Set(ids.map(({ segment }) => segment))].toSorted();
}

/** By a full scan, in no order of keys. */
async function keysOf({ keyColumns, from, key }: TableSchema): Promise<string[]> {
  const columns = keyColumns.map(({ name }) => `\`${name}\``).join(', ');
  const { rows } = await origin.query(`SELECT ${columns} FROM ${from}`);
  return segments(rows.map((cells) => rowIdOfCells(key, cells as Buffer[])));
}

const texts = [
  "'a'",
  "'B'",
  "'c'",
  "'Ä'",
  "'ä2'",
  "'z'",
  "'é'",
  "'ÿ'",
  "' x'",
  "'x y'",
  "'a,b/c:d%20'",
  "''",
  "'ß'",
  "'0'",
  "'10'",
  "'9'",
];
const list = (values: readonly string[]) => values.map((value) => `(${value})`).join(', ');

const KINDS: readonly [claim: string, columns: string, values: string, config?: TableConfig][] = [
  [
    'INT, negative ones too',
    'id INT PRIMARY KEY',
    list(['-2147483648', '-5', '0', '1', '7', '8', '9', '10', '11', '2147483647']),
  ],
  [
    'BIGINT UNSIGNED',
    'id BIGINT UNSIGNED PRIMARY KEY',
    list(['0', '9007199254740993', '18446744073709551615', '18446744073709551614']),
  ],
  ['DECIMAL', 'id DECIMAL(10,3) PRIMARY KEY', list(['-12.500', '-0.001', '0', '0.010', '9.999', '10', '1234567.891'])],
  ['BIT', 'id BIT(20) PRIMARY KEY', list(['0', '1', '255', '256', '1048575'])],
  ['YEAR', 'id YEAR PRIMARY KEY', list(['0', '1901', '1999', '2155'])],
  [
    'DATE',
    'id DATE PRIMARY KEY',
    list(["'0000-00-00'", "'2024-00-00'", "'1000-01-01'", "'2024-02-29'", "'9999-12-31'"]),
  ],
  [
    'TIME',
    'id TIME(3) PRIMARY KEY',
    list(["'-838:59:59'", "'-00:00:00.001'", "'00:00'", "'100:00:00.5'", "'99:00:00'", "'838:59:59'"]),
  ],
  [
    'DATETIME',
    'id DATETIME(6) PRIMARY KEY',
    list(["'0000-00-00'", "'2024-01-01 00:00:00.000001'", "'2024-01-01'", "'9999-12-31 23:59:59.999999'"]),
  ],
  [
    'TIMESTAMP',
    'id TIMESTAMP(2) PRIMARY KEY DEFAULT 0',
    list(["'1970-01-02'", "'2024-03-31 02:30:00.01'", "'2024-10-27 02:30:00'", "'2024-10-27 02:30:00.5'"]),
  ],
  ['text, by letters', 'id VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY', list(texts)],
  [
    'text, by letters and accents',
    'id VARCHAR(20) COLLATE utf8mb4_unicode_ci PRIMARY KEY',
    list(texts.filter((text) => !["'ß'"].includes(text))),
  ],
  ['text, by bytes, padded', 'id CHAR(20) COLLATE utf8mb4_bin PRIMARY KEY', list([...texts, "'A'", "'b'", "'🎉'"])],
  [
    'text, latin1',
    'id VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY',
    list([...texts, "'Å'", "'ö'", "'€'", "'y'", "'ü'"].filter((text) => !["'é'", "'ÿ'"].includes(text))),
  ],
  [
    'text, latin1 by German rules',
    'id VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german1_ci PRIMARY KEY',
    list(["'a'", "'b'", "'o'", "'öz'", "'oz1'", "'ü'", "'v'", "'ß'", "'t'"]),
  ],
  [
    'text, cp1251',
    'id VARCHAR(20) CHARACTER SET cp1251 PRIMARY KEY',
    list(["'а'", "'я'", "'Ж'", "'ё1'", "'е'", "'z'", "'Z1'"]),
  ],
  ['text, utf16', 'id VARCHAR(20) CHARACTER SET utf16 PRIMARY KEY', list(["'a'", "'b1'", "'Ж'", "'z'", "'🎉'"])],
  [
    'BINARY',
    'id BINARY(3) PRIMARY KEY',
    list(["X'000000'", "X'0000ff'", "X'7f8081'", "X'ffffff'", "X'202020'", "X'61'"]),
  ],
  [
    'VARBINARY',
    'id VARBINARY(9) PRIMARY KEY',
    list(["X''", "X'00'", "X'0000'", "X'61'", "X'6100'", "X'ff'", "X'2c2f'"]),
  ],
  [
    'two parts',
    'a INT, b VARCHAR(9), PRIMARY KEY (a, b)',
    "(1, 'x'), (1, 'y'), (1, 'Z'), (2, ''), (2, 'a,b'), (-1, 'x'), (10, '0'), (10, '10'), (10, '9')",
  ],
  [
    'two parts, the other way round',
    'a INT, b VARCHAR(9), PRIMARY KEY (a, b)',
    "(1, 'x'), (1, 'y'), (2, 'x'), (3, 'a'), (3, 'y')",
    { key: ['b', 'a'] },
  ],
  [
    'three parts',
    'a DATE, b DECIMAL(4,1), c BINARY(2), PRIMARY KEY (a, b, c)',
    "('2024-01-01', 1.0, 'ab'), ('2024-01-01', 1.0, 'aa'), ('2024-01-01', -1.5, 'ab'), ('2023-12-31', 9.9, 'zz'), ('2024-01-02', 0, 'aa')",
  ],
  [
    'a unique key beside the primary one, and not exposed',
    'id INT PRIMARY KEY, code VARCHAR(9) NOT NULL UNIQUE',
    "(1, 'c'), (2, 'b'), (3, 'a'), (4, 'B2'), (5, '')",
    { key: ['code'], columns: { deny: ['code'] } },
  ],
];

describe('every key is told, once at least, in steps of any size', () => {
  for (const [claim, columns, values, config] of KINDS) {
    test(claim, async () => {
      const schema = await create(columns, values, config);
      const all = await keysOf(schema);
      assert.ok(all.length > 3);
      for (const limit of CHUNKS) assert.deepEqual(segments(await walk(schema, limit)), all, `in steps of ${limit}`);
      // And each finds its row, which tells that the spelling is the one that a client would use.
      const found = await provedRead(origin, () => server)(
        schema,
        (await walk(schema, 1_000)).map((id) => ({ id, base: undefined })),
      );
      const rows = [...found.values()].flatMap((row) => (row.kind === 'row' ? [row.id] : []));
      assert.equal(rows.length, all.length);
      assert.deepEqual(segments(rows), all);
    });
  }

  const newTypes = isMariadb ? { skip: false } : { skip: 'MariaDB has these types' };
  for (const [type, values] of [
    [
      'UUID',
      [
        "'00000000-0000-0000-0000-000000000001'",
        "'ffffffff-ffff-1fff-8fff-ffffffffffff'",
        "'11e8a8a0-0000-1000-8000-000000000001'",
        "'a1e8a8a0-0000-1000-8000-000000000000'",
        "'01e8a8a0-0000-4000-8000-000000000000'",
      ],
    ],
    ['INET6', ["'::'", "'::1'", "'2001:db8::ff00:42:8329'", "'ffff::'", "'::ffff:192.0.2.1'", "'a::b'"]],
  ] as const) {
    test(type, newTypes, async () => {
      const schema = await create(`id ${type} PRIMARY KEY`, list(values));
      const all = await keysOf(schema);
      for (const limit of CHUNKS) assert.deepEqual(segments(await walk(schema, limit)), all, `in steps of ${limit}`);
    });
  }

  test('3,000 keys of two parts, many with the same first one', async () => {
    const values = Array.from({ length: 3_000 }, (_, n) => `(${n % 7}, ${(n * 7_919) % 3_000})`);
    const schema = await create('a INT, b INT, PRIMARY KEY (a, b)', values.join(', '));
    for (const limit of [7, 100, 1_000]) assert.equal(segments(await walk(schema, limit)).length, 3_000);
  });
});

test('keys that no client can ask for are passed over, also at a step’s end', async () => {
  const schema = await create(
    'id VARCHAR(9) PRIMARY KEY',
    "('a'), ('b'), (CONCAT('b', CHAR(0), '1')), (CONCAT('b', CHAR(0), '2')), ('c'), ('d')",
  );
  for (const limit of [3, 4, 1_000]) {
    assert.deepEqual(segments(await walk(schema, limit)), ['a', 'b', 'c', 'd'], `in steps of ${limit}`);
  }
  await assert.rejects(walk(schema, 1), KeysUnspeakable);
});

test('the server goes along the index, and looks at no more keys than it tells', async () => {
  const values = Array.from({ length: 2_000 }, (_, n) => `(${n % 2}, 'k${n}')`);
  const schema = await create('a INT, b VARCHAR(20), PRIMARY KEY (a, b)', values.join(', '));
  const root = await connect();
  const reads = async () => {
    const [rows] = await root.query(
      "SHOW GLOBAL STATUS WHERE Variable_name IN ('Handler_read_key', 'Handler_read_next', 'Handler_read_rnd_next')",
    );
    return (rows as { Variable_name: string; Value: string }[])
      .map(({ Value }) => Number(Value))
      .reduce((a, b) => a + b, 0);
  };
  const startedWith = await reads();
  const told = await walk(schema, 100);
  const took = (await reads()) - startedWith;
  assert.equal(segments(told).length, 2_000);
  // Each step asks twice.
  assert.ok(took < 3 * 2_000, `${took} reads of keys for ${told.length} told`);
});

describe('what others have under way', () => {
  for (const limit of CHUNKS) {
    test(`an INSERT that is not committed, and rows whose DELETE is not, are told in steps of ${limit}`, async () => {
      const schema = await create('id INT PRIMARY KEY', list(Array.from({ length: 60 }, (_, n) => String(n * 10))));
      const [inserts, deletes] = [await connect(), await connect()];
      await inserts.query('BEGIN');
      await inserts.query(`INSERT INTO ${schema.from} VALUES (-1), (5), (595), (1000), (1001)`);
      await deletes.query('BEGIN');
      await deletes.query(`DELETE FROM ${schema.from} WHERE id IN (0, 100, 110, 120, 590)`);
      const told = segments(await walk(schema, limit));
      await Promise.all([inserts.query('ROLLBACK'), deletes.query('ROLLBACK')]);
      const all = await keysOf(schema);
      assert.equal(all.length, 60);
      assert.deepEqual(told, [...all, '-1', '5', '595', '1000', '1001'].toSorted());
    });
  }

  test('the whole table is deleted and rolled back: every key is told', async () => {
    const schema = await create('id INT PRIMARY KEY', list(Array.from({ length: 50 }, (_, n) => String(n))));
    const deletes = await connect();
    await deletes.query('BEGIN');
    await deletes.query(`DELETE FROM ${schema.from}`);
    for (const limit of CHUNKS) assert.equal(segments(await walk(schema, limit)).length, 50);
    await deletes.query('ROLLBACK');
  });

  test('keys that come, go and change amid the walk: those that stay are all told', async () => {
    const ids = Array.from({ length: 400 }, (_, n) => n * 10);
    const schema = await create('id INT PRIMARY KEY', list(ids.map(String)));
    const writer = await connect();
    const told = await walk(schema, 7, async (step) => {
      await writer.query(`INSERT INTO ${schema.from} VALUES (${step * 70 + 3})`);
      // Ahead of the walk, and behind it.
      await writer.query(`UPDATE ${schema.from} SET id = id + 1 WHERE id = ${4_000 - step * 10}`);
      await writer.query(`DELETE FROM ${schema.from} WHERE id = ${step * 10}`);
    });
    const missing = (await keysOf(schema)).filter(
      (id) => ids.includes(Number(id)) && !told.some(({ segment }) => segment === id),
    );
    assert.deepEqual(missing, []);
  });
});
