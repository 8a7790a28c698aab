/** What Redis and the broker hold is not trusted: forged or corrupt, it is dropped, counted and named; never served. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { after, describe, test } from 'node:test';
import { Gateway } from '../../gateway/gateway.ts';
import { encodeBatch } from '../../shared/change/change-batch.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { VERSION_ZERO } from '../../shared/entry/entry.ts';
import { MIRROR_FIELD } from '../../shared/entry/mirror-entry.ts';
import { leaseKey, stampKey } from '../../shared/key/cache-key.ts';
import { LEASE_TTL_MS_MAX } from '../../shared/origin/bounded-reads.ts';
import { runFills, runLeases } from '../../shared/shard/fill-scripts.ts';
import { defineScripts } from '../../shared/shard/scripts.ts';
import {
  brokerConfig,
  Chain,
  memoryLog,
  openBroker,
  redisAt,
  stampReaches,
  startApply,
  until,
  version,
} from '../support/broker.ts';
import { type GatewaySettings, gatewayConfig } from '../support/gateway.ts';
import { MirrorWorld } from '../support/mirror-world.ts';
import { RedisEntries } from '../support/redis-entries.ts';
import { Stamps } from '../support/stamps.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const FOLLOWED = 'test.users(uid)';

async function openGateway(settings: GatewaySettings) {
  const { text, keyPrefix } = gatewayConfig(stack, settings);
  const { log, events } = memoryLog();
  const gateway = new Gateway({ config: parseConfig(text, 'test'), version: 'test', log });
  after(() => gateway.stop());
  const url = await gateway.start();
  const get = async (path: string) => {
    const answer = await fetch(url + path);
    return { status: answer.status, body: await answer.text(), story: answer.headers.get('cache-status') ?? '' };
  };
  return {
    keyPrefix,
    get,
    entries: new RedisEntries(stack, keyPrefix),
    /** By kind, of all shards. */
    unreadable: async (): Promise<Record<string, number>> => {
      const { body } = await get('/-/metrics');
      const counts: Record<string, number> = {};
      for (const [, kind = '', count] of body.matchAll(/^ringfill_unreadable_total\{.*kind="([a-z-]+)"\} (\d+)$/gm)) {
        counts[kind] = (counts[kind] ?? 0) + Number(count);
      }
      return counts;
    },
    named: () => events.filter(({ event }) => String(event).includes('cannot be read')),
    errors: () => events.filter(({ level }) => Number(level) >= 50),
  };
}

test('bytes that are no entry are replaced from MySQL, counted each time and named now and then', async () => {
  const { get, entries, keyPrefix, unreadable, named, errors } = await openGateway({ tables: { 'test.users': {} } });
  const { body } = await get('/test/users/8');
  const good = await entries.read('test_users_8');
  const forged: (Buffer | string)[] = [
    'not an entry',
    good.subarray(0, 70),
    good.subarray(0, good.length - 1),
    Buffer.concat([good.subarray(0, 70), Buffer.from('["a row?"]')]),
    Buffer.concat([Buffer.from('2'), good.subarray(1)]),
    Buffer.from(good.toString('latin1').replace(/^1R/, '1N'), 'latin1'),
    '\0'.repeat(1_000_000),
  ];
  for (const bytes of forged) {
    await entries.replace('test_users_8', bytes);
    const answer = await get('/test/users/8');
    assert.equal(answer.body, body, String(bytes).slice(0, 100));
    assert.match(answer.story, /; stored;/);
  }
  assert.deepEqual(await unreadable(), { entry: forged.length });
  assert.deepEqual(
    named().map(({ kind, key }) => [kind, key]),
    [['entry', `${keyPrefix}test_users_8`]],
  );
  await entries.replaceByHash('test_users_8');
  assert.equal((await get('/test/users/8')).body, body);
  assert.deepEqual(errors(), []);
});

/** What no gateway can have put there: it does not run out, or not before any that one may ask for. */
const FORGED_LEASES: Record<string, (redis: ReturnType<typeof redisAt>, key: string) => Promise<unknown>> = {
  'a text for ever': (redis, key) => redis.set(key, 'forged'),
  'a list for ever': (redis, key) => redis.rpush(key, 'forged'),
  'a text for hours': (redis, key) => redis.set(key, 'forged', 'PX', LEASE_TTL_MS_MAX + 3_600_000),
};

