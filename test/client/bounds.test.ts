import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { scriptedServer, sendProblem, sendRows } from '../support/scripted-server.ts';

test('a hung gateway ends the call at its deadline, and the request is abandoned', async () => {
  const server = await scriptedServer(() => undefined);
  const started = performance.now();
  await assert.rejects(server.client({ deadlineMs: 100 }).get('test', 'users', 1), { code: 'deadline-exceeded' });
  const tookMs = performance.now() - started;
  assert.ok(tookMs >= 95 && tookMs < 1000, `${tookMs} ms`);
  await server.requests[0]?.abandoned;
});

test('the deadline also ends a call that still waits for a connection', async () => {
  const server = await scriptedServer(() => undefined);
  const client = server.client({ connections: 1, deadlineMs: 400 });
  const hung = client.get('test', 'users', 1);
  const started = performance.now();
  await assert.rejects(client.get('test', 'users', 2, { deadlineMs: 50 }), { code: 'deadline-exceeded' });
  assert.ok(performance.now() - started < 350);
  await assert.rejects(hung, { code: 'deadline-exceeded' });
  assert.equal(server.requests.length, 1);
});

test('retries do not outlast the deadline', async () => {
  const server = await scriptedServer((_request, response) => sendProblem(response, 503, 'starting'));
  const client = server.client({ deadlineMs: 200, retry: { attemptsMax: 100, firstWaitMs: 50, waitMsMax: 50 } });
  const started = performance.now();
  // The last word is the 503, or the deadline where it fell into a try.
  const read = client.get('test', 'users', 1);
  await assert.rejects(read, ({ code }: { code?: string }) => code === 'starting' || code === 'deadline-exceeded');
  assert.ok(performance.now() - started < 1000);
});

test('an aborted signal ends the call with its reason, and the request is abandoned', { timeout: 10_000 }, async () => {
  const server = await scriptedServer(() => undefined);
  const client = server.client({ deadlineMs: 60_000 });
  const controller = new AbortController();
  const read = client.get('test', 'users', 1, { signal: controller.signal });
  setTimeout(() => controller.abort(new Error('the user left')), 20);
  await assert.rejects(read, { message: 'the user left' });
  await server.requests[0]?.abandoned;
  await assert.rejects(client.get('test', 'users', 1, { signal: controller.signal }), { message: 'the user left' });
  assert.equal(server.requests.length, 1);
});

test('requests beyond requestsMax are refused, not queued', async () => {
  const server = await scriptedServer((request, response) => void setTimeout(() => sendRows(request, response), 50));
  const client = server.client({ connections: 1, requestsMax: 2 });
  const reads = await Promise.allSettled([1, 2, 3].map((id) => client.get('test', 'users', id)));
  assert.deepEqual(
    reads.map((read) => (read.status === 'rejected' ? (read.reason as { code: string }).code : 'row')),
    ['row', 'row', 'too-many-requests'],
  );
  assert.deepEqual(await client.get('test', 'users', 3), { id: '3' });
});

test('connections are bounded, and kept', async () => {
  const server = await scriptedServer((request, response) => void setTimeout(() => sendRows(request, response), 1));
  const client = server.client({ connections: 3 });
  for (let round = 0; round < 5; round += 1) {
    await Promise.all(Array.from({ length: 20 }, (_, id) => client.get('test', 'users', id)));
  }
  assert.equal(new Set(server.requests.map(({ port }) => port)).size, 3);
});

test('close waits for what is under way, then refuses', async () => {
  const server = await scriptedServer((request, response) => void setTimeout(() => sendRows(request, response), 50));
  const client = server.client();
  const read = client.get('test', 'users', 1);
  await client.close();
  assert.deepEqual(await read, { id: '1' });
  await assert.rejects(client.get('test', 'users', 1), { code: 'client-closed' });
  await client.close();
});

test('close does not wait for retries: what is known by then is the answer', async () => {
  const server = await scriptedServer((_request, response) =>
    sendProblem(response, 503, 'origin-timeout', { 'retry-after': '3' }),
  );
  const client = server.client();
  const read = assert.rejects(client.get('test', 'users', 1), { code: 'origin-timeout' });
  while (server.requests.length === 0) await sleep(5);
  await sleep(20);
  const started = performance.now();
  await client.close();
  await read;
  assert.ok(performance.now() - started < 1000);
});
