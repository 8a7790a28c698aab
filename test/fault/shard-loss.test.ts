/**
 * Pulling the plug on Redis and on MySQL, under load, on real servers: "a cache failure is never a client's error while
 * another layer or the origin can answer".
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Config } from '../../shared/config/schema.ts';
import { hang, kill, openLink, resume } from '../../stack/faults.ts';
import type { RedisServer } from '../../stack/redis.ts';
import { closedLoop, type LoopReport } from '../support/closed-loop.ts';
import { startGatewayProcesses } from '../support/gateway-processes.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { redisUrl, startOwnRedis } from '../support/least-privilege.ts';

const USERS = 10_000;
const CONNECTIONS = 64;
const SLOWEST_MS_MAX = 1_000;

const stack = await testStack();
const folder = temporaryFolder();

interface Rings {
  readonly primary: readonly RedisServer[];
  readonly fallback: readonly RedisServer[];
  readonly config: Config['rings'];
}

/** Redis servers of this test's own, to do harm to. */
async function startRings(): Promise<Rings> {
  const start = (names: readonly string[]) => Promise.all(names.map((name) => startOwnRedis({ folder, name })));
  const [primary, fallback] = [await start(['p1', 'p2', 'p3']), await start(['b1', 'b2'])];
  after(() => Promise.all([...primary, ...fallback].map((shard) => shard.stop())));
  const shards = (servers: readonly RedisServer[]) =>
    Object.fromEntries(servers.map(({ name, port }) => [name, redisUrl(port)]));
  return {
    primary,
    fallback,
    config: [
      { name: 'primary', shards: shards(primary) },
      { name: 'fallback', shards: shards(fallback) },
    ],
  };
}

/** Every row of test.users, by its path, as the gateway itself gives it; which also warms its cache. */
async function readEveryUser(url: string): Promise<Map<string, string>> {
  const bodies = new Map<string, string>();
  for (let first = 1; first <= USERS; first += 500) {
    const ids = Array.from({ length: 500 }, (_, index) => first + index);
    const response = await fetch(`${url}/test/users?ids=${ids.join(',')}`);
    const { rows } = (await response.json()) as { rows: { uid: number }[] };
    for (const row of rows) bodies.set(`/test/users/${row.uid}`, JSON.stringify(row));
  }
  assert.equal(bodies.size, USERS);
  return bodies;
}

function assertUnharmed(report: LoopReport, requests: number): void {
  assert.deepEqual(report.socketErrors, []);
  assert.deepEqual(report.wrongBodies.slice(0, 3), []);
  assert.deepEqual(report.statuses, { 200: requests });
  assert.ok(report.slowestMs <= SLOWEST_MS_MAX, `slowest answer took ${report.slowestMs.toFixed(0)} ms`);
}

const rings = await startRings();
const { gateways } = await startGatewayProcesses(stack, { tables: { 'test.users': {} }, rings: rings.config }, 1);
const url = gateways[0]?.url as string;
const expected = await readEveryUser(url);

describe('losing a shard that owns a third of 10,000 keys, during 100,000 requests at 64 connections', () => {
  const REQUESTS = 100_000;

  test('each primary shard owns at least a quarter', async () => {
    const ring = (await (await fetch(`${url}/-/ring`)).json()) as { layers: { shards: { share: number }[] }[] };
    for (const { share } of ring.layers[0]?.shards ?? []) assert.ok(share >= 0.25, String(share));
  });

  async function loopDuring(fault: () => void): Promise<LoopReport> {
    return closedLoop({
      url,
      connections: CONNECTIONS,
      requests: REQUESTS,
      // A stride that is prime to 10,000: every key comes up again and again, in no neighbourly order.
      path: (n) => `/test/users/${((n * 7_919) % USERS) + 1}`,
      expected: (path) => expected.get(path),
      onRequest: (n) => {
        if (n === REQUESTS / 5) fault();
      },
    });
  }

  test('hung by SIGSTOP: every answer is 200 and right, none takes a second', async (t) => {
    const lost = rings.primary[0] as RedisServer;
    const report = await loopDuring(() => hang(lost));
    resume(lost);
    t.diagnostic(`slowest ${report.slowestMs.toFixed(0)} ms; answers by layer ${JSON.stringify(report.layers)}`);
    assertUnharmed(report, REQUESTS);
    assert.ok((report.layers['1'] ?? 0) > REQUESTS * 0.2, 'the fallback layer answers for the lost shard');
    await backInUse(url, lost.name);
  });

  test('killed by SIGKILL: every answer is 200 and right, none takes a second', async (t) => {
    const lost = rings.primary[1] as RedisServer;
    const report = await loopDuring(() => void lost.kill('SIGKILL'));
    t.diagnostic(`slowest ${report.slowestMs.toFixed(0)} ms; answers by layer ${JSON.stringify(report.layers)}`);
    assertUnharmed(report, REQUESTS);
    assert.ok((report.layers['1'] ?? 0) > REQUESTS * 0.2, 'the fallback layer answers for the lost shard');
    await lost.restart();
    await backInUse(url, lost.name);
  });
});

