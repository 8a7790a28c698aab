/**
 * The HTTP contract of DESIGN.md, request by request, on real servers.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { beforeEach, test } from 'node:test';
import { type Dispatcher, request } from 'undici';
import { startGateway } from '../support/gateway.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { RedisEntries } from '../support/redis-entries.ts';
import { testStack } from '../support/stack.ts';

const TTL_SECONDS = 100;
const SOFT_TTL_SECONDS = 50;
const ROW_BYTES_MAX = 1_024;

const stack = await testStack();
const client = new MysqlClient(stack);
await client.ownDatabase('contract', [
  'CREATE TABLE items (id INT PRIMARY KEY, note VARCHAR(5000) NOT NULL) ENGINE=InnoDB',
  "INSERT INTO items VALUES (1, 'one'), (2, 'two'), (3, 'three')",
  'CREATE TABLE names (name VARCHAR(40) COLLATE utf8mb4_general_ci PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
  "INSERT INTO names VALUES ('Foo', 1)",
]);
const gateway = await startGateway(stack, {
  tables: { 'contract.items': {}, 'contract.names': {}, 'test.users': {}, 'shop.ledger': {} },
  defaults: {
    ttlSeconds: TTL_SECONDS,
    softTtlSeconds: SOFT_TTL_SECONDS,
    ttlJitterPercent: 0,
    graceSeconds: 1_000,
    rowBytesMax: ROW_BYTES_MAX,
  },
});
const entries = new RedisEntries(stack, gateway.keyPrefix);

beforeEach(async () => {
  await client.run("UPDATE contract.items SET note = CASE id WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE 'three' END");
  await entries.clear();
});

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  readonly story: CacheStatus | undefined;
}

async function get(
  path: string,
  headers: Record<string, string> = {},
  method: Dispatcher.HttpMethod = 'GET',
): Promise<Reply> {
  // Not by fetch: to an If-None-Match it adds Cache-Control: no-cache by itself.
  const response = await request(gateway.url + path, { method, headers });
  const text = await response.body.text();
  const answered = new Headers(response.headers as Record<string, string>);
  const story = answered.get('cache-status');
  return {
    status: response.statusCode,
    text,
    headers: answered,
    story: story === null ? undefined : parseCacheStatus(story),
  };
}

/** The answer is a problem document of RFC 9457, with this status and code. */
function isProblem(reply: Reply, status: number, code: string): void {
  assert.equal(reply.status, status, reply.text);
  assert.equal(reply.headers.get('content-type'), 'application/problem+json');
  const problem = JSON.parse(reply.text) as Record<string, unknown>;
  assert.deepEqual(Object.keys(problem), ['type', 'title', 'status', 'code', 'detail']);
  assert.equal(problem['status'], status);
  assert.equal(problem['code'], code);
  assert.equal(problem['type'], `urn:ringfill:problem:${code}`);
}

// ---- Cache-Status, read by RFC 8941's grammar: a list of one item, a token with parameters

type Bare = string | number | boolean | { readonly token: string };
interface CacheStatus {
  readonly cache: string;
  readonly parameters: ReadonlyMap<string, Bare>;
}

