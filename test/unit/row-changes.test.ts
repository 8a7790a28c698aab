/** Row events -> changes, with views made by hand: what a real event's columns give is event-table.ts's own test. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseConfig } from '../../shared/config/load.ts';
import type { Column } from '../../shared/origin/column.ts';
import { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { composeSchema, type TableSchema } from '../../shared/origin/table-schema.ts';
import type { EventRow, EventTable } from '../../sync-worker/capture/binlog/binlog-event.ts';
import type { EventView, ViewOf } from '../../sync-worker/capture/assembler/event-view.ts';
import { RowChanges } from '../../sync-worker/capture/assembler/row-changes.ts';

const plain = { nullable: false, charset: null, collation: null, lengthMax: null, precision: null, scale: null };
const int = (name: string): Column => ({
  ...plain,
  name,
  dataType: 'int',
  columnType: 'int(10)',
  fraction: null,
  json: false,
});
const text = (name: string, collation = 'utf8mb4_general_ci'): Column => ({
  ...int(name),
  dataType: 'varchar',
  columnType: 'varchar(2000)',
  charset: 'utf8mb4',
  collation,
  lengthMax: 2000,
});

function schemaOf(columns: readonly Column[], key: string[]): TableSchema {
  const outcome = composeSchema({ db: 'shop', table: 'users' }, columns, [key], {}, 'tables.shop.users');
  assert.ok('schema' in outcome);
  return { ...outcome.schema, resultTypes: '' };
}

function tableOf(
  columns: readonly Column[] = [int('uid'), text('name')],
  { key = ['uid'], ...settings }: { key?: string[]; mode?: string; strategy?: string; rowBytesMax?: number } = {},
): ExposedTable {
  const config = parseConfig(
    JSON.stringify({
      origin: { url: 'mysql://u@localhost' },
      rings: [{ name: 'primary', shards: { r1: 'redis://localhost' } }],
      tables: { 'shop.users': settings },
      sync: { broker: { url: 'amqp://localhost' } },
    }),
    'test',
  );
  return new ExposedTable('shop.users', config, schemaOf(columns, key));
}

const event: EventTable = { db: 'shop', table: 'users', columns: [] };
/** The event's columns are the schema's. */
const agreeing = (_event: EventTable, schema: TableSchema): EventView => ({
  keyCells: (cells) => schema.keyAt.map((at) => cells[at] as Buffer | null),
  exposedCells: (cells) => cells,
});
const keyOnly = (table: EventTable, schema: TableSchema): EventView => ({
  ...agreeing(table, schema),
  exposedCells: undefined,
});

type Row = readonly (string | null)[];
const cells = (row: Row | undefined) => row?.map((cell) => (cell === null ? null : Buffer.from(cell)));
const insert = (after: Row): EventRow => ({ before: undefined, after: cells(after) });
const remove = (before: Row): EventRow => ({ before: cells(before), after: undefined });
const update = (before: Row, after: Row): EventRow => ({ before: cells(before), after: cells(after) });

/** `op key body`, one a change; `floor` where there are none to be had. */
function changesOf(table: ExposedTable, rows: readonly EventRow[], viewOf: ViewOf = agreeing): string[] {
  const changes = new RowChanges(viewOf).of(table, event, rows, 0);
  if (changes === undefined) return ['floor'];
  for (const change of changes) {
    assert.equal(change.shape, table.schema.shape);
    assert.equal(change.table, table.followedName);
    assert.equal(change.op === 'write' || change.op === 'put', change.body.length > 0);
  }
  return changes.map(({ op, key, body }) => `${op} ${key} ${body.toString()}`.trim());
}

test('overwrite writes what is inserted and updated, and says of what is deleted that it is absent', () => {
  const rows = [insert(['1', 'a']), update(['2', 'a'], ['2', 'b']), remove(['3', 'c'])];
  assert.deepEqual(changesOf(tableOf(), rows), [
    'write shop_users_1 {"uid":1,"name":"a"}',
    'write shop_users_2 {"uid":2,"name":"b"}',
    'absent shop_users_3',
  ]);
});

