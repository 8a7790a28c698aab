/**
 * A change and a fill of the same row are the same bytes: what the binlog tells, and what a SELECT gives, each encoded by
 * shared/row. Every demo table (all types at their extremes), every character that the server's character sets know, and
 * random values with a printed seed.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { inspect } from 'node:util';
import { demoTables } from '../../stack/demo-data/demo-tables.ts';
import { seededRandom } from '../../stack/demo-data/seeded-random.ts';
import type { TableConfig } from '../../shared/config/schema.ts';
import { rowIdOfCells } from '../../shared/key/row-id.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { isAtLeast } from '../../shared/origin/server-version.ts';
import { readTableSchema, type TableSchema } from '../../shared/origin/table-schema.ts';
import type { EventCells, EventTable } from '../../sync-worker/capture/binlog/binlog-event.ts';
import { agrees, viewOf } from '../../sync-worker/capture/binlog/event-table.ts';
import { binlogEnd, Following, rootConnection } from '../support/binlog.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { testStack } from '../support/stack.ts';
import { mysqlUrl } from '../support/least-privilege.ts';

const DATABASE = 'binlog_rows';

const seed = Number(process.env['RINGFILL_SEED'] ?? Date.now() % 1_000_000);
const random = seededRandom(seed);
const stack = await testStack();
const client = new MysqlClient(stack);
const { flavour } = stack.mysql;
const [[versionCell = null] = []] = await client.cells(['VERSION()'], '');
const version = String(versionCell);
const isMariadb = flavour === 'mariadb';

await client.ownDatabase(DATABASE);
const connection = await rootConnection(stack.mysql);
await connection.query(`USE ${DATABASE}`);
const origin = new OriginPool({
  url: mysqlUrl(stack.mysql),
  connections: 1,
  timeoutMs: 60_000,
  onChange: () => undefined,
});
const compared = { tables: 0, rows: 0, cells: 0 };

after(async () => {
  await connection.end();
  await origin.stop();
  const { tables, rows, cells } = compared;
  process.stdout.write(
    `binlog-rows: seed ${seed}, ${flavour} ${version}: ${rows} changed rows, ${cells} cells of ${tables} tables\n`,
  );
});

// ---- both ways

/** By id: the body that is stored. */
type Bodies = Map<string, string>;

async function fillsOf(table: string, config: TableConfig): Promise<{ schema: TableSchema; bodies: Bodies }> {
  const outcome = await readTableSchema(origin, `${DATABASE}.${table}`, config);
  assert.ok('schema' in outcome, inspect(outcome));
  const { schema } = outcome;
  const { rows } = await origin.query(`SELECT ${schema.selected} FROM ${schema.from}`);
  return {
    schema,
    bodies: new Map(
      rows.map((cells) => [
        idOf(
          schema,
          schema.keyAt.map((at) => cells[at] ?? null),
        ),
        bodyOf(schema, cells),
      ]),
    ),
  };
}

function idOf(schema: TableSchema, key: EventCells): string {
  return rowIdOfCells(schema.key, key as Buffer[]).segment;
}

function bodyOf(schema: TableSchema, cells: EventCells): string {
  return schema.encoder.encode(cells).toString('utf8');
}

