/** The request's journey on real servers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cacheStatusOf, startGateway } from '../support/gateway.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const gateway = await startGateway(stack, { tables: { 'test.users': {} } });

test('a row is filled from MySQL once, then served by the shard that owns it, in the same bytes', async () => {
  const first = await gateway.get('/test/users/8');
  const owner = (await (await gateway.get(`/-/ring/owner?key=${gateway.keyPrefix}test_users_8`)).json()) as {
    candidates: { shard: string }[];
  };
  assert.equal(first.status, 200);
  assert.equal(
    cacheStatusOf(first).text,
    `ringfill; fwd=miss; stored; key="${gateway.keyPrefix}test_users_8"; detail="${owner.candidates[0]?.shard}/0"`,
  );
  const second = await gateway.get('/test/users/8');
  assert.ok(cacheStatusOf(second).hit, cacheStatusOf(second).text);
  assert.equal(await second.text(), await first.text());
});

test('an absent row is remembered as absent', async () => {
  const first = await gateway.get('/test/users/4000000000');
  assert.equal(first.status, 404);
  assert.equal(first.headers.get('content-type'), 'application/problem+json');
  assert.equal(((await first.json()) as { code: string }).code, 'row-not-found');
  assert.ok(cacheStatusOf(first).stored);
  const second = await gateway.get('/test/users/4000000000');
  assert.equal(second.status, 404);
  assert.ok(cacheStatusOf(second).hit);
});