/** RFC 8941, sections 3.1.2 and 3.3; throws where the field does not follow them. */
function parseCacheStatus(field: string): CacheStatus {
  const cache = /^[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*/.exec(field)?.[0];
  assert.ok(cache !== undefined, field);
  const parameters = new Map<string, Bare>();
  let rest = field.slice(cache.length);
  while (rest !== '') {
    const parameter =
      /^; *([a-z*][a-z0-9_.*-]*)(?:=("(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"|-?[0-9]{1,15}|\?[01]|[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*))?/.exec(
        rest,
      );
    assert.ok(parameter !== null, `${field}: at ${rest}`);
    const [whole, key = '', value] = parameter;
    assert.ok(!parameters.has(key), `${field}: ${key} twice`);
    parameters.set(key, bareItem(value));
    rest = rest.slice(whole.length);
  }
  // RFC 9211, section 2: what each parameter must be.
  assert.notEqual(parameters.has('hit'), parameters.has('fwd'), `${field}: either hit or fwd`);
  for (const flag of ['hit', 'stored', 'collapsed'])
    assert.ok([undefined, true].includes(parameters.get(flag) as boolean | undefined), field);
  const fwd = parameters.get('fwd');
  if (fwd !== undefined)
    assert.match(
      (fwd as { token: string }).token,
      /^(?:bypass|method|uri-miss|vary-miss|miss|request|stale|partial)$/,
      field,
    );
  assert.ok(['undefined', 'number'].includes(typeof parameters.get('ttl')), field);
  assert.ok(['undefined', 'string'].includes(typeof parameters.get('key')), field);
  return { cache, parameters };
}

function bareItem(text: string | undefined): Bare {
  if (text === undefined) return true;
  if (text.startsWith('"')) return text.slice(1, -1).replace(/\\(.)/g, '$1');
  if (text.startsWith('?')) return text === '?1';
  return /^-?[0-9]/.test(text) ? Number(text) : { token: text };
}

/** `hit`, `miss stored`, `request`, …: the words that matter. */
function outcome({ story }: Reply): string {
  assert.ok(story !== undefined, 'no Cache-Status');
  assert.equal(story.cache, 'ringfill');
  const { parameters } = story;
  const fwd = parameters.get('fwd') as { token: string } | undefined;
  const flags = ['hit', 'stored', 'collapsed'].filter((flag) => parameters.get(flag) === true);
  const because = /unstored=([a-z-]+)/.exec((parameters.get('detail') as string | undefined) ?? '')?.[1];
  return [fwd?.token, ...flags, because].filter((word) => word !== undefined).join(' ');
}

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + 10_000;
  while (!(await holds())) assert.ok(Date.now() < giveUpAt, `not within 10 s: ${what}`);
}

// ---- rows and batches

test('a row is a JSON object with a strong ETag, and may be kept if asked for again each time', async () => {
  const reply = await get('/contract/items/1');
  assert.equal(reply.status, 200);
  assert.equal(reply.headers.get('content-type'), 'application/json');
  assert.equal(reply.text, '{"id":1,"note":"one"}');
  assert.equal(reply.headers.get('content-length'), String(reply.text.length));
  assert.equal(reply.headers.get('cache-control'), 'no-cache');
  assert.match(reply.headers.get('etag') ?? '', /^"[\x21\x23-\x7e]+"$/);
  assert.equal(outcome(reply), 'miss stored');
  assert.equal(reply.story?.parameters.get('key'), `${gateway.keyPrefix}contract_items_1`);
  const again = await get('/contract/items/1');
  assert.equal(outcome(again), 'hit');
  assert.equal(again.headers.get('etag'), reply.headers.get('etag'));
  const ttl = again.story?.parameters.get('ttl') as number;
  const age = Number(again.headers.get('age'));
  assert.ok(ttl + age === TTL_SECONDS && age >= 0 && age <= 5, `ttl ${ttl}, age ${age}`);
});

test('equal ETags mean equal bytes: another row, and the same row changed, have others', async () => {
  const tags = [
    (await get('/contract/items/1')).headers.get('etag'),
    (await get('/contract/items/2')).headers.get('etag'),
  ];
  await client.run("UPDATE contract.items SET note = 'eins' WHERE id = 1");
  tags.push((await get('/contract/items/1', { 'cache-control': 'no-cache' })).headers.get('etag'));
  assert.equal(new Set(tags).size, 3);
});

test('HEAD answers as GET does, without the body', async () => {
  const paths = [
    '/contract/items/1',
    '/contract/items?ids=1,2',
    '/contract/items/999',
    '/contract/items/x',
    '/contract/nothing/1',
    '/-/live',
    '/-/ring',
  ];
  for (const path of paths) {
    // Warm, so that both are told the same story.
    await get(path);
    const [whole, head] = [await get(path), await get(path, {}, 'HEAD')];
    assert.equal(head.text, '');
    assert.equal(head.status, whole.status, path);
    const fields = (reply: Reply) =>
      Object.fromEntries(
        [...reply.headers].filter(([name]) => !['date', 'age', 'connection', 'keep-alive'].includes(name)),
      );
    const timeless = (reply: Reply) => ({
      ...fields(reply),
      'cache-status': reply.headers.get('cache-status')?.replace(/ttl=[0-9]+/, ''),
    });
    assert.deepEqual(timeless(head), timeless(whole), path);
    assert.equal(head.headers.get('content-length'), String(Buffer.byteLength(whole.text)), path);
  }
});

test('If-None-Match: the same tag, in a list, weak, or * is 304 with the tag; another is 200', async () => {
  for (const path of ['/contract/items/1', '/contract/items?ids=1,2,999']) {
    const whole = await get(path);
    const etag = whole.headers.get('etag') ?? '';
    for (const condition of [etag, `"other", ${etag}`, `${etag}, "other"`, `W/${etag}`, `"a",W/${etag} ,"b"`, '*']) {
      for (const method of ['GET', 'HEAD'] as const) {
        const reply = await get(path, { 'if-none-match': condition }, method);
        assert.equal(reply.status, 304, condition);
        assert.equal(reply.text, '');
        assert.equal(reply.headers.get('etag'), etag);
        assert.equal(reply.headers.get('cache-control'), 'no-cache');
        assert.match(outcome(reply), /^(?:hit|miss stored)$/);
      }
    }
    for (const condition of ['"other"', 'W/"other"', etag.slice(1, -1), `"${etag}"`, '']) {
      const reply = await get(path, { 'if-none-match': condition });
      assert.equal(reply.status, 200, condition);
      assert.equal(reply.text, whole.text);
    }
  }
  isProblem(await get('/contract/items/999', { 'if-none-match': '*' }), 404, 'row-not-found');
});

test('a 304 is of the row as it is now, not of the tag that the client has', async () => {
  const etag = (await get('/contract/items/1')).headers.get('etag') ?? '';
  await client.run("UPDATE contract.items SET note = 'eins' WHERE id = 1");
  const reply = await get('/contract/items/1', { 'if-none-match': etag, 'cache-control': 'no-cache' });
  assert.equal(reply.status, 200);
  assert.equal(reply.text, '{"id":1,"note":"eins"}');
});

test('a row that is not there is a problem document with its story, remembered for its own TTL', async () => {
  const first = await get('/contract/items/999');
  isProblem(first, 404, 'row-not-found');
  assert.equal(outcome(first), 'miss stored');
  const second = await get('/contract/items/999');
  isProblem(second, 404, 'row-not-found');
  assert.equal(outcome(second), 'hit');
  assert.ok((second.story?.parameters.get('ttl') as number) <= 30);
});

test('a batch is answered in the order asked, null where there is no row, twice where asked twice', async () => {
  const reply = await get('/contract/items?ids=3,1,999,1,2,3');
  assert.equal(reply.status, 200);
  assert.equal(reply.headers.get('content-type'), 'application/json');
  const [one, two, three] = ['{"id":1,"note":"one"}', '{"id":2,"note":"two"}', '{"id":3,"note":"three"}'];
  assert.equal(reply.text, `{"rows":[${three},${one},null,${one},${two},${three}]}`);
  const again = await get('/contract/items?ids=3,1,999,1,2,3');
  assert.equal(again.text, reply.text);
  assert.equal(outcome(again), 'hit');
  const mixed = await get('/contract/items?ids=1,1000');
  assert.equal(outcome(mixed), 'partial');
});

test('1,000 ids are one answer, 1,001 are refused', async () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => 10_000 - index);
  const reply = await get(`/test/users?ids=${ids.join(',')}`);
  assert.equal(reply.status, 200);
  assert.deepEqual(
    (JSON.parse(reply.text) as { rows: { uid: number }[] }).rows.map(({ uid }) => uid),
    ids,
  );
  isProblem(await get(`/test/users?ids=${ids.join(',')},1`), 400, 'too-many-ids');
});

