/** The client against a real gateway over real servers. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type ClientOptions, RingfillClient } from '../../client/index.ts';
import { startGateway } from '../support/gateway.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const gateway = await startGateway(stack, {
  tables: { 'test.users': {}, 'shop.order_items': {}, 'shop.vouchers': {}, 'shop.translations': {}, 'shop.ledger': {} },
});

interface User {
  uid: number;
  username: string;
}

interface OrderItem {
  order_id: string;
  line_no: number;
}

function clientOf(options: Partial<ClientOptions> = {}): RingfillClient {
  const client = new RingfillClient({ url: gateway.url, ...options });
  after(() => client.close());
  return client;
}

test('a row, its absence, and a table that is not exposed', async () => {
  const client = clientOf();
  assert.equal((await client.get<User>('test', 'users', 1))?.uid, 1);
  assert.equal(await client.get('test', 'users', 4_000_000_000), undefined);
  await assert.rejects(client.get('test', 'passwords', 1), { code: 'table-not-exposed', status: 404 });
  await assert.rejects(client.get('test', 'users', 'abc'), { code: 'bad-id', status: 400 });
  await assert.rejects(client.get('test', 'users', 9_999, { onlyIfCached: true }), { code: 'not-cached', status: 504 });
});

test('10,000 rows come in the order asked', async () => {
  const ids = Array.from({ length: 10_000 }, (_, index) => 10_000 - index);
  const rows = await clientOf({ deadlineMs: 60_000 }).getMany<User>('test', 'users', ids);
  assert.deepEqual(
    rows.map((row) => row?.uid),
    ids,
  );
});

test('composite ids are pairs, and each pair gets its own row', async () => {
  const rows = await clientOf().getMany<OrderItem>('shop', 'order_items', [
    ['1', 2],
    [1n, 1],
    [1, 60_000],
  ]);
  assert.deepEqual(
    rows.map((row) => row && [row.order_id, row.line_no]),
    [['1', 2], ['1', 1], undefined],
  );
});

test('ids with too few or too many parts never get another row', async () => {
  const client = clientOf();
  await assert.rejects(client.getMany('shop', 'order_items', [1, 2]), { code: 'answer-unreadable' });
  const gathering = clientOf({ coalesce: true });
  const reads = await Promise.allSettled([
    gathering.get('shop', 'order_items', 1),
    gathering.get('shop', 'order_items', [1, 1, 2]),
    gathering.get('shop', 'order_items', ['1,1', 2]),
    gathering.get<OrderItem>('shop', 'order_items', [1, 2]),
  ]);
  assert.deepEqual(
    reads.map((read) =>
      read.status === 'rejected' ? (read.reason as { code: string }).code : read.value?.['line_no'],
    ),
    ['bad-id', 'bad-id', 'bad-id', 2],
  );
});

test('1,000 ids of the longest numbers fit through', async () => {
  const ids = Array.from({ length: 1000 }, (_, index): [bigint, number] => [2n ** 64n - 1n - BigInt(index), 65_535]);
  const rows = await clientOf().getMany('shop', 'order_items', ids);
  assert.equal(rows.length, 1000);
});

test('text ids of every kind of character reach the row they name, alone and in a list', async () => {
  const client = clientOf();
  const codes = [
    'ABC',
    'a/b',
    'a,b',
    '50%',
    '%41',
    'a b',
    '"quoted"',
    'back\\slash',
    'a?b#c&d=e',
    '__proto__',
    '😀',
    "O'Reilly",
  ];
  const listed = await client.getMany<{ code: string }>('shop', 'vouchers', ['..', '.', '', ...codes]);
  assert.deepEqual(
    listed.map((row) => row?.code),
    [undefined, undefined, undefined, ...codes],
  );
  for (const code of codes) assert.equal((await client.get<{ code: string }>('shop', 'vouchers', code))?.code, code);
  for (const code of ['..', '.', '']) assert.equal(await client.get('shop', 'vouchers', code), undefined);
});

test('commas inside the parts of a composite id are the parts’ own', async () => {
  const ids: [string, string][] = [
    ['de', 'Grüße, alle'],
    ['en', 'a,b'],
    ['en', 'a%2Cb'],
    ['en', ','],
    ['zh-CN', '你好,世界'],
    ['fr', 'à la carte'],
  ];
  const rows = await clientOf().getMany<{ lang: string; term: string }>('shop', 'translations', ids);
  assert.deepEqual(
    rows.map((row) => row && [row.lang, row.term]),
    ids,
  );
});

test('bigints are exact where doubles would confuse neighbours', async () => {
  const ids = [2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 64n - 1n];
  const rows = await clientOf().getMany<{ entry: string }>('shop', 'ledger', ids);
  assert.deepEqual(
    rows.map((row) => row?.entry),
    ids.map(String),
  );
});

test('the second read is told "not modified", and gives the same row', async () => {
  const client = clientOf();
  const first = await client.getWithStatus<User>('test', 'users', 5);
  const second = await client.getWithStatus<User>('test', 'users', 5);
  assert.deepEqual(second.row, first.row);
  assert.match(second.cacheStatus ?? '', /^ringfill; hit; /);
});

test('noCache asks the origin', async () => {
  const { cacheStatus } = await clientOf().getWithStatus('test', 'users', 5, { noCache: true });
  assert.match(cacheStatus ?? '', /fwd=request/);
});

test('gathered gets are the rows that single ones are', async () => {
  const ids = Array.from({ length: 300 }, (_, index) => 9_900 + index);
  const [gathering, single] = [clientOf({ coalesce: true }), clientOf()];
  const together = await Promise.all(ids.map((id) => gathering.get('test', 'users', id)));
  assert.deepEqual(together, await Promise.all(ids.map((id) => single.get('test', 'users', id))));
  assert.equal(together.filter((row) => row === undefined).length, 199);
});

test('operators see the rings, and a key’s owner in each', async () => {
  const client = clientOf();
  const ring = await client.ring();
  const owner = await client.owner(`${gateway.keyPrefix}test_users_5`);
  assert.deepEqual(
    owner.candidates.map(({ layer, ring: name }) => [layer, name]),
    ring.layers.map(({ ring: name }, layer) => [layer, name]),
  );
  const { cacheStatus } = await client.getWithStatus('test', 'users', 5);
  assert.ok(cacheStatus?.includes(`detail="${owner.candidates[0]?.shard}/0"`), cacheStatus);
});
