/**
 * A Redis that is there and says no: one that can answer nothing is out of use until it can, and one that takes no rows is
 * read as before while its misses are stored in the next layer. Real servers.
 */
import assert from 'node:assert/strict';
import { after, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { ShardUnavailable } from '../../shared/errors/errors.ts';
import { Shard } from '../../shared/shard/shard.ts';
import { kill } from '../../stack/faults.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import type { RedisServer } from '../../stack/redis.ts';
import { cacheStatusOf, startGateway } from '../support/gateway.ts';
import { untilShardIs } from '../support/shard-watch.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { redisUrl, startOwnRedis } from '../support/least-privilege.ts';

const WITHIN_MS = 15_000;

const stack = await testStack();
const folder = temporaryFolder();

const fallback = await startOwnRedis({ folder, name: 'b1' });
after(() => fallback.stop());

let servers = 0;

/** A gateway over a server of the test's own and a fallback, and a client to do harm with. */
async function world(
  t: TestContext,
  args: readonly string[] = [],
  urlOf: (server: RedisServer) => string = ({ port }) => redisUrl(port),
) {
  servers += 1;
  const server = await startOwnRedis({ folder, name: `p${servers}`, args });
  t.after(() => server.stop());
  const gateway = await startGateway(stack, {
    tables: { 'test.users': {} },
    rings: [
      { name: 'primary', shards: { p1: urlOf(server) } },
      { name: 'fallback', shards: { b1: redisUrl(fallback.port) } },
    ],
  });
  return { server, gateway, is: (...states: string[]) => untilShardIs(gateway.url, 'p1', states, WITHIN_MS) };
}

/** It says what it is told, and tries again when the connection has gone. */
function clientOf(t: TestContext, server: RedisServer): Redis {
  const client = new Redis(server.port, '127.0.0.1', { enableReadyCheck: false, retryStrategy: () => 50 });
  client.on('error', () => undefined);
  t.after(() => client.disconnect());
  return client;
}

/** A shard of ours, and what it tells. */
async function shardOn(t: TestContext, server: RedisServer) {
  const told: string[] = [];
  const shard = new Shard({
    name: 'p1',
    ring: 'primary',
    endpoint: redisUrl(server.port),
    timeoutMs: 250,
    failuresToOpen: 3,
    slowMs: 100,
    onChange: (one, _, why) => told.push(`${one.condition}: ${why}`),
    onStillDown: (why) => told.push(`${shard.condition}: ${why}`),
  });
  t.after(() => shard.stop());
  await shard.start();
  return { shard, told };
}

test('LOADING: out of use as refusing, with its own words; used again when its dataset is there', async (t) => {
  // 5,000 keys at 0.4 ms each: it says LOADING for two seconds.
  const { server, gateway, is } = await world(t, [
    '--key-load-delay',
    '400',
    '--loading-process-events-interval-bytes',
    '1024',
  ]);
  const client = clientOf(t, server);
  const fillers = client.pipeline();
  for (let n = 0; n < 5_000; n += 1) fillers.set(`filler:${n}`, 'x'.repeat(100));
  await fillers.exec();
  assert.ok(cacheStatusOf(await gateway.get('/test/users/1')).stored);
  await client.save();
  const { told } = await shardOn(t, server);
  await kill(server);
  const restarted = server.restart();
  await is('refusing');
  assert.equal((await gateway.get('/test/users/1')).status, 200);
  await restarted;
  await is('ok');
  assert.equal(cacheStatusOf(await gateway.get('/test/users/1')).detail, 'p1/0', 'what it had is there again');
  assert.ok(told.includes('refusing: LOADING Redis is loading the dataset in memory'), told.join('\n'));
});

test('BUSY with a script: out of use as refusing, until the script is killed', async (t) => {
  const { server, gateway, is } = await world(t);
  const client = clientOf(t, server);
  assert.ok(cacheStatusOf(await gateway.get('/test/users/2')).stored);
  await client.config('SET', 'busy-reply-threshold', '50');
  const script = client.eval('while true do end', 0).catch((error: Error) => error.message);
  await is('slow', 'down', 'refusing');
  assert.equal(cacheStatusOf(await gateway.get('/test/users/2')).detail, 'b1/1');
  await is('refusing');
  await clientOf(t, server).call('SCRIPT', 'KILL');
  assert.match(String(await script), /killed/);
  await is('ok');
});

test('NOAUTH: out of use as refusing, until it takes us again', async (t) => {
  // As the default user, whom `requirepass` is about.
  const { server, gateway, is } = await world(t, [], ({ url }) => url);
  const client = clientOf(t, server);
  assert.ok(cacheStatusOf(await gateway.get('/test/users/3')).stored);
  await client.config('SET', 'requirepass', 'another');
  await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await is('refusing');
  assert.equal(cacheStatusOf(await gateway.get('/test/users/3')).detail, 'b1/1');
  await client.config('SET', 'requirepass', '');
  await is('ok');
});

test('MASTERDOWN: a replica that gives no stale data is out of use, until it is no replica', async (t) => {
  const { server, gateway, is } = await world(t);
  const client = clientOf(t, server);
  assert.ok(cacheStatusOf(await gateway.get('/test/users/4')).stored);
  await client.config('SET', 'replica-serve-stale-data', 'no');
  await client.replicaof('127.0.0.1', await chooseFreePort());
  assert.equal(cacheStatusOf(await gateway.get('/test/users/4')).detail, 'b1/1');
  await is('refusing');
  await client.replicaof('NO', 'ONE');
  await is('ok');
});

const REFUSES_WRITES: readonly {
  readonly word: string;
  readonly begin: (client: Redis) => Promise<unknown>;
  readonly end: (client: Redis) => Promise<unknown>;
}[] = [
  {
    word: 'OOM',
    begin: (client) => client.config('SET', 'maxmemory', '1'),
    end: (client) => client.config('SET', 'maxmemory', '0'),
  },
  {
    word: 'READONLY',
    begin: async (client) => client.replicaof('127.0.0.1', await chooseFreePort()),
    end: (client) => client.replicaof('NO', 'ONE'),
  },
];

for (const { word, begin, end } of REFUSES_WRITES) {
  test(`${word}: what it has is served, misses are stored in the next layer with one read each, and it is hardly asked`, async (t) => {
    const { server, gateway, is } = await world(t);
    const client = clientOf(t, server);
    assert.ok(cacheStatusOf(await gateway.get('/test/users/1')).stored);
    await begin(client);
    const rowsBefore = await rowsAsked(gateway.url);
    const refusedBefore = await refusals(client);
    const MISSES = 100;
    const began = performance.now();
    for (let id = 101; id <= 100 + MISSES; id += 1) {
      const { stored, detail } = cacheStatusOf(await gateway.get(`/test/users/${id}`));
      assert.deepEqual({ stored, detail }, { stored: true, detail: 'b1/1' });
      assert.equal(cacheStatusOf(await gateway.get('/test/users/1')).detail, 'p1/0');
    }
    const seconds = (performance.now() - began) / 1_000;
    await is('refuses-writes');
    assert.equal((await rowsAsked(gateway.url)) - rowsBefore, MISSES, 'MySQL is asked once for each');
    const tries = (await refusals(client)) - refusedBefore;
    t.diagnostic(`${tries} tries for ${MISSES} misses in ${seconds.toFixed(1)} s`);
    assert.ok(tries <= 2 + seconds, `${tries} tries in ${seconds} s`);
    const metrics = await (await gateway.get('/-/metrics')).text();
    assert.match(metrics, /ringfill_shard_state\{ring="primary",shard="p1",state="refuses-writes"\} 1/);
    assert.match(metrics, /ringfill_shard_up\{ring="primary",shard="p1"\} 1/);

    await end(client);
    const giveUpAt = performance.now() + WITHIN_MS;
    for (let id = 1_001; cacheStatusOf(await gateway.get(`/test/users/${id}`)).detail !== 'p1/0'; id += 1) {
      assert.ok(performance.now() < giveUpAt, 'it is not filled again');
      await sleep(50);
    }
    await is('ok');
  });
}

test('whoever asks a shard is told whether it was refused, not asked, or not answered', async (t) => {
  const server = await startOwnRedis({ folder, name: 'kinds' });
  t.after(() => server.stop());
  const client = clientOf(t, server);
  const { shard } = await shardOn(t, server);
  const kindOf = (asking: Promise<unknown>) =>
    asking.then(
      () => 'none',
      (error: unknown) => (error instanceof ShardUnavailable ? error.kind : String(error)),
    );
  const lease = () => shard.lease('key', { shape: 'shape-01', leaseTtlMs: 1_000, over: 'nothing' });
  await client.config('SET', 'maxmemory', '1');
  assert.equal(await kindOf(lease()), 'refused');
  assert.equal(await kindOf(lease()), 'refused');
  assert.equal(await kindOf(shard.read('key')), 'none');
  server.kill('SIGSTOP');
  assert.equal(await kindOf(shard.read('key')), 'silent');
  await Promise.all(Array.from({ length: 3 }, () => kindOf(shard.run('read', (redis) => redis.ping()))));
  assert.equal(shard.state, 'down');
  assert.equal(await kindOf(shard.read('key')), 'out-of-use');
  server.kill('SIGCONT');
});

async function rowsAsked(url: string): Promise<number> {
  const text = await (await fetch(`${url}/-/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith('ringfill_origin_rows_asked_total{'));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** How many scripts have failed or been rejected. */
async function refusals(client: Redis): Promise<number> {
  const info = await client.info('commandstats');
  return [...info.matchAll(/cmdstat_eval(?:sha)?:.*?rejected_calls=(\d+),failed_calls=(\d+)/g)].reduce(
    (sum, [, rejected, failed]) => sum + Number(rejected) + Number(failed),
    0,
  );
}