for (const [sync, how] of [
  [undefined, 'by its TTL'],
  [{}, 'and is followed'],
] as const) {
  test(`a lease that does not run out keeps no row unstored that lives ${how}`, async () => {
    const { get, entries, keyPrefix, unreadable, named, errors } = await openGateway({
      tables: { 'test.users': { leaseWaitMs: 0 } },
      ...(sync && { sync }),
    });
    const endBeating =
      sync === undefined ? undefined : (await Stamps.over(stack, keyPrefix, [FOLLOWED])).beatEvery(300);
    await until('it is stored', async () => / stored;/.test((await get('/test/users/8')).story));
    const redis = await entries.holderOf('test_users_8');
    const [entry, lease] = [`${keyPrefix}test_users_8`, `${keyPrefix}test_users_8:lease`];
    for (const [what, forge] of Object.entries(FORGED_LEASES)) {
      await redis.del(entry);
      await forge(redis, lease);
      assert.match((await get('/test/users/8')).story, / stored;/, what);
      assert.equal(await redis.exists(lease), 0, what);
    }
    // The longest that any may have is a lease, whoever holds it.
    await redis.del(entry);
    await redis.set(lease, 'another’s', 'PX', LEASE_TTL_MS_MAX);
    assert.match((await get('/test/users/8')).story, /unstored=lease-busy/);
    await endBeating?.();
    assert.deepEqual(await unreadable(), { lease: Object.keys(FORGED_LEASES).length });
    assert.deepEqual(
      named().map(({ kind, key }) => [kind, key]),
      [['lease', lease]],
    );
    assert.deepEqual(errors(), []);
  });
}

test('a lease that becomes something else while MySQL is read fails no other row’s fill', async () => {
  const redis = redisAt(stack.redis[0]?.port as number);
  defineScripts(redis);
  const key = (id: number) => `forged-lease-${process.pid}:${id}`;
  const rows = [1, 2].map((id) => ({ entryKey: key(id), token: 'ours' }));
  await runLeases(redis, { followed: undefined, shape: 'shape--8', leaseTtlMs: 60_000, over: 'nothing' }, rows);
  await redis.del(leaseKey(key(1)));
  await redis.rpush(leaseKey(key(1)), 'forged');
  const filled = rows.map((row) => ({ ...row, version: VERSION_ZERO, stored: Buffer.from('{}'), ttlMs: 60_000 }));
  assert.deepEqual(await runFills(redis, undefined, filled), ['lost', 'stored']);
  await redis.del(leaseKey(key(1)), key(2));
});

