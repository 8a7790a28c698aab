/** Shards that die, hang or are cut off while changes come, and an apply that is killed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { after, describe, test } from 'node:test';
import { Redis } from 'ioredis';
import type { ShardQueue } from '../../shared/broker/topology.ts';
import { hang, kill, openLink, resume } from '../../stack/faults.ts';
import {
  brokerConfig,
  Chain,
  entryAt,
  type OpenBroker,
  openBroker,
  publishAll,
  readyIn,
  redisAt,
  stampOf,
  stampReaches,
  startApply,
  type SyncedConfig,
  until,
  version,
  write,
} from '../support/broker.ts';
import { startSentinel } from '../support/sentinel.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { startOwnRedis } from '../support/least-privilege.ts';

const stack = await testStack();
const { url } = stack.rabbitmq;
const folder = temporaryFolder();
const server = await startOwnRedis({ folder, name: 'harmed' });
after(() => server.stop());
const redis = redisAt(server.port);
const wellPort = stack.redis[0]?.port as number;
const well = redisAt(wellPort);

function queuesOf({ topology }: OpenBroker): [string, string] {
  const [first, second] = topology.shards as [ShardQueue, ShardQueue];
  return [first.queue, second.queue];
}

for (const queueType of ['quorum', 'classic'] as const) {
  describe(`over ${queueType} queues`, () => {
    const setUp = async (at = server.port) => {
      const config = brokerConfig({ url, queueType, shards: { harmed: at, well: wellPort } });
      const broker = await openBroker(config);
      const apply = await startApply(config);
      const chain = new Chain();
      const batches = (count: number) => Array.from({ length: count }, () => chain.next());
      const publishToBoth = async (count: number) => {
        const messages = batches(count);
        for (const queue of queuesOf(broker)) await publishAll(broker, queue, messages);
      };
      await publishToBoth(5);
      await stampReaches(redis, config, 5);
      return { config, broker, apply, publishToBoth };
    };

    /** All are ready again: the channel is closed, none is held. */
    const holdsNone = async (broker: OpenBroker, count: number) => {
      const [harmed] = queuesOf(broker);
      await until('no message is held', async () => (await readyIn(broker, harmed)) === count);
    };

    test('a shard that hangs holds no messages and holds up no other; when it goes on, it is brought up without a gap', async () => {
      const { config, broker, apply, publishToBoth } = await setUp();
      hang(server);
      try {
        await publishToBoth(40);
        await stampReaches(well, config, 45);
        await until('it is noticed', () => !apply.status().connected);
        await holdsNone(broker, 40);
        assert.match(apply.status().lastError ?? '', /no answer within 5000 ms/);
      } finally {
        resume(server);
      }
      const stamp = await stampReaches(redis, config, 45);
      assert.equal(stamp.floor, version(0));
      assert.equal(apply.status().gaps, 0);
      await until('its last error is over', () => apply.status().lastError === undefined);
      await apply.stop();
    });

    test('a shard that is killed holds up no other; when it is back, empty, its stamp begins with the backlog', async () => {
      const { config, broker, apply, publishToBoth } = await setUp();
      await kill(server);
      await publishToBoth(40);
      await stampReaches(well, config, 45);
      await until('it is noticed', () => !apply.status().connected);
      await holdsNone(broker, 40);
      await server.restart();
      const stamp = await stampReaches(redis, config, 45);
      assert.equal(stamp.floor, version(5));
      assert.equal(apply.status().gaps, 0);
      await apply.stop();
    });

    test('a half-open link to a shard is noticed; what is applied over the next one has no gap', async () => {
      const link = await openLink({ to: server });
      after(() => link.stop());
      const { config, broker, apply, publishToBoth } = await setUp(link.port);
      link.cut();
      await publishToBoth(40);
      await until('it is noticed', () => !apply.status().connected);
      await holdsNone(broker, 40);
      link.reset();
      link.heal();
      const stamp = await stampReaches(redis, config, 45);
      assert.equal(stamp.floor, version(0));
      assert.equal(apply.status().gaps, 0);
      await apply.stop();
    });

    test('a shard that refuses to write, as a replica does, is waited for; nothing goes to the dead letters', async () => {
      const { config, broker, apply, publishToBoth } = await setUp();
      await redis.replicaof('127.0.0.1', 1);
      try {
        await publishToBoth(40);
        await until('it is told', () => /READONLY/.test(apply.status().lastError ?? ''));
        await holdsNone(broker, 40);
      } finally {
        await redis.replicaof('NO', 'ONE');
      }
      const stamp = await stampReaches(redis, config, 45);
      assert.equal(stamp.floor, version(0));
      assert.deepEqual([apply.status().gaps, apply.status().deadLetters], [0, 0]);
      await apply.stop();
    });

    test('of two processes the one that applies is killed: the other goes on without a gap, within 10 s', async (t) => {
      const config = brokerConfig({ url, queueType, shards: { r1: wellPort } });
      const broker = await openBroker(config);
      const { queue } = broker.topology.shards[0] as ShardQueue;
      const key = `${config.keyPrefix}test_users_1`;
      await well.set(key, entryAt(0, { n: 0 }), 'EX', 60);
      const active = await startApplyProcess(config);
      const standby = await startApply(config);
      const chain = new Chain();
      const messages = Array.from({ length: 4_000 }, () => chain.next((at) => [write(at, key, { n: at })]));
      const all = publishAll(broker, queue, messages);
      await stampReaches(well, config, 500);
      assert.equal(standby.status().messages, 0);
      active.kill('SIGKILL');
      const killedAt = performance.now();
      await until('the other has taken over', () => standby.status().messages > 0, 10_000);
      t.diagnostic(`taken over after ${(performance.now() - killedAt).toFixed(0)} ms`);
      await all;
      const stamp = await stampReaches(well, config, 4_000);
      assert.equal(stamp.floor, version(0));
      assert.equal(standby.status().gaps, 0);
      await standby.stop();
    });
  });
}

