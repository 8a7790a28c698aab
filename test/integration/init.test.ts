/** `ringfill init` on real servers: a first file from the live schema, that loads and that a gateway starts with. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createConnection } from 'mysql2/promise';
import { looksSecret } from '../../cli/init/secret-names.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { runCommand, startCommand } from '../support/cli.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const stack = await testStack();
const folder = temporaryFolder();
const root = await createConnection({ socketPath: stack.mysql.socket, user: 'root' });
const PASSWORD = 'p@ss/wörd:%41';
after(async () => {
  for (const db of ['ringfill_init', 'ringfill_init_b']) await root.query(`DROP DATABASE IF EXISTS ${db}`);
  await root.query("DROP USER IF EXISTS 'ringfill_init'@'127.0.0.1', 'ringfill_init_bare'@'127.0.0.1'");
  await root.end();
});

await root.query('CREATE DATABASE ringfill_init CHARACTER SET utf8mb4');
await root.query('CREATE DATABASE ringfill_init_b CHARACTER SET utf8mb4');
for (const definition of [
  'customers (id INT NOT NULL PRIMARY KEY, email VARCHAR(50), pwd_hash CHAR(60), api_key VARCHAR(40), password_changed_at DATETIME)',
  'order_items (order_id INT NOT NULL, line INT NOT NULL, PRIMARY KEY (order_id, line))',
  'articles (slug VARCHAR(50) NOT NULL, UNIQUE KEY (slug))',
  'b_parts (id INT NOT NULL PRIMARY KEY)',
  'no_key (a INT)',
  'by_weight (weight FLOAT NOT NULL PRIMARY KEY)',
  'notes (id INT NOT NULL PRIMARY KEY) ENGINE=MyISAM',
  '`v1.orders` (id INT NOT NULL PRIMARY KEY)',
]) {
  await root.query(`CREATE TABLE ringfill_init.${definition}`);
}
await root.query('CREATE VIEW ringfill_init.open_orders AS SELECT * FROM ringfill_init.order_items');
// `ringfill_init` + `b_parts`, and `ringfill_init_b` + `parts` with a text key, could be `ringfill_init_b_parts_…` both.
await root.query('CREATE TABLE ringfill_init_b.parts (id VARCHAR(20) NOT NULL PRIMARY KEY)');
await root.query(`CREATE USER 'ringfill_init'@'127.0.0.1' IDENTIFIED BY '${PASSWORD}'`);
await root.query(`CREATE USER 'ringfill_init_bare'@'127.0.0.1' IDENTIFIED BY 'bare'`);
for (const db of ['ringfill_init', 'ringfill_init_b'])
  await root.query(`GRANT SELECT ON ${db}.* TO 'ringfill_init'@'127.0.0.1'`);

const mysql = `mysql://ringfill_init:${encodeURIComponent(PASSWORD)}@127.0.0.1:${stack.mysql.port}`;
const redis = stack.redis.map(({ port }) => `redis://127.0.0.1:${port}`);
const rings = ['--redis', ...redis.slice(0, 3), '--fallback', ...redis.slice(3)];
const databases = ['--db', 'ringfill_init', 'ringfill_init_b'];

const first = await runCommand(['init', '--mysql', mysql, ...rings, ...databases]);

test('the file loads, with every table that can be cached, its key, and what to deny', () => {
  assert.equal(first.code, 0, first.stderr);
  const config = parseConfig(first.stdout, 'ringfill.yml', { MYSQL_PASSWORD: PASSWORD });
  assert.deepEqual(config.tables, {
    'ringfill_init.articles': { key: ['slug'] },
    'ringfill_init.b_parts': { key: ['id'] },
    'ringfill_init.customers': { key: ['id'], columns: { deny: ['pwd_hash', 'api_key'] } },
    'ringfill_init.order_items': { key: ['order_id', 'line'] },
  });
  assert.deepEqual(
    config.rings.map(({ name, shards }) => [name, Object.keys(shards)]),
    [
      ['primary', ['r1', 'r2', 'r3']],
      ['fallback', ['f1', 'f2']],
    ],
  );
  assert.equal(decodeURIComponent(new URL(config.origin.url).password), PASSWORD);
});

test('what cannot be cached stands there as a comment, with the reason', () => {
  for (const reason of [
    /# {3}ringfill_init\.no_key: has no primary or unique key/,
    /# {3}ringfill_init\.by_weight: weight is a float, which cannot be part of a key/,
    /# {3}ringfill_init\.notes: is a MyISAM table; only InnoDB/,
    /# {3}ringfill_init\.open_orders: is a view/,
    /# {3}ringfill_init\.v1\.orders: a name with a dot/,
    /# {3}ringfill_init_b\.parts: its keys .* could be keys of ringfill_init\.b_parts/,
  ]) {
    assert.match(first.stdout, reason);
  }
});

test('editors find the schema on the first line, and every section has its words, bounds and defaults', () => {
  assert.match(first.stdout, /^# yaml-language-server: \$schema=\.\/node_modules\/ringfill\/ringfill\.schema\.json\n/);
  assert.match(first.stdout, /# The longest that one read may take\. Milliseconds\. 50 … 60000\.\n +timeoutMs: 2000/);
  assert.match(first.stdout, /# waitingMax: 10000 +# The most rows/);
  assert.match(first.stdout, /# Suggested by name alone/);
});

test('the password is nowhere; which variable to export is said', () => {
  for (const secret of [PASSWORD, encodeURIComponent(PASSWORD), 'p@ss']) {
    assert.ok(!`${first.stdout}${first.stderr}`.includes(secret));
  }
  assert.match(first.stdout, /url: mysql:\/\/ringfill_init:\$\{MYSQL_PASSWORD\}@127\.0\.0\.1:\d+\n/);
  assert.match(first.stderr, /export MYSQL_PASSWORD=/);
});

test('the grants are enough for the gateway, and leave the denied columns out', async () => {
  const account = "'ringfill_init_bare'@'127.0.0.1'";
  const grants = [...first.stdout.matchAll(/^# +(GRANT .*;)$/gm)].map(([, grant = '']) => grant);
  assert.equal(grants.length, 5);
  for (const grant of grants) await root.query(grant.replaceAll("'ringfill_init'@'127.0.0.1'", account));
  const bare = await createConnection({
    host: '127.0.0.1',
    port: stack.mysql.port,
    user: 'ringfill_init_bare',
    password: 'bare',
  });
  await assert.rejects(bare.query('SELECT pwd_hash FROM ringfill_init.customers'), /denied/);
  await bare.end();
  await root.query("INSERT INTO ringfill_init.customers VALUES (1, 'a@b', 'hash', 'key', NULL)");

  const config = join(folder, 'bare.yml');
  const written = await runCommand(['init', '--mysql', mysql, ...rings, ...databases, '--out', config]);
  assert.equal(written.code, 0, written.stderr);
  const text = readFileSync(config, 'utf8')
    .replace('ringfill_init:$', 'ringfill_init_bare:$')
    .replace('port: 8080', 'port: 0');
  writeFileSync(config, text);
  const env = { MYSQL_PASSWORD: 'bare' };
  const checked = await runCommand(['check', '--config', config], env);
  assert.equal(checked.code, 0, checked.stdout);

  const gateway = startCommand(['gateway', '--config', config], env);
  const [, url = ''] = await gateway.says(/"url":"([^"]+)"/);
  await gateway.says(/"event":"ready"/);
  const row = await fetch(`${url}/ringfill_init/customers/1`);
  assert.deepEqual(await row.json(), { id: 1, email: 'a@b', password_changed_at: null });
  assert.equal((await gateway.stop()).code, 0);
});

test('a file that is there is not overwritten without --force', async () => {
  const out = join(folder, 'once.yml');
  const args = ['init', '--mysql', mysql, ...rings, '--db', 'ringfill_init', '--out', out];
  assert.equal((await runCommand(args)).code, 0);
  const before = readFileSync(out, 'utf8');
  const refused = await runCommand(args);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /once\.yml is there already and is not overwritten/);
  assert.equal(readFileSync(out, 'utf8'), before);
  assert.equal((await runCommand([...args, '--force'])).code, 0);
});

test('Redis passwords are left out too: one variable if they are alike, one a shard if not', async () => {
  const init = (...urls: string[]) =>
    runCommand(['init', '--mysql', mysql, '--db', 'ringfill_init', '--redis', ...urls]);
  const alike = await init('redis://:sesame@h1', 'rediss://cache:sesame@h2:7000/2?servername=h', 'redis://h3');
  assert.equal(alike.code, 0, alike.stderr);
  assert.match(
    alike.stdout,
    /r1: redis:\/\/:\$\{REDIS_PASSWORD\}@h1\n +r2: rediss:\/\/cache:\$\{REDIS_PASSWORD\}@h2:7000\/2\?servername=h\n +r3: redis:\/\/h3\n/,
  );
  const different = await init('redis://:sesame@h1', 'redis://:thyme@h2');
  assert.match(different.stdout, /REDIS_PASSWORD_R1[^]*REDIS_PASSWORD_R2/);
  assert.match(different.stderr, /export REDIS_PASSWORD_R2=/);
  for (const { stdout, stderr } of [alike, different]) assert.doesNotMatch(stdout + stderr, /sesame|thyme/);
});

test('a URL may name its password itself, and the file then does the same', async () => {
  const named = mysql.replace(/:[^:@]+@/, ':${DB_PASSWORD}@');
  const outcome = await runCommand(['init', '--mysql', named, ...rings, '--db', 'ringfill_init'], {
    DB_PASSWORD: PASSWORD,
  });
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.match(outcome.stdout, /ringfill_init:\$\{DB_PASSWORD\}@/);
  const missing = await runCommand(['init', '--mysql', named, ...rings]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /--mysql: \$\{DB_PASSWORD\}: the environment variable DB_PASSWORD is not set/);
});

test('root is asked to make an account of its own', async () => {
  const outcome = await runCommand([
    'init',
    '--mysql',
    `mysql://root@127.0.0.1:${stack.mysql.port}`,
    ...rings,
    '--db',
    'ringfill_init',
  ]);
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.match(outcome.stdout, /CREATE USER IF NOT EXISTS 'ringfill'@'%'/);
  assert.match(outcome.stdout, /GRANT SELECT ON `ringfill_init`\.`articles` TO 'ringfill'@'%';/);
  assert.match(outcome.stderr, /may do more than read/);
});

for (const [claim, args, said] of [
  [
    'a server that is away',
    ['--mysql', 'mysql://u@127.0.0.1:1', '--redis', 'redis://h'],
    /--mysql: MySQL at 127\.0\.0\.1:1: connect ECONNREFUSED/,
  ],
  [
    'a wrong password',
    ['--mysql', mysql.replace(/:[^:@]+@/, ':wrong@'), '--redis', 'redis://h'],
    /Access denied[^]*origin-login-refused/,
  ],
  [
    'a database without tables',
    ['--mysql', mysql, '--redis', 'redis://h', '--db', 'nowhere'],
    /can read no table in nowhere/,
  ],
  [
    'a URL that is none',
    ['--mysql', mysql, '--redis', 'localhost:6379'],
    /--redis, number 1: localhost: is not a way to reach Redis/,
  ],
] as const) {
  test(`${claim} ends it with what to do`, async () => {
    const outcome = await runCommand(['init', ...args]);
    assert.equal(outcome.code, 1);
    assert.equal(outcome.stdout, '');
    assert.match(outcome.stderr, said);
    assert.doesNotMatch(outcome.stderr, /\n {4}at /);
  });
}

test('secrets are known by their names, and what is only about them is not', () => {
  const column = (name: string, dataType = 'varchar', columnType = dataType) =>
    looksSecret({ name, dataType, columnType });
  for (const name of [
    'password',
    'passwd',
    'PasswordHash',
    'pwd_hash',
    'userpassword',
    'secret',
    'client_secret',
    'api_key',
    'apiKey',
    'token',
    'reset_token',
    'salt',
    'otp',
    'totp_secret',
    'private_key',
    'backup_codes',
    'password2',
  ]) {
    assert.ok(column(name), name);
  }
  for (const name of [
    'id',
    'name',
    'assault',
    'saltines',
    'secretary',
    'password_changed_at',
    'token_count',
    'has_password',
    'key',
    'content_hash',
    'passenger',
    'bypass',
    'compass',
    'tokenizer',
    'pinned',
    'api',
    'otp_enabled',
  ]) {
    assert.ok(!column(name), name);
  }
  assert.ok(!column('tokens', 'int'), 'a number of tokens');
  assert.ok(column('pin', 'int'), 'a PIN');
  assert.ok(!column('salt', 'decimal'), 'grams of salt');
  assert.ok(!column('secret', 'tinyint', 'tinyint(1)'), 'whether it is secret');
});

test('with a broker, the file says how changes travel, and the password stays outside', async () => {
  const broker = 'amqp://user:s3cret@127.0.0.1:5672';
  const { code, stdout, stderr } = await runCommand([
    'init',
    '--mysql',
    mysql,
    ...rings,
    ...databases,
    '--broker',
    broker,
  ]);
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stdout + stderr, /s3cret/);
  assert.match(stderr, /export AMQP_PASSWORD/);
  assert.match(stderr, /ringfill sync-worker --config/);
  const config = parseConfig(stdout, 'ringfill.yml', { MYSQL_PASSWORD: PASSWORD, AMQP_PASSWORD: 's3cret' });
  assert.equal(config.sync?.broker.url, broker);
  assert.match(stdout, /# heartbeatMs: 500/);
});