test('1,000 ids are one answer also where each has 20 digits', async () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => String(2n ** 64n - 1n - BigInt(index)));
  const reply = await get(`/shop/ledger?ids=${ids.join(',')}`);
  assert.equal(reply.status, 200, reply.text);
  const { rows } = JSON.parse(reply.text) as { rows: ({ entry: string } | null)[] };
  assert.deepEqual(
    rows.map((row) => row?.entry ?? null),
    ids.map((id, index) => (index === 0 ? id : null)),
  );
});

test('a batch names its rows, once, and nothing else', async () => {
  isProblem(await get('/contract/items'), 400, 'ids-missing');
  isProblem(await get('/contract/items?ids=1&ids=2'), 400, 'repeated-parameter');
  isProblem(await get('/contract/items?ids=1&%69ds=2'), 400, 'repeated-parameter');
  isProblem(await get('/contract/items?id=1'), 400, 'unknown-parameter');
  isProblem(await get('/contract/items/1?ids=1'), 400, 'unknown-parameter');
  isProblem(await get('/contract/items?ids='), 400, 'bad-id');
});

test('tables that are not exposed, and paths that lead nowhere, are 404 and told apart', async () => {
  isProblem(await get('/contract/nothing/1'), 404, 'table-not-exposed');
  isProblem(await get('/mysql/user/1'), 404, 'table-not-exposed');
  isProblem(await get('/CONTRACT/items/1'), 404, 'table-not-exposed');
  for (const path of ['/', '/contract', '/contract/items/1/2', '/-/nothing', '/-'])
    isProblem(await get(path), 404, 'route-not-found');
});