/** Runs the statements, and compares what the binlog tells of them with what can be read before and after. */
async function changesAreFills(table: string, statements: readonly string[], config: TableConfig = {}): Promise<void> {
  const from = await binlogEnd(connection);
  const old = await fillsOf(table, config);
  for (const statement of statements) await connection.query(statement);
  const end = await binlogEnd(connection);
  const following = new Following(stack.mysql, {
    from,
    follows: (db, name) => db === DATABASE && name === table,
  });
  await following.until((event) => event.end.file === end.file && event.end.position >= end.position);
  await following.stop();
  const unreadable = following.events.find((event) => event.kind === 'unreadable');
  assert.equal(unreadable, undefined);

  const { schema, bodies } = await fillsOf(table, config);
  const told: Bodies = new Map(old.bodies);
  let rows = 0;
  for (const event of following.events) {
    if (event.kind !== 'rows') continue;
    assert.ok(
      agrees(event.table, schema, config.columns ?? {}),
      `${table} agrees: ${inspect(differences(event.table, schema))}`,
    );
    const view = viewOf(event.table, schema, config.columns ?? {});
    assert.ok(view?.exposedCells !== undefined);
    for (const { before: past, after: present } of event.rows) {
      if (past !== undefined) {
        const id = idOf(schema, view.keyCells(past));
        assert.equal(bodyOf(schema, view.exposedCells(past)), told.get(id), `${table}/${id} as it was`);
        told.delete(id);
      }
      if (present !== undefined)
        told.set(idOf(schema, view.keyCells(present)), bodyOf(schema, view.exposedCells(present)));
      rows += 1;
    }
  }
  assert.ok(rows > 0, `${table} has changed`);
  assert.deepEqual([...told.keys()].toSorted(), [...bodies.keys()].toSorted());
  for (const [id, body] of bodies) assert.equal(told.get(id), body, `${table}/${id}`);
  compared.tables += 1;
  compared.rows += rows;
  compared.cells += rows * schema.columns.length;
}

/** For the message: the columns that keep the two from agreeing. */
function differences({ columns }: EventTable, schema: TableSchema): unknown[] {
  return schema.columns.flatMap((column) => {
    const found = columns.filter(({ name }) => name === column.name);
    const alone = { ...schema, columns: [column], key: [], keyAt: [] };
    return agrees({ db: '', table: '', columns: found }, alone) ? [] : [{ schema: column, event: found[0] }];
  });
}

async function create(table: string, columns: Readonly<Record<string, string>>): Promise<void> {
  const definition = Object.entries(columns).map(([name, type]) => `\`${name}\` ${type}`);
  await connection.query(
    `CREATE TABLE \`${table}\` (id INT PRIMARY KEY, ${definition.join(', ')}) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`,
  );
}

// ---- the demo's tables

for (const demo of demoTables.filter((table) => table.isSupportedBy?.({ flavour, version }) ?? true)) {
  test(`${demo.name}: an INSERT, an UPDATE and a DELETE of every row tell what a SELECT gives`, async () => {
    const original = `${demo.database}.${demo.name}`;
    await connection.query(`CREATE TABLE ${demo.name} (\n${demo.definition}\n) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`);
    const columns = demo.columns.map((column) => `\`${column}\``).join(', ');
    const config = demo.deny === undefined ? {} : { columns: { deny: [...demo.deny] } };
    const insert = `INSERT INTO ${demo.name} (${columns}) SELECT ${columns} FROM ${original} LIMIT 20000`;
    await changesAreFills(demo.name, [insert], config);
    // The old image is compared with the row as it was read, the new one with the row as it is.
    await connection.query(`ALTER TABLE ${demo.name} ADD COLUMN counted INT NOT NULL DEFAULT 0`);
    await changesAreFills(demo.name, [`UPDATE ${demo.name} SET counted = 1`], config);
    await changesAreFills(demo.name, [`DELETE FROM ${demo.name} LIMIT 5`], config);
  });
}

// ---- characters

test('every character of every character set is told as the server converts it', async () => {
  const found = await client.cells(
    ['CHARACTER_SET_NAME'],
    "FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME <> 'binary' ORDER BY 1",
  );
  const charsets = found.map(([name]) => String(name));
  await create('charsets', Object.fromEntries(charsets.map((name) => [name, `LONGTEXT CHARACTER SET ${name}`])));
  // In two dozen rows all of Unicode's first plane, and some of the others; what a set has not becomes a question mark.
  const chunks = [
    ...points(0x20, 0xd7ff),
    ...points(0xe000, 0xffff),
    ...points(0x1f300, 0x1f6ff),
    ...points(0x20000, 0x20fff),
  ];
  const inserts: string[] = [];
  for (let at = 0; at < chunks.length; at += 4_096) {
    const literal = `_utf8mb4 X'${Buffer.from(String.fromCodePoint(...chunks.slice(at, at + 4_096))).toString('hex')}'`;
    inserts.push(`INSERT INTO charsets VALUES (${at}, ${charsets.map(() => literal).join(', ')})`);
  }
  await changesAreFills('charsets', inserts);
});

