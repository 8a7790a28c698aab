/** Events, as MariaDB 10.11 and MySQL 8 log them, -> transactions. The sequences are written by hand after real ones. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { pino } from 'pino';
import { parseConfig } from '../../shared/config/load.ts';
import type { Column } from '../../shared/origin/column.ts';
import { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { composeSchema } from '../../shared/origin/table-schema.ts';
import { Assembler } from '../../sync-worker/capture/assembler/assembler.ts';
import type { BinlogEvent, EventRow, EventTable } from '../../sync-worker/capture/binlog/binlog-event.ts';
import type { SpillOptions } from '../../sync-worker/capture/assembler/spill.ts';
import type { Transaction } from '../../sync-worker/capture/assembler/transaction.ts';

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`assembler: seed ${seed}\n`);

const root = mkdtempSync(join(tmpdir(), 'ringfill-'));
after(() => rmSync(root, { recursive: true, force: true }));
const log = pino({ level: 'silent' });

const uid: Column = {
  name: 'uid',
  dataType: 'int',
  columnType: 'int(10)',
  nullable: false,
  charset: null,
  collation: null,
  lengthMax: null,
  precision: 10,
  scale: 0,
  fraction: null,
  json: false,
};
const labels = ['shop.users', 'shop.orders', 'other.users'];
const config = parseConfig(
  JSON.stringify({
    origin: { url: 'mysql://u@localhost' },
    rings: [{ name: 'primary', shards: { r1: 'redis://localhost' } }],
    tables: Object.fromEntries(labels.map((label) => [label, {}])),
  }),
  'test',
);
const followed = labels.map((label) => {
  const [db = '', table = ''] = label.split('.');
  const outcome = composeSchema({ db, table }, [uid], [['uid']], {}, label);
  assert.ok('schema' in outcome);
  return new ExposedTable(label, config, { ...outcome.schema, resultTypes: '' });
});
const tables = {
  find: (db: string, table: string) => followed.find(({ name }) => name.db === db && name.table === table),
  all: () => followed,
};
const ALL = labels.map((label) => `${label}(uid)`);

/** An event, still without its place. */
type Placeless = BinlogEvent extends infer Event
  ? Event extends BinlogEvent
    ? Omit<Event, 'end' | 'bytes'>
    : never
  : never;

const maps = new Map<string, EventTable>();
function mapOf(label: string): EventTable {
  const [db = '', table = ''] = label.split('.');
  const map = maps.get(label) ?? { db, table, columns: [] };
  maps.set(label, map);
  return map;
}
const cells = (id: number | undefined) => (id === undefined ? undefined : [Buffer.from(String(id))]);
const row = (before: number | undefined, next: number | undefined): EventRow => ({
  before: cells(before),
  after: cells(next),
});
const rowsOf = (label: string, rows: readonly EventRow[], firstOrdinal = 0): Placeless => {
  return { kind: 'rows', table: mapOf(label), rows, firstOrdinal };
};
/** Inserts. */
const rows = (label: string, ...ids: number[]) =>
  rowsOf(
    label,
    ids.map((id) => row(undefined, id)),
  );
const begin = (gtid?: string): Placeless => ({ kind: 'begin', gtid, standalone: false, committedAtMicros: 17 });
const alone = (gtid?: string): Placeless => ({ kind: 'begin', gtid, standalone: true, committedAtMicros: 17 });
const query = (sql: string, db = 'shop'): Placeless => ({ kind: 'query', db, sql, failed: false });
const commit: Placeless = { kind: 'commit' };
const heartbeat: Placeless = { kind: 'heartbeat' };
const xaPrepare = (xid: string, onePhase = false): Placeless => ({ kind: 'xa-prepare', xid, onePhase });
const rotate = (how: 'start' | 'clean' | 'crash'): Placeless => ({ kind: 'rotate', after: how });

/** What a transaction came to, in short. */
interface Seen {
  readonly at: number;
  readonly gtid: string | undefined;
  /** `op table id`. */
  readonly changes: readonly string[];
  readonly floors: readonly string[];
  readonly restart: number;
}

class Feed {
  readonly assembler: Assembler;
  /** Each event ends 10 bytes after the one before. */
  position = 0;
  file = 'binlog.000001';

