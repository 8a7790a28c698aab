/**
 * Who may ask the gateway for what: every refusal over HTTP with its status, code, headers, log line and metric; keys that
 * come and go while it serves; and no port for everybody by accident.
 */
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fastify } from 'fastify';
import { Registry } from 'prom-client';
import { Gateway } from '../../gateway/gateway.ts';
import { requireAdmin } from '../../gateway/http/require-admin.ts';
import { admissionOf } from '../../shared/access/admission.ts';
import { AccessMetrics } from '../../shared/access/access-metrics.ts';
import { newKey } from '../../shared/access/api-key.ts';
import { changeKeyFile, type KeyRecord } from '../../shared/access/key-file.ts';
import { parseConfig } from '../../shared/config/load.ts';
import type { Config } from '../../shared/config/schema.ts';
import { catalogue } from '../../shared/errors/catalogue.ts';
import { RequestRefused, SetupError } from '../../shared/errors/errors.ts';
import { SyncWorker } from '../../sync-worker/sync-worker.ts';
import { memoryLog, until } from '../support/broker.ts';
import { runCommand, startCommand, writeConfig } from '../support/cli.ts';
import { gatewayConfig, type GatewaySettings, startGateway, type TestGateway } from '../support/gateway.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const stack = await testStack();
const folder = temporaryFolder();
const tables = { 'test.users': {}, 'shop.orders': {}, 'shop.order_items': {} };
const keysFile = join(folder, 'keys.json');

async function createKey(options: Partial<KeyRecord>): Promise<string> {
  const { text, id, sha256 } = newKey();
  const blank = { name: 'test', tables: [], admin: false, created: new Date().toISOString() };
  await changeKeyFile(keysFile, (keys) => [...keys, { ...blank, id, sha256, ...options }]);
  return text;
}

const users = await createKey({ name: 'users page', tables: ['test.users'] });
const everything = await createKey({ tables: ['*'] });
const expired = await createKey({ tables: ['*'], expires: '2026-01-01T00:00:00.000Z' });
const admin = await createKey({ name: 'operator', admin: true });

const withKey = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
const withPassword = (key: string) => ({
  headers: { authorization: `Basic ${Buffer.from(`me:${key}`).toString('base64')}` },
});

interface Watched {
  readonly gateway: TestGateway;
  readonly events: readonly Record<string, unknown>[];
}

async function watchedGateway(settings: Partial<GatewaySettings>): Promise<Watched> {
  const { log, events } = memoryLog();
  return { gateway: await startGateway(stack, { tables, ...settings }, log), events };
}

const { gateway, events } = await watchedGateway({ access: { keysFile } });

async function metric(at: TestGateway, key: string, name: string): Promise<number> {
  const text = await (await at.get('/-/metrics', withKey(key))).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly reason: string;
  readonly challenge?: RegExp;
}

async function assertRefused(response: Response, { status, code, challenge }: Refusal): Promise<void> {
  assert.equal(response.status, status);
  assert.equal(response.headers.get('content-type'), 'application/problem+json');
  assert.equal(response.headers.get('cache-control'), 'no-store');
  assert.equal(response.headers.get('cache-status'), null);
  if (challenge !== undefined) assert.match(response.headers.get('www-authenticate') ?? '', challenge);
  const body = (await response.json()) as Record<string, unknown>;
  assert.deepEqual([body['status'], body['code']], [status, code]);
}

const UNAUTHENTICATED = { status: 401, code: 'unauthenticated' } as const;
const NOT_PERMITTED = { status: 403, code: 'not-permitted', challenge: /error="insufficient_scope"$/ } as const;
const other = users.slice(-64);

