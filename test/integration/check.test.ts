/** `ringfill check` on real servers: each requirement, met and not, and what mends it. */
import assert from 'node:assert/strict';
import { execSync } from 'node:child_process';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createConnection } from 'mysql2/promise';
import type { Finding } from '../../cli/check/finding.ts';
import { cascadesOf, uuidColumns } from '../../cli/check/check-sync.ts';
import { BrokerConnection } from '../../shared/broker/connection.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { isAtLeast, sqlServerOf } from '../../shared/origin/server-version.ts';
import { readTableSchema } from '../../shared/origin/table-schema.ts';
import type { Config } from '../../shared/config/schema.ts';
import { startMysql } from '../../stack/mysql.ts';
import { startRedis } from '../../stack/redis.ts';
import { runCommand, writeConfig } from '../support/cli.ts';
import { gatewayConfig, type GatewaySettings, originUrl } from '../support/gateway.ts';
import { startSentinel } from '../support/sentinel.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const stack = await testStack();
const folder = temporaryFolder();
const root = await createConnection({ socketPath: stack.mysql.socket, user: 'root' });
after(async () => {
  await root.query('DROP DATABASE IF EXISTS ringfill_check');
  await root.query("DROP USER IF EXISTS 'ringfill_check'@'127.0.0.1'");
  await root.end();
});
await root.query('CREATE DATABASE ringfill_check CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci');
for (const definition of [
  'customers (id INT NOT NULL PRIMARY KEY, email VARCHAR(50), pwd CHAR(60))',
  `orders (id INT NOT NULL PRIMARY KEY, customer INT, maker INT,
     CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE ON UPDATE SET NULL,
     CONSTRAINT by_maker FOREIGN KEY (maker) REFERENCES customers (id) ON DELETE RESTRICT)`,
  'vouchers (code VARCHAR(20) NOT NULL PRIMARY KEY)',
  'prices (amount DOUBLE NOT NULL PRIMARY KEY)',
]) {
  await root.query(`CREATE TABLE ringfill_check.${definition}`);
}
await root.query("CREATE USER 'ringfill_check'@'127.0.0.1' IDENTIFIED BY 'hunter2'");
await root.query("GRANT SELECT ON ringfill_check.* TO 'ringfill_check'@'127.0.0.1'");
const narrowUrl = `mysql://ringfill_check:hunter2@127.0.0.1:${stack.mysql.port}`;

let configs = 0;

function config(settings: GatewaySettings): string {
  configs += 1;
  return writeConfig(folder, `${configs}.yml`, gatewayConfig(stack, settings).text);
}

interface Checked {
  readonly ok: boolean;
  readonly code: number | null;
  readonly findings: readonly Finding[];
  find(requirement: string, verdict?: Finding['verdict']): Finding;
}

async function check(settings: GatewaySettings): Promise<Checked> {
  const { code, stdout, stderr } = await runCommand(['check', '--json', '--config', config(settings)]);
  assert.equal(stderr, '');
  assert.doesNotMatch(stdout, /hunter2|sesame/);
  const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: Finding[] };
  assert.equal(code, ok ? 0 : 1);
  return {
    ok,
    code,
    findings,
    find(requirement, verdict) {
      const found = findings.find(
        (finding) => finding.requirement === requirement && (verdict === undefined || finding.verdict === verdict),
      );
      assert.ok(found, `no ${verdict ?? 'word'} on ${requirement} among:\n${stdout}`);
      return found;
    },
  };
}

/** One ring of one shard. */
const oneShard = (endpoint: Config['rings'][number]['shards'][string]): Config['rings'] => [
  { name: 'primary', shards: { r1: endpoint } },
];
const someTable = { 'test.users': {} };

