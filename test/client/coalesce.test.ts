import assert from 'node:assert/strict';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { scriptedServer, sendProblem, sendRows } from '../support/scripted-server.ts';

const targetsOf = (requests: readonly { target: string }[]) => requests.map(({ target }) => target).toSorted();

test('gets of one turn are one request', async () => {
  const server = await scriptedServer(sendRows);
  const client = server.client({ coalesce: true });
  const rows = await Promise.all([3, 1, 'absent', 2].map((id) => client.get('test', 'users', id)));
  assert.deepEqual(rows, [{ id: '3' }, { id: '1' }, undefined, { id: '2' }]);
  assert.deepEqual(targetsOf(server.requests), ['/test/users?ids=3,1,absent,2']);
});

test('a get alone stays a plain GET', async () => {
  const server = await scriptedServer(sendRows);
  const client = server.client({ coalesce: true });
  await client.get('test', 'users', 1);
  await nextTurn();
  await client.get('test', 'users', 2);
  assert.deepEqual(targetsOf(server.requests), ['/test/users/1', '/test/users/2']);
});

test('the same id asked twice is asked once, and each has a row of its own', async () => {
  const server = await scriptedServer(sendRows);
  const client = server.client({ coalesce: true });
  const [first, second] = await Promise.all([client.get('test', 'users', 1), client.get('test', 'users', 1)]);
  assert.deepEqual(targetsOf(server.requests), ['/test/users/1']);
  assert.deepEqual(first, second);
  assert.notEqual(first, second);
});

test('tables, terms and deadlines are not mixed', async () => {
  const server = await scriptedServer(sendRows);
  const client = server.client({ coalesce: true });
  await Promise.all([
    client.get('test', 'users', 1),
    client.get('test', 'users', 2),
    client.get('test', 'others', 1),
    client.get('test', 'users', 3, { noCache: true }),
    client.get('test', 'users', 4, { deadlineMs: 1000 }),
  ]);
  assert.deepEqual(targetsOf(server.requests), [
    '/test/others/1',
    '/test/users/3',
    '/test/users/4',
    '/test/users?ids=1,2',
  ]);
});

test('a batch has at most 1,000 ids', async () => {
  const server = await scriptedServer(sendRows);
  const client = server.client({ coalesce: true });
  const rows = await Promise.all(Array.from({ length: 2001 }, (_, id) => client.get<{ id: string }>('t', 'u', id)));
  assert.ok(rows.every((row, index) => row?.id === String(index)));
  assert.equal(server.requests.length, 3);
  assert.ok(targetsOf(server.requests).includes('/t/u/2000'));
});

for (const [status, code] of [
  [400, 'bad-id'],
  [503, 'origin-unreachable'],
  [504, 'not-cached'],
] as const) {
  test(`one row's ${code} (${status}) is not its neighbours'`, async () => {
    const server = await scriptedServer((request, response) => {
      if (request.target.includes('bad')) sendProblem(response, status, code);
      else sendRows(request, response);
    });
    const client = server.client({ coalesce: true, retry: { attemptsMax: 1 } });
    const reads = await Promise.allSettled(['1', 'bad', '2'].map((id) => client.get('test', 'users', id)));
    assert.deepEqual(
      reads.map((read) => (read.status === 'rejected' ? (read.reason as { code: string }).code : read.value)),
      [{ id: '1' }, code, { id: '2' }],
    );
    assert.equal(server.requests.length, 4);
  });
}

test('trouble that is everybody’s is not asked about one by one', async () => {
  const server = await scriptedServer((_request, response) => sendProblem(response, 404, 'table-not-exposed'));
  const client = server.client({ coalesce: true });
  const reads = await Promise.allSettled([1, 2, 3].map((id) => client.get('test', 'nope', id)));
  assert.ok(
    reads.every((read) => read.status === 'rejected' && (read.reason as { code: string }).code === 'table-not-exposed'),
  );
  assert.equal(server.requests.length, 1);
});

test('who leaves is told at once, and the others get their rows', async () => {
  const server = await scriptedServer((request, response) => void setTimeout(() => sendRows(request, response), 50));
  const client = server.client({ coalesce: true });
  const controller = new AbortController();
  const left = client.get('test', 'users', 1, { signal: controller.signal });
  const stayed = Promise.all([client.get('test', 'users', 1), client.get('test', 'users', 2)]);
  setTimeout(() => controller.abort(new Error('the user left')), 10);
  await assert.rejects(left, { message: 'the user left' });
  assert.deepEqual(await stayed, [{ id: '1' }, { id: '2' }]);
});

test('when all have left, the request is abandoned; before it was sent, it never is', { timeout: 10_000 }, async () => {
  const server = await scriptedServer(() => undefined);
  const client = server.client({ coalesce: true, deadlineMs: 60_000 });
  const controller = new AbortController();
  const { signal } = controller;
  const reads = [1, 2].map((id) => assert.rejects(client.get('test', 'users', id, { signal }), { name: 'AbortError' }));
  while (server.requests.length === 0) await sleep(5);
  controller.abort();
  await Promise.all(reads);
  await server.requests[0]?.abandoned;

  const early = new AbortController();
  const never = assert.rejects(client.get('test', 'users', 3, { signal: early.signal }), { name: 'AbortError' });
  early.abort();
  await never;
  await sleep(20);
  assert.equal(server.requests.length, 1);
});

test('close sends what has been gathered', async () => {
  const server = await scriptedServer(sendRows);
  const client = server.client({ coalesce: true });
  const reads = Promise.all([client.get('test', 'users', 1), client.get('test', 'users', 2)]);
  await client.close();
  assert.deepEqual(await reads, [{ id: '1' }, { id: '2' }]);
});

test('a hung batch ends at the deadline, for each', async () => {
  const server = await scriptedServer(() => undefined);
  const client = server.client({ coalesce: true, deadlineMs: 100 });
  const reads = [1, 2].map((id) => assert.rejects(client.get('test', 'users', id), { code: 'deadline-exceeded' }));
  await Promise.all(reads);
});