for (const [claim, path, init, refusal] of [
  [
    'a row without a key',
    '/test/users/1',
    {},
    { ...UNAUTHENTICATED, reason: 'no-key', challenge: /^Bearer realm="ringfill"$/ },
  ],
  ['rows without a key', '/test/users?ids=1,2', {}, { ...UNAUTHENTICATED, reason: 'no-key' }],
  ['HEAD without a key', '/test/users/1', { method: 'HEAD' }, { ...UNAUTHENTICATED, reason: 'no-key' }],
  ['a bad id without a key: nothing is said of the id', '/test/users/x', {}, { ...UNAUTHENTICATED, reason: 'no-key' }],
  ['a table that is not exposed, without a key', '/test/none/1', {}, { ...UNAUTHENTICATED, reason: 'no-key' }],
  [
    'metrics without a key',
    '/-/metrics',
    {},
    { ...UNAUTHENTICATED, reason: 'no-key', challenge: /^Basic .*, Bearer / },
  ],
  ['the ring without a key', '/-/ring', {}, { ...UNAUTHENTICATED, reason: 'no-key' }],
  ['an owner without a key', '/-/ring/owner?key=a', {}, { ...UNAUTHENTICATED, reason: 'no-key' }],
  ['the documentation without a key', '/-/docs/', {}, { ...UNAUTHENTICATED, reason: 'no-key' }],
  ['the document behind it without a key', '/-/docs/json', {}, { ...UNAUTHENTICATED, reason: 'no-key' }],
  ['metrics by another spelling', '/%2D/metrics', {}, { ...UNAUTHENTICATED, reason: 'no-key' }],
  [
    'a key that there is not',
    '/test/users/1',
    withKey(`rf_${'0'.repeat(12)}_${other}`),
    { ...UNAUTHENTICATED, reason: 'unknown-key', challenge: /error="invalid_token"$/ },
  ],
  [
    'a wrong secret',
    '/test/users/1',
    withKey(everything.slice(0, -64) + other),
    { ...UNAUTHENTICATED, reason: 'wrong-secret' },
  ],
  [
    'a key that has expired',
    '/test/users/1',
    withKey(expired),
    { ...UNAUTHENTICATED, reason: 'expired-key', challenge: /error="invalid_token"$/ },
  ],
  ['a key as a password, for rows', '/test/users/1', withPassword(users), { ...UNAUTHENTICATED, reason: 'no-key' }],
  ['a table out of scope', '/shop/orders/1', withKey(users), { ...NOT_PERMITTED, reason: 'not-in-scope' }],
  ['rows of a table out of scope', '/shop/orders?ids=1', withKey(users), { ...NOT_PERMITTED, reason: 'not-in-scope' }],
  [
    'a table out of scope that is not exposed either',
    '/shop/none/1',
    withKey(users),
    { ...NOT_PERMITTED, reason: 'not-in-scope' },
  ],
  [
    'rows, with a key for administration alone',
    '/test/users/1',
    withKey(admin),
    { ...NOT_PERMITTED, reason: 'not-in-scope' },
  ],
] as const satisfies readonly (readonly [string, string, RequestInit, Refusal])[]) {
  test(`refused: ${claim}`, async () => {
    const name = `ringfill_access_refused_total{reason="${refusal.reason}"}`;
    const before = await metric(gateway, everything, name);
    const from = events.length;
    const response = await gateway.get(path, init);
    if ('method' in init) assert.equal(response.status, refusal.status);
    else await assertRefused(response, refusal);
    assert.equal(await metric(gateway, everything, name), before + 1);
    const said = events.slice(from).filter(({ event }) => event === 'request refused');
    // Past ten for one reason, of one address, a line a second.
    assert.ok(said.length === 1 || (said.length === 0 && refusal.reason === 'no-key'));
    for (const line of said) assert.deepEqual([line['reason'], line['code']], [refusal.reason, refusal.code]);
  });
}

test('let in: a table in scope, any table with *, and a 404 only for whom it is in scope', async () => {
  assert.equal((await gateway.get('/test/users/1', withKey(users))).status, 200);
  assert.equal((await gateway.get('/test/users?ids=1,2,3', withKey(users))).status, 200);
  assert.equal((await gateway.get('/shop/orders/1', withKey(everything))).status, 200);
  assert.equal((await gateway.get('/shop/none/1', withKey(everything))).status, 404);
});

