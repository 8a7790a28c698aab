/** How misses gather: with an origin that answers when the test says so, which a real server does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Config } from '../../shared/config/schema.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { OriginUnavailable } from '../../shared/errors/errors.ts';
import { parseRowId } from '../../shared/key/row-id.ts';
import type { Column } from '../../shared/origin/column.ts';
import { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { TextResult } from '../../shared/origin/origin-pool.ts';
import { plainRead } from '../../shared/origin/plain-read.ts';
import { RowReader } from '../../shared/origin/row-reader.ts';
import { composeSchema, type TableSchema } from '../../shared/origin/table-schema.ts';

const config: Config = parseConfig(
  JSON.stringify({
    origin: { url: 'mysql://u@localhost' },
    rings: [{ name: 'primary', shards: { r1: 'redis://localhost' } }],
    tables: { 'test.users': {} },
  }),
  'test',
);
const uid: Column = {
  name: 'uid',
  dataType: 'int',
  columnType: 'int(10) unsigned',
  nullable: false,
  charset: null,
  collation: null,
  lengthMax: null,
  precision: 10,
  scale: 0,
  fraction: null,
  json: false,
};

function usersTable(): ExposedTable {
  const outcome = composeSchema({ db: 'test', table: 'users' }, [uid], [['uid']], {}, 'tables.test.users');
  assert.ok('schema' in outcome);
  return new ExposedTable('test.users', config, { ...outcome.schema, resultTypes: '' } as TableSchema);
}

/** Answers each SELECT, when told to, with the row of every id it asks for. */
class PatientOrigin {
  readonly selects: { readonly ids: readonly string[]; answer(): void; fail(error: Error): void }[] = [];
  readonly #arrivals: (() => void)[] = [];

  query(sql: string): Promise<TextResult> {
    const ids = (/ IN \((.*)\)$/.exec(sql)?.[1] ?? '').split(', ');
    const { promise, resolve, reject } = Promise.withResolvers<TextResult>();
    const answer = () => resolve({ rows: ids.map((id) => [Buffer.from(id)]), fields: [] });
    this.selects.push({ ids, answer, fail: reject });
    for (const arrival of this.#arrivals.splice(0)) arrival();
    return promise;
  }

  /** Settles when so many SELECTs have arrived. */
  async arrived(count: number): Promise<void> {
    while (this.selects.length < count) await new Promise<void>((resolve) => this.#arrivals.push(resolve));
  }
}

function readerOver(
  origin: PatientOrigin,
  limits: { connections?: number; batchRowsMax?: number; waitingMax?: number; waitMsMax?: number } = {},
) {
  const table = usersTable();
  const reader = new RowReader({
    readPlain: plainRead(origin),
    connections: limits.connections ?? 4,
    batchRowsMax: limits.batchRowsMax ?? 256,
    waitingMax: limits.waitingMax ?? 1_000,
    waitMsMax: limits.waitMsMax ?? 10_000,
    reload: () => Promise.resolve(),
  });
  return { reader, read: (id: number) => reader.read(table, parseRowId(table.schema.key, String(id))) };
}

test('the misses of one tick are one SELECT, and the same row is asked for once', async () => {
  const origin = new PatientOrigin();
  const { read } = readerOver(origin);
  const rows = [read(1), read(2), read(1), read(3)];
  await origin.arrived(1);
  assert.deepEqual(origin.selects[0]?.ids, ['1', '2', '3']);
  origin.selects[0]?.answer();
  const segments = (await Promise.all(rows)).map((row) => row.kind === 'row' && row.id.segment);
  assert.deepEqual(segments, ['1', '2', '1', '3']);
});

test('while one SELECT is slow, what has gathered goes ahead on another connection', async () => {
  const origin = new PatientOrigin();
  const { read } = readerOver(origin);
  const slow = read(1);
  await origin.arrived(1);
  const others = [read(2), read(3)];
  await origin.arrived(2);
  assert.deepEqual(origin.selects[1]?.ids, ['2', '3']);
  origin.selects[1]?.answer();
  await Promise.all(others);
  origin.selects[0]?.answer();
  await slow;
});

test('never more SELECTs at once than connections', async () => {
  const origin = new PatientOrigin();
  const { read, reader } = readerOver(origin, { connections: 2, batchRowsMax: 1 });
  const rows = [read(1), read(2), read(3), read(4)];
  await origin.arrived(2);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(origin.selects.length, 2);
  assert.equal(reader.waiting, 2);
  origin.selects[0]?.answer();
  await origin.arrived(3);
  origin.selects[1]?.answer();
  await origin.arrived(4);
  for (const select of origin.selects) select.answer();
  await Promise.all(rows);
});

test('past its bound the queue refuses at once', async () => {
  const origin = new PatientOrigin();
  const { read } = readerOver(origin, { waitingMax: 3 });
  const waiting = [read(1), read(2), read(3)];
  await assert.rejects(read(4), (error) => error instanceof OriginUnavailable && error.code === 'origin-overloaded');
  await origin.arrived(1);
  origin.selects[0]?.answer();
  await Promise.all(waiting);
});

test('whoever waits too long for a connection is refused, and its turn is not wasted on it', async () => {
  const origin = new PatientOrigin();
  const { read, reader } = readerOver(origin, { connections: 1, waitMsMax: 30 });
  const stuck = read(1);
  await origin.arrived(1);
  await assert.rejects(read(2), (error) => error instanceof OriginUnavailable && error.code === 'origin-overloaded');
  assert.equal(reader.waiting, 0);
  origin.selects[0]?.answer();
  await stuck;
  assert.equal(origin.selects.length, 1);
});

test('an origin that is away fails the whole batch; a refused statement is tried row by row', async () => {
  const origin = new PatientOrigin();
  const { read } = readerOver(origin);
  const away = [read(1), read(2)];
  await origin.arrived(1);
  origin.selects[0]?.fail(new OriginUnavailable('origin-unreachable', 'away'));
  for (const row of away) await assert.rejects(row, /away/);

  const refused = [read(3), read(4)];
  await origin.arrived(2);
  origin.selects[1]?.fail(Object.assign(new Error('no such thing'), { code: 'ER_WRONG_VALUE' }));
  await origin.arrived(3);
  assert.deepEqual(origin.selects[2]?.ids, ['3']);
  origin.selects[2]?.fail(Object.assign(new Error('no such thing'), { code: 'ER_WRONG_VALUE' }));
  await origin.arrived(4);
  origin.selects[3]?.answer();
  await assert.rejects(refused[0] as Promise<unknown>, /refused the read/);
  assert.equal((await refused[1])?.kind, 'row');
});