  constructor(spill: Partial<SpillOptions> = {}) {
    this.assembler = new Assembler({
      from: { file: this.file, position: 0 },
      tables,
      viewOf: (_map, schema) => ({
        keyCells: (of) => schema.keyAt.map((at) => of[at] as Buffer),
        exposedCells: (of) => of,
      }),
      spill: { folder: join(root, 'spill'), ...spill },
      log,
    });
  }

  async take(event: Placeless): Promise<Transaction | undefined> {
    this.position += 10;
    if (event.kind === 'rotate') {
      this.file = event.after === 'start' ? this.file : this.file.replace(/\d$/, (digit) => String(Number(digit) + 1));
      this.position = event.after === 'start' ? 0 : 4;
    }
    const end = { file: this.file, position: this.position };
    return this.assembler.take({ ...event, end, bytes: 100 } as BinlogEvent);
  }

  async all(...events: Placeless[]): Promise<Seen[]> {
    const seen: Seen[] = [];
    for (const event of events) {
      const transaction = await this.take(event);
      if (transaction !== undefined) seen.push(await summary(transaction));
    }
    return seen;
  }

  get passed(): number {
    return this.assembler.passed.position;
  }
}

async function summary(transaction: Transaction): Promise<Seen> {
  const changes: string[] = [];
  for await (const { op, key } of transaction.changes()) changes.push(`${op} ${key}`);
  assert.equal(transaction.count, changes.length);
  transaction.discard();
  const { end, gtid, floors, restart } = transaction;
  return { at: end.position, gtid, changes, floors, restart: restart.position };
}

/** Of the one transaction that the events make. */
async function only(...events: Placeless[]): Promise<Seen> {
  const seen = await new Feed().all(...events);
  assert.equal(seen.length, 1, JSON.stringify(seen));
  return seen[0] as Seen;
}

const none = { changes: [], floors: [] };

test('a transaction leaves whole, at its commit, with its position, GTID and time', async () => {
  const feed = new Feed();
  assert.deepEqual(await feed.all(begin('g:1'), rows('shop.users', 1, 2), rows('shop.orders', 3)), []);
  assert.equal(feed.passed, 0);
  const transaction = await feed.take(commit);
  assert.equal(transaction?.committedAtMicros, 17);
  assert.deepEqual(transaction && (await summary(transaction)), {
    at: 40,
    gtid: 'g:1',
    floors: [],
    restart: 40,
    changes: ['write shop_users_1', 'write shop_users_2', 'write shop_orders_3'],
  });
  assert.equal(feed.passed, 40);
});

test('MySQL’s BEGIN after the GTID, and one without any GTID, begin the same transaction', async () => {
  const changes = ['write shop_users_1'];
  for (const first of [[begin('g')], [alone('g')], []]) {
    const seen = await only(...first, query('BEGIN'), rows('shop.users', 1), commit);
    assert.deepEqual([seen.changes, seen.floors], [changes, []]);
  }
});

test('COMMIT as a statement, as other engines’ transactions end, commits', async () => {
  assert.deepEqual((await only(begin(), rows('shop.users', 1), query('COMMIT'))).changes, ['write shop_users_1']);
});

test('a logged ROLLBACK leaves nothing of what was before it', async () => {
  const seen = await only(begin('g'), rows('shop.users', 1), rows('shop.log', 1), query('ROLLBACK'));
  assert.deepEqual(seen, { ...none, at: 40, gtid: 'g', restart: 40 });
});

test('transactions without followed rows leave too, empty', async () => {
  const seen = await new Feed().all(begin('g:1'), rows('shop.log', 1), commit, begin('g:2'), commit);
  assert.deepEqual(seen, [
    { ...none, at: 30, gtid: 'g:1', restart: 30 },
    { ...none, at: 50, gtid: 'g:2', restart: 50 },
  ]);
});

test('DDL is a transaction of its own, and raises the floor of what it names', async () => {
  assert.deepEqual(await only(alone('g'), query('TRUNCATE TABLE `users`')), {
    at: 20,
    gtid: 'g',
    changes: [],
    floors: ['shop.users(uid)'],
    restart: 20,
  });
  assert.deepEqual((await only(query('DROP DATABASE shop', ''))).floors, ALL.slice(0, 2));
  assert.deepEqual((await only(alone(), query('CREATE TABLE fresh (id INT)'))).floors, []);
});

