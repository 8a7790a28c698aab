/** API keys, what they are for, how often they may ask, and whose address it is. */
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { AccessMetrics } from '../../shared/access/access-metrics.ts';
import { AccessRefused } from '../../shared/access/access-refused.ts';
import { ApiKeys, assertMayRead } from '../../shared/access/api-keys.ts';
import { basicKey, bearerKey, isSecret, newKey } from '../../shared/access/api-key.ts';
import { ClientAddresses } from '../../shared/access/client-address.ts';
import { changeKeyFile, type KeyRecord, readKeyFile } from '../../shared/access/key-file.ts';
import { isLoopback } from '../../shared/access/open-to-everybody.ts';
import { RateLimit } from '../../shared/access/rate-limit.ts';
import { checkAccess } from '../../cli/check/check-access.ts';
import { parseConfig } from '../../shared/config/load.ts';
import type { Config } from '../../shared/config/schema.ts';
import { type Problem, SetupError } from '../../shared/errors/errors.ts';
import { memoryLog, until } from '../support/broker.ts';
import { Authority } from '../support/certificates.ts';
import { temporaryFolder } from '../support/stack.ts';

const folder = temporaryFolder();
const CONFIG =
  'origin: {url: mysql://u@db}\nrings: [{name: primary, shards: {r1: redis://r}}]\ntables: {shop.orders: {}}\n';

function record(id: string, sha256: string, more: Partial<KeyRecord> = {}): KeyRecord {
  return {
    id,
    name: 'a page',
    sha256,
    tables: ['shop.orders'],
    admin: false,
    created: '2026-11-23T00:00:00Z',
    ...more,
  };
}

function problemOf(act: () => unknown): Problem {
  try {
    act();
  } catch (error) {
    if (error instanceof SetupError) return error.problems[0] as Problem;
    throw error;
  }
  throw new Error('it was accepted');
}

function reasonOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof AccessRefused) return `${error.code} ${error.reason}`;
    throw error;
  }
  return 'let in';
}

test('a key is read from Authorization as it was printed, and nothing that is nearly one', () => {
  const { text, id, sha256 } = newKey();
  const secret = text.slice(-64);
  assert.match(text, /^rf_[0-9a-f]{12}_[0-9a-f]{64}$/);
  assert.deepEqual(bearerKey(`Bearer ${text}`), { id, secret });
  assert.deepEqual(bearerKey(`bearer  ${text}`), { id, secret });
  assert.deepEqual(basicKey(`Basic ${Buffer.from(`me:${text}`).toString('base64')}`), { id, secret });
  assert.ok(isSecret(secret, Buffer.from(sha256, 'hex')));
  assert.ok(!isSecret(newKey().text.slice(-64), Buffer.from(sha256, 'hex')));
  for (const wrong of ['', text, `Basic ${text}`, `Bearer ${text}0`, `Bearer ${text} `, `Bearer ${text.slice(1)}`]) {
    assert.equal(bearerKey(wrong), undefined, wrong);
  }
  for (const wrong of ['', 'Basic', 'Basic ?', `Basic ${Buffer.from('me:').toString('base64')}`]) {
    assert.equal(basicKey(wrong), undefined, wrong);
  }
});

