/** The bench's own load generator, against a server whose every answer is known. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { isWrkInstalled, runClosedLoop } from '../../bench/generators/closed-loop.ts';
import type { LoadSpec } from '../../bench/generators/load-spec.ts';
import { runGenerator } from '../../bench/generators/run-generator.ts';
import type { Surroundings } from '../../bench/generators/run-tool.ts';
import { itemJson, sizeOf, type Sizes } from '../../bench/harness/items.ts';

const SEED = 20_261_123;
const SIZES: Sizes = { kind: 'spread', min: 60, max: 300 };
const size = sizeOf(SIZES);
const world: Surroundings = {
  cores: { peer: undefined, generator: undefined, servers: [], all: [], words: '' },
  signal: new AbortController().signal,
};

type Served = Pick<LoadSpec, 'host' | 'port' | 'path' | 'expect' | 'seed'>;

async function serving(listener: RequestListener): Promise<Served> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { host: '127.0.0.1', port, path: '/db/items', expect: { kind: 'row', sizes: SIZES }, seed: SEED };
}

function idsOf(url: string | undefined): number[] {
  return (url ?? '')
    .slice('/db/items'.length)
    .replace(/^\/|^\?ids=/, '')
    .split(',')
    .map(Number);
}

function send(response: Parameters<RequestListener>[1], body: string): void {
  response.setHeader('content-length', Buffer.byteLength(body));
  response.end(body);
}

test('each row is asked for once, alone and in batches, and right answers count as right', async () => {
  for (const batch of [1, 7]) {
    const asked: number[] = [];
    const served = await serving((request, response) => {
      const ids = idsOf(request.url);
      asked.push(...ids);
      const rows = ids.map((id) => itemJson(id, size));
      send(response, batch === 1 ? (rows[0] ?? '') : `{"rows":[${rows.join(',')}]}`);
    });
    const seen = await runGenerator(world, {
      ...served,
      connections: 8,
      loop: { kind: 'closed' },
      ids: { kind: 'each', first: 5, count: 100 },
      batch,
    });
    assert.deepEqual(
      asked.toSorted((a, b) => a - b),
      Array.from({ length: 100 }, (_, index) => index + 5),
    );
    assert.deepEqual([seen.rows, seen.requests, seen.wrong, seen.unsent], [100, Math.ceil(100 / batch), 0, 0]);
  }
});

test('a wrong row and a refusal are wrong, and are shown', async () => {
  const served = await serving((request, response) => {
    const [id = 0] = idsOf(request.url);
    if (id === 3) response.statusCode = 503;
    send(response, itemJson(id === 7 ? 8 : id, size));
  });
  const seen = await runGenerator(world, {
    ...served,
    connections: 4,
    loop: { kind: 'closed' },
    ids: { kind: 'each', first: 1, count: 20 },
    batch: 1,
  });
  assert.equal(seen.requests, 20);
  assert.equal(seen.wrong, 2);
  assert.ok(seen.examples.some((example) => example.startsWith('3: HTTP/1.1 503')));
  assert.ok(seen.examples.some((example) => example.startsWith('7: HTTP/1.1 200')));
});

test('a stall is felt by all who would have come in it', async () => {
  const STALL_MS = 400;
  let isFirst = true;
  const served = await serving((request, response) => {
    const answer = () => send(response, itemJson(idsOf(request.url)[0] ?? 0, size));
    setTimeout(answer, isFirst ? STALL_MS : 0);
    isFirst = false;
  });
  const seen = await runGenerator(world, {
    ...served,
    connections: 1,
    loop: { kind: 'open', perSecond: 100 },
    ids: { kind: 'random', first: 1, count: 50 },
    batch: 1,
    seconds: 0.6,
  });
  // Only one waited for its answer; two thirds of all were due meanwhile.
  assert.ok(seen.latencyMs.p50 >= STALL_MS / 8, `p50 ${seen.latencyMs.p50} ms`);
  assert.ok(seen.latencyMs.max >= STALL_MS - 10, `longest ${seen.latencyMs.max} ms`);
  assert.equal(seen.wrong, 0);
});

test('wrk counts what is refused', { skip: !isWrkInstalled() && 'wrk is not installed' }, async () => {
  const served = await serving((request, response) => {
    const [id = 0] = idsOf(request.url);
    if (id === 2) response.statusCode = 503;
    send(response, itemJson(id, size));
  });
  const loop = { target: served, count: 1, connections: 2, batch: 1, seconds: 1, seed: SEED };
  const [good, bad] = [
    await runClosedLoop(world, { ...loop, first: 1 }),
    await runClosedLoop(world, { ...loop, first: 2 }),
  ];
  assert.ok(good.requests > 0);
  assert.equal(good.wrong, 0);
  assert.ok(bad.requests > 0);
  assert.equal(bad.wrong, bad.requests);
});
