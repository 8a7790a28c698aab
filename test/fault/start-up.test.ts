/**
 * Each server absent at start, and wrong: what `ringfill gateway` prints and does, and what `ringfill check` says.
 *
 * Weather is waited for; a wrong set-up ends the gateway with exit code 1 and all that is wrong in one message.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import type { Config } from '../../shared/config/schema.ts';
import { startMysql } from '../../stack/mysql.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { startRedis } from '../../stack/redis.ts';
import { type CommandOutcome, runCommand, type RunningCommand, startCommand, writeConfig } from '../support/cli.ts';
import { cacheStatusOf, gatewayConfig, type GatewaySettings, ringsOf } from '../support/gateway.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const stack = await testStack();
const folder = temporaryFolder();
const root = await createConnection({ socketPath: stack.mysql.socket, user: 'root' });
after(async () => {
  await root.query('DROP DATABASE IF EXISTS ringfill_startup');
  await root.query("DROP USER IF EXISTS 'ringfill_startup'@'127.0.0.1'");
  await root.end();
});
await root.query('CREATE DATABASE ringfill_startup CHARACTER SET utf8mb4');
await root.query('CREATE TABLE ringfill_startup.people (id INT NOT NULL PRIMARY KEY, email VARCHAR(40))');
await root.query('INSERT INTO ringfill_startup.people VALUES (1, "a@b")');
await root.query('CREATE VIEW ringfill_startup.everyone AS SELECT * FROM ringfill_startup.people');
await root.query("CREATE USER 'ringfill_startup'@'127.0.0.1' IDENTIFIED BY 'hunter2'");
await root.query("GRANT SELECT ON ringfill_startup.* TO 'ringfill_startup'@'127.0.0.1'");
const url = `mysql://ringfill_startup:hunter2@127.0.0.1:${stack.mysql.port}`;
const people: Config['tables'] = { 'ringfill_startup.people': {} };

let configs = 0;

/** @param change the text of the configuration, once more. */
function config(settings: Partial<GatewaySettings>, change: (text: string) => string = (text) => text): string {
  configs += 1;
  const { text } = gatewayConfig(stack, { tables: people, origin: { url }, ...settings });
  return writeConfig(folder, `${configs}.yml`, change(text.replace('"level":"error"', '"level":"info"')));
}

function start(path: string): RunningCommand {
  return startCommand(['gateway', '--config', path]);
}

/** What both commands say of a set-up that no waiting mends. Neither may print a password. */
async function refused(path: string): Promise<{ gateway: CommandOutcome; check: CommandOutcome }> {
  const [gateway, check] = await Promise.all([
    runCommand(['gateway', '--config', path]),
    runCommand(['check', '--config', path]),
  ]);
  for (const { code, stdout, stderr } of [gateway, check]) {
    assert.equal(code, 1, stdout + stderr);
    assert.doesNotMatch(stdout + stderr, /hunter2|sesame/);
    assert.doesNotMatch(stdout + stderr, /\n {4}at /, 'no stack trace');
  }
  return { gateway, check };
}

async function listeningUrl(gateway: RunningCommand): Promise<string> {
  return (await gateway.says(/"url":"([^"]+)","event":"listening"/))[1] ?? '';
}

async function readiness(base: string): Promise<{ status: number; why: string }> {
  const response = await fetch(`${base}/-/ready`);
  const { why = '' } = (await response.json()) as { why?: string };
  return { status: response.status, why };
}

async function until(claim: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await holds())) {
    assert.ok(performance.now() < end, `not within 20 s: ${claim}`);
    await sleep(50);
  }
}

