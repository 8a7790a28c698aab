/**
 * Accounts that have what `ringfill init` prints, and nothing more: every station of a row's ways works with them. Redis
 * keeps a log of what it refused, so that what is only tried, and gone without, is seen as well. And each rule is needed.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createConnection } from 'mysql2/promise';
import { commandsOf } from '../../shared/shard/permissions.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { startGateway, startSyncWorker } from '../../stack/ringfill-process.ts';
import { redisAt, until } from '../support/broker.ts';
import { runCommand } from '../support/cli.ts';
import { temporaryFolder } from '../support/stack.ts';
import { startOwnServers } from '../support/sync-world.ts';

const { mysql, broker, redis } = await startOwnServers();
const shards = Object.entries(redis).map(([name, { port }]) => ({ name, port, client: redisAt(port) }));
const folder = temporaryFolder();
const root = await createConnection({ host: mysql.host, port: mysql.port, user: 'root', multipleStatements: true });
after(() => root.end());
const ROWS = 50;
const PASSWORD = 'secret';
const ACCOUNTS = ["'lp'@'127.0.0.1'", "'lp_sync'@'127.0.0.1'"];
const rows = Array.from({ length: ROWS }, (_, index) => `(${index + 1}, 'first', 'hash')`).join(', ');
await root.query('CREATE DATABASE lp; USE lp');
for (const table of ['cached', 'mirrored', 'refreshed']) {
  await root.query(`CREATE TABLE ${table} (id INT PRIMARY KEY, v VARCHAR(40), password_hash CHAR(60))`);
  await root.query(`INSERT INTO ${table} VALUES ${rows}`);
}
await root.query(`CREATE USER ${ACCOUNTS[0]} IDENTIFIED BY '${PASSWORD}'; GRANT SELECT ON lp.* TO ${ACCOUNTS[0]}`);

const brokerUrl = new URL(broker.server.url);
brokerUrl.username = 'lp';
brokerUrl.password = PASSWORD;
const address = (user: string) => `mysql://${user}:${PASSWORD}@127.0.0.1:${mysql.port}`;
const [initial, ...others] = shards.map(({ port }) => `redis://127.0.0.1:${port}`);
const args = `init --mysql ${address('lp')} --broker ${brokerUrl.href} --db lp --redis ${initial} ${others[0]} --fallback ${others[1]}`;
const printed = await runCommand(args.split(' '));
assert.equal(printed.code, 0, printed.stderr);
const lines = printed.stdout.split('\n').map((line) => line.replace(/^#\s*/, ''));
const grants = lines.filter((line) => line.startsWith('GRANT '));
const rules = lines.filter((line) => line.startsWith('ACL SETUSER ')).map((line) => line.replace('~*', '~lp:*'));
const permissions = lines.filter((line) => line.startsWith('rabbitmqctl set_permissions '));
assert.deepEqual([grants.length, rules.length, permissions.length], [8, 2, 1], printed.stdout);

// What it needed until now is taken away.
await root.query(`REVOKE ALL ON lp.* FROM ${ACCOUNTS[0]}; CREATE USER ${ACCOUNTS[1]} IDENTIFIED BY '${PASSWORD}'`);
for (const grant of grants) await root.query(grant);
for (const { client } of shards) {
  for (const rule of rules) {
    const [, ...words] = rule.replace('…', PASSWORD).split(' ');
    await client.call('ACL', ...words);
  }
  await client.call(
    'ACL',
    'SETUSER',
    'lp_outlet',
    'on',
    `>${PASSWORD}`,
    '~lp:events',
    '+ping',
    '+multi',
    '+exec',
    '+rpush',
    '+ltrim',
  );
  await client.call('ACL', 'LOG', 'RESET');
  await client.config('RESETSTAT');
}
await broker.control('add_user', 'lp', PASSWORD);
const [configure = '', write = '', read = ''] = [...(permissions[0] ?? '').matchAll(/'([^']*)'/g)].map(
  // Subscribers have their own names; the exchange's default is one of ours.
  ([, text = '']) => `${text}|^others$`,
);
const allow = (...three: string[]) => broker.control('set_permissions', '-p', '/', 'lp', ...three);
await allow(configure, write, read);

const [gatewayPort, workerPort] = [await chooseFreePort(), await chooseFreePort()];

/** One configuration, of which the processes differ in their Redis account alone. @returns the files' paths. */
function configFiles(members: readonly string[], former?: readonly string[]): { gateway: string; worker: string } {
  const fileFor = (account: string) => {
    const shardsOf = (names: readonly string[]) =>
      Object.fromEntries(
        names.map((name) => {
          const port = shards.find((shard) => shard.name === name)?.port;
          return [name, `redis://${account}:${PASSWORD}@127.0.0.1:${port}`];
        }),
      );
    const config = {
      http: { port: gatewayPort },
      origin: { url: address('lp'), schemaReloadSeconds: 1 },
      rings: [
        { name: 'primary', shards: shardsOf(members), ...(former && { former: [{ shards: shardsOf(former) }] }) },
        { name: 'fallback', shards: shardsOf(['f1']) },
      ],
      keyPrefix: 'lp:',
      sync: {
        name: 'lp',
        port: workerPort,
        originUrl: address('lp_sync'),
        stateFolder: join(folder, 'state'),
        broker: { url: brokerUrl.href },
        outlets: {
          subscribers: { others: {} },
          files: { folder: join(folder, 'db_data') },
          redis: { url: `redis://lp_outlet:${PASSWORD}@127.0.0.1:${redis.f1.port}`, key: 'lp:events', kind: 'list' },
        },
      },
      tables: {
        'lp.cached': { columns: { deny: ['password_hash'] }, copies: 2 },
        'lp.mirrored': { columns: { deny: ['password_hash'] }, mode: 'mirror' },
        'lp.refreshed': { columns: { deny: ['password_hash'] }, strategy: 'refresh' },
      },
      log: { level: 'info' },
    };
    const path = join(folder, account, 'ringfill.yml');
    mkdirSync(join(folder, account), { recursive: true });
    writeFileSync(path, JSON.stringify(config));
    return path;
  };
  return { gateway: fileFor('ringfill_gateway'), worker: fileFor('ringfill_sync') };
}