test('cut off from its gateway, the link half open: every answer is 200 and right, none takes a second; used again once healed', async (t) => {
  const [cutOff, ...others] = rings.primary as [RedisServer, ...RedisServer[]];
  const link = await openLink({ to: cutOff });
  after(() => link.stop());
  const [primary, fallback] = rings.config as [Config['rings'][number], Config['rings'][number]];
  const shards = { ...primary.shards, [cutOff.name]: redisUrl(cutOff.port, link.port) };
  assert.equal(Object.keys(shards).length, others.length + 1);
  const processes = await startGatewayProcesses(
    stack,
    { tables: { 'test.users': {} }, rings: [{ ...primary, shards }, fallback] },
    1,
  );
  const ownUrl = processes.gateways[0]?.url as string;
  await readEveryUser(ownUrl);
  const REQUESTS = 20_000;
  const report = await closedLoop({
    url: ownUrl,
    connections: CONNECTIONS,
    requests: REQUESTS,
    path: (n) => `/test/users/${((n * 7_919) % USERS) + 1}`,
    expected: (path) => expected.get(path),
    onRequest: (n) => {
      if (n === REQUESTS / 5) link.cut();
    },
  });
  t.diagnostic(`slowest ${report.slowestMs.toFixed(0)} ms; answers by layer ${JSON.stringify(report.layers)}`);
  assertUnharmed(report, REQUESTS);
  assert.ok((report.layers['1'] ?? 0) > REQUESTS * 0.2, 'the fallback layer answers for the lost shard');
  link.heal();
  await backInUse(ownUrl, cutOff.name);
});

test('with every shard dead: 200 from MySQL up to its bound, then 503 with Retry-After, never a hang', async (t) => {
  const waitingMax = 50;
  const { gateways } = await startGatewayProcesses(
    stack,
    { tables: { 'test.users': {} }, rings: rings.config, origin: { connections: 2, batchRowsMax: 10, waitingMax } },
    1,
  );
  const url = gateways[0]?.url as string;
  await Promise.all([...rings.primary, ...rings.fallback].map((shard) => kill(shard)));

  const within = await closedLoop({
    url,
    connections: waitingMax / 2,
    requests: 2_000,
    path: (n) => `/test/users/${(n % 1_000) + 1}`,
    expected: (path) => expected.get(path),
  });
  t.diagnostic(`within the bound: ${JSON.stringify(within.statuses)}, slowest ${within.slowestMs.toFixed(0)} ms`);
  assertUnharmed(within, 2_000);
  assert.deepEqual(within.layers, { none: 2_000 });

  const beyond = await closedLoop({
    url,
    connections: waitingMax * 8,
    requests: 8_000,
    path: (n) => `/test/users/${(n % 1_000) + 1}`,
    expected: (path) => expected.get(path),
  });
  t.diagnostic(`beyond it: ${JSON.stringify(beyond.statuses)}, slowest ${beyond.slowestMs.toFixed(0)} ms`);
  assert.deepEqual(beyond.socketErrors, []);
  assert.deepEqual(beyond.wrongBodies, []);
  assert.deepEqual(Object.keys(beyond.statuses), ['200', '503']);
  assert.equal(beyond.bare503s, 0);
});

/** Asks the gateway until it uses the shard again. */
async function backInUse(url: string, name: string): Promise<void> {
  const giveUpAt = performance.now() + 15_000;
  for (;;) {
    const { layers } = (await (await fetch(`${url}/-/ring`)).json()) as {
      layers: { shards: { shard: string; state: string }[] }[];
    };
    const shard = layers.flatMap((layer) => layer.shards).find((candidate) => candidate.shard === name);
    if (shard?.state === 'ok') return;
    assert.ok(performance.now() < giveUpAt, `${name} is not used again`);
  }
}
