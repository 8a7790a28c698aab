/**
 * Secrets are nowhere but in the configuration: not in logs, answers, metrics, messages, or the arguments of processes;
 * whether the servers take them, refuse them or are away, and whatever is wrong with the file.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createConnection } from 'mysql2/promise';
import { parseConfig } from '../../shared/config/load.ts';
import { SetupError } from '../../shared/errors/errors.ts';
import { errorFields } from '../../shared/telemetry/log.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { startRedis } from '../../stack/redis.ts';
import { startOwnBroker, until } from '../support/broker.ts';
import { runCommand, startCommand } from '../support/cli.ts';
import { startSentinel } from '../support/sentinel.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const stack = await testStack();
const folder = temporaryFolder();
/** By what it opens; each is unlike all others, and wants to be encoded in a URL. */
const SECRETS = {
  mysql: `mysql-${randomBytes(6).toString('hex')}/é`,
  broker: `broker-${randomBytes(6).toString('hex')}@%`,
  redis: `redis-${randomBytes(6).toString('hex')}`,
  outlet: `outlet-${randomBytes(6).toString('hex')}`,
  sentinel: `sentinel-${randomBytes(6).toString('hex')}`,
};
type Secrets = Record<keyof typeof SECRETS, string>;

const root = await createConnection({ socketPath: stack.mysql.socket, user: 'root' });
const account = "'secretive'@'127.0.0.1'";
const [broker, redis, outlet, guarded] = await Promise.all([
  startOwnBroker(folder),
  startRedis({ folder, name: 'r1', password: SECRETS.redis }),
  startRedis({ folder, name: 'outlet', password: SECRETS.outlet }),
  startRedis({ folder, name: 'guarded', password: SECRETS.redis }),
]);
const sentinel = await startSentinel(folder, guarded.port);
after(async () => {
  await root.query(`DROP USER ${account}`);
  await root.end();
  await Promise.all([redis, outlet, guarded].map((server) => server.stop()));
});
await root.query(`CREATE USER ${account} IDENTIFIED BY '${SECRETS.mysql}'`);
await root.query(`GRANT SELECT ON test.* TO ${account}`);
await root.query(`GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO ${account}`);
await broker.control('add_user', 'secretive', SECRETS.broker);
await broker.control('set_permissions', '-p', '/', 'secretive', '.*', '.*', '.*');

/** Some by the environment, some by files, one in the URL itself. */
async function configure(name: string, secrets: Secrets) {
  const below = join(folder, name);
  mkdirSync(below, { recursive: true });
  writeFileSync(join(below, 'broker'), `${secrets.broker}\n`);
  const [gatewayPort, workerPort] = [await chooseFreePort(), await chooseFreePort()];
  const brokerUrl = new URL(broker.server.url);
  const config = {
    http: { port: gatewayPort },
    origin: { url: `mysql://secretive:\${MYSQL_SECRET}@127.0.0.1:${stack.mysql.port}` },
    rings: [
      {
        name: 'primary',
        shards: {
          r1: `redis://:${secrets.redis}@127.0.0.1:${redis.port}`,
          guarded: {
            sentinel: {
              group: 'g',
              sentinels: [`127.0.0.1:${sentinel.port}`],
              password: '${REDIS_SECRET}',
              sentinelPassword: secrets.sentinel,
            },
          },
        },
      },
    ],
    sync: {
      name: name.replaceAll(/[^a-z]/g, ''),
      port: workerPort,
      stateFolder: join(below, 'state'),
      broker: { url: `amqp://secretive:\${file:${join(below, 'broker')}}@127.0.0.1:${brokerUrl.port}` },
      outlets: { redis: { url: `redis://:${secrets.outlet}@127.0.0.1:${outlet.port}`, key: 'events', kind: 'list' } },
    },
    tables: { 'test.users': {} },
    keyPrefix: 'secrets:',
    log: { level: 'debug' },
  };
  const file = join(below, 'ringfill.yml');
  writeFileSync(file, JSON.stringify(config));
  const env = { MYSQL_SECRET: secrets.mysql, REDIS_SECRET: secrets.redis };
  return { file, env, urls: [gatewayPort, workerPort].map((port) => `http://127.0.0.1:${port}`) };
}

/** As they are, percent-encoded, base64 (AUTH PLAIN and such), hex. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [secret, encodeURIComponent(secret), bytes.toString('base64').slice(0, -4), bytes.toString('hex')];
}

function assertNone(texts: readonly string[], secrets: Secrets): void {
  for (const [what, secret] of Object.entries(secrets)) {
    for (const text of texts) {
      for (const spelling of spellings(secret)) {
        const at = text.indexOf(spelling);
        assert.equal(at, -1, `the secret of ${what}: ${text.slice(Math.max(0, at - 200), at)}…`);
      }
    }
  }
}

/** Of all processes: whoever may log in can read them. */
async function allArguments(): Promise<string> {
  const listed = await runPs();
  return listed
    .split('\n')
    .filter((line) => line.includes('cli/main.ts'))
    .join('\n');
}

async function runPs(): Promise<string> {
  const { execFile } = await import('node:child_process');
  return await new Promise((resolve, reject) => {
    execFile('ps', ['-eo', 'args', '-ww'], { maxBuffer: 2 ** 26 }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    );
  });
}

const ROUTES = [
  '/-/live',
  '/-/ready',
  '/-/metrics',
  '/-/ring',
  '/-/ring/owner?key=secrets:test_users_1',
  '/-/ring/story?key=test/users/8',
  '/-/docs/json',
  '/-/status',
];