test('MySQL absent: alive, not ready, saying what it waits for; ready when it comes', async () => {
  const mysql = await startMysql({ folder, name: 'late' });
  after(() => mysql.stop());
  const own = await createConnection({ socketPath: mysql.socket, user: 'root' });
  await own.query('CREATE DATABASE d');
  await own.query('CREATE TABLE d.t (id INT NOT NULL PRIMARY KEY)');
  await own.query('INSERT INTO d.t VALUES (7)');
  await own.end();
  await mysql.stop();

  const path = config({ origin: { url: `mysql://root@127.0.0.1:${mysql.port}` }, tables: { 'd.t': {} } });
  const check = await runCommand(['check', '--config', path]);
  assert.equal(check.code, 1);
  assert.match(check.stdout, /✘ reachable {2}MySQL at 127\.0\.0\.1:\d+: connect ECONNREFUSED/);
  assert.match(check.stdout, /mend {2}# nothing listens there: start the server/);
  assert.match(check.stdout, /✔ fills/, 'the Redis servers are checked all the same');

  const gateway = start(path);
  const base = await listeningUrl(gateway);
  await gateway.says(/connect ECONNREFUSED[^\n]*"event":"not ready: waiting for MySQL"/);
  assert.deepEqual(await readiness(base), {
    status: 503,
    why: `MySQL at 127.0.0.1:${mysql.port} has not answered yet`,
  });
  assert.equal((await fetch(`${base}/-/live`)).status, 200);
  const row = await fetch(`${base}/d/t/7`);
  assert.equal(row.status, 503);
  assert.ok(Number(row.headers.get('retry-after')) >= 1);

  await mysql.restart();
  await until('ready', async () => (await readiness(base)).status === 200);
  assert.deepEqual(await (await fetch(`${base}/d/t/7`)).json(), { id: 7 });
  assert.equal((await gateway.stop()).code, 0);
});

test('a Redis absent: ready, its rows from the next layer; in use when it comes', async () => {
  const port = await chooseFreePort();
  const [, fallback] = ringsOf(stack);
  assert.ok(fallback);
  const path = config({ rings: [{ name: 'primary', shards: { late: `redis://127.0.0.1:${port}` } }, fallback] });
  const check = await runCommand(['check', '--config', path]);
  assert.equal(check.code, 1);
  assert.match(check.stdout, /shard late, ring primary\n {2}✘ reachable {2}127\.0\.0\.1:\d+: connect ECONNREFUSED/);
  assert.match(check.stdout, new RegExp(`redis-cli -h 127\\.0\\.0\\.1 -p ${port} PING`));

  const gateway = start(path);
  const base = await listeningUrl(gateway);
  await gateway.says(/"shard":"late"[^\n]*ECONNREFUSED[^\n]*"event":"shard out of use"/);
  await until('ready', async () => (await readiness(base)).status === 200);
  const away = await fetch(`${base}/ringfill_startup/people/1`);
  assert.equal(away.status, 200);
  assert.match(cacheStatusOf(away).detail, /\/1$/);

  const redis = await startRedis({ folder, name: 'late-redis', port });
  after(() => redis.stop());
  await gateway.says(/"shard":"late"[^\n]*"event":"shard in use"/);
  await until(
    'answered by it',
    async () => cacheStatusOf(await fetch(`${base}/ringfill_startup/people/1`)).detail === 'late/0',
  );
  assert.equal((await gateway.stop()).code, 0);
});

test('tables that are wrong end it with all of them, and what mends each', async () => {
  const path = config({
    tables: {
      'ringfill_startup.absent': {},
      'shop.orders': {},
      'ringfill_startup.everyone': {},
      'ringfill_startup.people': { key: ['email'] },
      'test.users': { key: ['nonsense'] },
    },
  });
  await root.query("GRANT SELECT ON test.* TO 'ringfill_startup'@'127.0.0.1'");
  const { gateway, check } = await refused(path);
  for (const said of [gateway.stderr, check.stdout]) {
    assert.match(said, /Table 'ringfill_startup\.absent' doesn't exist \[table-missing\]/);
    assert.match(
      said,
      /denied.*\[table-not-granted\]\n(?: +why .*\n)? +mend:? +GRANT SELECT ON `shop`\.`orders` TO 'ringfill_startup'@'127\.0\.0\.1';/,
    );
    assert.match(said, /is a view; only InnoDB tables can be cached.*\[table-unsupported\]/);
    assert.match(said, /\(email\) is not a primary or unique key.*\[key-unsuitable\]/);
    assert.match(said, /mend:? +key: \[id\]/);
    assert.match(said, /there is no column nonsense; there are uid, .*\[column-missing\]/);
  }
  assert.match(gateway.stderr, /^tables\.ringfill_startup\.absent: /m);
  assert.match(gateway.stderr, /^tables\.ringfill_startup\.people\.key: /m);
});

test('a wrong MySQL password ends it', async () => {
  const { gateway, check } = await refused(config({ origin: { url: url.replace('hunter2', 'hunter22') } }));
  assert.match(
    gateway.stderr,
    /^origin\.url: .*Access denied for user 'ringfill_startup'.*\[origin-login-refused\]\n {4}mend: check user and password/m,
  );
  assert.match(check.stdout, /✔ reachable {2}answered\n {2}✘ login {6}.*Access denied/);
  assert.match(check.stdout, /SELECT user, host FROM mysql\.user WHERE user = 'ringfill_startup';/);
});

test('what listens there is not MySQL: waits, and says so', async () => {
  const path = config({ origin: { url: `mysql://root@127.0.0.1:${stack.redis[0]?.port}`, timeoutMs: 300 } });
  const check = await runCommand(['check', '--config', path]);
  assert.equal(check.code, 1);
  assert.match(check.stdout, /✘ reachable {2}.*\n[^]*that it is MySQL that listens there/);
  const gateway = start(path);
  await gateway.says(/"event":"not ready: waiting for MySQL"/);
  assert.equal((await gateway.stop()).code, 0);
});

test('a port that is taken ends it, naming who to look for', async () => {
  const taken = stack.mysql.port;
  const path = config({}, (text) => text.replace('"port":0', `"port":${taken}`));
  const gateway = await runCommand(['gateway', '--config', path]);
  assert.equal(gateway.code, 1);
  assert.match(
    gateway.stderr,
    new RegExp(`^http: port ${taken} on 127\\.0\\.0\\.1 is taken by another process \\[listen-failed\\]`, 'm'),
  );
  assert.match(gateway.stderr, new RegExp(`ss -ltnp 'sport = :${taken}'`));
});

test('a wrong Redis password: ready without that shard, whose reason is logged', async () => {
  const redis = await startRedis({ folder, name: 'locked', password: 'sesame' });
  after(() => redis.stop());
  const [, fallback] = ringsOf(stack);
  assert.ok(fallback);
  for (const [endpoint, reason, found] of [
    [`redis://:hunter2@127.0.0.1:${redis.port}`, 'WRONGPASS', /✘ login {6}the password of default is wrong/],
    [`redis://127.0.0.1:${redis.port}`, 'NOAUTH', /✘ login {6}it wants a password, and the configuration has none/],
  ] as const) {
    const path = config({ rings: [{ name: 'primary', shards: { locked: endpoint } }, fallback] });
    const check = await runCommand(['check', '--config', path]);
    assert.equal(check.code, 1);
    assert.match(check.stdout, found);
    const gateway = start(path);
    const base = await listeningUrl(gateway);
    await gateway.says(new RegExp(`"shard":"locked"[^\\n]*${reason}[^\\n]*"event":"shard out of use"`));
    await until('ready', async () => (await readiness(base)).status === 200);
    assert.equal((await fetch(`${base}/ringfill_startup/people/1`)).status, 200);
    const { stdout, stderr } = await gateway.stop();
    assert.doesNotMatch(check.stdout + stdout + stderr, /hunter2|sesame/);
  }
});

test('a Redis that is not Redis: ready without that shard; check says what it is not', async () => {
  const [, fallback] = ringsOf(stack);
  assert.ok(fallback);
  const path = config({
    rings: [{ name: 'primary', shards: { strange: `redis://127.0.0.1:${stack.mysql.port}` } }, fallback],
  });
  const check = await runCommand(['check', '--config', path]);
  assert.equal(check.code, 1);
  assert.match(check.stdout, /✘ reachable {2}127\.0\.0\.1:\d+: what answers there is not Redis/);
  const gateway = start(path);
  const base = await listeningUrl(gateway);
  await gateway.says(/"shard":"strange"[^\n]*"event":"shard out of use"/);
  await until('ready', async () => (await readiness(base)).status === 200);
  assert.equal((await fetch(`${base}/ringfill_startup/people/1`)).status, 200);
  assert.equal((await gateway.stop()).code, 0);
});

for (const [claim, change, said] of [
  ['text that is not YAML', (text: string) => `${text}]`, /\d+\.yml:\d+:\d+: not YAML: .*\[config-unreadable\]/],
  [
    'an unknown key',
    (text: string) => text.replace('"tables"', '"tabels":{},"tables"'),
    /\.yml:1: tabels: unknown key; did you mean tables\? \[config-invalid\]/,
  ],
  [
    'a secret that is not set',
    (text: string) => text.replace('hunter2', '${RINGFILL_ABSENT}'),
    /\.yml:1: origin\.url: \$\{RINGFILL_ABSENT\}: the environment variable RINGFILL_ABSENT is not set \[config-secret-missing\]\n +mend:? +export RINGFILL_ABSENT=…/,
  ],
  [
    'a bound that is broken',
    (text: string) => text.replace('"defaults":{', '"defaults":{"ttlSeconds":0,'),
    /defaults\.ttlSeconds: must be >= 1 .*Seconds/,
  ],
] as const) {
  test(`${claim} ends it, with the line`, async () => {
    const { gateway, check } = await refused(config({}, change));
    assert.match(gateway.stderr, said);
    assert.match(check.stdout, said);
    assert.match(check.stdout, /✘ file/);
  });
}

test('no configuration file ends it, with the command that writes one', async () => {
  const { gateway, check } = await refused(`${folder}/absent.yml`);
  for (const said of [gateway.stderr, check.stdout])
    assert.match(said, /absent\.yml: there is no such file[^]*ringfill init --mysql/);
});