test('let in: what operators ask, with any key, as a password too; liveness and readiness without one', async () => {
  for (const path of ['/-/metrics', '/-/ring', '/-/ring/owner?key=test_users_1', '/-/docs/json']) {
    assert.equal((await gateway.get(path, withKey(admin))).status, 200, path);
    assert.equal((await gateway.get(path, withPassword(users))).status, 200, path);
  }
  for (const path of ['/-/live', '/-/ready']) assert.equal((await gateway.get(path)).status, 200, path);
});

test('a key’s story shows a row, and is for keys that may read it', async () => {
  const story = (key: string) => `/-/ring/story?key=${key}`;
  assert.equal((await gateway.get(story('test_users_1'), withKey(users))).status, 200);
  const refused = { ...NOT_PERMITTED, reason: 'not-in-scope' };
  await assertRefused(await gateway.get(story('shop_orders_1'), withKey(users)), refused);
  await assertRefused(await gateway.get(story('shop/orders/1'), withKey(users)), refused);
  const { gateway: open } = await watchedGateway({ access: { keysFile, publicOperations: true } });
  await assertRefused(await open.get(story('test_users_1')), { ...UNAUTHENTICATED, reason: 'no-key' });
});

test('with publicOperations they are for everybody, and rows are not', async () => {
  const { gateway: open } = await watchedGateway({ access: { keysFile, publicOperations: true } });
  assert.equal((await open.get('/-/metrics')).status, 200);
  assert.equal((await open.get('/-/ring')).status, 200);
  assert.equal((await open.get('/test/users/1')).status, 401);
});

test('a refusal’s log line names the key, the table and the address, and holds no secret', () => {
  const lines = events.filter(({ event }) => event === 'request refused');
  assert.ok(lines.length >= 10);
  for (const { address, level } of lines) assert.deepEqual([address, level], ['127.0.0.1', 30]);
  const outOfScope = lines.find(({ reason, table }) => reason === 'not-in-scope' && table === 'shop.orders');
  assert.equal(outOfScope?.['key'], users.slice(3, 15));
  const text = JSON.stringify(events);
  for (const key of [users, everything, admin]) assert.ok(!text.includes(key.slice(-64)));
});

test('a key that is made, revoked or replaced holds while the gateway serves', async () => {
  const status = async (key: string) => (await gateway.get('/shop/orders/1', withKey(key))).status;
  const create = ['key', 'create', '--keys-file', keysFile, '--name', 'orders', '--table', 'shop.orders'];
  const made = await runCommand([...create, '--expires', '90d']);
  const first = made.stdout.trim();
  assert.deepEqual([made.code, made.stderr.includes(first)], [0, false]);
  await until('the new key is taken', async () => (await status(first)) === 200);
  const second = await createKey({ name: 'orders', tables: ['shop.orders'] });
  await until('the next key is taken', async () => (await status(second)) === 200);
  const revoked = await runCommand(['key', 'revoke', '--keys-file', keysFile, first.slice(3, 15)]);
  assert.equal(revoked.code, 0, revoked.stderr);
  await until('the first key is refused', async () => (await status(first)) === 401);
  assert.equal(await status(second), 200);
  const text = readFileSync(keysFile, 'utf8');
  writeFileSync(keysFile, text.slice(0, -5));
  await until('the broken file is told of', () => {
    return events.some((one) => one['event'] === 'api keys refused; those before stay in force');
  });
  assert.equal(await status(second), 200);
  writeFileSync(keysFile, text);
});

