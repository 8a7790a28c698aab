/** Row events -> what others are told, beside what the shards are; and when a table's RELOAD is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../shared/config/load.ts';
import type { Column } from '../../shared/origin/column.ts';
import { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { composeSchema, type TableSchema } from '../../shared/origin/table-schema.ts';
import { versionOf } from '../../shared/version/version.ts';
import type { EventView, ViewOf } from '../../sync-worker/capture/assembler/event-view.ts';
import { RowChanges } from '../../sync-worker/capture/assembler/row-changes.ts';
import type { PlacedChange } from '../../sync-worker/capture/assembler/transaction.ts';
import type { EventRow, EventTable } from '../../sync-worker/capture/binlog/binlog-event.ts';
import { EventLane, type EventMessage } from '../../sync-worker/capture/event-lane.ts';
import { intColumn } from '../support/int-column.ts';

const int = intColumn('id', { columnType: 'int(10)' });
const text = (name: string): Column => ({
  ...int,
  name,
  dataType: 'longtext',
  columnType: 'longtext',
  charset: 'utf8mb4',
  collation: 'utf8mb4_bin',
  nullable: true,
});

function tableOf(settings: { strategy?: string; columns?: object } = {}, label = 'shop.users'): ExposedTable {
  const config = parseConfig(
    JSON.stringify({
      origin: { url: 'mysql://u@localhost' },
      rings: [{ name: 'primary', shards: { r1: 'redis://localhost' } }],
      tables: { [label]: settings },
    }),
    'test',
  );
  const [db = '', table = ''] = label.split('.');
  const outcome = composeSchema({ db, table }, [int, text('v')], [['id']], config.tables[label] ?? {}, label);
  assert.ok('schema' in outcome);
  return new ExposedTable(label, config, { ...outcome.schema, resultTypes: '' });
}

const event: EventTable = { db: 'shop', table: 'users', columns: [] };
const agreeing: ViewOf = (_event: EventTable, schema: TableSchema): EventView => ({
  keyCells: (cells) => [cells[0] as Buffer],
  exposedCells: (cells) => schema.columns.map(({ name }) => cells[name === 'id' ? 0 : 1] ?? null),
});
type Row = readonly [id: string, v: string | null];
const cells = (row: Row) => row.map((cell) => (cell === null ? null : Buffer.from(cell)));
const insert = (after: Row): EventRow => ({ before: undefined, after: cells(after) });
const remove = (before: Row): EventRow => ({ before: cells(before), after: undefined });
const update = (before: Row, after: Row): EventRow => ({ before: cells(before), after: cells(after) });

function told(
  table: ExposedTable,
  rows: readonly EventRow[],
  { viewOf = agreeing, nulls = 'null' as 'null' | 'empty' } = {},
) {
  const changes = new RowChanges(viewOf, { tells: () => true, nulls }).of(table, event, rows, 10) ?? [];
  return changes.filter(({ op }) => op === 'event' || op === 'reload');
}

const bodies = (changes: readonly PlacedChange[]) => changes.map(({ body }) => body.toString().trim());

test('one event a row, whatever the strategy does to the shards', () => {
  for (const strategy of ['overwrite', 'invalidate', 'refresh']) {
    const rows = [insert(['1', 'a']), update(['1', 'a'], ['2', null]), remove(['2', "it's"])];
    const events = told(tableOf({ strategy }), rows);
    assert.deepEqual(
      events.map(({ key, ordinal }) => `${key} ${ordinal}`),
      ['shop.users.INSERT 11', 'shop.users.UPDATE 13', 'shop.users.DELETE 15'],
    );
    const head = (type: string) => `"db":"shop","table":"users","eventType":"${type}"`;
    assert.deepEqual(bodies(events), [
      `${head('INSERT')},"before":"","after":{"id":"1","v":"a"}`,
      `${head('UPDATE')},"before":{"id":"1","v":"a"},"after":{"id":"2","v":null}`,
      `${head('DELETE')},"before":"","after":{"id":"2","v":"it\\u0027s"}`,
    ]);
  }
});

test('nobody is told of a table that is not told', () => {
  const changes = new RowChanges(agreeing, { tells: () => false, nulls: 'null' }).of(
    tableOf(),
    event,
    [insert(['1', 'a'])],
    0,
  );
  assert.deepEqual(
    changes?.map(({ op }) => op),
    ['write'],
  );
});

test('a key column that is denied is in no event, also not in that of a row too large', () => {
  const table = tableOf({ columns: { deny: ['id'] } });
  assert.match(bodies(told(table, [insert(['1', 'a'])]))[0] ?? '', /"after":\{"v":"a"\}$/);
  const [large = ''] = bodies(told(table, [insert(['1', 'x'.repeat(5_000_000)])]));
  assert.match(large, /"after":\{\}\n,"truncated":true$/);
});

test('too large is what both images are together', () => {
  const half = 'x'.repeat(2_200_000);
  const [small, large] = bodies(told(tableOf(), [insert(['1', half]), update(['1', half], ['1', half])]));
  assert.ok((small ?? '').length > 2_200_000);
  assert.match(large ?? '', /"before":\{"id":"1"\},"after":\{"id":"1"\}\n,"truncated":true$/);
});

test('rows that the schema does not describe are a reload, once', () => {
  const keyOnly: ViewOf = () => ({ keyCells: (of) => [of[0] as Buffer], exposedCells: undefined });
  const events = told(tableOf({ strategy: 'invalidate' }), [insert(['1', 'a']), insert(['2', 'b'])], {
    viewOf: keyOnly,
  });
  assert.deepEqual(
    events.map(({ op, table }) => `${op} ${table}`),
    ['reload shop.users(id)'],
  );
});

test('NULL as canal tells it', () => {
  const [body = ''] = bodies(told(tableOf(), [insert(['1', null])], { nulls: 'empty' }));
  assert.match(body, /"after":\{"id":"1","v":""\}$/);
});

// ---- RELOAD

const end = { file: 'mysql-bin.000007', position: 70 };
const to = versionOf(1_000, end);

function lane(...tables: ExposedTable[]) {
  const sent: EventMessage[] = [];
  const clock = { now: 0 };
  const events = new EventLane({ tables: () => tables, emit: (message) => sent.push(message), now: () => clock.now });
  const reloads = () =>
    sent
      .splice(0)
      .map(
        ({ routingKey, content }) =>
          `${routingKey} ${String((JSON.parse(content.toString()) as { reason: string }).reason)}`,
      );
  return { events, clock, sent, reloads };
}

test('a RELOAD comes with the flush, once however often it is owed; the next one waits, or comes with a flush to all', () => {
  const { events, clock, reloads } = lane(tableOf(), tableOf({}, 'shop.orders'));
  events.owe(['shop.users(id)'], 'untold-changes');
  events.owe(['shop.users(id)'], 'untold-changes');
  assert.deepEqual(reloads(), []);
  events.flush(to, end, 'changed');
  assert.deepEqual(reloads(), ['shop.users.RELOAD untold-changes']);
  events.owe(['shop.users(id)', 'shop.orders(id)'], 'untold-changes');
  events.flush(to, end, 'changed');
  assert.deepEqual(reloads(), ['shop.orders.RELOAD untold-changes']);
  events.flush(to, end, 'all');
  assert.deepEqual(reloads(), ['shop.users.RELOAD untold-changes']);
  events.flush(to, end, 'all');
  assert.deepEqual(reloads(), []);
  clock.now = 5_000;
  events.owe(['shop.users(id)'], 'untold-changes');
  events.flush(to, end, 'changed');
  assert.deepEqual(reloads(), ['shop.users.RELOAD untold-changes']);
});

test('a gap is what is said where both are owed; whatever the key columns are by now; other tables are none of ours', () => {
  const { events, reloads } = lane(tableOf());
  events.oweAll('gap');
  events.owe(['shop.users(other,columns)', 'shop.user(id)', 'shop.orders(id)'], 'untold-changes');
  events.flush(to, end, 'changed');
  assert.deepEqual(reloads(), ['shop.users.RELOAD gap']);
});

test('an event’s time is the commit’s: to the microsecond, in seconds, or now', () => {
  const { events } = lane(tableOf());
  const transaction = {
    end,
    gtid: undefined,
    count: 1,
    changes: () => [],
    discard: () => undefined,
    floors: [],
    restart: end,
  };
  const timeOf = (at: { committedAtMicros: number | undefined; committedAtSeconds?: number }) => {
    const body = Buffer.from('"a":1\n');
    return (
      JSON.parse(
        events
          .frame({ ...transaction, ...at })
          .content(body, to)
          .toString(),
      ) as { time: string }
    ).time;
  };
  assert.equal(timeOf({ committedAtMicros: 1_500_000, committedAtSeconds: 9 }), '1970-01-01 00:00:01');
  assert.equal(timeOf({ committedAtMicros: undefined, committedAtSeconds: 9 }), '1970-01-01 00:00:09');
  const age = Date.now() - Date.parse(`${timeOf({ committedAtMicros: undefined })}Z`);
  assert.ok(age >= 0 && age < 60_000, `${age} ms`);
});