test('DDL that a transaction holds, as CREATE TABLE … SELECT does, does not end it', async () => {
  const mysql = [alone(), query('BEGIN'), query('CREATE TABLE `users` (`uid` int) START TRANSACTION')];
  const mariadb = [begin(), query('CREATE TABLE `users` (`uid` int)')];
  for (const first of [mysql, mariadb]) {
    const seen = await only(...first, rows('shop.users', 1), commit);
    assert.deepEqual([seen.changes, seen.floors], [['write shop_users_1'], ['shop.users(uid)']]);
  }
});

test('a statement amid rows raises floors at the transaction’s end, and the rows still count', async () => {
  const feed = new Feed();
  const before = await feed.all(begin(), rows('shop.users', 1), query('UPDATE audit SET a = 1'), rows('shop.users', 2));
  assert.deepEqual(before, []);
  const [seen] = await feed.all(commit);
  assert.deepEqual(seen, {
    at: 50,
    gtid: undefined,
    floors: ALL,
    restart: 50,
    changes: ['write shop_users_1', 'write shop_users_2'],
  });
});

test('ROLLBACK TO forgets what came after the savepoint, and nothing else', async () => {
  const seen = await only(
    begin(),
    rows('shop.users', 1),
    query('SAVEPOINT `a`'),
    rows('shop.users', 2),
    query('SAVEPOINT `b`'),
    rows('shop.users', 3),
    query('ROLLBACK TO `b`'),
    rows('shop.users', 4),
    query('ROLLBACK TO `A`'),
    rows('shop.users', 5),
    query('ROLLBACK TO `a`'),
    rows('shop.users', 6),
    commit,
  );
  assert.deepEqual([seen.changes, seen.floors], [['write shop_users_1', 'write shop_users_6'], []]);
});

test('rows keep the numbers that their events give them; past the last there is they become a floor', async () => {
  const feed = new Feed();
  await feed.all(begin(), rowsOf('shop.users', [row(undefined, 1), row(2, 3)], 500));
  await feed.all(rowsOf('shop.orders', [row(undefined, 4)], 9_000_000_000));
  const transaction = await feed.take(commit);
  const ordinals: number[] = [];
  for await (const { ordinal } of transaction?.changes() ?? []) ordinals.push(ordinal);
  assert.deepEqual(ordinals, [501, 502, 503, 9_000_000_001]);
  const [beyond] = await feed.all(
    begin(),
    rows('shop.users', 1),
    rowsOf('shop.orders', [row(undefined, 4)], 9_999_999_999),
    rows('shop.users', 2),
    commit,
  );
  assert.deepEqual([beyond?.changes, beyond?.floors.toSorted()], [[], ['shop.orders(uid)', 'shop.users(uid)']]);
});

test('a savepoint set again stands where it was set last', async () => {
  const seen = await only(
    begin(),
    query('SAVEPOINT a'),
    rows('shop.users', 1),
    query('SAVEPOINT a'),
    rows('shop.users', 2),
    query('ROLLBACK TO a'),
    commit,
  );
  assert.deepEqual(seen.changes, ['write shop_users_1']);
});

test('a return to a savepoint that nobody knows raises the floors of the tables touched', async () => {
  for (const known of [[], [query('SAVEPOINT a'), query('SAVEPOINT b'), query('RELEASE SAVEPOINT a')]]) {
    for (const name of known.length === 0 ? ['a'] : ['a', 'b']) {
      const seen = await only(begin(), ...known, rows('shop.users', 1), query(`ROLLBACK TO ${name}`), commit);
      assert.deepEqual(seen.floors, ['shop.users(uid)']);
    }
  }
});

const X1 = "X'6131',X'',1";
const X2 = "X'6132',X'62',1";
const prepared = (xid: string, ...ids: number[]) => [
  begin(`p ${xid}`),
  query(`XA START ${xid}`),
  rows('shop.users', ...ids),
  query(`XA END ${xid}`),
  xaPrepare(xid),
];

test('a return to a savepoint forgets the later ones too', async () => {
  const seen = await only(
    begin(),
    query('SAVEPOINT a'),
    rows('shop.users', 1),
    query('SAVEPOINT b'),
    query('ROLLBACK TO a'),
    query('ROLLBACK TO b'),
    commit,
  );
  assert.deepEqual([seen.changes, seen.floors], [[], ['shop.users(uid)']]);
});