test('`ringfill key list` shows ids, names and scopes, and no secret; `revoke` names those that there are', async () => {
  const list = await runCommand(['key', 'list', '--keys-file', keysFile]);
  assert.match(list.stdout, /^id +name +tables +created +expires\n/);
  assert.match(list.stdout, new RegExp(`^${users.slice(3, 15)} +users page +test\\.users +\\S+ +-$`, 'm'));
  assert.match(list.stdout, new RegExp(`^${admin.slice(3, 15)} +operator +\\(admin\\) `, 'm'));
  const json = JSON.parse((await runCommand(['key', 'list', '--json', '--keys-file', keysFile])).stdout) as {
    keys: Record<string, unknown>[];
  };
  for (const key of json.keys) assert.ok(!('sha256' in key));
  const { code, stderr } = await runCommand(['key', 'revoke', '--keys-file', keysFile, 'nobody']);
  assert.equal(code, 1);
  assert.match(stderr, /no key has the id nobody; there are .*\[key-unknown\]/);
  const useless = await runCommand(['key', 'create', '--keys-file', keysFile, '--name', 'x']);
  assert.deepEqual([useless.code, useless.stdout], [1, '']);
});

test('a row limit by key counts ids, says when to come back, and leaves other keys alone', async () => {
  const access = { keysFile, limitPerKey: { rowsPerSecond: 1, burstRows: 10 } };
  const { gateway: limited, events: said } = await watchedGateway({ access });
  assert.equal(
    (await limited.get('/shop/order_items?ids=1001,1,1001,2,1002,1,1002,2', withKey(everything))).status,
    200,
  );
  assert.equal(
    (await limited.get('/test/users?ids=1,2,3,4', withKey(everything))).status,
    200,
    'four pairs are four rows',
  );
  const response = await limited.get('/test/users?ids=1%2C2%2C3,4', withKey(everything));
  assert.match(response.headers.get('retry-after') ?? '', /^[1-4]$/);
  await assertRefused(response, { status: 429, code: 'rate-limited', reason: 'key-rate' });
  assert.equal((await limited.get('/test/users/1', withKey(users))).status, 200);
  assert.equal(await metric(limited, admin, 'ringfill_access_refused_total{reason="key-rate"}'), 1);
  const line = said.find(({ event }) => event === 'request refused');
  assert.deepEqual(
    [line?.['code'], line?.['reason'], line?.['key']],
    ['rate-limited', 'key-rate', everything.slice(3, 15)],
  );
});

test('a row limit by address needs no keys, and believes a trusted proxy alone about the address', async () => {
  const limitPerAddress = { rowsPerSecond: 1, burstRows: 2 };
  const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });
  const statuses = async (at: TestGateway) => {
    const answers = [];
    for (const address of ['1.1.1.1', '1.1.1.1', '1.1.1.1', '2.2.2.2']) {
      answers.push((await at.get('/test/users?ids=1', from(address))).status);
    }
    return answers;
  };
  const { gateway: direct, events: said } = await watchedGateway({ http: { limitPerAddress } });
  assert.deepEqual(await statuses(direct), [200, 200, 429, 429]);
  const response = await direct.get('/-/ring');
  assert.match(response.headers.get('retry-after') ?? '', /^[12]$/);
  await assertRefused(response, { status: 429, code: 'rate-limited', reason: 'address-rate' });
  assert.equal((await direct.get('/-/live')).status, 200);
  const line = said.find(({ event }) => event === 'request refused');
  assert.deepEqual(
    [line?.['code'], line?.['reason'], line?.['address']],
    ['rate-limited', 'address-rate', '127.0.0.1'],
  );
  const { gateway: behind } = await watchedGateway({ http: { limitPerAddress, trustedProxies: ['127.0.0.0/8'] } });
  assert.deepEqual(await statuses(behind), [200, 200, 429, 200]);
});

