/** `ringfill get`, `ring` and `owner` against a real gateway, as their users run them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCommand } from '../support/cli.ts';
import { startGateway } from '../support/gateway.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const { url, keyPrefix } = await startGateway(stack, { tables: { 'test.users': {}, 'shop.order_items': {} } });

test('get prints the row on stdout and its story on stderr', async () => {
  const { code, stdout, stderr } = await runCommand(['get', 'test.users', '1', '--url', url]);
  assert.equal(code, 0, stderr);
  assert.equal((JSON.parse(stdout) as { uid: number }).uid, 1);
  assert.match(stdout, /^\{\n {2}"uid": 1,\n/);
  assert.match(stderr, /^Cache-Status: ringfill; (?:hit|fwd=miss); /);
});

test('get --no-cache asks MySQL', async () => {
  const { stderr } = await runCommand(['get', 'test.users', '1', '--no-cache', '--url', url]);
  assert.match(stderr, /fwd=request/);
});

test('get takes the parts of a composite key one after another', async () => {
  const { code, stdout, stderr } = await runCommand(['get', 'shop.order_items', '1', '2', '--url', url]);
  assert.equal(code, 0, stderr);
  const { order_id, line_no } = JSON.parse(stdout) as { order_id: string; line_no: number };
  assert.deepEqual([order_id, line_no], ['1', 2]);
});

test('get says so when there is no such row, or the id is no id', async () => {
  const absent = await runCommand(['get', 'test.users', '4000000000', '--url', url]);
  assert.deepEqual([absent.code, absent.stdout], [1, '']);
  assert.match(absent.stderr, /test\.users has no row 4000000000/);
  const negative = await runCommand(['get', 'test.users', '-5', '--url', url]);
  assert.equal(negative.code, 1);
  assert.match(negative.stderr, /"-5" is not a whole number/);
});

test('a table that is no db.table, and a URL that is none, are refused with words', async () => {
  const table = await runCommand(['get', 'users', '1', '--url', url]);
  assert.equal(table.code, 1);
  assert.match(table.stderr, /A table is named as db\.table/);
  for (const bad of ['nonsense', 'ftp://127.0.0.1']) {
    const outcome = await runCommand(['ring', '--url', bad]);
    assert.equal(outcome.code, 1);
    assert.match(outcome.stderr, /--url/);
    assert.doesNotMatch(outcome.stderr, /\n\s+at /);
  }
});

test('each says where it looked when no gateway is there', async () => {
  for (const args of [['get', 'test.users', '1'], ['ring'], ['owner', 'test_users_1']]) {
    const { code, stdout, stderr } = await runCommand([...args, '--url', 'http://127.0.0.1:1']);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^The gateway at http:\/\/127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\)/);
    assert.match(stderr, /--url/);
    assert.doesNotMatch(stderr, /\n\s+at /);
  }
});

test('ring and owner print a line a shard for people, and JSON for scripts', async () => {
  const ring = await runCommand(['ring', '--url', url]);
  assert.equal(ring.code, 0, ring.stderr);
  assert.match(ring.stdout, /^layer {2}ring .*\n +0 {2}primary +r1 +ok +\d+\.\d %/);
  assert.equal(ring.stdout.trimEnd().split('\n').length, 1 + stack.redis.length);
  const asJson = JSON.parse((await runCommand(['ring', '--json', '--url', url])).stdout) as { layers: unknown[] };
  assert.equal(asJson.layers.length, 2);

  const key = `${keyPrefix}test_users_1`;
  const owner = await runCommand(['owner', key, '--url', url]);
  assert.match(owner.stdout, /^layer {2}ring .*\n +0 {2}primary +r\d +ok\n +1 {2}fallback +f\d +ok\n$/);
  const owned = JSON.parse((await runCommand(['owner', key, '--json', '--url', url])).stdout) as { key: string };
  assert.equal(owned.key, key);
});