/** Only the service, so that it can be killed. */
async function startApplyProcess(config: SyncedConfig) {
  const module = (path: string) => JSON.stringify(resolve(import.meta.dirname, '../..', path));
  const program = `
    import { ApplyService } from ${module('sync-worker/apply/apply-service.ts')};
    import { createLog } from ${module('shared/telemetry/log.ts')};
    const service = new ApplyService({ config: JSON.parse(process.env.CONFIG), log: createLog('error') });
    await service.start();
    process.stdout.write('started');`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    env: { ...process.env, CONFIG: JSON.stringify(config) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

test('an account that may not run what the script runs is waited for; nothing goes to the dead letters', async () => {
  const user = 'may-not-set';
  const admin = new Redis({ port: server.port });
  after(() => admin.disconnect());
  await admin.call('ACL', 'SETUSER', user, 'on', '>secret', '~*', '+@all', '-set');
  const config = brokerConfig({ url, shards: { r1: `redis://${user}:secret@127.0.0.1:${server.port}` } });
  const broker = await openBroker(config);
  const apply = await startApply(config);
  await publishAll(broker, (broker.topology.shards[0] as ShardQueue).queue, [new Chain().next()]);
  await until('it is told', () => /script/.test(apply.status().lastError ?? ''));
  assert.equal(apply.status().deadLetters, 0);
  await admin.call('ACL', 'SETUSER', user, '+set');
  await stampReaches(redis, config, 1);
  assert.deepEqual([apply.status().gaps, apply.status().deadLetters], [0, 0]);
  await apply.stop();
});

test('a failover by Sentinel that loses the last moments is no gap: what was not acked yet is delivered again', async (t) => {
  const primary = await startOwnRedis({ folder, name: 'first' });
  const replica = await startOwnRedis({
    folder,
    name: 'second',
    args: ['--replicaof', '127.0.0.1', String(primary.port)],
  });
  after(() => Promise.all([primary.stop(), replica.stop()]));
  const [first, second] = [redisAt(primary.port), redisAt(replica.port)];
  const { port, client: sentinel } = await startSentinel(folder, primary.port);
  await until('the Sentinel knows the replica', async () => {
    const replicas = (await sentinel.call('SENTINEL', 'REPLICAS', 'g')) as unknown[];
    return replicas.length === 1 && (await second.info('replication')).includes('master_link_status:up');
  });
  const endpoint = { sentinel: { group: 'g', sentinels: [`127.0.0.1:${port}`] } };
  const config = brokerConfig({ url, shards: { r1: endpoint } });
  const broker = await openBroker(config);
  const { queue } = broker.topology.shards[0] as ShardQueue;
  const apply = await startApply(config);
  const chain = new Chain();
  const batches = (count: number) => Array.from({ length: count }, () => chain.next());
  await publishAll(broker, queue, batches(20));
  await stampReaches(second, config, 20);

  // What the primary does from now on does not reach the replica.
  await second.config('SET', 'masteruser', 'nobody');
  await second.config('SET', 'masterauth', 'wrong');
  await first.call('CLIENT', 'KILL', 'TYPE', 'replica');
  await publishAll(broker, queue, batches(20));
  await stampReaches(first, config, 40);
  await kill(primary);
  assert.equal((await stampOf(second, config))?.to, version(20), 'the failover loses something');
  await publishAll(broker, queue, batches(20));
  const stamp = await stampReaches(second, config, 60, 30_000);
  const { gaps, messages } = apply.status();
  t.diagnostic(`${messages} messages applied for 60`);
  assert.equal(stamp.floor, version(0));
  assert.equal(gaps, 0);
  await apply.stop();
  assert.equal(await readyIn(broker, queue), 0, 'stopped in good order, it leaves nothing to be done again');
});

test('behind Sentinels, where what was applied comes again first, a real gap is gone over once; little is sent ahead', async () => {
  const primary = await startOwnRedis({ folder, name: 'gapped' });
  after(() => primary.stop());
  const first = redisAt(primary.port);
  const { port } = await startSentinel(folder, primary.port);
  const config = brokerConfig({ url, shards: { r1: { sentinel: { group: 'g', sentinels: [`127.0.0.1:${port}`] } } } });
  const broker = await openBroker(config);
  const { queue } = broker.topology.shards[0] as ShardQueue;
  const apply = await startApply(config);
  const chain = new Chain();
  const batches = (count: number) => Array.from({ length: count }, () => chain.next());
  await publishAll(broker, queue, batches(20));
  await stampReaches(first, config, 20);
  chain.skip(2);
  await publishAll(broker, queue, batches(20));
  const stamp = await stampReaches(first, config, 42);
  assert.equal(stamp.floor, version(22));
  assert.equal(apply.status().gaps, 1);
  const told = apply.events.filter(({ event }) => /missing/.test(String(event)));
  assert.equal(told.length, 1, 'one channel was closed for it');

  hang(primary);
  try {
    await publishAll(broker, queue, batches(300));
    assert.ok((await readyIn(broker, queue)) >= 172, 'at most 128 messages are with us');
  } finally {
    resume(primary);
  }
  await stampReaches(first, config, 342);
  assert.equal(apply.status().gaps, 1);
  await apply.stop();
});