test('a statement that is told to be unreadable is still one transaction', async () => {
  const garbled: Placeless = { kind: 'unreadable', table: undefined, why: 'x' };
  const seen = await only(alone('g'), garbled, query('TRUNCATE TABLE \ufffd'));
  assert.deepEqual([seen.gtid, seen.floors, seen.at], ['g', ALL, 30]);
});

test('XA changes count from XA COMMIT’s place, and reading on begins before the oldest prepared one', async () => {
  const feed = new Feed();
  assert.deepEqual(await feed.all(...prepared(X1, 1)), [{ ...none, at: 50, gtid: `p ${X1}`, restart: 0 }]);
  assert.equal(feed.passed, 50);
  assert.deepEqual(await feed.all(...prepared(X2, 2)), [{ ...none, at: 100, gtid: `p ${X2}`, restart: 0 }]);
  assert.deepEqual(await feed.all(begin(), rows('shop.users', 3), commit), [
    { ...none, at: 130, gtid: undefined, restart: 0, changes: ['write shop_users_3'] },
  ]);
  // The first goes, the second holds.
  assert.deepEqual(await feed.all(begin('c'), query(`XA COMMIT ${X1}`)), [
    { ...none, at: 150, gtid: 'c', restart: 50, changes: ['write shop_users_1'] },
  ]);
  assert.equal(feed.assembler.restart.position, 50);
  assert.deepEqual(await feed.all(begin('r'), query(`XA ROLLBACK ${X2}`)), [
    { ...none, at: 170, gtid: 'r', restart: 170 },
  ]);
  assert.equal(feed.assembler.restart.position, 170);
});

test('an XA transaction’s id is one, however it is written', async () => {
  const feed = new Feed();
  await feed.all(...prepared(X1, 1));
  const [seen] = await feed.all(alone(), query("XA COMMIT 'a1'"));
  assert.deepEqual([seen?.changes, seen?.floors], [['write shop_users_1'], []]);
});

test('XA COMMIT in one phase commits at once', async () => {
  const start = [begin(), query(`XA START ${X1}`), rows('shop.users', 1), query(`XA END ${X1}`)];
  for (const end of [xaPrepare(X1, true), query(`XA COMMIT ${X1} ONE PHASE`), commit]) {
    const seen = await only(...start, end);
    assert.deepEqual([seen.changes, seen.floors, seen.restart], [['write shop_users_1'], [], 50]);
  }
});

test('floors of a prepared transaction rise at XA COMMIT', async () => {
  const feed = new Feed();
  const first = await feed.all(begin(), query(`XA START ${X1}`), query('DELETE FROM users'), xaPrepare(X1));
  assert.deepEqual(first[0]?.floors, []);
  assert.deepEqual((await feed.all(begin(), query(`XA COMMIT ${X1}`)))[0]?.floors, ALL);
});

test('XA COMMIT of what was prepared before we began to read raises every floor; XA ROLLBACK none', async () => {
  assert.deepEqual((await only(alone(), query(`XA COMMIT ${X1}`))).floors, ALL);
  assert.deepEqual((await only(alone(), query(`XA ROLLBACK ${X1}`))).floors, []);
});

test('rows that cannot be read raise the floor of their table, or of all, at the transaction’s end', async () => {
  const users = { db: 'shop', table: 'users' };
  const unreadable = (table?: { db: string; table: string }): Placeless => ({ kind: 'unreadable', table, why: 'x' });
  const one = await only(begin(), unreadable(users), rows('shop.orders', 1), commit);
  assert.deepEqual([one.floors, one.changes, one.at], [['shop.users(uid)'], ['write shop_orders_1'], 40]);
  assert.deepEqual((await only(begin(), unreadable(), commit)).floors, ALL);
  assert.deepEqual((await only(begin(), unreadable({ db: 'shop', table: 'log' }), commit)).floors, []);
  // An incident stands outside any transaction.
  assert.deepEqual((await only(unreadable())).floors, ALL);
});

test('a heartbeat passes what is closed, and never enters what is open', async () => {
  const feed = new Feed();
  await feed.all(heartbeat);
  assert.equal(feed.passed, 10);
  await feed.all(begin(), rows('shop.users', 1), heartbeat);
  assert.equal(feed.passed, 10);
  await feed.all(commit, heartbeat);
  assert.equal(feed.passed, 60);
});