test('CHAR, VARCHAR, ENUM and SET in rarer character sets, padded and empty, also with members that are not ASCII', async () => {
  const types = ['CHAR(6)', 'VARCHAR(6)', "ENUM('né','b')", "SET('né','b')"];
  const charsets = ['latin1', 'ucs2', 'utf16', 'utf32', 'utf8mb3', 'latin2', 'gbk', 'cp850', 'macroman'];
  const columns = charsets.flatMap((charset) =>
    types.map((type, index) => [`${charset}_${index}`, `${type} CHARACTER SET ${charset} NULL`] as const),
  );
  await create('choices', Object.fromEntries(columns));
  const values = ["'né'", "'b  '", "''", "'no such'", 'NULL'];
  await changesAreFills(
    'choices',
    values.map((value, id) => `INSERT INTO choices VALUES (${id}, ${columns.map(() => value).join(', ')})`),
  );
});

function points(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

// ---- random values

const RANDOM_ROWS = 300;

const randomColumns: Readonly<Record<string, readonly [type: string, literal: () => string]>> = {
  tiny: ['TINYINT', () => integer(8, true)],
  tiny_u: ['TINYINT UNSIGNED', () => integer(8, false)],
  small: ['SMALLINT', () => integer(16, true)],
  medium: ['MEDIUMINT', () => integer(24, true)],
  medium_u: ['MEDIUMINT UNSIGNED ZEROFILL', () => integer(24, false)],
  plain: ['INT', () => integer(32, true)],
  big: ['BIGINT', () => integer(64, true)],
  big_u: ['BIGINT UNSIGNED ZEROFILL', () => integer(64, false)],
  decimal_1: ['DECIMAL(65,30)', () => decimal(35, 30)],
  decimal_2: ['DECIMAL(20,0)', () => decimal(20, 0)],
  decimal_3: ['DECIMAL(14,14)', () => decimal(0, 14)],
  decimal_4: ['DECIMAL(7,3) UNSIGNED ZEROFILL', () => decimal(4, 3)],
  single: ['FLOAT', () => String(random.bytes(4).readFloatLE()).replace(/NaN|-?Infinity/, '0')],
  twice: ['DOUBLE', () => String(random.bytes(8).readDoubleLE()).replace(/NaN|-?Infinity/, '0')],
  double_rounded: ['DOUBLE(20,2)', () => decimal(18, 4)],
  single_rounded: ['FLOAT(10,3)', () => decimal(5, 5)],
  bits: ['BIT(41)', () => `b'${random.below(2 ** 31).toString(2)}'`],
  year: ['YEAR', () => String(1901 + random.below(255))],
  date: [
    'DATE',
    () => `'${pad(random.below(10_000), 4)}-${pad(1 + random.below(12), 2)}-${pad(1 + random.below(28), 2)}'`,
  ],
  ...Object.fromEntries(
    [0, 1, 2, 3, 4, 5, 6].flatMap((digits) => [
      [`time_${digits}`, [`TIME(${digits})`, () => `'${random.oneOf(['', '-'])}${random.below(839)}:${clock()}'`]],
      [
        `datetime_${digits}`,
        [`DATETIME(${digits})`, () => `'${1 + random.below(9_000)}-02-28 ${random.below(24)}:${clock()}'`],
      ],
      [
        `timestamp_${digits}`,
        [
          `TIMESTAMP(${digits}) NULL`,
          () => `FROM_UNIXTIME(${1 + random.below(2 ** 31 - 2)}.${pad(random.below(1_000_000), 6)})`,
        ],
      ],
    ]),
  ),
  text: ['VARCHAR(300)', () => text()],
  latin1: ['CHAR(40) CHARACTER SET latin1', () => text()],
  binary: ['BINARY(12)', () => hex(12)],
  varbinary: ['VARBINARY(300)', () => hex(300)],
  blob: ['BLOB', () => hex(5_000)],
  json: ['JSON', () => `'${JSON.stringify(document(0)).replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`],
  point: ['POINT', () => `ST_GeomFromText('POINT(${random.below(1e9) / 1e6} ${-random.below(1e9) / 1e7})', 0)`],
};

function integer(bits: number, signed: boolean): string {
  const value = random.bytes(8).readBigUInt64LE() >> BigInt(random.below(bits));
  return String(signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value));
}

