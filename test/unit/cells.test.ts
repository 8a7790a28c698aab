/** Cells of a row image, and a table of the binlog met with one of today: what real servers' rows do not show by themselves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Column } from '../../shared/origin/column.ts';
import type { EventColumn } from '../../sync-worker/capture/binlog/binlog-event.ts';
import { cellDecoder, type CellType } from '../../sync-worker/capture/binlog/cells.ts';
import { Charsets } from '../../sync-worker/capture/binlog/charsets.ts';
import { ByteReader } from '../../sync-worker/capture/binlog/event-bytes.ts';
import { agrees, viewOf } from '../../sync-worker/capture/binlog/event-table.ts';
import { TYPE } from '../../sync-worker/capture/binlog/event-types.ts';
import { jsonDoubleText, jsonText } from '../../sync-worker/capture/binlog/json-binary.ts';
import { intColumn } from '../support/int-column.ts';

function decoded(type: Partial<CellType>, hex: string): string {
  const whole: CellType = {
    type: 0,
    size: 0,
    unsigned: false,
    width: undefined,
    precision: 0,
    scale: 0,
    fraction: 0,
    toUtf8: undefined,
    members: [],
    ...type,
  };
  return cellDecoder(whole)(new ByteReader(Buffer.from(hex, 'hex'))).toString('utf8');
}

test('numbers at their ends', () => {
  assert.equal(decoded({ type: TYPE.int24 }, '000080'), '-8388608');
  assert.equal(decoded({ type: TYPE.int24, unsigned: true }, 'ffffff'), '16777215');
  assert.equal(decoded({ type: TYPE.longlong }, '0000000000000080'), '-9223372036854775808');
  assert.equal(decoded({ type: TYPE.longlong, unsigned: true }, 'ffffffffffffffff'), '18446744073709551615');
  assert.equal(decoded({ type: TYPE.double }, '0000000000000080'), '-0');
  assert.equal(decoded({ type: TYPE.year }, '00'), '0000');
});

test('a value that its column cannot hold is not guessed', () => {
  for (const [type, hex] of [
    [{ type: TYPE.enum, size: 1, members: ['a'] }, '02'],
    [{ type: TYPE.set, size: 1, members: ['a'] }, '02'],
    [{ type: TYPE.decimal, precision: 4, scale: 0 }, 'ffff'],
    [{ type: TYPE.varchar, size: 1 }, '05616263'],
    [{ type: TYPE.blobCompressed, size: 1 }, '0330ffff'],
    [{ type: TYPE.time, size: 1 }, '000000'],
  ] as const) {
    assert.throws(() => decoded(type, hex), `${JSON.stringify(type)} ${hex}`);
  }
});

test('text in Unicode’s other forms, and what is none', () => {
  const charsets = new Charsets(new Map());
  const convert = (charset: string, hex: string) =>
    charsets.converter(charset)(Buffer.from(hex, 'hex')).toString('utf8');
  assert.equal(convert('utf16', 'd83dde00'), '😀');
  assert.equal(convert('utf16le', '3dd800de'), '😀');
  assert.equal(convert('utf32', '0001f600'), '😀');
  assert.equal(convert('ucs2', '8868'), '表');
  for (const [charset, hex] of [
    ['utf16', 'd83d'],
    ['utf16', '00'],
    ['ucs2', 'd83dde00'],
    ['utf32', '0000d800'],
    ['utf32', '00110000'],
    ['ascii', 'e9'],
  ] as const) {
    assert.throws(() => convert(charset, hex), { name: 'Undecodable' }, `${charset} ${hex}`);
  }
});

test('doubles in JSON as the server writes them', () => {
  const written: readonly (readonly [number, string])[] = [
    [0, '0.0'],
    [-0, '-0.0'],
    [1, '1.0'],
    [0.1, '0.1'],
    [1e14, '100000000000000.0'],
    [1e15, '1e15'],
    [123456789012345680, '1.2345678901234568e17'],
    [1e-14, '0.00000000000001'],
    [1e-16, '1e-16'],
    [-1.5e300, '-1.5e300'],
  ];
  for (const [value, text] of written) assert.equal(jsonDoubleText(value), text);
});

test('a broken JSON document is not guessed', () => {
  for (const hex of ['000100ff00', '0c', '0c05', '0409', '0d00', '02010020000c1000']) {
    assert.throws(() => jsonText(Buffer.from(hex, 'hex')), { name: 'Undecodable' }, hex);
  }
  assert.equal(jsonText(Buffer.alloc(0)), 'null');
});

// ---- event and schema

const eventColumn = (name: string, more: Partial<EventColumn> = {}): EventColumn => ({
  name,
  dataType: 'int',
  unsigned: false,
  nullable: false,
  charset: null,
  bytesMax: null,
  precision: null,
  scale: null,
  fraction: null,
  members: null,
  ...more,
});

const integerKey = { kind: 'integer', min: -2147483648n, max: 2147483647n } as const;

test('columns are found by name, hidden ones left out, a hidden key found all the same', () => {
  const event = {
    db: 'd',
    table: 't',
    columns: [eventColumn('secret'), eventColumn('id'), eventColumn('b'), eventColumn('a')],
  };
  const schema = { columns: [intColumn('b'), intColumn('a')], key: [{ column: 'id', type: integerKey }], keyAt: [2] };
  const view = viewOf(event, schema, { deny: ['secret', 'id'] });
  const cells = ['0', '1', '2', '3'].map((text) => Buffer.from(text));
  assert.deepEqual(view?.keyCells(cells), [Buffer.from('1')]);
  assert.deepEqual(view?.exposedCells?.(cells), [Buffer.from('2'), Buffer.from('3')]);
  // A column more than the configuration hides; columns in another order.
  assert.equal(agrees(event, schema, { deny: ['id'] }), false);
  assert.equal(
    agrees(event, { ...schema, columns: [intColumn('a'), intColumn('b')] }, { deny: ['secret', 'id'] }),
    false,
  );
});

test('whatever could make another row of the same bytes is a difference', () => {
  const agree = (event: Partial<EventColumn>, today: Partial<Column>): boolean =>
    agrees(
      { db: 'd', table: 't', columns: [eventColumn('id'), eventColumn('c', event)] },
      { columns: [intColumn('id'), intColumn('c', today)], key: [{ column: 'id', type: integerKey }], keyAt: [0] },
      {},
    );
  const decimal = { dataType: 'decimal', columnType: 'decimal(10,2)', precision: 10, scale: 2 };
  assert.ok(agree({ dataType: 'decimal', precision: 10, scale: 2 }, decimal));
  assert.ok(!agree({ dataType: 'decimal', precision: 10, scale: 3 }, decimal));
  assert.ok(!agree({ unsigned: true }, {}));
  assert.ok(agree({ unsigned: true }, { columnType: 'int(5) zerofill' }));
  assert.ok(!agree({ dataType: 'bigint' }, {}));
  assert.ok(!agree({ nullable: true }, {}));
  const text = { dataType: 'varchar', columnType: 'varchar(9)', charset: 'utf8mb3', lengthMax: 9 };
  assert.ok(agree({ dataType: 'varchar', charset: 'utf8', bytesMax: 27 }, text));
  assert.ok(!agree({ dataType: 'varchar', charset: 'latin1', bytesMax: 9 }, text));
  const choice = { dataType: 'enum', columnType: "enum('a','b''c')", charset: 'utf8mb4' };
  assert.ok(agree({ dataType: 'enum', charset: 'utf8mb4', members: ['a', "b'c"] }, choice));
  assert.ok(!agree({ dataType: 'enum', charset: 'utf8mb4', members: ["b'c", 'a'] }, choice));
  const binary = { dataType: 'binary', columnType: 'binary(8)', lengthMax: 8 };
  assert.ok(agree({ dataType: 'binary', bytesMax: 8 }, binary));
  assert.ok(!agree({ dataType: 'binary', bytesMax: 9 }, binary));
  const json = { dataType: 'longtext', columnType: 'longtext', charset: 'utf8mb4', json: true };
  assert.ok(agree({ dataType: 'longtext', charset: 'utf8mb4' }, json));
  assert.ok(agree({ dataType: 'binary', bytesMax: 16 }, { dataType: 'uuid', columnType: 'uuid' }));
  assert.ok(!agree({ dataType: 'binary', bytesMax: 16 }, { dataType: 'uuid', columnType: 'uuid /* old */' }));
  assert.ok(agree({ dataType: 'geometry' }, { dataType: 'point', columnType: 'point' }));
  const time = { dataType: 'time', columnType: 'time(3)', fraction: 3 };
  assert.ok(!agree({ dataType: 'time', fraction: 6 }, time));
});

test('DOUBLE(M,D) is rounded as the server prints it', () => {
  const schema = {
    columns: [intColumn('id'), intColumn('c', { dataType: 'double', columnType: 'double(10,2)', scale: 2 })],
    key: [{ column: 'id', type: integerKey }],
    keyAt: [0],
  };
  const event = { db: 'd', table: 't', columns: [eventColumn('id'), eventColumn('c', { dataType: 'double' })] };
  const rounded = (text: string) =>
    viewOf(event, schema, {})
      ?.exposedCells?.([Buffer.from('1'), Buffer.from(text)])[1]
      ?.toString();
  for (const [stored, printed] of [
    ['-0.010000000000000009', '-0.01'],
    ['0.125', '0.12'],
    ['0.375', '0.38'],
    ['-0', '-0.00'],
    ['562949953421312.1', '562949953421312.12'],
    ['99999999.99', '99999999.99'],
  ]) {
    assert.equal(rounded(String(stored)), printed);
  }
});