test('an update of the key leaves nothing under the old one', () => {
  const rows = [update(['2', 'b'], ['3', 'b']), update(['1', 'a'], ['2', 'a'])];
  assert.deepEqual(changesOf(tableOf(), rows), [
    'absent shop_users_2',
    'write shop_users_3 {"uid":3,"name":"b"}',
    'absent shop_users_1',
    'write shop_users_2 {"uid":2,"name":"a"}',
  ]);
  assert.deepEqual(changesOf(tableOf(undefined, { strategy: 'invalidate' }), rows.slice(1)), [
    'remove shop_users_1',
    'remove shop_users_2',
  ]);
  assert.deepEqual(changesOf(tableOf(undefined, { strategy: 'refresh' }), rows.slice(1)), [
    'remove shop_users_1',
    'refresh shop_users_2',
  ]);
});

test('invalidate removes, whatever happened to the row', () => {
  const rows = [insert(['1', 'a']), update(['2', 'a'], ['2', 'b']), remove(['3', 'c'])];
  assert.deepEqual(changesOf(tableOf(undefined, { strategy: 'invalidate' }), rows), [
    'remove shop_users_1',
    'remove shop_users_2',
    'remove shop_users_3',
  ]);
});

test('refresh has rows read back, but not those that are gone', () => {
  const rows = [insert(['1', 'a']), update(['2', 'a'], ['2', 'b']), remove(['3', 'c'])];
  assert.deepEqual(changesOf(tableOf(undefined, { strategy: 'refresh' }), rows), [
    'refresh shop_users_1',
    'refresh shop_users_2',
    'remove shop_users_3',
  ]);
});

test('absence is not kept under a key whose collation takes other spellings for equal', () => {
  const rows = [update(['Foo', '1'], ['foo', '1']), remove(['a,b', '2'])];
  const caseless = tableOf([text('name'), int('n')], { key: ['name'] });
  assert.deepEqual(changesOf(caseless, rows), [
    'remove shop_users_Foo',
    'write shop_users_foo {"name":"foo","n":1}',
    'remove shop_users_a%2Cb',
  ]);
  const bytewise = tableOf([text('name', 'utf8mb4_nopad_bin'), int('n')], { key: ['name'] });
  assert.deepEqual(changesOf(bytewise, rows.slice(0, 1)), [
    'absent shop_users_Foo',
    'write shop_users_foo {"name":"foo","n":1}',
  ]);
  const mixed = tableOf([int('n'), text('name')], { key: ['n', 'name'] });
  assert.deepEqual(changesOf(mixed, [remove(['1', 'x'])]), ['remove shop_users_1,x']);
});

test('two spellings of one key are no change of it', () => {
  assert.deepEqual(changesOf(tableOf(), [update(['007', 'a'], ['7', 'b'])]), [
    'write shop_users_7 {"uid":7,"name":"b"}',
  ]);
});

test('a row larger than rowBytesMax is removed, one as large is written', () => {
  const table = tableOf(undefined, { rowBytesMax: 1024 });
  const frame = '{"uid":1,"name":""}'.length;
  assert.match(changesOf(table, [insert(['1', 'x'.repeat(1024 - frame)])])[0] ?? '', /^write shop_users_1 /);
  assert.deepEqual(changesOf(table, [insert(['1', 'x'.repeat(1025 - frame)])]), ['remove shop_users_1']);
});

test('a row that the broker would not take is removed, however large rows may be', () => {
  const table = tableOf(undefined, { rowBytesMax: 67_108_864 });
  assert.deepEqual(changesOf(table, [insert(['1', 'x'.repeat(5_000_000)])]), ['remove shop_users_1']);
  assert.match(changesOf(table, [insert(['1', 'x'.repeat(4_000_000)])])[0] ?? '', /^write shop_users_1 /);
});