async function answers(urls: readonly string[]): Promise<string[]> {
  const paths = [...ROUTES, '/test/users/8', '/test/users/x', '/nothing'];
  return await Promise.all(
    urls.flatMap((url) =>
      paths.map(async (path) => {
        const answer = await fetch(url + path);
        return `${JSON.stringify([...answer.headers])}${await answer.text()}`;
      }),
    ),
  );
}

async function commands(file: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const each = [
    ['check'],
    ['dead-letters', 'list'],
    ['audit'],
    ['position'],
    ['ring', 'plan', '--remove', 'primary/guarded', '--count'],
    ['ring', 'remove', 'primary/guarded', '--dry-run'],
  ];
  const outcomes = await Promise.all(each.map((args) => runCommand([...args, '--config', file], env)));
  return outcomes.flatMap(({ stdout, stderr }) => [stdout, stderr]);
}

test('servers that take them', async () => {
  const { file, env, urls } = await configure('taken', SECRETS);
  const gateway = startCommand(['gateway', '--config', file], env);
  const worker = startCommand(['sync-worker', '--config', file], env);
  await gateway.says(/"event":"ready"/);
  await until(
    'the worker is ready',
    async () => (await fetch(`${urls[1]}/-/ready`).catch(() => undefined))?.ok === true,
  );
  await root.query("UPDATE test.users SET city = CONCAT(city, '') WHERE uid = 8");
  const said = [...(await answers(urls)), await allArguments(), ...(await commands(file, env))];
  assert.ok(
    said.some((text) => text.includes('duobao153713223')),
    'a row was answered',
  );
  await gateway.stop();
  await worker.stop();
  assertNone([...said, gateway.said(), worker.said()], SECRETS);
});

test('servers that refuse them', async () => {
  const wrong = Object.fromEntries(
    Object.keys(SECRETS).map((what) => [what, `wrong-${what}-${randomBytes(6).toString('hex')}`]),
  ) as Secrets;
  const { file, env } = await configure('refused', wrong);
  // MySQL's refusal ends them; so the Redis servers are tried first.
  const gateway = startCommand(['gateway', '--config', file], env);
  const worker = startCommand(['sync-worker', '--config', file], env);
  const [gatewayEnd, workerEnd] = [await gateway.ended, await worker.ended];
  assert.match(gatewayEnd.stderr, /WRONGPASS/);
  assert.match(gatewayEnd.stderr, /Access denied/);
  assert.match(workerEnd.stderr, /ACCESS.REFUSED|refused/i);
  const said = await commands(file, env);
  assertNone([gatewayEnd.stdout, gatewayEnd.stderr, workerEnd.stdout, workerEnd.stderr, ...said], wrong);
});

describe('a file in which something is wrong', () => {
  const secret = 'S3cr3t';
  const good = {
    origin: { url: `mysql://u:${secret}@h` },
    rings: [{ name: 'a', shards: { r1: `redis://:${secret}@h` } }],
    sync: { broker: { url: `amqp://u:${secret}@h` } },
    tables: { 't.u': {} },
  };
  const texts: Record<string, string> = {
    'no YAML': `origin: {url: "mysql://u:${secret}@h"\nrings: [\n`,
    'a template that nobody filled in': `origin: {url: {{ ${secret} }} }`,
    'an anchor': `origin: {url: *${secret}}`,
    'a reference that is none': JSON.stringify({ ...good, origin: { url: `mysql://u:a\${b ${secret}}@h` } }),
  };
  const loginsOf = (scheme: string) => [
    `${scheme}://u:12/${secret}@h`,
    `${scheme}://u:12?${secret}@h`,
    `${scheme}://u:12#${secret}@h`,
    `${scheme}://u:${secret}:x@h:y`,
    `${scheme}:/u:${secret}@h`,
  ];
  for (const url of loginsOf('mysql')) texts[`origin ${url}`] = JSON.stringify({ ...good, origin: { url } });
  for (const url of loginsOf('amqp')) texts[`broker ${url}`] = JSON.stringify({ ...good, sync: { broker: { url } } });
  for (const url of [...loginsOf('redis'), `redis://h/${secret}`]) {
    texts[`shard ${url}`] = JSON.stringify({ ...good, rings: [{ name: 'a', shards: { r1: url } }] });
    const sentinel = { sentinel: { group: 'g', sentinels: [url] } };
    texts[`sentinel ${url}`] = JSON.stringify({ ...good, rings: [{ name: 'a', shards: { r1: sentinel } }] });
  }
  for (const [what, text] of Object.entries(texts)) {
    test(`${what.replace(secret, '…')}: what is said does not quote it`, () => {
      assert.throws(
        () => parseConfig(text, 'ringfill.yml', {}),
        (error: unknown) => error instanceof SetupError && !error.message.includes(secret),
      );
    });
  }

  test('on standard error neither', async () => {
    const file = join(folder, 'wrong.yml');
    for (const text of Object.values(texts)) {
      writeFileSync(file, text);
      const { stdout, stderr, code } = await runCommand(['check', '--config', file]);
      assert.equal(code, 1);
      assert.ok(!`${stdout}${stderr}`.includes(secret), stderr);
      assert.ok(readFileSync(file, 'utf8').includes(secret));
      if (text.startsWith('{')) break;
    }
  });
});

test('what drivers hang on their errors is not logged', () => {
  const refused = Object.assign(new Error('NOPERM'), {
    name: 'ReplyError',
    command: { name: 'auth', args: ['S3cr3t'] },
  });
  const outer = Object.assign(new Error('shard r1: NOPERM', { cause: refused }), { sql: "SELECT 'S3cr3t'" });
  const text = JSON.stringify(errorFields(outer));
  assert.ok(!text.includes('S3cr3t'), text);
  assert.match(text, /shard r1: NOPERM.*ReplyError/);
});
