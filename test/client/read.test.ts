import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Id, RingfillError } from '../../client/index.ts';
import { catalogue } from '../../shared/errors/catalogue.ts';
import { scriptedServer, sendJson, sendProblem, sendRows } from '../support/scripted-server.ts';

test('a row is an object, and no such row is undefined', async () => {
  const server = await scriptedServer(sendRows);
  const client = server.client();
  assert.deepEqual(await client.get('test', 'users', 7), { id: '7' });
  assert.equal(await client.get('test', 'users', 'absent'), undefined);
});

test('a 404 that is not about the row rejects', async () => {
  const server = await scriptedServer((_request, response) => sendProblem(response, 404, 'table-not-exposed'));
  await assert.rejects(server.client().get('test', 'nope', 1), { code: 'table-not-exposed', status: 404 });
});

test('a problem document becomes an error with its code, status, detail and Retry-After', async () => {
  const server = await scriptedServer((_request, response) =>
    sendProblem(response, 503, 'origin-overloaded', { 'retry-after': '7' }),
  );
  await assert.rejects(server.client().get('test', 'users', 1), (error: unknown) => {
    assert.ok(error instanceof RingfillError);
    assert.deepEqual(
      [error.code, error.status, error.detail, error.retryAfterSeconds],
      ['origin-overloaded', 503, 'It is origin-overloaded.', 7],
    );
    return true;
  });
});

test("a proxy's page is an error that says so", async () => {
  const server = await scriptedServer((_request, response, index) => {
    response.writeHead(index === 0 ? 502 : 200, { 'content-type': 'text/html' }).end('<h1>Bad Gateway</h1>');
  });
  const client = server.client();
  await assert.rejects(client.get('test', 'users', 1), {
    code: 'answer-unreadable',
    status: 502,
    message: /Bad Gateway/,
  });
  await assert.rejects(client.get('test', 'users', 1), { code: 'answer-unreadable', status: 200 });
});

test('what came with 200 is never quoted in an error: it may be a row', async () => {
  const server = await scriptedServer((_request, response) => sendJson(response, { rows: [{ secret: 'hunter2' }] }));
  await assert.rejects(server.client().getMany('test', 'users', [1, 2]), (error: Error) => {
    assert.match(error.message, /1 rows for 2 ids/);
    return !error.message.includes('hunter2');
  });
});

test('ids keep their commas, slashes and dots on the way', async () => {
  const server = await scriptedServer(sendRows);
  const client = server.client();
  const targets: [id: Id, target: string][] = [
    [7, '/a%20b/t/7'],
    [18_446_744_073_709_551_615n, '/a%20b/t/18446744073709551615'],
    ['a,b/c', '/a%20b/t/a%2Cb%2Fc'],
    ["it's (50%) ~*!", '/a%20b/t/it%27s%20%2850%25%29%20~%2A%21'],
    [['1001', 'x,y'], '/a%20b/t/1001,x%2Cy'],
    // As a path these are normalised away, by whatever stands between.
    ['..', '/a%20b/t?ids=..'],
    ['', '/a%20b/t?ids='],
  ];
  for (const [id] of targets) await client.get('a b', 't', id);
  assert.deepEqual(
    server.requests.map(({ target }) => target),
    targets.map(([, target]) => target),
  );
});

test('what cannot be an id is refused before anything is sent', async () => {
  const server = await scriptedServer(sendRows);
  const client = server.client();
  const bad: unknown[] = [2 ** 53, 1.5, Number.NaN, undefined, null, {}, [], [1, undefined], '\ud800'];
  for (const id of bad) await assert.rejects(client.get('test', 'users', id as Id), TypeError, String(id));
  assert.equal(server.requests.length, 0);
});

test('terms travel as Cache-Control, and only where there are any', async () => {
  const server = await scriptedServer(sendRows);
  const client = server.client({ headers: { 'x-team': 'orders' } });
  await client.get('test', 'users', 1);
  await client.get('test', 'users', 1, { noCache: true });
  await client.getMany('test', 'users', [1, 2], { maxAgeSeconds: 5, onlyIfCached: true });
  assert.deepEqual(
    server.requests.map(({ headers }) => [headers['cache-control'], headers['x-team']]),
    [
      [undefined, 'orders'],
      ['no-cache', 'orders'],
      ['max-age=5, only-if-cached', 'orders'],
    ],
  );
  await assert.rejects(client.get('test', 'users', 1, { maxAgeSeconds: -1 }), RangeError);
});

test('a URL with a path puts it in front', async () => {
  const server = await scriptedServer(sendRows);
  const client = server.client({ url: `${server.url}/cache/` });
  await client.get('test', 'users', 1);
  assert.equal(server.requests[0]?.target, '/cache/test/users/1');
});

test('options out of bounds are refused at once', async () => {
  const server = await scriptedServer(sendRows);
  assert.throws(() => server.client({ url: 'ftp://127.0.0.1' }), TypeError);
  assert.throws(() => server.client({ url: 'http://user:secret@127.0.0.1' }), TypeError);
  assert.throws(() => server.client({ connections: 0 }), RangeError);
  assert.throws(() => server.client({ deadlineMs: 2 ** 31 }), RangeError);
});

test('getWithStatus tells the story of the answer', async () => {
  const cacheStatus = 'ringfill; hit; ttl=27; key="test_users_1"; detail="r2/0"';
  const server = await scriptedServer((_request, response) =>
    sendJson(response, { id: 1 }, { 'cache-status': cacheStatus, age: '4' }),
  );
  assert.deepEqual(await server.client().getWithStatus('test', 'users', 1), {
    row: { id: 1 },
    cacheStatus,
    ageSeconds: 4,
  });
});

test('the codes in the types are those that a gateway answers with', () => {
  const source = readFileSync(new URL('../../client/errors.ts', import.meta.url), 'utf8');
  const listed = source.slice(source.indexOf('GatewayCode ='), source.indexOf('export type ClientCode'));
  const codes = [...listed.matchAll(/'([a-z-]+)'/g)].map((match) => match[1]);
  const answers = Object.entries(catalogue).flatMap(([code, entry]) => ('status' in entry ? [code] : []));
  assert.deepEqual(new Set(codes), new Set(answers));
});