test('rows are read only: other methods are 405 and say which are allowed', async () => {
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
    for (const path of ['/contract/items/1', '/contract/items', '/contract/items?ids=1']) {
      const reply = await get(path, {}, method);
      isProblem(reply, 405, 'method-not-allowed');
      assert.equal(reply.headers.get('allow'), 'GET, HEAD');
    }
  }
  for (const [type, body] of [
    ['application/json', '{broken'],
    ['application/xml', '<a/>'],
    ['application/json', ''],
  ] as const) {
    const response = await gateway.get('/contract/items/1', { method: 'PUT', headers: { 'content-type': type }, body });
    assert.equal(response.status, 405, `${type} ${await response.text()}`);
  }
});

test('a request target may be a whole URL (RFC 9112, section 3.2.2)', async () => {
  const { hostname, port } = new URL(gateway.url);
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let received = '';
    socket.on('data', (chunk) => (received += chunk.toString()));
    socket.on('end', () => resolve(received)).on('error', reject);
    socket.write(
      `GET http://${hostname}:${port}/contract/items/1 HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`,
    );
  });
  assert.match(answer, /^HTTP\/1\.1 200 /);
  assert.match(answer, /\{"id":1,"note":"one"\}$/);
});

test('another spelling is answered with Content-Location, also on 304', async () => {
  const reply = await get('/contract/names/foo');
  assert.equal(reply.headers.get('content-location'), '/contract/names/Foo');
  assert.equal(outcome(reply), 'miss other-spelling');
  const same = await get('/contract/names/foo', { 'if-none-match': reply.headers.get('etag') ?? '' });
  assert.equal(same.status, 304);
  assert.equal(same.headers.get('content-location'), '/contract/names/Foo');
});

// ---- Cache-Control

for (const header of [
  { 'cache-control': 'no-cache' },
  { 'cache-control': 'No-Cache' },
  { 'cache-control': 'max-age=9, no-cache' },
  { pragma: 'no-cache' },
]) {
  test(`${JSON.stringify(header)} sees a change behind the cache at once, and everyone after sees it too`, async () => {
    await get('/contract/items/1');
    await client.run("UPDATE contract.items SET note = 'eins' WHERE id = 1");
    assert.equal((await get('/contract/items/1')).text, '{"id":1,"note":"one"}', 'nothing told the cache');
    const reply = await get('/contract/items/1', header);
    assert.equal(reply.text, '{"id":1,"note":"eins"}');
    assert.equal(outcome(reply), 'request stored');
    const after = await get('/contract/items/1');
    assert.equal(outcome(after), 'hit');
    assert.equal(after.text, '{"id":1,"note":"eins"}');
  });
}

test('no-cache counts in a batch, too', async () => {
  await get('/contract/items?ids=1,2');
  await client.run("UPDATE contract.items SET note = 'neu'");
  const reply = await get('/contract/items?ids=1,2', { 'cache-control': 'no-cache' });
  assert.equal(reply.text, '{"rows":[{"id":1,"note":"neu"},{"id":2,"note":"neu"}]}');
  assert.equal((await get('/contract/items/2')).text, '{"id":2,"note":"neu"}');
});

test('Pragma counts only where there is no Cache-Control', async () => {
  await get('/contract/items/1');
  assert.equal(outcome(await get('/contract/items/1', { pragma: 'no-cache', 'cache-control': 'max-age=60' })), 'hit');
});

