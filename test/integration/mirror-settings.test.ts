/** What a table's settings make of a mirror: one shard for all its rows, rows that are too large, another mode. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parseConfig } from '../../shared/config/load.ts';
import type { Config } from '../../shared/config/schema.ts';
import { SetupError } from '../../shared/errors/errors.ts';
import { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { redisAt, stampOf, type SyncedConfig, until } from '../support/broker.ts';
import { gatewayConfig, type GatewaySettings, startGateway, type TestGateway } from '../support/gateway.ts';
import { MirrorWorld } from '../support/mirror-world.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { SyncWorkerProcesses } from '../support/sync-worker-processes.ts';
import { mysqlUrl } from '../support/least-privilege.ts';

const stack = await testStack();
const client = new MysqlClient(stack);
await client.ownDatabase('settings');

const rows = (count: number) =>
  `INSERT INTO items WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${count}) SELECT n, CONCAT('row ', n) FROM s`;

test('pinned to a shard, a table lies in that one alone, and its changes go there alone', async () => {
  const world = await MirrorWorld.open({
    stack,
    columns: 'id INT PRIMARY KEY, v TEXT',
    filledBy: [rows(500)],
    table: { shard: 'r2' },
  });
  // As it was left when the table had two copies, and when it was cached.
  await world.redis('f1').hset(world.key(7), { ':row': `R${'0'.repeat(45)}shape--1`, id: '7', v: 'left over' });
  await world.redis('r1').set(world.key(8), `1Rx${'0'.repeat(67)}{}`);
  await world.redis('r1').set(world.key(9), 'of another application');
  await world.redis('r2').del(`${world.config.keyPrefix}ringfill:stamp`);
  await world.complete();
  await until('nothing is left of it elsewhere', async () => (await world.keysIn('f1')).length === 0);
  assert.equal(await world.redis('r1').getdel(world.key(9)), 'of another application');
  await world.run(
    "INSERT INTO items VALUES (1001, 'new')",
    "UPDATE items SET v = 'changed' WHERE id <= 20",
    'DELETE FROM items WHERE id = 30',
    'UPDATE items SET id = 1002 WHERE id = 31',
  );
  await world.applied();
  assert.deepEqual(await world.wrong(1), []);
  assert.equal((await world.keysIn('r2')).length, 500);
  for (const shard of world.shardNames) if (shard !== 'r2') assert.deepEqual(await world.keysIn(shard), [], shard);
  const answer = await world.get(7);
  assert.equal(answer.status, 200);
  assert.match(String(answer.headers.get('cache-status')), /detail="r2\/0"/);
  assert.equal((await world.get(30)).status, 404);
});

describe('a row that is larger than rowBytesMax', () => {
  const columns = 'id INT PRIMARY KEY, v TEXT';
  const filledBy = [rows(300), "UPDATE items SET v = REPEAT('x', 5000) WHERE id IN (5, 6)"];

  test('is told to be too large, whether a snapshot or a change has brought it; one that has shrunk is there', async () => {
    const world = await MirrorWorld.open({ stack, columns, filledBy, table: { rowBytesMax: 1_024 } });
    await world.complete();
    const codeOf = async (id: number) => {
      const answer = await world.get(id);
      const body = (await answer.json()) as { code?: string };
      return `${answer.status} ${body.code ?? ''}`;
    };
    assert.equal(await codeOf(5), '503 row-too-large');
    assert.equal(await codeOf(7), '200 ');
    await world.run("UPDATE items SET v = REPEAT('y', 5000) WHERE id = 7", "UPDATE items SET v = 'small' WHERE id = 5");
    await world.applied();
    assert.equal(await codeOf(5), '200 ');
    assert.equal(await codeOf(6), '503 row-too-large');
    assert.equal(await codeOf(7), '503 row-too-large');
    await world.run('DELETE FROM items WHERE id IN (6, 7)');
    await world.applied();
    assert.equal(await codeOf(6), '404 row-not-found');
  });

  test('is asked of MySQL where the table says so', async () => {
    const world = await MirrorWorld.open({
      stack,
      columns,
      filledBy,
      table: { rowBytesMax: 1_024, onIncomplete: 'origin' },
    });
    await world.complete();
    const answer = await world.get(5);
    assert.equal(answer.status, 200);
    assert.equal(((await answer.json()) as { v: string }).v.length, 5_000);
  });
});

test('rows of megabytes, more than MySQL sends in one read’s time, are brought all the same', async () => {
  const world = await MirrorWorld.open({
    stack,
    columns: 'id INT PRIMARY KEY, v LONGTEXT',
    filledBy: [rows(40), "UPDATE items SET v = REPEAT('x', 900000) WHERE id > 10"],
  });
  await world.complete();
  assert.deepEqual(await world.wrong(2), []);
});

describe('a table that cannot be a mirror', () => {
  const pool = new OriginPool({
    url: mysqlUrl(stack.mysql),
    connections: 1,
    timeoutMs: 5_000,
    packets: true,
    onChange: () => undefined,
  });
  after(() => pool.stop());
  const load = (tables: Config['tables']) => {
    const { text } = gatewayConfig(stack, { tables, sync: {} });
    return ExposedTables.load(pool, parseConfig(text, 'test'), createLog('error'));
  };
  const problemsOf = async (tables: Config['tables']) => {
    const error = await load(tables).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    return error instanceof SetupError ? error.problems.map(({ code, where }) => `${code} ${where}`) : [];
  };

  test('for an ENUM or a SET in its key, or a column called :row, is refused; read-through it may be', async () => {
    await client.run(`CREATE TABLE settings.by_enum (kind ENUM('b', 'a') PRIMARY KEY);
      CREATE TABLE settings.by_set (id INT, kind SET('b', 'a'), PRIMARY KEY (id, kind));
      CREATE TABLE settings.has_row (id INT PRIMARY KEY, \`:row\` INT)`);
    const names = ['settings.by_enum', 'settings.by_set', 'settings.has_row'];
    const all = (mode: 'mirror' | 'read-through') => Object.fromEntries(names.map((name) => [name, { mode }]));
    assert.deepEqual(await problemsOf(all('mirror')), [
      'key-unsuitable tables.settings.by_enum.key',
      'key-unsuitable tables.settings.by_set.key',
      'table-unsupported tables.settings.has_row',
    ]);
    assert.deepEqual(await problemsOf(all('read-through')), []);
    assert.deepEqual(await problemsOf({ 'settings.has_row': { mode: 'mirror', columns: { deny: [':row'] } } }), []);
  });

  test('and one that becomes such is not used any more', async () => {
    await client.run('CREATE TABLE settings.changing (id INT PRIMARY KEY, v INT)');
    const tables = await load({ 'settings.changing': { mode: 'mirror' } });
    const [table] = [...tables.all()];
    assert.ok(table !== undefined);
    await client.run('ALTER TABLE settings.changing ADD COLUMN `:row` INT');
    await tables.reload(table);
    assert.match(String(table.unusable?.reason), /:row.*table-unsupported/);
    await client.run('ALTER TABLE settings.changing DROP COLUMN `:row`');
    await tables.reload(table);
    assert.equal(table.unusable, undefined);
  });
});

test('read-through, then a mirror, then read-through again, over the same keys: nobody hears of a WRONGTYPE or a mistake', async (t) => {
  const ROWS = 300;
  await client.run(`CREATE TABLE settings.items (id INT PRIMARY KEY, v TEXT); USE settings; ${rows(ROWS)}`);
  const name = `s${randomBytes(4).toString('hex')}`;
  const stateFolder = join(temporaryFolder(), 'state');
  const settingsOf = (mode: 'read-through' | 'mirror'): GatewaySettings => ({
    origin: { url: mysqlUrl(stack.mysql) },
    tables: { 'settings.items': { mode } },
    keyPrefix: `${name}:`,
    sync: { name, stateFolder },
  });
  const workerAs = async (mode: 'read-through' | 'mirror') =>
    await new SyncWorkerProcesses(temporaryFolder(), gatewayConfig(stack, settingsOf(mode)).text).start();
  const config = parseConfig(gatewayConfig(stack, settingsOf('mirror')).text, 'test') as SyncedConfig;
  const shards = stack.redis.map(({ port }) => redisAt(port));
  const cached = await startGateway(stack, settingsOf('read-through'));
  const mirrored = await startGateway(stack, settingsOf('mirror'));
  const seen: Record<string, number> = {};
  const mistakes: string[] = [];
  let isOver = false;
  const readOn = async (who: string, gateway: TestGateway) => {
    for (let n = 0; !isOver; n += 1) {
      const id = 1 + ((n * 7) % (ROWS + 20));
      const answer = await gateway.get(`/settings/items/${id}`);
      const body = (await answer.json()) as { code?: string; id?: number };
      const isRight = answer.status === (id <= ROWS ? 200 : 404) || body.code === 'mirror-unavailable';
      if (!isRight || (who === 'cached' && answer.status === 503))
        mistakes.push(`${who} ${id}: ${answer.status} ${JSON.stringify(body)}`);
      const outcome = `${who} ${answer.status}`;
      seen[outcome] = (seen[outcome] ?? 0) + 1;
    }
  };
  const change = async (text: string) => {
    await client.run(`UPDATE settings.items SET v = '${text}' WHERE id <= 10`);
  };
  const says = async (gateway: TestGateway, text: string) => {
    await until(`it says ${text}`, async () => {
      const answer = await gateway.get('/settings/items/3');
      return answer.status === 200 && ((await answer.json()) as { v: string }).v === text;
    });
  };
  const followed = async (name_: string) => {
    await until(`all shards follow ${name_}`, async () => {
      const stamps = await Promise.all(shards.map((redis) => stampOf(redis, config)));
      return stamps.every((stamp) => stamp?.tables[name_] !== undefined);
    });
  };
  const isHit = async (gateway: TestGateway, id: number) => {
    const answer = await gateway.get(`/settings/items/${id}`);
    await answer.arrayBuffer();
    return answer.status === 200 && / hit(?:;|$)/.test(String(answer.headers.get('cache-status')));
  };

  let worker = await workerAs('read-through');
  await followed('settings.items(id)');
  const readers = Promise.all([readOn('cached', cached), readOn('mirrored', mirrored)]);
  try {
    await until('rows are cached', () => isHit(cached, 5));
    await change('cached');
    await says(cached, 'cached');

    await worker.stop();
    worker = await workerAs('mirror');
    await until('the mirror is complete', async () => {
      const stamps = await Promise.all(shards.map((redis) => stampOf(redis, config)));
      return stamps.every((stamp) => Object.keys(stamp?.complete ?? {}).length === 1);
    });
    await change('mirrored');
    await says(mirrored, 'mirrored');
    await says(cached, 'mirrored');
    for (const id of [1, 100, 299]) assert.ok(await isHit(mirrored, id), String(id));

    await worker.stop();
    worker = await workerAs('read-through');
    await followed('settings.items(id)');
    await until('rows are cached again', () => isHit(cached, 100));
    await change('cached again');
    await says(cached, 'cached again');
  } finally {
    isOver = true;
    await readers;
    await worker.stop();
  }
  t.diagnostic(JSON.stringify(seen));
  assert.deepEqual(mistakes.slice(0, 5), []);
  assert.ok((seen['mirrored 200'] ?? 0) > 0);
});