function decimal(whole: number, fraction: number): string {
  const digits = (count: number) => Array.from({ length: random.below(count + 1) }, () => random.below(10)).join('');
  return `${random.oneOf(['', '-'])}${digits(whole) || '0'}.${digits(fraction) || '0'}`;
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}

function clock(): string {
  return `${pad(random.below(60), 2)}:${pad(random.below(60), 2)}.${pad(random.below(1_000_000), 6)}`;
}

function hex(bytesMax: number): string {
  const value = random.bytes(random.below(bytesMax + 1));
  return value.length === 0 ? "''" : `X'${value.toString('hex')}'`;
}

function chars(): string {
  const anywhere = () =>
    random.oneOf([
      0x20 + random.below(0x5f),
      0xa0 + random.below(0x60),
      0x400 + random.below(0x100),
      0x4e00 + random.below(0x5000),
      0x1f600 + random.below(0x40),
      random.below(0x20),
    ]);
  return String.fromCodePoint(...Array.from({ length: random.below(40) }, anywhere));
}

function text(): string {
  return `_utf8mb4 X'${Buffer.from(chars()).toString('hex')}'`;
}

function document(depth: number): unknown {
  switch (random.below(depth > 3 ? 5 : 7)) {
    case 0:
      return random.oneOf([null, true, false]);
    case 1:
      return random.bytes(6).readIntLE(0, 6) >> random.below(32);
    case 2: {
      const value = random.bytes(8).readDoubleLE();
      return Number.isFinite(value) ? value : 0.5;
    }
    case 3:
      return (random.below(1e9) - 5e8) / 10 ** random.below(20);
    case 4:
      return chars();
    case 5:
      return Array.from({ length: random.below(5) }, () => document(depth + 1));
    default:
      return Object.fromEntries(Array.from({ length: random.below(5) }, () => [chars(), document(depth + 1)]));
  }
}

test(`random values of every type, seed ${seed}`, async () => {
  const types = Object.entries(randomColumns);
  await create('random', Object.fromEntries(types.map(([name, [type]]) => [name, type])));
  const row = (id: number) =>
    `(${[id, ...types.map(([, [, literal]]) => (random.below(12) === 0 ? 'NULL' : literal()))].join(', ')})`;
  const rows = Array.from({ length: RANDOM_ROWS }, (_, id) => row(id));
  const names = types.map(([name]) => `\`${name}\` = VALUES(\`${name}\`)`).join(', ');
  const again = Array.from({ length: RANDOM_ROWS }, (_, id) => row(id));
  await changesAreFills('random', [
    `INSERT INTO random VALUES ${rows.join(', ')}`,
    `INSERT INTO random VALUES ${again.join(', ')} ON DUPLICATE KEY UPDATE ${names}`,
  ]);
});

// ---- what only one of the servers has