test('a whole set-up is said to be whole, a line each, and ends with 0', async () => {
  const path = config({ tables: { 'test.users': {}, 'shop.customers': { columns: { deny: ['password_hash'] } } } });
  const { code, stdout, stderr } = await runCommand(['check', '--config', path]);
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^configuration\n {2}✔ file {2}.*: 2 rings, 5 shards, 2 tables\n/);
  assert.match(stdout, /\n {2}✔ login {6}as 'ringfill'@'127\.0\.0\.1'\n/);
  assert.match(stdout, /\n {2}✔ shop\.customers {2}key id; \d+ columns; never read: password_hash\n/);
  assert.match(stdout, /\n {2}✔ binlog_row_metadata {7}FULL\n/);
  assert.equal([...stdout.matchAll(/✔ fills/g)].length, 5);
  assert.match(
    stdout,
    /\n {2}✔ primary {3}r1 \d\d\.\d %, r2 \d\d\.\d %, r3 \d\d\.\d %; the busiest has 1\.0\d of its share\n/,
  );
  assert.match(stdout, /\nEverything that the gateway needs is there\.\n$/);
});

test('every table that is wrong is told, not only the first, with the statement that mends it', async () => {
  const checked = await check({
    origin: { url: narrowUrl },
    tables: {
      'ringfill_check.absent': {},
      'shop.orders': {},
      'ringfill_check.customers': { key: ['email'], columns: { deny: ['pwd'] } },
      'ringfill_check.orders': { key: ['nonsense'] },
      'ringfill_check.prices': {},
      'ringfill_check.vouchers': {},
    },
  });
  assert.equal(checked.code, 1);
  assert.match(checked.find('ringfill_check.absent').found, /doesn't exist.*table-missing/);
  const ungranted = checked.find('shop.orders');
  assert.match(ungranted.found, /denied.*table-not-granted/);
  assert.deepEqual(ungranted.mend, ["GRANT SELECT ON `shop`.`orders` TO 'ringfill_check'@'127.0.0.1';"]);
  const noKey = checked.find('ringfill_check.customers');
  assert.match(noKey.found, /\(email\) is not a primary or unique key/);
  assert.deepEqual(noKey.mend, ['key: [id]']);
  assert.match(
    checked.find('ringfill_check.orders').found,
    /there is no column nonsense; there are id, customer, maker/,
  );
  assert.match(checked.find('ringfill_check.prices').found, /amount is a double, which cannot be part of a key/);
  assert.equal(checked.find('ringfill_check.vouchers', 'met').found, 'key code; 1 column');
  assert.match(
    checked.find('ringfill_check.vouchers', 'note').found,
    /several spellings find one row by code \(utf8mb4_general_ci\)/,
  );
});

test('tables that would share cache keys are told', async () => {
  await root.query('CREATE TABLE IF NOT EXISTS ringfill_check.a_b (id INT NOT NULL PRIMARY KEY)');
  await root.query('CREATE TABLE IF NOT EXISTS ringfill_check.a (id VARCHAR(9) NOT NULL PRIMARY KEY)');
  const checked = await check({
    origin: { url: narrowUrl },
    tables: { 'ringfill_check.a': {}, 'ringfill_check.a_b': {} },
  });
  assert.match(checked.find('ringfill_check.a_b', 'unmet').found, /could be keys of ringfill_check\.a .*keys-collide/);
});

test('with sync, what proving and the broker need is asked, and a refusal names what mends it', async () => {
  const tables = { 'ringfill_check.customers': {} };
  const unproved = await check({ origin: { url: narrowUrl }, tables, sync: {} });
  assert.equal(unproved.code, 1);
  assert.match(unproved.find('proved reads', 'unmet').found, /binlog-not-granted/);
  const met = await check({ tables: { 'test.users': {} }, sync: {} });
  assert.equal(met.find('proved reads').found, 'of 1 followed table');
  assert.equal(met.find('queues').verdict, 'note', 'nothing is declared');
  const broker = { url: stack.rabbitmq.url.replace('guest:guest', 'guest:wrong') } as NonNullable<
    Config['sync']
  >['broker'];
  const refused = await check({ tables: { 'test.users': {} }, sync: { broker } });
  assert.match(refused.find('login', 'unmet').found, /broker-refused/);
});

test('what only the sync worker needs is a warning: grants, and foreign keys that change rows unheard', async () => {
  const checked = await check({ origin: { url: narrowUrl }, tables: { 'ringfill_check.orders': {} } });
  assert.equal(checked.code, 0);
  const grant = checked.find('grant REPLICATION CLIENT', 'warning');
  assert.equal(grant.neededFor, 'sync');
  assert.deepEqual(grant.mend, ["GRANT REPLICATION CLIENT ON *.* TO 'ringfill_check'@'127.0.0.1';"]);
  const cascade = checked.find('cascades into ringfill_check.orders', 'warning');
  assert.equal(cascade.found, 'ON DELETE CASCADE ON UPDATE SET NULL from customers');
  const statements = (cascade.mend ?? []).filter((line) => line.startsWith('ALTER'));
  await root.query('USE ringfill_check');
  for (const statement of statements) await root.query(statement);
  const mended = await check({ origin: { url: narrowUrl }, tables: { 'ringfill_check.orders': {} } });
  assert.deepEqual(
    mended.findings.filter(({ requirement }) => requirement.startsWith('cascades')),
    [],
  );
});

test('an account that may do more than read is warned of', async () => {
  const checked = await check({ origin: { url: `mysql://root@127.0.0.1:${stack.mysql.port}` }, tables: someTable });
  assert.equal(checked.code, 0);
  assert.match(checked.find('least privilege', 'warning').found, /may also .*INSERT/);
});

test('a binlog that sync could not use is warned of, with the statement or the line of my.cnf', async () => {
  const args = [
    '--binlog-format=MIXED',
    '--binlog-row-image=MINIMAL',
    // The least that each can be told; what both do unless told otherwise.
    `--binlog-row-metadata=${stack.mysql.flavour === 'mysql' ? 'MINIMAL' : 'NO_LOG'}`,
    '--binlog-ignore-db=shop_b',
  ];
  const server = await startMysql({ folder, args });
  after(() => server.stop());
  const own = await createConnection({ socketPath: server.socket, user: 'root' });
  await own.query('CREATE DATABASE shop_b');
  await own.query('CREATE TABLE shop_b.t (id INT NOT NULL PRIMARY KEY)');
  await own.end();
  const checked = await check({ origin: { url: `mysql://root@127.0.0.1:${server.port}` }, tables: { 'shop_b.t': {} } });
  assert.equal(checked.code, 0);
  assert.match(checked.find('binlog_format', 'warning').found, /is MIXED, must be ROW/);
  assert.match(checked.find('binlog_row_image', 'warning').found, /is MINIMAL, must be FULL/);
  const metadata = checked.find('binlog_row_metadata', 'warning');
  assert.match(metadata.mend?.join('\n') ?? '', /^SET (?:GLOBAL|PERSIST) binlog_row_metadata = 'FULL';/);
  assert.equal(metadata.neededFor, 'sync');
  assert.match(checked.find('binlog filters', 'warning').found, /changes of shop_b are kept out/);
});

test('without a binlog that is the one warning, and the rest is a note', async () => {
  const server = await startMysql({ folder, name: 'nobinlog', args: ['--skip-log-bin'] });
  after(() => server.stop());
  const own = await createConnection({ socketPath: server.socket, user: 'root' });
  await own.query('CREATE DATABASE d');
  await own.query('CREATE TABLE d.t (id INT NOT NULL PRIMARY KEY)');
  await own.end();
  const checked = await check({ origin: { url: `mysql://root@127.0.0.1:${server.port}` }, tables: { 'd.t': {} } });
  assert.equal(checked.code, 0);
  assert.match(checked.find('log_bin', 'warning').mend?.join('\n') ?? '', /log_bin = mysql-bin\n# and restart/);
});

test('what can be wrong with a Redis’ login is told apart: none given, a wrong one, one that is not asked for', async () => {
  const redis = await startRedis({ folder, name: 'locked', password: 'sesame' });
  after(() => redis.stop());
  const none = await check({ tables: someTable, rings: oneShard(`redis://127.0.0.1:${redis.port}`) });
  assert.match(none.find('login', 'unmet').found, /wants a password.*NOAUTH/);
  const wrong = await check({ tables: someTable, rings: oneShard(`redis://:hunter2@127.0.0.1:${redis.port}`) });
  assert.match(wrong.find('login', 'unmet').found, /password of default is wrong.*WRONGPASS/);
  assert.equal((await check({ tables: someTable, rings: oneShard(redis.url) })).code, 0);
  const open = await check({
    tables: someTable,
    rings: oneShard(`redis://:hunter2@127.0.0.1:${stack.redis[0]?.port}`),
  });
  assert.equal(open.code, 0);
  assert.match(open.find('login', 'warning').found, /a password is configured, and this Redis has none/);
});

test('an ACL user that lacks a command is given the line that grants it, and that line is enough', async () => {
  const redis = await startRedis({
    folder,
    name: 'acl',
    args: ['--user', 'app', 'on', '>sesame', '~other:*', '-@all', '+ping'],
  });
  after(() => redis.stop());
  const settings = {
    tables: someTable,
    rings: oneShard(`redis://app:sesame@127.0.0.1:${redis.port}`),
    keyPrefix: 'app:',
  };
  const before = await check(settings);
  assert.match(before.find('fills', 'unmet').found, /NOPERM|no permissions/);
  assert.match(before.find('version', 'note').found, /INFO is refused/);
  const line = before.find('fills').mend?.at(-1) ?? '';
  execSync(line.replace(' --askpass', ''), { shell: '/bin/sh' });
  const mended = await check(settings);
  assert.equal(mended.code, 0, JSON.stringify(mended.findings, undefined, 1));
  mended.find('fills', 'met');
});

test('a user that may not listen to changes is told what the near cache needs, and that line is enough', async () => {
  const redis = await startRedis({
    folder,
    name: 'deaf',
    args: ['--user', 'app', 'on', '>sesame', '~*', '+@all', '-client|tracking', '-pubsub', 'resetchannels'],
  });
  after(() => redis.stop());
  const settings = {
    tables: someTable,
    rings: oneShard(`redis://app:sesame@127.0.0.1:${redis.port}`),
    keyPrefix: 'app:',
    nearCache: { mebibytes: 1 },
  };
  const before = await check(settings);
  assert.match(before.find('near cache', 'warning').found, /NOPERM|no permissions/);
  assert.equal(before.code, 0, 'all else goes on without');
  const line = before.find('near cache').mend?.at(-1) ?? '';
  execSync(line.replace(' --askpass', ''), { shell: '/bin/sh' });
  (await check(settings)).find('near cache', 'met');
});

test('a replica, a full one, and eviction that hurts are told', async () => {
  const master = stack.redis[0]?.port ?? 0;
  const replica = await startRedis({ folder, name: 'replica', args: ['--replicaof', '127.0.0.1', String(master)] });
  after(() => replica.stop());
  const full = await startRedis({ folder, name: 'full', maxmemory: '1', args: ['--maxmemory-policy', 'noeviction'] });
  after(() => full.stop());
  const leases = await startRedis({
    folder,
    name: 'leases',
    maxmemory: '64mb',
    args: ['--maxmemory-policy', 'volatile-ttl'],
  });
  after(() => leases.stop());
  const asReplica = await check({ tables: someTable, rings: oneShard(replica.url) });
  assert.match(asReplica.find('fills', 'unmet').found, new RegExp(`read-only replica of 127\\.0\\.0\\.1:${master}`));
  const asFull = await check({ tables: someTable, rings: oneShard(full.url) });
  assert.match(asFull.find('fills', 'unmet').found, /full, and evicts nothing/);
  assert.match(asFull.find('eviction', 'warning').found, /noeviction/);
  const byTtl = await check({ tables: someTable, rings: oneShard(leases.url) });
  assert.equal(byTtl.code, 0);
  assert.match(byTtl.find('eviction', 'warning').why ?? '', /leases/);
});

test('a database that Redis does not have is told, instead of another application’s being used', async () => {
  const checked = await check({ tables: someTable, rings: oneShard(`redis://127.0.0.1:${stack.redis[0]?.port}/99`) });
  assert.match(checked.find('database', 'unmet').found, /99: .*out of range/);
});

test('two shards that are one server are named', async () => {
  const r1 = `redis://127.0.0.1:${stack.redis[0]?.port}`;
  const checked = await check({
    tables: someTable,
    rings: [
      { name: 'primary', shards: { r1, r2: `${r1}/0` } },
      { name: 'fallback', shards: { f1: `${r1}/1` } },
    ],
  });
  assert.equal(checked.code, 0);
  assert.match(
    checked.find('one server a shard', 'warning').found,
    /^r1 and r2 and f1 are the same Redis, in several databases$/,
  );
});

test('with sync, two shards that are one database are refused: they would have one stamp', async () => {
  const r1 = `redis://127.0.0.1:${stack.redis[0]?.port}`;
  const shared = await check({
    tables: someTable,
    sync: {},
    rings: [
      { name: 'primary', shards: { r1, r2: `${r1}/1` } },
      { name: 'fallback', shards: { f1: `${r1}/0` } },
    ],
  });
  assert.equal(shared.code, 1);
  assert.equal(
    shared.find('one database a shard', 'unmet').found,
    'r1 and f1 are the same Redis and the same database',
  );
  const apart = await check({
    tables: someTable,
    sync: {},
    rings: [{ name: 'primary', shards: { r1, r2: `${r1}/1` } }],
  });
  apart.find('one server a shard', 'warning');
});

test(
  'UUIDs that lie in another order in the binlog are told',
  { skip: stack.mysql.flavour !== 'mariadb' },
  async () => {
    await root.query('CREATE TABLE ringfill_check.tagged (id INT NOT NULL PRIMARY KEY, tag UUID)');
    const pool = new OriginPool({ url: narrowUrl, connections: 1, timeoutMs: 5_000, onChange: () => undefined });
    after(() => pool.stop());
    const outcome = await readTableSchema(pool, 'ringfill_check.tagged', {});
    assert.ok('schema' in outcome);
    const told = (version: string, flavour: 'mariadb' | 'mysql' = 'mariadb') =>
      uuidColumns({ flavour, version }, new Map([['ringfill_check.tagged', outcome.schema]])).map(
        ({ requirement, verdict }) => `${verdict}: ${requirement}`,
      );
    for (const version of ['10.7.8', '10.9.8', '10.10.5', '10.11.4'])
      assert.deepEqual(told(version), ['warning: UUIDs in ringfill_check.tagged'], version);
    for (const version of ['10.10.6', '10.10.7', '10.11.5', '10.11.19', '11.4.2']) assert.deepEqual(told(version), []);
    assert.deepEqual(told('8.0.36', 'mysql'), []);
  },
);

test('one ring is noted, and a Sentinel group is asked for its master', async () => {
  const redis = stack.redis[0]?.port ?? 0;
  const sentinel = await startSentinel(folder, redis);
  const group = { sentinel: { group: 'g', sentinels: [`127.0.0.1:${sentinel.port}`] } };
  const checked = await check({ tables: someTable, rings: oneShard(group) });
  assert.equal(checked.code, 0, JSON.stringify(checked.findings, undefined, 1));
  assert.match(checked.find('reachable', 'met').found, /answered/);
  assert.ok(checked.findings.some(({ found }) => found.includes(`is 127.0.0.1:${redis} now`)));
  assert.match(checked.find('fallback', 'note').found, /only one ring/);
  const unknown = await check({
    tables: someTable,
    rings: oneShard({ sentinel: { ...group.sentinel, group: 'other' } }),
  });
  assert.equal(unknown.code, 1);
  assert.match(
    unknown.findings.find(({ group: at, verdict }) => at.startsWith('shard') && verdict === 'unmet')?.found ?? '',
    /other \(by 127\.0\.0\.1/,
  );
});

test('versions are compared by number', () => {
  assert.ok(isAtLeast('10.11.19', '10.6'));
  assert.ok(!isAtLeast('8.0.9', '8.0.22'));
  assert.ok(isAtLeast('8.2', '8.2.0'));
  assert.deepEqual(sqlServerOf('5.5.5-10.6.1-MariaDB-log'), { flavour: 'mariadb', version: '10.6.1' });
  assert.deepEqual(sqlServerOf('8.0.36-0ubuntu0.22.04.1'), { flavour: 'mysql', version: '8.0.36' });
});

test('only rules that change rows by themselves are cascades', () => {
  const definition = [
    'CREATE TABLE `t` (',
    "  `id` int NOT NULL COMMENT 'CONSTRAINT `x` FOREIGN KEY (`a`) REFERENCES `b` (`c`) ON DELETE CASCADE',",
    '  CONSTRAINT `a``b` FOREIGN KEY (`x`,`y`) REFERENCES `other`.`p` (`x`, `y`) ON DELETE CASCADE,',
    '  CONSTRAINT `c` FOREIGN KEY (`z`) REFERENCES `p` (`z`) ON UPDATE RESTRICT',
    ')',
  ].join('\n');
  assert.deepEqual(cascadesOf(definition), [
    {
      constraint: 'a`b',
      parent: 'other.p',
      rules: 'ON DELETE CASCADE',
      definition: 'FOREIGN KEY (`x`,`y`) REFERENCES `other`.`p` (`x`, `y`)',
    },
  ]);
});

test('the least-privileged demo account is enough', async () => {
  const checked = await check({ origin: { url: originUrl(stack) }, tables: someTable });
  assert.deepEqual(
    checked.findings.filter(({ verdict }) => verdict === 'unmet' || verdict === 'warning'),
    [],
  );
});

test('the outlets: queues as they are, a folder that takes files or not, a Redis that is there or not', async () => {
  const name = `check-${process.pid}`;
  const connection = new BrokerConnection({ url: stack.rabbitmq.url, name: 'test check' });
  await connection.start();
  const { channel } = await connection.openChannel();
  const queues = [`${name}-plain`, `${name}-own`];
  const redis = await startRedis({
    folder,
    name: 'outlet',
    password: 'sesame',
    args: ['--maxmemory', '64mb', '--maxmemory-policy', 'allkeys-lru'],
  });
  try {
    await channel.assertExchange(`ringfill.${name}`, 'fanout', { durable: true });
    await channel.assertQueue(queues[0] as string, { durable: true });
    await channel.assertQueue(queues[1] as string, { durable: true, arguments: { 'x-message-ttl': 60_000 } });
    const subscribers = {
      [queues[0] as string]: {},
      [queues[1] as string]: {},
      [`${name}-new`]: {},
    } as unknown as NonNullable<NonNullable<Config['sync']>['outlets']>['subscribers'];
    const settings = (outlets: object): GatewaySettings => ({
      tables: someTable,
      sync: { name, outlets: outlets as NonNullable<NonNullable<Config['sync']>['outlets']> },
    });
    const wrong = await check(
      settings({
        exchange: `ringfill.${name}`,
        subscribers,
        files: { folder: join(writeConfig(folder, 'in-the-way', ''), 'files') },
        redis: { url: redis.url.replace('sesame', 'hunter2') },
      }),
    );
    assert.equal(wrong.code, 1);
    assert.match(
      wrong.find(`exchange ringfill.${name}`, 'unmet').found,
      /inequivalent arg 'type'.*broker-topology-differs/,
    );
    assert.match(wrong.find(`queue ${name}-plain`, 'met').found, /^0 events wait$/);
    assert.match(wrong.find(`queue ${name}-own`, 'warning').found, /x-message-ttl/);
    assert.match(wrong.find(`queue ${name}-new`, 'note').found, /the sync worker makes it/);
    assert.match(wrong.find('files', 'unmet').found, /ENOTDIR|no folder/);
    assert.match(wrong.find('Redis', 'unmet').found, /WRONGPASS/);

    await channel.deleteExchange(`ringfill.${name}`);
    const right = await check(settings({ files: { folder: `${folder}/db_data` }, redis: { url: redis.url } }));
    assert.match(right.find('files', 'met').found, /db_data can be made by this user$/);
    assert.match(right.find('Redis', 'met').found, /canal_binlog_data is free for a list$/);
    assert.equal(right.find('Redis eviction', 'warning').found, 'maxmemory-policy is allkeys-lru');
    assert.match(right.find(`queue ringfill.${name}.file-outlet`, 'note').found, /not there yet/);
    await assert.rejects(channel.checkQueue(`${name}-new`), /404/, 'nothing was declared');
  } finally {
    const { channel: again } = await connection.openChannel();
    for (const queue of queues) await again.deleteQueue(queue);
    await connection.stop();
    await redis.stop();
  }
});