describe('a stamp', () => {
  const settings: GatewaySettings = { tables: { 'test.users': { onSyncLost: 'origin' } }, sync: {} };
  const huge = (stamp: string) => `${stamp.slice(0, -1)},"more":"${'x'.repeat(100_000_000)}"}`;
  const spoils: Record<string, (stamp: string) => string> = {
    'no JSON': () => '{',
    'nested a hundred thousand deep': () => '['.repeat(100_000),
    'of a plan that nobody can count up from': (stamp) => stamp.replace(/"plan":[0-9]+/, '"plan":9007199254740991'),
    'of an epoch that nobody can count up from': (stamp) => stamp.replace(/"to":"[0-9]{10}/, '"to":"9999999999'),
    'with a time that is no number': (stamp) => stamp.replace(/"asOf":[0-9]+/, '"asOf":1e999'),
    'of a hundred million bytes': huge,
  };
  for (const [what, spoil] of Object.entries(spoils)) {
    test(`${what} is none, and the next message replaces it`, async () => {
      const { get, keyPrefix, unreadable, named, errors } = await openGateway(settings);
      const stamps = await Stamps.over(stack, keyPrefix, [FOLLOWED]);
      await stamps.beatAll();
      const { body } = await get('/test/users/8');
      const key = stampKey(keyPrefix);
      const shards = stack.redis.map(({ port }) => redisAt(port));
      for (const redis of shards) await redis.set(key, spoil((await redis.get(key)) as string));
      const answer = await get('/test/users/8');
      assert.deepEqual([answer.status, answer.body], [200, body]);
      assert.match(answer.story, /unstored=/, 'nobody vouches');
      if (what !== 'of a hundred million bytes') {
        assert.ok(((await unreadable())['stamp'] ?? 0) > 0);
        assert.equal(named()[0]?.['key'], key);
      }
      await stamps.beatAll();
      for (const redis of shards) assert.ok((await redis.strlen(key)) < 2_000, 'it has only what a stamp has');
      // What was too long to be read in time has taken shards out of use.
      const endBeating = stamps.beatEvery(300);
      await until('it vouches again', async () => / stored;| hit;/.test((await get('/test/users/8')).story));
      await endBeating();
      assert.equal((await get('/test/users/8')).body, body);
      assert.deepEqual(errors(), []);
    });
  }

  test('of another type than a text is none, and the next message replaces it', async () => {
    const { get, keyPrefix, errors } = await openGateway(settings);
    const stamps = await Stamps.over(stack, keyPrefix, [FOLLOWED]);
    await stamps.beatAll();
    const key = stampKey(keyPrefix);
    for (const { port } of stack.redis) {
      const redis = redisAt(port);
      await redis.del(key);
      await redis.rpush(key, 'a', 'b');
    }
    assert.equal((await get('/test/users/8')).status, 200);
    await stamps.beatAll();
    await until('it vouches again', async () => / stored;| hit;/.test((await get('/test/users/8')).story));
    assert.deepEqual(errors(), []);
  });
});

test('a mirrored row that does not fit its columns is not served; a change mends it', async () => {
  const world = await MirrorWorld.open({
    stack,
    columns: 'id INT PRIMARY KEY, n BIGINT, name VARCHAR(40), doc JSON',
    filledBy: [`INSERT INTO items VALUES (1, 10, 'one', '{"a":1}'), (2, 20, 'two', NULL)`],
    table: { onIncomplete: 'origin' },
  });
  await world.complete();
  const { body } = await text(world.get(1));
  const forgeries: Record<string, string>[] = [
    { id: '1}, {"id":2' },
    { n: '1","name":"another' },
    { doc: '{"a":1},"x":{' },
    { id: '' },
    { [MIRROR_FIELD]: 'R1' },
  ];
  for (const forged of forgeries) {
    const before = await world.hashes(1);
    for (const shard of Object.keys(before)) await world.redis(shard).hset(world.key(1), forged);
    const answer = await text(world.get(1));
    assert.deepEqual([answer.status, answer.body], [200, body], JSON.stringify(forged));
    assert.match(answer.story, /unstored=mirror-unavailable/);
    await world.run('UPDATE items SET n = n + 1 WHERE id = 1', 'UPDATE items SET n = n - 1 WHERE id = 1');
    await until('the changes have mended it', async () => {
      const mended = await text(world.get(1));
      return mended.story.includes('; hit;') && mended.body === body;
    });
  }
  for (const shard of world.shardNames) {
    await world.redis(shard).del(world.key(2));
    await world.redis(shard).rpush(world.key(2), 'a list');
  }
  assert.equal((await text(world.get(2))).status, 200);
  const metrics = await (await fetch(`${world.gateways[0]?.url}/-/metrics`)).text();
  assert.match(metrics, /^ringfill_unreadable_total\{shard="[a-z0-9]+",kind="mirror-entry"\} [1-9]/m);
});

async function text(asked: Promise<Response>) {
  const answer = await asked;
  return { status: answer.status, body: await answer.text(), story: answer.headers.get('cache-status') ?? '' };
}

test('messages that are forged go to the dead letters, by their queue’s name, and touch nothing', async () => {
  const port = stack.redis[0]?.port as number;
  const redis = redisAt(port);
  const config = brokerConfig({ url: stack.rabbitmq.url, shards: { r1: port } });
  const { keyPrefix } = config;
  const broker = await openBroker(config);
  const queue = broker.topology.shards[0]?.queue as string;
  const apply = await startApply(config);
  const session = await broker.open();
  const chain = new Chain();
  await session.publish(queue, chain.next());
  await stampReaches(redis, config, 1);
  const stampBefore = await redis.get(stampKey(keyPrefix));
  const foreign = `another:${keyPrefix}`;
  await redis.set(foreign, 'of another application', 'EX', 600);
  const head = { plan: 1, from: version(1), to: version(2), asOf: Date.now(), origin: 'origin', gtid: '' };
  const removal = (key: string) =>
    encodeBatch({
      ...head,
      changes: [
        {
          op: 'remove',
          table: 'test.users(uid)',
          key,
          shape: 'shape--8',
          version: version(2, 0),
          body: Buffer.alloc(0),
        },
      ],
    });
  const good = encodeBatch({ ...head, changes: [] });
  const forged = [
    Buffer.from('no message at all'),
    Buffer.alloc(0),
    Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff]), good.subarray(4)]),
    good.subarray(0, good.length - 3),
    encodeBatch({ ...head, plan: Number.MAX_SAFE_INTEGER, changes: [] }),
    encodeBatch({ ...head, to: '9'.repeat(45), changes: [] }),
    Buffer.from(`\0\0\0\x11{"__proto__":{}}`, 'latin1'),
    Buffer.concat([Buffer.from([0, 1, 0x86, 0xa0]), Buffer.alloc(100_000, '[')]),
    removal(stampKey(keyPrefix)),
    removal(`${keyPrefix}test_users_1:lease`),
    removal(foreign),
    removal(''),
  ];
  for (const message of forged) await session.publish(queue, message);
  await until('all are buried', () => apply.status().deadLetters === forged.length);
  const named = apply.events.filter(({ event }) => String(event).includes('dead letters'));
  assert.deepEqual([named.length, new Set(named.map((one) => one['queue']))], [forged.length, new Set([queue])]);
  assert.equal(await redis.get(stampKey(keyPrefix)), stampBefore);
  assert.equal(await redis.get(foreign), 'of another application');
  assert.deepEqual(Object.keys({}), []);
  await session.publish(queue, chain.next());
  await stampReaches(redis, config, 2);
  assert.equal(apply.status().gaps, 0);
  await apply.stop();
  await redis.del(foreign);
});

