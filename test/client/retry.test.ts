import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { RingfillClient } from '../../client/index.ts';
import { retryAfterSeconds, retryWaitMs } from '../../client/retry.ts';
import { scriptedServer, sendJson, sendProblem, sendRows } from '../support/scripted-server.ts';

test('a 503 is tried again, and the row of the second try is the answer', async () => {
  const server = await scriptedServer((request, response, index) => {
    if (index === 0) sendProblem(response, 503, 'starting');
    else sendRows(request, response);
  });
  assert.deepEqual(await server.client().get('test', 'users', 1), { id: '1' });
});

test('a cut connection is tried again: reading changes nothing', async () => {
  const server = await scriptedServer((request, response, index) => {
    switch (index) {
      case 0:
        response.destroy();
        break;
      case 1:
        // Half an answer is none.
        response.writeHead(200, { 'content-length': '1000' });
        response.write('{"id":');
        setTimeout(() => response.destroy(), 5);
        break;
      default:
        sendRows(request, response);
    }
  });
  assert.deepEqual(await server.client().get('test', 'users', 1), { id: '1' });
  assert.equal(server.requests.length, 3);
});

test('tries are bounded, and the last 503 is the answer', async () => {
  const server = await scriptedServer((_request, response) => sendProblem(response, 503, 'origin-timeout'));
  await assert.rejects(server.client().get('test', 'users', 1), { code: 'origin-timeout' });
  assert.equal(server.requests.length, 3);
});

for (const [status, code] of [
  [400, 'bad-id'],
  [404, 'table-not-exposed'],
  [500, 'internal'],
  [504, 'not-cached'],
] as const) {
  test(`${code} (${status}) is not tried again`, async () => {
    const server = await scriptedServer((_request, response) => sendProblem(response, status, code));
    await assert.rejects(server.client().get('test', 'users', 1), { code, status });
    assert.equal(server.requests.length, 1);
  });
}

test('Retry-After is kept to', async () => {
  const arrivals: number[] = [];
  const server = await scriptedServer((request, response, index) => {
    arrivals.push(performance.now());
    if (index === 0) sendProblem(response, 503, 'origin-overloaded', { 'retry-after': '1' });
    else sendRows(request, response);
  });
  await server.client({ retry: { random: () => 0 } }).get('test', 'users', 1);
  const waitedMs = (arrivals[1] as number) - (arrivals[0] as number);
  assert.ok(waitedMs >= 995 && waitedMs < 1900, `waited ${waitedMs} ms`);
});

test('a Retry-After beyond the deadline is told at once instead of waited for', async () => {
  const server = await scriptedServer((_request, response) =>
    sendProblem(response, 503, 'origin-unreachable', { 'retry-after': '60' }),
  );
  const started = performance.now();
  await assert.rejects(server.client().get('test', 'users', 1), { code: 'origin-unreachable', retryAfterSeconds: 60 });
  assert.ok(performance.now() - started < 1000);
  assert.equal(server.requests.length, 1);
});

test('the wait doubles up to its bound, in the upper half of the step; the gateway’s word is a least', () => {
  const retry = { attemptsMax: 9, firstWaitMs: 50, waitMsMax: 300 };
  const waits = (random: number, told?: number) =>
    [1, 2, 3, 4].map((attempt) => retryWaitMs({ ...retry, random: () => random }, attempt, told));
  assert.deepEqual(waits(0), [25, 50, 100, 150]);
  assert.deepEqual(waits(1), [50, 100, 200, 300]);
  assert.deepEqual(waits(0, 2), [2000, 2000, 2000, 2000]);
  assert.deepEqual(waits(1, 2), [3000, 3000, 3000, 3000]);
  assert.deepEqual(waits(0, 0), [25, 50, 100, 150]);
});

test('Retry-After is seconds or a date; nonsense is as good as none', () => {
  const now = Date.UTC(2026, 0, 1, 12);
  assert.equal(retryAfterSeconds('7', now), 7);
  assert.equal(retryAfterSeconds('Thu, 01 Jan 2026 12:00:30 GMT', now), 30);
  assert.equal(retryAfterSeconds('Thu, 01 Jan 2026 11:00:00 GMT', now), 0);
  for (const header of [undefined, '', 'soon', '-1.5.x']) assert.equal(retryAfterSeconds(header, now), undefined);
});

test('a gateway that is not there is said to be unreachable, with its address', async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => {
    holder.listen(0, '127.0.0.1', resolve);
  });
  const { port } = holder.address() as { port: number };
  await new Promise((resolve) => holder.close(resolve));
  const client = new RingfillClient({ url: `http://127.0.0.1:${port}`, retry: { firstWaitMs: 1 } });
  const message = new RegExp(`127\\.0\\.0\\.1:${port} cannot be reached \\(ECONNREFUSED\\)`);
  await assert.rejects(client.get('test', 'users', 1), { code: 'gateway-unreachable', status: undefined, message });
  await client.close();
});

test('something that does not speak HTTP is said to be so, once', async (t) => {
  let connections = 0;
  const other = createServer((socket) => {
    connections += 1;
    socket.on('error', () => undefined).end('-ERR this is Redis\r\n');
  });
  await new Promise<void>((resolve) => {
    other.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => other.close());
  const { port } = other.address() as { port: number };
  const client = new RingfillClient({ url: `http://127.0.0.1:${port}` });
  await assert.rejects(client.get('test', 'users', 1), { code: 'answer-unreadable' });
  assert.equal(connections, 1);
  await client.close();
});

test('an answer over the bound is refused, and not fetched again', async () => {
  const server = await scriptedServer((_request, response) => sendJson(response, { text: 'x'.repeat(2000) }));
  await assert.rejects(server.client({ responseBytesMax: 1000 }).get('test', 'users', 1), { code: 'answer-too-large' });
  assert.equal(server.requests.length, 1);
});