test('the file of keys is made for its owner alone, keeps no secret, and keeps the mode that it was given', async () => {
  const path = join(folder, 'made.json');
  const { text, id, sha256 } = newKey();
  await changeKeyFile(path, (keys) => [...keys, record(id, sha256)]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.ok(!readFileSync(path, 'utf8').includes(text.slice(-64)));
  assert.deepEqual(readKeyFile(path), [record(id, sha256)]);
  chmodSync(path, 0o640);
  await changeKeyFile(path, () => []);
  assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.deepEqual(readKeyFile(path), []);
});

test('of two commands that change the file at once, one is refused, and a draft left behind is named', async () => {
  const path = join(folder, 'two.json');
  const keys = ['0'.repeat(12), '1'.repeat(12)].map((id) => record(id, 'a'.repeat(64)));
  const outcomes = await Promise.allSettled(keys.map((key) => changeKeyFile(path, (all) => [...all, key])));
  assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
  assert.equal(readKeyFile(path).length, 1);
  writeFileSync(`${path}.new`, '');
  await assert.rejects(
    changeKeyFile(path, () => []),
    (error: SetupError) => error.code === 'keys-unusable' && error.message.includes(`rm ${path}.new`),
  );
});

for (const mode of [0o620, 0o602, 0o666]) {
  test(`a file of keys that others may write to (0${mode.toString(8)}) is refused, with the line that mends it`, () => {
    const path = join(folder, `mode-${mode}.json`);
    writeFileSync(path, '{"keys":[]}');
    chmodSync(path, mode);
    const { code, mend } = problemOf(() => readKeyFile(path));
    assert.deepEqual([code, mend], ['keys-unusable', `chmod 600 ${path}`]);
  });
}

const good = record('0'.repeat(12), 'a'.repeat(64));
for (const [claim, text] of [
  ['no JSON', '{"keys":['],
  ['another form', '[]'],
  ['a field that is not known', JSON.stringify({ keys: [{ ...good, table: 'a.b' }] })],
  ['a scope that is no table', JSON.stringify({ keys: [{ ...good, tables: ['orders'] }] })],
  ['a time that there is not', JSON.stringify({ keys: [{ ...good, expires: '2026-13-01T00:00:00Z' }] })],
  ['one id twice', JSON.stringify({ keys: [good, good] })],
] as const) {
  test(`a file of keys with ${claim} is refused, and its text is not quoted`, () => {
    const path = join(folder, 'wrong.json');
    writeFileSync(path, text, { mode: 0o600 });
    const { code, message } = problemOf(() => readKeyFile(path));
    assert.equal(code, 'keys-unusable');
    assert.ok(!message.includes('a'.repeat(64)), message);
  });
}

test('a key is for its own tables, for all with *, for none without any; and until it expires', async () => {
  const path = join(folder, 'scopes.json');
  const [one, all, none, brief, foreign] = [newKey(), newKey(), newKey(), newKey(), newKey()];
  const expires = '2026-11-23T12:00:00.000Z';
  await changeKeyFile(path, () => [
    record(one.id, one.sha256),
    record(all.id, all.sha256, { tables: ['*'] }),
    record(none.id, none.sha256, { tables: [], admin: true }),
    record(brief.id, brief.sha256, { expires }),
  ]);
  let nowMs = Date.parse(expires) - 1;
  const { log } = memoryLog();
  const keys = new ApiKeys({ path, metrics: new AccessMetrics(new Registry()), log, now: () => nowMs });
  const ask = (key: string | undefined, table: string) =>
    reasonOf(() => assertMayRead(keys.bearer(key && `Bearer ${key}`), table));
  assert.equal(ask(one.text, 'shop.orders'), 'let in');
  for (const other of ['shop.order', 'shop.orders2', 'Shop.orders', 'shop.constructor', '*', '__proto__.toString']) {
    assert.equal(ask(one.text, other), 'not-permitted not-in-scope', other);
  }
  assert.equal(ask(all.text, 'any.thing'), 'let in');
  assert.equal(ask(none.text, 'shop.orders'), 'not-permitted not-in-scope');
  assert.equal(ask(brief.text, 'shop.orders'), 'let in');
  nowMs += 1;
  assert.equal(ask(brief.text, 'shop.orders'), 'unauthenticated expired-key');
  assert.equal(ask(undefined, 'shop.orders'), 'unauthenticated no-key');
  assert.equal(ask('rf_', 'shop.orders'), 'unauthenticated no-key');
  assert.equal(ask(foreign.text, 'shop.orders'), 'unauthenticated unknown-key');
  assert.equal(ask(`rf_${one.id}_${all.text.slice(-64)}`, 'shop.orders'), 'unauthenticated wrong-secret');
  keys.stop();
});

test('keys are taken from the file as it changes; a file that has become wrong leaves those before in force', async () => {
  const path = join(folder, 'changing.json');
  const [first, second] = [newKey(), newKey()];
  await changeKeyFile(path, () => [record(first.id, first.sha256)]);
  const { log, events } = memoryLog();
  const registry = new Registry();
  const keys = new ApiKeys({ path, metrics: new AccessMetrics(registry), log, lookEveryMs: 5 });
  const isIn = ({ text }: { readonly text: string }) => reasonOf(() => keys.bearer(`Bearer ${text}`)) === 'let in';
  const said = (event: string) => events.filter((one) => one['event'] === event).length;
  assert.deepEqual([isIn(first), isIn(second)], [true, false]);

  await changeKeyFile(path, (all) => [...all, record(second.id, second.sha256)]);
  await until('the second key is taken', () => isIn(second));
  writeFileSync(path, '{');
  await until('the broken file is told of', () => said('api keys refused; those before stay in force') === 1);
  assert.deepEqual([isIn(first), isIn(second)], [true, true]);
  writeFileSync(path, JSON.stringify({ keys: [record(second.id, second.sha256)] }));
  await until('the first key is gone', () => !isIn(first));
  assert.ok(isIn(second));
  const text = await registry.metrics();
  assert.match(text, /ringfill_access_key_reloads_total\{outcome="loaded"\} 2/);
  assert.match(text, /ringfill_access_key_reloads_total\{outcome="refused"\} 1/);
  keys.stop();
});

test('a bucket gives what it holds, then as much as flows in, each who of its own', () => {
  let nowMs = 0;
  const limit = new RateLimit({ rowsPerSecond: 10, burstRows: 20, now: () => nowMs });
  assert.equal(limit.take('a', 20), 0);
  assert.equal(limit.take('a', 1), 1);
  assert.equal(limit.take('b', 20), 0);
  nowMs = 99;
  assert.equal(limit.take('a', 1), 1);
  nowMs = 100;
  assert.equal(limit.take('a', 1), 0);
  assert.equal(limit.take('a', 20), 2, 'twenty more take two seconds');
  nowMs = 3_600_000;
  assert.equal(limit.take('a', 20), 0);
  assert.equal(limit.take('a', 1), 1, 'and never holds more than its burst');
});

test('a batch larger than the bucket is let through a full one, and paid for afterwards', () => {
  let nowMs = 0;
  const limit = new RateLimit({ rowsPerSecond: 10, burstRows: 10, now: () => nowMs });
  assert.equal(limit.take('a', 1_000), 0);
  assert.equal(limit.take('a', 1), 100);
  nowMs = 99_000;
  assert.equal(limit.take('a', 1), 1);
  nowMs = 99_100;
  assert.equal(limit.take('a', 1), 0);
});

test('of so many it is remembered what they took; who was not seen for the longest begins anew', () => {
  const limit = new RateLimit({ rowsPerSecond: 1, burstRows: 1, remembered: 2, now: () => 0 });
  for (const who of ['a', 'b']) assert.equal(limit.take(who, 1), 0);
  assert.deepEqual([limit.take('a', 1), limit.take('c', 1)], [1, 0]);
  assert.deepEqual([limit.take('a', 1), limit.take('b', 1)], [1, 0]);
});

function requestFrom(remoteAddress: string, forwarded?: string): IncomingMessage {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress });
  const request = new IncomingMessage(socket);
  if (forwarded !== undefined) request.headers['x-forwarded-for'] = forwarded;
  return request;
}

