import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { demoAccount, loadDemoData } from '../../stack/demo-data/load.ts';
import { demoTables } from '../../stack/demo-data/demo-tables.ts';
import { kill } from '../../stack/faults.ts';
import { startMysql, type MysqlServer } from '../../stack/mysql.ts';
import { temporaryFolder } from './temporary-folder.ts';

async function mysqlIn(folder: string, t: TestContext): Promise<MysqlServer> {
  const server = await startMysql({ folder });
  t.after(async () => await server.stop());
  return server;
}

async function connected(
  t: TestContext,
  { host, port }: MysqlServer,
  account: { user: string; password: string } = { user: 'root', password: '' },
): Promise<Connection> {
  const connection = await createConnection({ host, port, ...account });
  // A server that is killed takes the connection along.
  connection.on('error', () => undefined);
  t.after(() => connection.destroy());
  return connection;
}

async function rows(connection: Connection, sql: string): Promise<RowDataPacket[]> {
  const [found] = await connection.query<RowDataPacket[]>(sql);
  return found;
}

test('a second start finds the first one’s data, and leaves it as it has become', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await mysqlIn(folder, t);
  assert.equal(await loadDemoData(first), 'loaded');
  const connection = await connected(t, first);
  await connection.query("UPDATE test.users SET city = 'Ulm' WHERE uid = 8");
  await first.stop();

  const second = await mysqlIn(folder, t);
  assert.equal(await loadDemoData(second), 'found');
  const found = await rows(await connected(t, second), 'SELECT username, city FROM test.users WHERE uid = 8');
  assert.deepEqual({ ...found[0] }, { username: 'duobao153713223', city: 'Ulm' });
});

test('the demo’s account may read the demo’s tables and the binlog, and nothing else', async (t) => {
  const server = await mysqlIn(await temporaryFolder(t), t);
  await loadDemoData(server);
  const connection = await connected(t, server, demoAccount);
  for (const { database, name, isSupportedBy } of demoTables) {
    if (isSupportedBy?.(server) === false) continue;
    const [row] = await rows(connection, `SELECT COUNT(*) AS held FROM ${database}.${name}`);
    assert.ok(Number(row?.['held']) > 0, `${database}.${name} has rows`);
  }
  assert.equal((await rows(connection, 'SHOW MASTER STATUS')).length, 1);
  await assert.rejects(connection.query('DELETE FROM test.users WHERE uid = 8'), {
    code: 'ER_TABLEACCESS_DENIED_ERROR',
  });
  await assert.rejects(connection.query('SELECT * FROM ringfill_demo.loaded'), { code: 'ER_TABLEACCESS_DENIED_ERROR' });
});

test('the binlog is as the sync worker needs it', async (t) => {
  const connection = await connected(t, await mysqlIn(await temporaryFolder(t), t));
  const [settings] = await rows(
    connection,
    'SELECT @@log_bin, @@binlog_format, @@binlog_row_image, @@binlog_row_metadata',
  );
  assert.deepEqual(Object.values(settings ?? {}), [1, 'ROW', 'FULL', 'FULL']);
});

test('a commit survives the server’s being killed', async (t) => {
  const server = await mysqlIn(await temporaryFolder(t), t);
  const before = await connected(t, server);
  await before.query('CREATE DATABASE kept');
  await before.query('CREATE TABLE kept.rows_ (id INT PRIMARY KEY)');
  await before.query('INSERT INTO kept.rows_ VALUES (1)');
  await kill(server);
  await server.restart();
  assert.equal((await rows(await connected(t, server), 'SELECT id FROM kept.rows_')).length, 1);
});