test('JSON of values that JSON has no type for: times, decimals, bytes', { skip: isMariadb }, async () => {
  await create('opaque', { document: 'JSON' });
  const values = [
    'CAST(1.10 AS DECIMAL(10,3))',
    'CAST(-123456789012345678901234567890.123456789 AS DECIMAL(60,20))',
    "CAST('2024-02-29' AS DATE)",
    "CAST('-838:59:58.000001' AS TIME(6))",
    "CAST('12:00:00' AS TIME)",
    "CAST('2024-02-29 23:59:59.123456' AS DATETIME(6))",
    "CAST('0001-01-01 00:00:00' AS DATETIME)",
    'FROM_UNIXTIME(1700000000.5)',
    "CAST('abc' AS BINARY)",
    "CAST(REPEAT('x', 300) AS BINARY)",
    "b'101'",
    "ST_GeomFromText('POINT(1 2)')",
    '18446744073709551615',
    '-1',
    '1e0',
    '1e15',
    '123456789012345680e0',
    '1e-20',
    '-1.5e-300',
    'CAST(1 AS SIGNED)',
    "JSON_QUOTE(CONCAT('ctrl ', CHAR(1, 31, 127 USING utf8mb4)))",
  ];
  const wide = `JSON_ARRAY(${Array.from({ length: 400 }, (_, index) => index * 1_000_003).join(', ')}, REPEAT('y', 70000))`;
  await changesAreFills('opaque', [
    ...values.map(
      (value, id) =>
        `INSERT INTO opaque VALUES (${id}, JSON_OBJECT('v', ${value}, 'zz', JSON_ARRAY(${value}), '10', 1, '9', 2))`,
    ),
    ...values.map((value, id) => `INSERT INTO opaque VALUES (${100 + id}, CAST(${value} AS JSON))`),
    `INSERT INTO opaque VALUES (1000, ${wide}), (1001, JSON_OBJECT('k', ${wide}, 'l', ${wide}, 'm', 5, 'n', CAST(7000000000 AS SIGNED)))`,
  ]);
});

test('UUID and INET of any version and form', { skip: !isMariadb || !isAtLeast(version, '10.10') }, async () => {
  await create('addresses', { uuid: 'UUID', inet6: 'INET6', inet4: 'INET4' });
  const uuids = Array.from({ length: 200 }, (_, index) => {
    const bytes = random.bytes(16);
    // Every version, with and without the usual variant.
    bytes[6] = ((index % 16) << 4) | random.below(16);
    if (index % 3 !== 0) bytes[8] = 0x80 | random.below(0x40);
    return bytes.toString('hex');
  });
  const address = () => {
    const groups = Array.from({ length: 8 }, () => (random.below(2) === 0 ? 0 : random.below(0x10000)));
    if (random.below(4) === 0) groups.fill(0, 0, 5);
    if (random.below(4) === 0) groups[5] = 0xffff;
    return groups.map((group) => group.toString(16)).join(':');
  };
  const special = [
    '::',
    '::1',
    '::2',
    '::1:0',
    '::ffff:0:1',
    '::ffff:1:0',
    '1::',
    '0:0:1:0:0:1:0:0',
    '64:ff9b::1.2.3.4',
    '::0.1.0.0',
  ];
  const rows = uuids.map(
    (uuid, id) => `(${id}, '${uuid}', '${special[id] ?? address()}', '${random.bytes(4).join('.')}')`,
  );
  await changesAreFills('addresses', [`INSERT INTO addresses VALUES ${rows.join(', ')}`]);
});

test('COMPRESSED columns, and a compressed binlog', { skip: !isMariadb }, async () => {
  await create('compressed', {
    name: 'VARCHAR(2000) COMPRESSED NULL',
    raw: 'VARBINARY(2000) COMPRESSED NULL',
    body: 'MEDIUMTEXT COMPRESSED CHARACTER SET latin1 NULL',
    bytes: 'LONGBLOB COMPRESSED NULL',
  });
  const row = (id: number, value: string) =>
    `INSERT INTO compressed VALUES (${id}, ${value}, ${value}, ${value}, ${value})`;
  const values = ["''", 'NULL', "'short'", "REPEAT('long é ', 250)", hex(900)];
  const inserts = values.map((value, id) => row(id, value));
  await connection.query('SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10');
  try {
    await changesAreFills('compressed', [
      ...inserts,
      "UPDATE compressed SET name = REPEAT('u', 1500)",
      'DELETE FROM compressed WHERE id < 2',
    ]);
  } finally {
    await connection.query('SET GLOBAL log_bin_compress = OFF');
  }
});
