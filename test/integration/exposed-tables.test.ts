/** How exposed tables are known while everything runs: names, tables that become unsuitable, another server's version. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import { parseConfig } from '../../shared/config/load.ts';
import { SetupError } from '../../shared/errors/errors.ts';
import { parseRowId } from '../../shared/key/row-id.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import type { Queryable } from '../../shared/origin/information-schema.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { plainRead } from '../../shared/origin/plain-read.ts';
import { provedRead } from '../../shared/origin/proved-read.ts';
import { RowReader } from '../../shared/origin/row-reader.ts';
import { sqlServerOf } from '../../shared/origin/server-version.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { startMysql } from '../../stack/mysql.ts';
import { redisAt, stampOf, until } from '../support/broker.ts';
import { cacheStatusOf, gatewayConfig, originUrl, startGateway, type TestGateway } from '../support/gateway.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { RedisEntries } from '../support/redis-entries.ts';
import { Stamps } from '../support/stamps.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { SyncWorkerProcesses } from '../support/sync-worker-processes.ts';
import { mysqlUrl } from '../support/least-privilege.ts';

const stack = await testStack();
const client = new MysqlClient(stack);
await client.ownDatabase('exposing');

function poolAt(url: string): OriginPool {
  const pool = new OriginPool({ url, connections: 2, timeoutMs: 5_000, packets: true, onChange: () => undefined });
  after(() => pool.stop());
  return pool;
}

function load(origin: Queryable, labels: readonly string[], sync = false): Promise<ExposedTables> {
  const tables = Object.fromEntries(labels.map((label) => [label, {}]));
  const { text } = gatewayConfig(stack, { tables, ...(sync && { sync: {} }) });
  return ExposedTables.load(origin, parseConfig(text, 'test'), createLog('error'));
}

let names = 0;

async function create(columns: string, values: string): Promise<string> {
  const name = `exposing.t${(names += 1)}`;
  await client.run(`CREATE TABLE ${name} (${columns}) ENGINE=InnoDB; INSERT INTO ${name} VALUES ${values}`);
  return name;
}

// MySQL wants to know it when its data folder is made.
const lowersNames = stack.mysql.flavour === 'mariadb';
const claim = 'a name in other letters than the server’s own is refused, where the server takes it all the same';
test(claim, { skip: !lowersNames }, async () => {
  const mysql = await startMysql({ folder: temporaryFolder(), args: ['--lower-case-table-names=1'] });
  after(() => mysql.stop());
  const root = await createConnection({ socketPath: mysql.socket, user: 'root' });
  await root.query('CREATE DATABASE Shop');
  await root.query('CREATE TABLE Shop.Orders (id INT NOT NULL PRIMARY KEY)');
  await root.end();
  const pool = poolAt(`mysql://root@127.0.0.1:${mysql.port}`);
  for (const label of ['Shop.Orders', 'shop.Orders', 'Shop.orders']) {
    await assert.rejects(load(pool, [label]), (error) => {
      assert.ok(error instanceof SetupError, String(error));
      assert.deepEqual(error.problems.map(({ code, where, mend }) => [code, where, mend]).flat(), [
        'table-missing',
        `tables.${label}`,
        'write it as shop.orders',
      ]);
      return true;
    });
  }
  assert.ok((await load(pool, ['shop.orders'])).find('shop', 'orders'));
});

/** What a running table becomes, so that a start would refuse it, and how it is mended. */
const UNSUITABLE = [
  { what: 'of another engine', alter: 'ENGINE=MyISAM', mend: 'ENGINE=InnoDB' },
  ...(stack.mysql.flavour === 'mariadb'
    ? [{ what: 'system-versioned', alter: 'ADD SYSTEM VERSIONING', mend: 'DROP SYSTEM VERSIONING' }]
    : []),
];