test('no-cache finds a row gone, and everyone after finds it gone', async () => {
  await client.run("INSERT INTO contract.items VALUES (50, 'soon gone')");
  await get('/contract/items/50');
  await client.run('DELETE FROM contract.items WHERE id = 50');
  isProblem(await get('/contract/items/50', { 'cache-control': 'no-cache' }), 404, 'row-not-found');
  const after = await get('/contract/items/50');
  isProblem(after, 404, 'row-not-found');
  assert.equal(outcome(after), 'hit');
});

test('no-store is answered from the origin or the cache, and leaves nothing behind', async () => {
  const reply = await get('/contract/items/1', { 'cache-control': 'no-store' });
  assert.equal(reply.status, 200);
  assert.equal(outcome(reply), 'request no-store');
  assert.deepEqual(await entries.keys(), []);
});

test('max-age takes no entry that is older', async () => {
  await get('/contract/items/1');
  await entries.age('contract_items_1', 20);
  await client.run("UPDATE contract.items SET note = 'eins' WHERE id = 1");
  const young = await get('/contract/items/1', { 'cache-control': 'max-age=30' });
  assert.equal(outcome(young), 'hit');
  assert.equal(young.text, '{"id":1,"note":"one"}');
  const old = await get('/contract/items/1', { 'cache-control': 'max-age=10' });
  assert.equal(old.text, '{"id":1,"note":"eins"}');
  assert.equal(outcome(old), 'request stored');
});

test('only-if-cached is 504 where there is no fresh entry, and asks nobody', async () => {
  isProblem(await get('/contract/items/1', { 'cache-control': 'only-if-cached' }), 504, 'not-cached');
  assert.deepEqual(await entries.keys(), []);
  await get('/contract/items/1');
  assert.equal(outcome(await get('/contract/items/1', { 'cache-control': 'only-if-cached' })), 'hit');
  isProblem(await get('/contract/items?ids=1,2', { 'cache-control': 'only-if-cached' }), 504, 'not-cached');
  await entries.age('contract_items_1', TTL_SECONDS + 1);
  isProblem(await get('/contract/items/1', { 'cache-control': 'only-if-cached' }), 504, 'not-cached');
});

// ---- what is kept, how long, and what is not

test('a row over rowBytesMax is served and not stored', async () => {
  const body = (length: number) => `{"id":3,"note":"${'x'.repeat(length)}"}`;
  const room = ROW_BYTES_MAX - body(0).length;
  await client.run(`UPDATE contract.items SET note = REPEAT('x', ${room}) WHERE id = 3`);
  assert.equal(outcome(await get('/contract/items/3')), 'miss stored', 'exactly at the limit');
  await entries.clear();
  await client.run(`UPDATE contract.items SET note = REPEAT('x', ${room + 1}) WHERE id = 3`);
  for (const attempt of ['first', 'second']) {
    const reply = await get('/contract/items/3');
    assert.equal(reply.text, body(room + 1), attempt);
    assert.equal(outcome(reply), 'miss too-large', attempt);
  }
  assert.deepEqual(await entries.keys(), []);
});

test('what cannot be stored does not leave an older entry behind: answers never go back', async () => {
  // Grown past rowBytesMax.
  await get('/contract/items/3');
  await client.run("UPDATE contract.items SET note = REPEAT('x', 2000) WHERE id = 3");
  assert.equal(outcome(await get('/contract/items/3', { 'cache-control': 'no-cache' })), 'request too-large');
  assert.equal((await get('/contract/items/3')).text.length, 2_018);
  // Deleted, where "no such row" cannot be stored.
  await get('/contract/names/Foo');
  try {
    await client.run("DELETE FROM contract.names WHERE name = 'Foo'");
    assert.equal(
      outcome(await get('/contract/names/Foo', { 'cache-control': 'no-cache' })),
      'request absence-unprovable',
    );
    isProblem(await get('/contract/names/Foo'), 404, 'row-not-found');
    // Spelled otherwise from now on.
    await client.run("INSERT INTO contract.names VALUES ('Foo', 1)");
    await get('/contract/names/Foo');
    await client.run("UPDATE contract.names SET name = 'FOO', n = 2 WHERE name = 'Foo'");
    assert.equal(outcome(await get('/contract/names/Foo', { 'cache-control': 'no-cache' })), 'request other-spelling');
    assert.equal((await get('/contract/names/Foo')).text, '{"name":"FOO","n":2}');
  } finally {
    await client.run("REPLACE INTO contract.names VALUES ('Foo', 1); UPDATE contract.names SET name = 'Foo', n = 1");
  }
});

