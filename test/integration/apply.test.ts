/** The change's way from a shard's queue into the shard, on a real RabbitMQ and a real Redis. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { VersionedChange } from '../../shared/change/change.ts';
import { ShardUnavailable } from '../../shared/errors/errors.ts';
import { faultOf } from '../../sync-worker/apply/fault-of.ts';
import { decodeEntry } from '../../shared/entry/entry.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import {
  brokerConfig,
  Chain,
  entryAt,
  type OpenBroker,
  openBroker,
  redisAt,
  stampOf,
  stampReaches,
  startApply,
  until,
  version,
  write,
} from '../support/broker.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const { url } = stack.rabbitmq;
const port = stack.redis[0]?.port as number;
const redis = redisAt(port);

function queueOf(broker: OpenBroker): string {
  return broker.topology.shards[0]?.queue as string;
}

async function bodyAt(key: string): Promise<string | undefined> {
  const stored = await redis.getBuffer(key);
  return stored === null ? undefined : decodeEntry(stored)?.body.toString();
}

for (const queueType of ['quorum', 'classic'] as const) {
  describe(`over a ${queueType} queue`, () => {
    const settings = { url, queueType, shards: { r1: port } };

    test('changes reach the entry and the stamp, in order, and the queue is empty then', async () => {
      const config = brokerConfig(settings);
      const broker = await openBroker(config);
      const queue = queueOf(broker);
      const key = `${config.keyPrefix}test_users_1`;
      await redis.set(key, entryAt(0, { n: 0 }), 'EX', 60);
      const apply = await startApply(config);
      const session = await broker.open();
      const chain = new Chain();
      for (let n = 1; n <= 300; n += 1) {
        await session.ready();
        void session.publish(
          queue,
          chain.next((at) => [write(at, key, { n: at })]),
        );
      }
      const stamp = await stampReaches(redis, config, 300);
      assert.equal(await bodyAt(key), '{"n":300}');
      assert.equal(stamp.floor, version(0));
      await until('all is acked', () => apply.status().messages === 300);
      const { gaps, changes, to, lagMs = Infinity, connected, lastError } = apply.status();
      assert.deepEqual(
        { gaps, changes, to, connected, lastError },
        { gaps: 0, changes: 300, to: version(300), connected: true, lastError: undefined },
      );
      assert.ok(lagMs < 5_000, String(lagMs));
      await apply.stop();
      const { channel, close } = await broker.connection.openChannel();
      assert.equal((await channel.checkQueue(queue)).messageCount, 0);
      await close();
    });

    test('what is missing is a gap: it is gone over after one redelivery, and the floor rises above what was there', async () => {
      const config = brokerConfig(settings);
      const broker = await openBroker(config);
      const queue = queueOf(broker);
      const apply = await startApply(config);
      const session = await broker.open();
      const chain = new Chain();
      for (let n = 1; n <= 3; n += 1) await session.publish(queue, chain.next());
      await stampReaches(redis, config, 3);
      chain.skip(2);
      for (let n = 6; n <= 40; n += 1) void session.publish(queue, chain.next());
      const stamp = await stampReaches(redis, config, 40);
      assert.equal(stamp.floor, version(5));
      assert.equal(apply.status().gaps, 1);
      const told = apply.events.filter(({ event }) => /missing|lost/.test(String(event)));
      assert.deepEqual(
        told.map(({ level, event }) => [level, event]),
        [
          [30, 'changes are missing; looking whether they are delivered after all'],
          [40, 'changes were lost; all that the shard held counts as absent'],
        ],
      );
      await apply.stop();
    });

    test('a queue that was purged by hand is a gap', async () => {
      const config = brokerConfig(settings);
      const broker = await openBroker(config);
      const queue = queueOf(broker);
      const first = await startApply(config);
      const session = await broker.open();
      const chain = new Chain();
      await session.publish(queue, chain.next());
      await stampReaches(redis, config, 1);
      await first.stop();
      for (let n = 2; n <= 10; n += 1) await session.publish(queue, chain.next());
      const { channel, close } = await broker.connection.openChannel();
      assert.equal((await channel.purgeQueue(queue)).messageCount, 9);
      await close();
      await session.publish(queue, chain.next());
      const apply = await startApply(config);
      const stamp = await stampReaches(redis, config, 11);
      assert.equal(stamp.floor, version(10));
      assert.equal(apply.status().gaps, 1);
      await apply.stop();
    });

    test('a queue that was deleted by hand is there again, and what comes then is applied', async () => {
      const config = brokerConfig(settings);
      const broker = await openBroker(config);
      const queue = queueOf(broker);
      const apply = await startApply(config);
      await until('it consumes', () => apply.status().connected);
      const { channel, close } = await broker.connection.openChannel();
      await channel.deleteQueue(queue);
      await close();
      await until('it was told', () => apply.status().lastError === 'the queue was deleted');
      const session = await broker.open();
      await session.publish(queue, new Chain().next());
      await stampReaches(redis, config, 1);
      await until('its last error is over', () => apply.status().lastError === undefined);
      await apply.stop();
    });

    test('a backlog past its bound loses its oldest changes: a gap, and the floor rises', async () => {
      const config = brokerConfig({ ...settings, backlogMebibytesMax: 1 });
      const broker = await openBroker(config);
      const queue = queueOf(broker);
      const chain = new Chain();
      const first = await startApply(config);
      const session = await broker.open();
      await session.publish(queue, chain.next());
      await stampReaches(redis, config, 1);
      await first.stop();
      const key = `${config.keyPrefix}test_users_1`;
      for (let n = 2; n <= 30; n += 1) {
        await session.ready();
        await session.publish(
          queue,
          chain.next((at) => [write(at, key, { filler: 'x'.repeat(100_000) })]),
        );
      }
      const apply = await startApply(config);
      const stamp = await stampReaches(redis, config, 30);
      assert.ok(stamp.floor > version(15) && stamp.floor < version(30), stamp.floor);
      assert.equal(apply.status().gaps, 1);
      await apply.stop();
    });

    test('a message that cannot be read goes to the dead letters, and the shard notices the gap by itself', async () => {
      const config = brokerConfig(settings);
      const broker = await openBroker(config);
      const queue = queueOf(broker);
      const apply = await startApply(config);
      const session = await broker.open();
      const chain = new Chain();
      await session.publish(queue, chain.next());
      const corrupt = chain.next().subarray(0, 50);
      void session.publish(queue, corrupt);
      for (let n = 3; n <= 20; n += 1) void session.publish(queue, chain.next());
      const stamp = await stampReaches(redis, config, 20);
      assert.equal(stamp.floor, version(2));
      assert.deepEqual([apply.status().deadLetters, apply.status().gaps], [1, 1]);
      await apply.stop();
      const { channel, close } = await broker.connection.openChannel();
      const letter = await channel.get(broker.topology.deadLetters);
      assert.ok(letter !== false);
      assert.ok(letter.content.equals(corrupt));
      const headers = letter.properties.headers as Record<string, string>;
      assert.equal(headers['ringfill-shard'], 'r1');
      assert.match(headers['ringfill-why'] ?? '', /its head is cut off/);
      assert.ok(Math.abs(Date.parse(headers['ringfill-at'] ?? '') - Date.now()) < 60_000);
      await close();
    });

    test('of two processes one applies; when it is closed the other goes on without a gap', async () => {
      const config = brokerConfig(settings);
      const broker = await openBroker(config);
      const queue = queueOf(broker);
      const [one, two] = [await startApply(config), await startApply(config)];
      const session = await broker.open();
      const chain = new Chain();
      const publish = async (count: number) => {
        for (let n = 0; n < count; n += 1) {
          await session.ready();
          void session.publish(queue, chain.next());
        }
      };
      await publish(2_000);
      await until('it is under way', () => one.status().messages > 200);
      assert.equal(two.status().messages, 0);
      await one.stop();
      await publish(2_000);
      const stamp = await stampReaches(redis, config, 4_000);
      assert.equal(stamp.floor, version(0));
      await two.stop();
      assert.deepEqual([one.status().gaps, two.status().gaps], [0, 0]);
      assert.equal(one.status().messages + two.status().messages, 4_000, 'nothing is done twice');
    });
  });
}

const settings = { url, shards: { r1: port } };

test('a message of a replaced plan is acked and changes nothing', async () => {
  const config = brokerConfig(settings);
  const broker = await openBroker(config);
  const apply = await startApply(config);
  const session = await broker.open();
  const chain = new Chain(0, 2);
  await session.publish(queueOf(broker), chain.next());
  await stampReaches(redis, config, 1);
  await session.publish(queueOf(broker), new Chain(1, 1).next());
  await until('it was seen', () => apply.status().fenced === 1);
  assert.equal((await stampOf(redis, config))?.to, version(1));
  await session.publish(queueOf(broker), chain.next());
  await stampReaches(redis, config, 2);
  assert.equal(apply.status().gaps, 0);
  await apply.stop();
});

test('keys to be read back are handed on', async () => {
  const config = brokerConfig(settings);
  const broker = await openBroker(config);
  const key = `${config.keyPrefix}test_users_1`;
  await redis.set(key, entryAt(0, { n: 0 }), 'EX', 60);
  const apply = await startApply(config);
  const session = await broker.open();
  const refresh = (at: number): VersionedChange => ({ ...write(at, key, {}), op: 'refresh', body: Buffer.alloc(0) });
  await session.publish(
    queueOf(broker),
    new Chain().next((at) => [refresh(at)]),
  );
  await until('it was handed on', () => apply.readBack.length > 0);
  assert.deepEqual(apply.readBack, [key]);
  assert.equal(await redis.exists(key), 0);
  await apply.stop();
});

test('of more keys to be read back than a script can return some are handed on, and all are removed', async () => {
  const config = brokerConfig(settings);
  const broker = await openBroker(config);
  const apply = await startApply(config);
  const session = await broker.open();
  const keys = Array.from({ length: 9_000 }, (_, index) => `${config.keyPrefix}test_users_${index}`);
  await redis.mset(keys.flatMap((key) => [key, entryAt(0, { n: 0 })]));
  const body = Buffer.alloc(0);
  const refresh = (at: number) => keys.map((key): VersionedChange => ({ ...write(at, key, {}), op: 'refresh', body }));
  await session.publish(queueOf(broker), new Chain().next(refresh));
  await until('they were handed on', () => apply.readBack.length > 0);
  assert.deepEqual([apply.readBack.length, apply.status().deadLetters], [1_000, 0]);
  assert.equal(await redis.exists(keys), 0);
  await apply.stop();
});

test('a corrupt stamp is no stamp: nothing goes to the dead letters, and what comes is applied', async () => {
  const config = brokerConfig(settings);
  const broker = await openBroker(config);
  const apply = await startApply(config);
  const session = await broker.open();
  const chain = new Chain();
  await session.publish(queueOf(broker), chain.next());
  const stamp = await stampReaches(redis, config, 1);
  await redis.set(stampKey(config.keyPrefix), JSON.stringify({ ...stamp, asOf: 'long ago' }));
  await session.publish(queueOf(broker), chain.next());
  await stampReaches(redis, config, 2);
  assert.equal(apply.status().deadLetters, 0);
  await apply.stop();
});

test('a message over which the script stumbles goes to the dead letters, and those after it are applied', async () => {
  const config = brokerConfig(settings);
  const broker = await openBroker(config);
  const apply = await startApply(config);
  const session = await broker.open();
  const chain = new Chain();
  await session.publish(queueOf(broker), chain.next());
  // JSON that is nested deeper than a script can read.
  const message = chain.next();
  const nested = `${'['.repeat(2_000)}${']'.repeat(2_000)}`;
  const json = message.toString('utf8', 4).replace('{', `{"other":${nested},`);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  await session.publish(queueOf(broker), Buffer.concat([length, Buffer.from(json)]));
  await session.publish(queueOf(broker), chain.next());
  await stampReaches(redis, config, 3);
  assert.equal(apply.status().deadLetters, 1);
  await apply.stop();
});

describe('whose fault it is', () => {
  const fault = (reply: string) => {
    const cause = Object.assign(new Error(reply), { name: 'ReplyError' });
    return faultOf(new ShardUnavailable('r1', reply, { cause }));
  };

  test('what Redis says of itself, of the account, or nothing at all, is never the message’s', () => {
    const where = 'script: 0123456789012345678901234567890123456789, on @user_script:12.';
    for (const reply of [
      `OOM command not allowed when used memory > 'maxmemory'. ${where}`,
      `READONLY You can't write against a read only replica. ${where}`,
      'LOADING Redis is loading the dataset in memory',
      'NOSCRIPT No matching script.',
      `MISCONF Errors writing to the AOF file. ${where}`,
      'BUSY Redis is busy running a script.',
      'NOPERM User x has no permissions',
      `ERR The user executing the script can't run this command or subcommand ${where}`,
      `ERR Error running script: Script killed by user with SCRIPT KILL. ${where}`,
      'ERR max number of clients reached',
    ]) {
      assert.equal(fault(reply), 'shard', reply);
    }
    const silence = new ShardUnavailable('r1', 'no answer', { cause: new Error('no answer') });
    assert.equal(faultOf(silence), 'shard');
  });

  test('what the script stumbles over is the message’s', () => {
    const where = 'script: 0123456789012345678901234567890123456789, on @user_script:12.';
    assert.equal(fault(`ERR user_script:113: too many results to unpack ${where}`), 'message');
    assert.equal(fault(`WRONGTYPE Operation against a key holding the wrong kind of value ${where}`), 'message');
  });
});