describe('a table that becomes unsuitable', () => {
  const read = async (gateway: TestGateway, table: string, id: number) => {
    const response = await gateway.get(`/${table.replace('.', '/')}/${id}`);
    return { status: response.status, story: cacheStatusOf(response).text, body: await response.text() };
  };

  for (const { what, alter, mend } of UNSUITABLE) {
    test(`${what}: known as such by the next look, until it is mended`, async () => {
      const name = await create('id INT NOT NULL PRIMARY KEY, a INT', '(7, 1)');
      const tables = await load(poolAt(originUrl(stack)), [name]);
      const table = tables.find('exposing', name.replace('exposing.', '')) as ExposedTable;
      await client.run(`ALTER TABLE ${name} ${alter}`);
      await tables.reload(table);
      assert.match(table.unusable?.reason ?? '', /only InnoDB tables can be cached/);
      await client.run(`ALTER TABLE ${name} ${mend}`);
      await tables.reload(table);
      assert.equal(table.unusable, undefined);
    });

    test(`${what}, not followed: read, and stored no more`, async () => {
      const name = await create('id INT NOT NULL PRIMARY KEY, a INT', '(1, 1), (2, 1), (3, 1)');
      const gateway = await startGateway(stack, { tables: { [name]: {} }, origin: { schemaReloadSeconds: 1 } });
      await client.run(`ALTER TABLE ${name} ${alter}`);
      await sleep(1_500);
      for (let time = 0; time < 2; time += 1) {
        const { status, story } = await read(gateway, name, 1);
        assert.equal(status, 200);
        assert.match(story, /unstored=unsuitable"/);
      }
      await client.run(`ALTER TABLE ${name} ${mend}`);
      await until('stored again', async () => / stored/.test((await read(gateway, name, 2)).story));
    });

    test(`${what}, followed: a stamp that lists it still is not believed for it, and nothing is stored`, async () => {
      const name = await create('id INT NOT NULL PRIMARY KEY, a INT', '(1, 1), (2, 1), (3, 1)');
      const settings = { tables: { [name]: {} }, origin: { schemaReloadSeconds: 1 }, sync: {} };
      const gateway = await startGateway(stack, settings);
      const stamps = await Stamps.over(stack, gateway.keyPrefix, [`${name}(id)`]);
      await stamps.beatAll();
      assert.match((await read(gateway, name, 1)).story, / stored/);
      await client.run(`ALTER TABLE ${name} ${alter}; UPDATE ${name} SET a = 2`);
      await sleep(1_500);
      await stamps.beatAll();
      for (const id of [1, 2]) {
        const { story, body } = await read(gateway, name, id);
        assert.match(story, /fwd=bypass; .*unstored=not-followed"/);
        assert.equal(body, `{"id":${id},"a":2}`);
      }
      const entries = new RedisEntries(stack, gateway.keyPrefix);
      await assert.rejects(entries.read(`${name.replace('.', '_')}_2`));
      await client.run(`ALTER TABLE ${name} ${mend}`);
      await sleep(1_500);
      await stamps.beatAll();
      assert.match((await read(gateway, name, 3)).story, / stored/);
    });

    test(`${what}: the sync worker follows it no more, and again when it is mended`, async () => {
      const name = await create('id INT NOT NULL PRIMARY KEY, a INT', '(1, 1)');
      const other = await create('id INT NOT NULL PRIMARY KEY, a INT', '(1, 1)');
      const keyPrefix = `x${randomBytes(4).toString('hex')}:`;
      const folder = temporaryFolder();
      const settings = {
        tables: { [name]: {}, [other]: {} },
        keyPrefix,
        origin: { url: mysqlUrl(stack.mysql), schemaReloadSeconds: 1 },
        sync: { name: keyPrefix.slice(0, -1), stateFolder: join(folder, 'state') },
      };
      const worker = await new SyncWorkerProcesses(folder, gatewayConfig(stack, settings).text).start();
      after(() => worker.stop());
      const redis = redisAt(stack.redis[0]?.port ?? 0);
      const follows = async (...labels: string[]) => {
        const stamp = await stampOf(redis, { keyPrefix });
        return (
          Object.keys(stamp?.tables ?? {})
            .toSorted()
            .join() ===
          labels
            .map((label) => `${label}(id)`)
            .toSorted()
            .join()
        );
      };
      await until('both followed', () => follows(name, other));
      await client.run(`ALTER TABLE ${name} ${alter}`);
      await until('one left out', () => follows(other));
      await client.run(`ALTER TABLE ${name} ${mend}`);
      await until('both followed again', () => follows(name, other));
    });
  }

  test('without its key answers 503, though the columns that are read are as they were', async () => {
    const name = await create('a INT NOT NULL, b INT NOT NULL, c INT NOT NULL, PRIMARY KEY (a, b)', '(1, 1, 1)');
    const gateway = await startGateway(stack, {
      tables: { [name]: { key: ['a', 'b'], columns: { allow: ['a', 'b'] } } },
      origin: { schemaReloadSeconds: 1 },
    });
    const status = async () =>
      (await gateway.get(`/${name.replace('.', '/')}/1,1`, { headers: { 'cache-control': 'no-cache' } })).status;
    assert.equal(await status(), 200);
    await client.run(
      `ALTER TABLE ${name} DROP PRIMARY KEY, ADD PRIMARY KEY (a, b, c); INSERT INTO ${name} VALUES (1, 1, 2)`,
    );
    await until('503', async () => (await status()) === 503);
    await client.run(`DELETE FROM ${name} WHERE c = 2; ALTER TABLE ${name} DROP PRIMARY KEY, ADD PRIMARY KEY (a, b)`);
    assert.equal(await status(), 200);
  });
});

test('a server of another version behind the address is known by the next look, and by a read that it refuses', async () => {
  const name = await create('id INT NOT NULL PRIMARY KEY, a INT', '(7, 1)');
  const pool = poolAt(originUrl(stack));
  let version: string | undefined;
  const origin: Queryable = {
    async query(sql) {
      const result = await pool.query(sql);
      return sql === 'SELECT VERSION()' && version !== undefined
        ? { ...result, rows: [[Buffer.from(version)]] }
        : result;
    },
  };
  const tables = await load(origin, [name], true);
  const table = tables.find('exposing', name.replace('exposing.', '')) as ExposedTable;
  const before = tables.server;
  // No server of the tests' takes this one's SHOW BINARY LOG STATUS.
  version = '8.4.0';
  await tables.reload(table);
  assert.deepEqual(tables.server, sqlServerOf(version));

  version = undefined;
  const reader = new RowReader({
    readPlain: plainRead(pool),
    readProved: provedRead(pool, () => tables.server),
    connections: 1,
    batchRowsMax: 10,
    waitingMax: 10,
    waitMsMax: 5_000,
    reload: (changed) => tables.reload(changed),
  });
  const row = await reader.read(table, parseRowId(table.schema.key, '7'));
  assert.equal(row.kind, 'row');
  assert.equal(row.proof?.exactness, 'exact');
  assert.deepEqual(tables.server, before);
});