test('past its soft TTL an entry is served, and refreshed behind it', async () => {
  await get('/contract/items/1');
  await entries.age('contract_items_1', SOFT_TTL_SECONDS + 1);
  await client.run("UPDATE contract.items SET note = 'eins' WHERE id = 1");
  const served = await get('/contract/items/1');
  assert.equal(outcome(served), 'hit');
  assert.equal(served.text, '{"id":1,"note":"one"}');
  await eventually('the refresh is stored', async () => {
    const reply = await get('/contract/items/1');
    assert.equal(outcome(reply), 'hit');
    return reply.text === '{"id":1,"note":"eins"}';
  });
});

test('before its soft TTL an entry is not refreshed', async () => {
  await get('/contract/items/1');
  await entries.age('contract_items_1', SOFT_TTL_SECONDS - 10);
  const before = await entries.read('contract_items_1');
  assert.equal(outcome(await get('/contract/items/1')), 'hit');
  // A refresh would have taken a lease in the tick of the hit; one read from the origin later it would be stored.
  await get('/contract/items/2');
  assert.deepEqual(await entries.read('contract_items_1'), before);
});

test('past its TTL an entry is read again', async () => {
  await get('/contract/items/1');
  await entries.age('contract_items_1', TTL_SECONDS + 1);
  await client.run("UPDATE contract.items SET note = 'eins' WHERE id = 1");
  const reply = await get('/contract/items/1');
  assert.equal(outcome(reply), 'stale stored');
  assert.equal(reply.text, '{"id":1,"note":"eins"}');
});

test('a remembered absence past its TTL is read again', async () => {
  await get('/contract/items/60');
  await entries.age('contract_items_60', 31);
  await client.run("INSERT INTO contract.items VALUES (60, 'new')");
  try {
    assert.equal((await get('/contract/items/60')).text, '{"id":60,"note":"new"}');
  } finally {
    await client.run('DELETE FROM contract.items WHERE id = 60');
  }
});

test('whatever else lies under the key counts as absent and is replaced', async () => {
  const good = async () => {
    await get('/contract/items/1');
    return entries.read('contract_items_1');
  };
  const spoilt: [what: string, bytes: (entry: Buffer) => Buffer | string][] = [
    [
      'an entry of another shape',
      (entry) => Buffer.concat([entry.subarray(0, 48), Buffer.from('AAAAAAAA'), entry.subarray(56)]),
    ],
    ['an entry of another layout', (entry) => Buffer.concat([Buffer.from('2'), entry.subarray(1)])],
    ['a row without a body', (entry) => entry.subarray(0, 70)],
    ['a header cut short', (entry) => entry.subarray(0, 69)],
    ['a "no such row" with a body', (entry) => Buffer.concat([Buffer.from('1N'), entry.subarray(2)])],
    ['random bytes', () => Buffer.from(Array.from({ length: 200 }, (_, index) => (index * 151) % 256))],
    ['JSON of someone else', () => '{"id":1,"note":"not ours"}'],
    ['nothing', () => ''],
    ['a number', () => '42'],
  ];
  for (const [what, bytes] of spoilt) {
    await entries.replace('contract_items_1', bytes(Buffer.from(await good())));
    const reply = await get('/contract/items/1');
    assert.equal(reply.text, '{"id":1,"note":"one"}', what);
    assert.equal(outcome(reply), 'miss stored', what);
    assert.equal(outcome(await get('/contract/items/1')), 'hit', what);
  }
  await good();
  await entries.replaceByHash('contract_items_1');
  assert.equal(outcome(await get('/contract/items/1')), 'miss stored', 'a hash');
  assert.equal(outcome(await get('/contract/items/1')), 'hit', 'a hash');
});

// ---- operations

test('/-/live and /-/ready say so', async () => {
  assert.deepEqual(JSON.parse((await get('/-/live')).text), { live: true });
  const ready = await get('/-/ready');
  assert.equal(ready.status, 200);
  assert.deepEqual(JSON.parse(ready.text), { ready: true });
});