for (const [claim, proxies, remote, forwarded, expected] of [
  ['the peer, whatever it says of others', [], '10.0.0.9', '1.2.3.4', '10.0.0.9'],
  ['whom a trusted proxy names', ['10.0.0.0/8'], '10.0.0.9', '1.2.3.4', '1.2.3.4'],
  [
    'whom a trusted proxy names, not what the client had claimed',
    ['10.0.0.9'],
    '10.0.0.9',
    '6.6.6.6, 1.2.3.4',
    '1.2.3.4',
  ],
  ['whom the first of two proxies names', ['10.0.0.0/8'], '10.0.0.9', '6.6.6.6, 1.2.3.4, 10.1.1.1', '1.2.3.4'],
  ['a peer that is no trusted proxy', ['10.0.0.9'], '10.0.0.8', '1.2.3.4', '10.0.0.8'],
  ['the proxy itself where it names nobody', ['10.0.0.9'], '10.0.0.9', undefined, '10.0.0.9'],
  ['the proxy itself where it names no address', ['10.0.0.9'], '10.0.0.9', '1.2.3.4, unknown', '10.0.0.9'],
  ['an IPv4 client of a socket for both', ['10.0.0.9'], '::ffff:10.0.0.9', '::ffff:1.2.3.4', '1.2.3.4'],
  ['of IPv6, the /64', [], '2001:db8:1:2:3:4:5:6', undefined, '2001:db8:1:2::/64'],
  ['of IPv6 written short, the /64', [], '2001:db8::5', undefined, '2001:db8:0:0::/64'],
  ['of IPv6 with a zone, the /64', ['10.0.0.9'], 'fe80::1%eth0', undefined, 'fe80:0:0:0::/64'],
  ['nobody, where the connection has gone', ['10.0.0.9'], '', undefined, ''],
] as const) {
  test(`a limit by address is about ${claim}`, () => {
    assert.equal(new ClientAddresses(proxies).of(requestFrom(remote, forwarded)), expected);
  });
}