test('what lies under the keys of snapshots and is none sends no good message to the dead letters', async () => {
  const world = await MirrorWorld.open({
    stack,
    columns: 'id INT PRIMARY KEY, n INT',
    filledBy: ['INSERT INTO items VALUES (1, 1), (2, 2), (3, 3)'],
  });
  await world.complete();
  const table = Object.keys(
    JSON.parse((await world.redis('r1').get(stampKey(world.config.keyPrefix))) ?? '').tables,
  )[0];
  for (const shard of world.shardNames) {
    for (const state of ['snapshot', 'deleted', 'deleted-before']) {
      await world.redis(shard).rpush(`${stampKey(world.config.keyPrefix)}:${state}:${table}`, 'forged');
    }
  }
  await world.run('DELETE FROM items WHERE id = 2', 'UPDATE items SET n = 4 WHERE id = 3');
  await until('the changes are there', async () => {
    const [one, two, three] = await world.rows([1, 2, 3]);
    return one?.['n'] === 1 && two === null && three?.['n'] === 4;
  });
  const status = (await (await fetch(`${world.worker.url}/-/status`)).json()) as {
    shards: { deadLetters: number; gaps: number }[];
  };
  for (const { deadLetters, gaps } of status.shards) assert.deepEqual([deadLetters, gaps], [0, 0]);
});

test('a server that speaks Redis’ protocol and lies is gone round; no request fails for it', async () => {
  const lies = [
    ':7\r\n',
    '*1\r\n:7\r\n',
    '$-1\r\n',
    '*-1\r\n',
    '+OK\r\n',
    '*2\r\n$5\r\nlease\r\n*1\r\n:1\r\n',
    '*1\r\n$5\r\nentry\r\n',
    '*0\r\n',
    '-WRONGTYPE no\r\n',
  ];
  let asked = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      // As many answers as there are commands in it: each begins with its array's head.
      for (const [, name = ''] of chunk.toString('latin1').matchAll(/\*[0-9]+\r\n\$[0-9]+\r\n([a-z]+)/gi)) {
        const isRead = /^(?:mget|evalsha|eval|multi|exec|hgetall|get)$/i.test(name);
        socket.write(isRead ? (lies[(asked += 1) % lies.length] as string) : '+PONG\r\n');
      }
    });
  });
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  after(() => server.close());
  const liar = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { get, errors } = await openGateway({
    tables: { 'test.users': {} },
    rings: [{ name: 'primary', shards: { liar } }],
    shards: { failuresToOpen: 100 },
  });
  for (let round = 0; round < 40; round += 1) {
    const { status, body } = await get(`/test/users/${1 + (round % 9)}`);
    assert.equal(status, 200, body);
  }
  assert.ok(asked > 9, `${asked} questions`);
  assert.deepEqual(errors(), []);
});