test('/-/metrics counts: rows by outcome, errors by code, origin reads', async () => {
  const value = async (line: string) => {
    const { text, headers } = await get('/-/metrics');
    assert.match(headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    const found = text.split('\n').find((candidate) => candidate.startsWith(`${line} `));
    return found === undefined ? 0 : Number(found.slice(line.length + 1));
  };
  const counters = {
    stored: 'ringfill_rows_total{table="contract.items",outcome="stored",layer="0"}',
    hit: 'ringfill_rows_total{table="contract.items",outcome="hit",layer="0"}',
    unstored: 'ringfill_unstored_total{table="contract.names",reason="other-spelling"}',
    refused: 'ringfill_errors_total{code="bad-id"}',
    absent: 'ringfill_errors_total{code="row-not-found"}',
    selects: 'ringfill_origin_reads_total{table="contract.items",from="primary"}',
    asked: 'ringfill_origin_rows_asked_total{table="contract.items",from="primary"}',
    rows: 'ringfill_request_seconds_count{route="row"}',
    batches: 'ringfill_request_seconds_count{route="batch"}',
  };
  const all = async () =>
    Object.fromEntries(
      await Promise.all(Object.entries(counters).map(async ([name, line]) => [name, await value(line)] as const)),
    );
  const before = await all();
  await get('/contract/items/1');
  await get('/contract/items/1');
  await get('/contract/items?ids=1,2,3');
  await get('/contract/names/foo');
  await get('/contract/items/x');
  await get('/contract/items/999');
  const after = await all();
  const grown = Object.fromEntries(
    Object.keys(counters).map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)]),
  );
  const { selects, ...exact } = grown;
  assert.deepEqual(exact, { stored: 4, hit: 2, unstored: 1, refused: 1, absent: 1, asked: 4, rows: 4, batches: 1 });
  // Two rows of the batch are read together, if their shards give their leases in one tick.
  assert.ok(selects === 3 || selects === 4, `${selects} SELECTs`);
  assert.equal(await value('ringfill_origin_up'), 1);
  for (const { shard, ring } of stack.redis)
    assert.equal(await value(`ringfill_shard_up{ring="${ring}",shard="${shard}"}`), 1);
  assert.ok((await value('ringfill_station_seconds_count{station="origin_select"}')) > 0);
  assert.equal(await value('ringfill_origin_waiting'), 0);
});

test('/-/ring is every layer with its shards, states and shares', async () => {
  const { layers } = JSON.parse((await get('/-/ring')).text) as {
    layers: { ring: string; shards: Record<string, unknown>[] }[];
  };
  assert.deepEqual(
    layers.map(({ ring }) => ring),
    ['primary', 'fallback'],
  );
  for (const { ring, shards } of layers) {
    assert.deepEqual(
      shards.map(({ shard }) => shard),
      stack.redis.filter((redis) => redis.ring === ring).map(({ shard }) => shard),
    );
    for (const shard of shards) {
      assert.deepEqual(Object.keys(shard), ['shard', 'state', 'share', 'asOf', 'lagMs']);
      assert.equal(shard['state'], 'ok');
      assert.deepEqual([shard['asOf'], shard['lagMs']], [null, null], 'without sync');
    }
    const total = shards.reduce((sum, { share }) => sum + Number(share), 0);
    assert.ok(Math.abs(total - 1) < 0.001, `${ring}: ${total}`);
  }
});

test('/-/ring/owner is the owner in each layer, and the entry does lie there', async () => {
  const key = `${gateway.keyPrefix}contract_items_2`;
  const owner = JSON.parse((await get(`/-/ring/owner?key=${key}`)).text) as {
    key: string;
    candidates: Record<string, unknown>[];
  };
  assert.deepEqual(Object.keys(owner), ['key', 'candidates']);
  assert.equal(owner.key, key);
  assert.deepEqual(
    owner.candidates.map(({ layer, ring, state }) => ({ layer, ring, state })),
    [
      { layer: 0, ring: 'primary', state: 'ok' },
      { layer: 1, ring: 'fallback', state: 'ok' },
    ],
  );
  const reply = await get('/contract/items/2');
  assert.equal(reply.story?.parameters.get('detail'), `${String(owner.candidates[0]?.['shard'])}/0`);
  const port = stack.redis.find(({ shard }) => shard === owner.candidates[0]?.['shard'])?.port;
  assert.equal((await entries.holderOf('contract_items_2')).options.port, port);
  isProblem(await get('/-/ring/owner'), 400, 'missing-parameter');
  isProblem(await get('/-/ring/owner?key=a&key=b'), 400, 'repeated-parameter');
  isProblem(await get('/-/ring/owner?keys=a'), 400, 'unknown-parameter');
  for (const odd of ['__proto__', 'constructor', ''])
    assert.equal((await get(`/-/ring/owner?key=${odd}`)).status, 200, odd);
});