test('a proxy is an address or a network', () => {
  for (const wrong of ['proxy', '10.0.0.0/33', '10.0.0.0/', '10.0.0/8', '::/129']) {
    assert.throws(() => new ClientAddresses([wrong]), /is not (an address|a network)/, wrong);
  }
});

test('loopback is what no other machine can reach', () => {
  for (const host of ['127.0.0.1', '127.8.8.8', '::1', '[::1]', 'localhost', 'LOCALHOST', '::ffff:127.0.0.1']) {
    assert.ok(isLoopback(host), host);
  }
  for (const host of ['0.0.0.0', '::', '', '10.0.0.1', '127.example.com', '128.0.0.1', 'gateway', '::ffff:10.0.0.1']) {
    assert.ok(!isLoopback(host), host);
  }
});

test('`ringfill check` tells of keys and certificates that a start would refuse, or that will be missed', async () => {
  const told = (http: object, access?: Config['access']) => {
    const { http: defaults } = parseConfig(CONFIG, 'test', {});
    return checkAccess({ http: { ...defaults, ...http }, ...(access && { access }) }).map(
      (one) => `${one.requirement} ${one.verdict}`,
    );
  };
  const [path, expired] = [join(folder, 'checked.json'), join(folder, 'expired.json')];
  const { id, sha256 } = newKey();
  await changeKeyFile(path, () => [record(id, sha256)]);
  await changeKeyFile(expired, () => [record(id, sha256, { expires: '2020-01-01T00:00:00Z' })]);
  const keys = (keysFile: string) => ({ keysFile, publicOperations: false });
  const { cert, key } = new Authority(folder, 'checked').issue('brief', ['DNS:localhost'], 1);
  const { cert: longCert, key: longKey } = new Authority(folder, 'checked').issue('long', ['DNS:localhost'], 99);
  assert.deepEqual(told({}), []);
  assert.deepEqual(told({ host: '0.0.0.0' }), ['API keys warning', 'certificate note']);
  assert.deepEqual(told({}, keys(path)), ['API keys met']);
  assert.deepEqual(told({}, keys(expired)), ['API keys warning']);
  assert.deepEqual(told({}, keys(join(folder, 'none'))), ['API keys unmet']);
  assert.deepEqual(told({ tls: { certFile: cert, keyFile: key } }), ['certificate warning']);
  assert.deepEqual(told({ tls: { certFile: longCert, keyFile: longKey } }), ['certificate met']);
  assert.deepEqual(told({ tls: { certFile: cert, keyFile: path } }), ['certificate unmet']);
});