test('what is passed goes with the file, and never back', async () => {
  const feed = new Feed();
  await feed.all(rotate('start'), { kind: 'format', createdAt: 1 }, begin(), commit);
  const format: Placeless = { kind: 'format', createdAt: 1 };
  await feed.assembler.take({ ...format, end: { file: feed.file, position: 4 }, bytes: 0 } as BinlogEvent);
  assert.deepEqual(feed.assembler.passed, { file: 'binlog.000001', position: 30 });
  await feed.all(rotate('clean'));
  assert.deepEqual(feed.assembler.passed, { file: 'binlog.000002', position: 4 });
  assert.deepEqual(feed.assembler.restart, feed.assembler.passed);
});

test('a transaction that a file’s end cuts off was never committed', async () => {
  for (const how of ['crash', 'clean'] as const) {
    const feed = new Feed();
    const seen = await feed.all(begin(), rows('shop.users', 1), rotate(how), begin(), rows('shop.users', 2), commit);
    assert.deepEqual(
      seen.map(({ changes, floors }) => [changes, floors]),
      [[['write shop_users_2'], []]],
    );
  }
});

test('what a file’s end leaves unknown raises its floors at once', async () => {
  const feed = new Feed();
  const [seen] = await feed.all(begin(), { kind: 'unreadable', table: undefined, why: 'x' }, rotate('clean'));
  assert.deepEqual([seen?.floors, seen?.at, feed.passed], [ALL, 4, 4]);
});

test('a transaction whose end was not seen raises the floors of what it touched with the next', async () => {
  const seen = await only(begin('a'), rows('shop.users', 1), begin('b'), rows('shop.orders', 2), commit);
  assert.deepEqual([seen.gtid, seen.changes, seen.floors], ['b', ['write shop_orders_2'], ['shop.users(uid)']]);
});

const many = (from: number, count: number) =>
  rows('shop.users', ...Array.from({ length: count }, (_, at) => from + at));

test('a transaction larger than memory comes from disk, in order, and leaves no file', async () => {
  const folder = join(root, 'large');
  const feed = new Feed({ folder, memoryBytesMax: 20_000 });
  await feed.take(begin());
  for (let index = 0; index < 50; index += 1) await feed.take(many(index * 100, 100));
  assert.equal(readdirSync(folder).length, 1);
  const seen = await feed.all(commit);
  assert.deepEqual(
    seen[0]?.changes,
    Array.from({ length: 5_000 }, (_, id) => `write shop_users_${id}`),
  );
  await gone(folder);
});

test('a rolled back, a cut off and a disconnected transaction leave no file either', async () => {
  const folder = join(root, 'dropped');
  const feed = new Feed({ folder, memoryBytesMax: 100 });
  await feed.all(begin(), many(0, 100), query('ROLLBACK'));
  assert.deepEqual(readdirSync(folder), []);
  await feed.all(begin(), many(0, 100), rotate('crash'));
  assert.deepEqual(readdirSync(folder), []);
  await feed.all(...prepared(X1, 1), ...prepared(X2, 2), begin(), many(0, 100));
  assert.equal(readdirSync(folder).length, 3);
  await feed.assembler.discard();
  assert.deepEqual(readdirSync(folder), []);
});

test('all that is prepared shares one bound', async () => {
  const folder = join(root, 'prepared');
  const feed = new Feed({ folder, memoryBytesMax: 2_000 });
  for (let index = 0; index < 10; index += 1) await feed.all(...prepared(`X'0${index}',X'',1`, index, index + 100));
  const onDisk = readdirSync(folder).length;
  assert.ok(onDisk > 5 && onDisk < 10, `${onDisk} files`);
  for (let index = 0; index < 10; index += 1) {
    const [seen] = await feed.all(begin(), query(`XA COMMIT X'0${index}',X'',1`));
    assert.deepEqual(seen?.changes, [`write shop_users_${index}`, `write shop_users_${index + 100}`]);
  }
  await gone(folder);
});