const files = configFiles(['r1', 'r2']);

test('everything works with what is printed, and nothing is refused on the way', async () => {
  const worker = await startSyncWorker({ folder, configFile: files.worker, port: workerPort });
  after(() => worker.stop());
  const gateway = await startGateway({ folder, configFile: files.gateway, port: gatewayPort });
  after(() => gateway.stop());
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(gateway.url + path, { headers });
    return { status: answer.status, body: await answer.text(), story: answer.headers.get('cache-status') ?? '' };
  };
  const isHit = (path: string, v: string) => async () => {
    const { body, story } = await get(path);
    return body.includes(`"v":"${v}"`) && story.includes('; hit;');
  };
  const tables = ['cached', 'mirrored', 'refreshed'];
  const each = async (v: string) => {
    for (const table of tables) await until(`${table} has ${v}`, isHit(`/lp/${table}/7`, v), 60_000);
  };

  // Fill, snapshot, change by each strategy, a row that goes.
  await each('first');
  for (const table of tables)
    await root.query(`UPDATE ${table} SET v = 'second' WHERE id = 7; DELETE FROM ${table} WHERE id = 8`);
  await each('second');
  for (const table of tables)
    await until(`${table} has no 8`, async () => (await get(`/lp/${table}/8`)).status === 404);
  assert.equal((await get('/lp/cached/9', { 'cache-control': 'no-cache' })).status, 200);
  assert.equal((await get('/lp/cached/9', { 'ringfill-after': '0-1-1' })).status, 200);

  // An audit that finds what is wrong, and mends it; a snapshot by hand.
  for (const { client } of shards) {
    await client.del('lp:lp_mirrored_9');
    await client.hset('lp:lp_mirrored_10', 'v', 'another');
    await client.set('lp:lp_mirrored_99', 'a string');
    await client.hset('lp:lp_mirrored_11', ':row', `R${'9'.repeat(9)}`.padEnd(46, '9') + 'shape-01');
  }
  const audit = await runCommand(['audit', '--config', files.worker, '--repair', '--json']);
  assert.match(audit.stdout, /"missing"/, audit.stderr);
  assert.equal((await runCommand(['audit', '--config', files.worker])).code, 0);
  assert.equal((await runCommand(['snapshot', '--config', files.worker, '--anew'])).code, 0);

  // Outlets.
  const outlet = shards[2]?.client;
  await until('the Redis outlet has events', async () => ((await outlet?.llen('lp:events')) ?? 0) > 0);

  // A ring that loses a shard, and then its past.
  for (const former of [['r1', 'r2'], undefined]) {
    configFiles(['r1'], former);
    assert.equal(await worker.reload(), 'loaded');
    assert.equal(await gateway.reload(), 'loaded');
    await each('second');
  }

  const status = (await (await fetch(`${worker.url}/-/status`)).json()) as {
    shards: { deadLetters: number; lastError?: string }[];
    outlets: { kind: string; lastError?: string }[];
  };
  for (const { lastError } of [...status.shards, ...status.outlets]) assert.equal(lastError, undefined);
  for (const { name, client } of shards) {
    const refused = (await client.call('ACL', 'LOG')) as string[][];
    const told = refused.map((fields) => `${fields[9]} ${fields[7]}`);
    // The client names itself where it may, and goes on where it may not.
    assert.deepEqual(
      [...new Set(told)].filter((one) => !/ (?:client|info)\b/.test(one)),
      [],
      name,
    );
  }
});

test('each Redis command that is allowed is one that was needed', async () => {
  const called = new Set<string>();
  for (const { client } of shards) {
    const stats = await client.info('commandstats');
    for (const [, command = ''] of stats.matchAll(/^cmdstat_([a-z]+)[|:]/gm)) called.add(command);
  }
  const allowed = new Set([...commandsOf('gateway'), ...commandsOf('sync worker')]);
  assert.deepEqual(
    [...allowed].filter((command) => !called.has(command)),
    [],
  );
});

test('with one grant fewer, that is said', async () => {
  const unmet: Record<string, [account: string, file: string, RegExp]> = {
    'SELECT (`id`, `v`) ON `lp`.`cached`': [ACCOUNTS[0] as string, files.gateway, /lp\.cached/],
    'REPLICATION CLIENT ON *.*': [ACCOUNTS[0] as string, files.gateway, /REPLICATION CLIENT/],
  };
  for (const [right, [account, file, told]] of Object.entries(unmet)) {
    await root.query(`REVOKE ${right} FROM ${account}`);
    const { stdout, code } = await runCommand(['check', '--config', file]);
    assert.match(stdout, told, right);
    assert.ok(code !== 0 || /warning|GRANT/.test(stdout), stdout);
    await root.query(`GRANT ${right} TO ${account}`);
  }
});

test('with one permission of the broker fewer, a command that needs it is refused', async () => {
  const lists = () => runCommand(['dead-letters', 'list', '--config', files.worker]);
  assert.equal((await lists()).code, 0);
  for (const three of [
    ['^$', write, read],
    [configure, write, '^others$'],
  ]) {
    await allow(...three);
    const { code, stderr } = await lists();
    assert.equal(code, 1, three.join(' '));
    assert.match(stderr, /refused|ACCESS/i);
  }
  await allow(configure, write, read);
});