test('routes that change something: none without access, then for keys with --admin as Bearer alone', async () => {
  const { log, events: said } = memoryLog();
  const metrics = new AccessMetrics(new Registry());
  const statusWith = async (access: Config['access'], authorization?: string) => {
    const config = parseConfig(gatewayConfig(stack, { tables, ...(access && { access }) }).text, 'test');
    const admission = admissionOf({ config, metrics, log });
    const app = fastify();
    app.setErrorHandler((error, _request, reply) =>
      reply.code(error instanceof RequestRefused ? catalogue[error.code].status : 500).send(),
    );
    app.post('/-/invalidate', { onRequest: requireAdmin(() => ({ admission })) }, () => ({}));
    const { statusCode } = await app.inject({
      method: 'POST',
      url: '/-/invalidate',
      headers: authorization === undefined ? {} : { authorization },
    });
    admission?.stop();
    return statusCode;
  };
  const access = { keysFile, publicOperations: true };
  assert.equal(await statusWith(undefined, `Bearer ${admin}`), 404);
  assert.equal(await statusWith(access), 401);
  assert.equal(await statusWith(access, `Bearer ${everything}`), 403);
  assert.equal(await statusWith(access, withPassword(admin).headers.authorization), 401);
  assert.equal(await statusWith(access, `Bearer ${admin}`), 200);
  const line = said.find(({ reason }) => reason === 'not-admin');
  assert.deepEqual([line?.['code'], line?.['key']], ['not-permitted', everything.slice(3, 15)]);
});

test('a public port without access does not start, and says what mends it; nor is one opened by a reload', async () => {
  const { text } = gatewayConfig(stack, { tables, http: { host: '0.0.0.0' } });
  const refused = await runCommand(['gateway', '--config', writeConfig(folder, 'public.yml', text)]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /public\.yml:1: http\.host: .*\[public-without-access\]\n +mend: access: \{keysFile: /);

  const { text: guarded } = gatewayConfig(stack, { tables, http: { host: '0.0.0.0' }, access: { keysFile } });
  const { log, events: said } = memoryLog();
  const open = new Gateway({ config: parseConfig(guarded, 'test'), version: 'test', log });
  after(() => open.stop());
  await open.start();
  const unguarded = parseConfig(gatewayConfig(stack, { tables }).text, 'test');
  assert.equal(await open.reload(() => ({ config: unguarded, sha256: '' })), 'refused');
  const line = said.find(({ event }) => event === 'configuration refused; the one before stays in use');
  assert.equal(line?.['code'], 'public-without-access');
});

test('a file of keys that is not there, or that others may write to, ends the start', () => {
  const loose = join(folder, 'loose.json');
  writeFileSync(loose, '{"keys":[]}');
  chmodSync(loose, 0o660);
  for (const file of [join(folder, 'none.json'), loose]) {
    const config = parseConfig(gatewayConfig(stack, { tables, access: { keysFile: file } }).text, 'test');
    const isUnusable = (error: unknown) => error instanceof SetupError && error.code === 'keys-unusable';
    assert.throws(() => new Gateway({ config, version: 'test', log: memoryLog().log }), isUnusable);
  }
});

test('the sync worker’s port asks for the same keys', async () => {
  const text = gatewayConfig(stack, {
    tables,
    access: { keysFile },
    sync: { port: 0, name: `access-${process.pid}`, stateFolder: join(folder, 'state') },
  }).text;
  const { log, events: said } = memoryLog();
  const worker = new SyncWorker({ config: parseConfig(text, 'test'), version: 'test', log });
  after(() => worker.stop());
  const url = await worker.start();
  const status = async (path: string, init?: RequestInit) => (await fetch(url + path, init)).status;
  for (const path of ['/-/status', '/-/metrics']) {
    assert.equal(await status(path), 401, path);
    assert.equal(await status(path, withKey(users)), 200, path);
  }
  assert.equal(await status('/-/live'), 200);
  assert.notEqual(await status('/-/ready'), 401);
  const line = said.find(({ event }) => event === 'request refused');
  assert.deepEqual([line?.['code'], line?.['reason']], ['unauthenticated', 'no-key']);
});

test('commands send the key of RINGFILL_KEY, and say so where one is needed', async () => {
  const ask = (env: NodeJS.ProcessEnv) => startCommand(['get', 'test.users', '1', '--url', gateway.url], env).ended;
  const without = await ask({ RINGFILL_KEY: '' });
  assert.equal(without.code, 1);
  assert.match(without.stderr, /\[unauthenticated\]\n.*RINGFILL_KEY=rf_/);
  assert.equal((await ask({ RINGFILL_KEY: users })).code, 0);
});