test('a transaction that cannot be kept becomes the floors of its tables', async () => {
  const blocked = join(root, 'blocked');
  writeFileSync(blocked, 'a file where a folder should be');
  for (const spill of [{ folder: blocked }, { fileBytesMax: 1_000 }]) {
    const feed = new Feed({ memoryBytesMax: 100, ...spill });
    const [seen, next] = await feed.all(
      begin(),
      many(0, 100),
      query('SAVEPOINT a'),
      rows('shop.orders', 1),
      query('ROLLBACK TO a'),
      rows('other.users', 1),
      commit,
      begin(),
      query('COMMIT'),
    );
    assert.deepEqual(seen?.changes, []);
    assert.deepEqual(seen?.floors.toSorted(), ALL.toSorted());
    assert.deepEqual(next?.floors, []);
  }
});

/** Its files go without being waited for. */
async function gone(folder: string): Promise<void> {
  for (let attempt = 0; attempt < 100 && readdirSync(folder).length > 0; attempt += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.deepEqual(readdirSync(folder), []);
}

type Step =
  | { kind: 'row'; id: number }
  | { kind: 'savepoint' | 'rollback-to'; name: string }
  | { kind: 'commit' | 'rollback' | 'xa-commit' | 'xa-rollback' }
  | { kind: 'prepare'; xid: number };
const name = fc.constantFrom('a', 'b', 'c');
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.nat(50).map((id) => ({ kind: 'row', id }) as const) },
  { weight: 2, arbitrary: name.map((text) => ({ kind: 'savepoint', name: text }) as const) },
  { weight: 2, arbitrary: name.map((text) => ({ kind: 'rollback-to', name: text }) as const) },
  { weight: 1, arbitrary: fc.constantFrom('commit', 'rollback', 'xa-commit', 'xa-rollback').map((kind) => ({ kind })) },
  { weight: 1, arbitrary: fc.nat(20).map((xid) => ({ kind: 'prepare', xid }) as const) },
);

test('savepoints, XA and spilling in any order come to what a naive model says', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 80 }), fc.constantFrom(0, 600, 10_000), async (steps, bound) => {
      const feed = new Feed({ memoryBytesMax: bound });
      const committed: string[] = [];
      const expected: string[] = [];
      let open: string[] | undefined;
      let savepoints: { name: string; length: number }[] = [];
      const waiting = new Map<string, string[]>();
      const take = async (...events: Placeless[]) => {
        for (const { changes, floors } of await feed.all(...events)) {
          committed.push(...changes);
          assert.deepEqual(floors, []);
        }
      };
      const end = async (event: Placeless, kept: readonly string[]) => {
        if (open === undefined) return;
        await take(event);
        expected.push(...kept);
        open = undefined;
        savepoints = [];
      };
      const opened = async () => {
        if (open === undefined) await take(begin());
        open ??= [];
        return open;
      };
      for (const step of steps) {
        switch (step.kind) {
          case 'row':
            (await opened()).push(`write shop_users_${step.id}`);
            await take(rows('shop.users', step.id));
            break;
          case 'savepoint': {
            const { length } = await opened();
            savepoints = [...savepoints.filter((known) => known.name !== step.name), { name: step.name, length }];
            await take(query(`SAVEPOINT ${step.name}`));
            break;
          }
          case 'rollback-to': {
            const at = savepoints.findIndex((known) => known.name === step.name);
            if (at === -1 || open === undefined) break;
            open.length = savepoints[at]?.length ?? 0;
            savepoints = savepoints.slice(0, at + 1);
            await take(query(`ROLLBACK TO ${step.name}`));
            break;
          }
          case 'commit':
            await end(commit, open ?? []);
            break;
          case 'rollback':
            await end(query('ROLLBACK'), []);
            break;
          case 'prepare': {
            const xid = `X'${String(step.xid).padStart(2, '0')}',X'',1`;
            if (open === undefined || waiting.has(xid)) break;
            waiting.set(xid, open);
            await end(xaPrepare(xid), []);
            break;
          }
          case 'xa-commit':
          case 'xa-rollback': {
            const [xid, kept] = [...waiting].at(-1) ?? [];
            if (open !== undefined || xid === undefined || kept === undefined) break;
            waiting.delete(xid);
            await take(begin());
            open = [];
            const isCommit = step.kind === 'xa-commit';
            await end(query(`XA ${isCommit ? 'COMMIT' : 'ROLLBACK'} ${xid}`), isCommit ? kept : []);
            break;
          }
        }
      }
      await end(commit, open ?? []);
      assert.deepEqual(committed, expected);
      await feed.assembler.discard();
    }),
    { seed, numRuns: 300 },
  );
  await gone(join(root, 'spill'));
});