test('a row’s ordinals are its place among the event’s rows, whatever the rows before it came to', () => {
  const ordinalsOf = (...rows: EventRow[]) =>
    new RowChanges(agreeing).of(tableOf(), event, rows, 100)?.map(({ key, ordinal }) => `${key} ${ordinal}`);
  const last = insert(['9', 'a']);
  assert.deepEqual(ordinalsOf(insert(['1', 'a']), last), ['shop_users_1 101', 'shop_users_9 103']);
  assert.deepEqual(ordinalsOf(update(['1', 'a'], ['2', 'a']), last), [
    'shop_users_1 100',
    'shop_users_2 101',
    'shop_users_9 103',
  ]);
  assert.deepEqual(ordinalsOf(remove(['1', 'a']), last), ['shop_users_1 100', 'shop_users_9 103']);
});

test('rows of an event that the schema does not describe are removed, or refreshed without their image', () => {
  const rows = [insert(['1', 'a']), update(['2', 'a'], ['3', 'a']), remove(['4', 'a'])];
  assert.deepEqual(changesOf(tableOf(), rows, keyOnly), [
    'remove shop_users_1',
    'remove shop_users_2',
    'remove shop_users_3',
    'remove shop_users_4',
  ]);
  assert.deepEqual(changesOf(tableOf(undefined, { strategy: 'refresh' }), rows.slice(0, 1), keyOnly), [
    'refresh shop_users_1',
  ]);
});

test('a cell that cannot be of its type removes the row', () => {
  const table = tableOf([int('uid'), int('age')]);
  assert.deepEqual(changesOf(table, [insert(['1', 'old'])]), ['remove shop_users_1']);
});

test('the floor rises where the key cannot be read', () => {
  assert.deepEqual(
    changesOf(tableOf(), [insert(['1', 'a'])], () => undefined),
    ['floor'],
  );
  for (const key of ['x', null]) {
    for (const rows of [[insert([key, 'a'])], [remove([key, 'a'])], [update(['1', 'a'], [key, 'a'])]]) {
      assert.deepEqual(changesOf(tableOf(), [insert(['1', 'a']), ...rows]), ['floor']);
    }
  }
});

test('a new schema is met under a table map that is still in use, and otherwise the map is looked at once', () => {
  let looks = 0;
  const changes = new RowChanges((map, schema) => {
    looks += 1;
    return agreeing(map, schema);
  });
  const table = tableOf();
  changes.of(table, event, [insert(['1', 'a'])], 0);
  changes.of(table, event, [insert(['2', 'a'])], 0);
  assert.equal(looks, 1);
  table.adopt(schemaOf([int('uid'), text('name'), int('age')], ['name']));
  const [change] = changes.of(table, event, [insert(['3', 'c', '9'])], 0) ?? [];
  assert.equal(looks, 2);
  assert.deepEqual(
    [change?.key, change?.table, change?.shape, change?.body.toString()],
    ['shop_users_c', 'shop.users(name)', table.schema.shape, '{"uid":3,"name":"c","age":9}'],
  );
});

describe('of a mirror', () => {
  const mirror = () => tableOf([int('uid'), text('name')], { mode: 'mirror', rowBytesMax: 1_024 });

  test('what is there is put, with its columns’ texts, and what is gone is deleted', () => {
    const rows = [
      insert(['1', null]),
      update(['2', 'a'], ['2', '']),
      update(['3', 'a'], ['4', 'a']),
      remove(['5', 'c']),
    ];
    assert.deepEqual(changesOf(mirror(), rows), [
      'put shop_users_1 {"uid":"1"}',
      'put shop_users_2 {"uid":"2","name":""}',
      'delete shop_users_3',
      'put shop_users_4 {"uid":"4","name":"a"}',
      'delete shop_users_5',
    ]);
  });

  test('a row that is too large is told to be there', () => {
    assert.deepEqual(changesOf(mirror(), [insert(['1', 'x'.repeat(2_000)])]), ['too-large shop_users_1']);
  });

  test('a row that the schema does not describe is never guessed, nor dropped by itself: the table’s floor rises', () => {
    assert.deepEqual(changesOf(mirror(), [insert(['1', 'a'])], keyOnly), ['floor']);
    assert.deepEqual(changesOf(mirror(), [insert(['1', 'a']), insert(['2', 'a'])], keyOnly), ['floor']);
    assert.deepEqual(changesOf(mirror(), [remove(['1', 'a'])]), ['delete shop_users_1']);
  });
});