test('/-/docs/json is an OpenAPI 3.1 document that fits the routes', async () => {
  const reply = await get('/-/docs/json');
  assert.equal(reply.status, 200);
  assert.match(reply.headers.get('content-type') ?? '', /^application\/json/);
  const document = JSON.parse(reply.text) as OpenApi;
  assert.match(document.openapi, /^3\.1\.[0-9]+$/);
  assert.ok(document.info.title !== '' && document.info.version !== '');
  const statuses: string[] = [];
  for (const [path, item] of Object.entries(document.paths)) {
    assert.ok(path.startsWith('/'), path);
    for (const [method, { parameters = [], responses }] of Object.entries(item)) {
      assert.match(method, /^(?:get|put|post|delete|options|head|patch|trace)$/);
      const declared = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
      assert.deepEqual(
        declared.toSorted(),
        [...path.matchAll(/\{([^}]+)\}/g)].map((match) => match[1] ?? '').toSorted(),
        path,
      );
      const names = parameters.map((parameter) => `${parameter.in} ${parameter.name}`);
      assert.equal(new Set(names).size, names.length, `${path}: a parameter twice`);
      for (const parameter of parameters) {
        assert.match(parameter.in, /^(?:query|header|path|cookie)$/);
        assert.ok(parameter.schema !== undefined);
        if (parameter.in === 'path') assert.equal(parameter.required, true);
      }
      assert.ok(Object.keys(responses).length > 0, path);
      for (const [status, response] of Object.entries(responses)) {
        assert.match(status, /^[1-5][0-9]{2}$/);
        assert.equal(typeof response.description, 'string', `${path} ${status}`);
        statuses.push(status);
      }
    }
  }
  for (const [, pointer = ''] of reply.text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const target = pointer
      .split('/')
      .reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], document);
    assert.ok(target !== undefined, pointer);
  }
  assert.deepEqual(Object.keys(document.paths).toSorted(), [
    '/-/live',
    '/-/metrics',
    '/-/ready',
    '/-/ring',
    '/-/ring/invalidate',
    '/-/ring/owner',
    '/-/ring/story',
    '/-/status',
    '/-/ui',
    '/{db}/{table}',
    '/{db}/{table}/{id}',
  ]);
  for (const status of ['200', '304', '400', '404', '503', '504']) assert.ok(statuses.includes(status), status);
});

interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Record<string, Record<string, Operation>>;
}

interface Operation {
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema?: unknown;
  }[];
  readonly responses: Record<string, { readonly description?: string }>;
}

test('/-/docs is a page that loads nothing from elsewhere', async () => {
  const page = await get('/-/docs');
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
  const references = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
  assert.ok(
    references.some((reference) => reference.endsWith('.js')),
    'it has a script',
  );
  const base = new URL((await gateway.get('/-/docs')).url);
  for (const reference of references) {
    const url = new URL(reference, base);
    assert.equal(url.origin, new URL(gateway.url).origin, reference);
    const loaded = await get(url.pathname);
    assert.equal(loaded.status, 200, reference);
  }
  assert.doesNotMatch(page.text.replaceAll(gateway.url, ''), /(?:src|href|url)\s*[=(:]\s*["']?(?:https?:)?\/\//i);
  // What the page's own script is told to fetch.
  const initializer = await get('/-/docs/static/swagger-initializer.js');
  assert.equal(initializer.status, 200);
  assert.doesNotMatch(initializer.text.replace(/\/\/ .*$/gm, ''), /https?:\/\/(?!127\.0\.0\.1)[a-z0-9.-]+\.[a-z]{2,}/i);
});
