/** Queues and confirmed publishing, on a real RabbitMQ. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { BrokerUnavailable } from '../../shared/broker/broker-errors.ts';
import { BrokerConnection } from '../../shared/broker/connection.ts';
import { PublishLost } from '../../shared/broker/publisher.ts';
import { declareTopology, type ShardQueue, topologyOf } from '../../shared/broker/topology.ts';
import { SetupError } from '../../shared/errors/errors.ts';
import { brokerConfig, type OpenBroker, openBroker, until } from '../support/broker.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const { url } = stack.rabbitmq;

/** As a consumer gets them; they stay in the queue. */
async function bodiesIn(broker: OpenBroker, queue: string, count: number): Promise<string[]> {
  const { channel, close } = await broker.connection.openChannel();
  const bodies: string[] = [];
  await channel.consume(queue, (message) => void bodies.push(message?.content.toString() ?? 'cancelled'));
  await until(`${queue} has ${count} messages`, () => bodies.length >= count);
  await close();
  return bodies;
}

function firstQueue({ topology }: OpenBroker): string {
  return (topology.shards[0] as ShardQueue).queue;
}

for (const queueType of ['quorum', 'classic'] as const) {
  describe(`${queueType} queues`, () => {
    test('are declared again and again without effect', async () => {
      const config = brokerConfig({ url, queueType, shards: { r1: 1, r2: 2 } });
      const broker = await openBroker(config);
      assert.deepEqual(
        broker.topology.shards.map(({ queue }) => queue),
        ['r1', 'r2'].map((shard) => `ringfill.${config.sync.name}.primary.${shard}`),
      );
      for (let time = 0; time < 3; time += 1) await declareTopology(broker.connection, broker.topology);
    });

    test('that exist with other properties are a set-up error that names queue, property and both values', async () => {
      const config = brokerConfig({ url, queueType });
      const broker = await openBroker(config);
      await declareTopology(broker.connection, broker.topology);
      const other = queueType === 'quorum' ? 'classic' : 'quorum';
      const error = await declareTopology(broker.connection, { ...broker.topology, queueType: other }).catch(
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof SetupError, String(error));
      assert.equal(error.code, 'broker-topology-differs');
      assert.match(
        error.message,
        new RegExp(`${broker.topology.deadLetters}.*x-queue-type is '${queueType}', and '${other}' is wanted`),
      );
      assert.match(error.message, /mend: set sync\.broker\.queueType back; or delete the queue/);
      const smaller = { ...broker.topology, backlogBytesMax: 1_048_576 };
      await assert.rejects(
        declareTopology(broker.connection, smaller),
        /x-max-length-bytes is '67108864', and '1048576'/,
      );
    });

    test('confirm every message, counted per queue without a hole, in the order of publishing', async () => {
      const broker = await openBroker(brokerConfig({ url, queueType, shards: { r1: 1, r2: 2 } }));
      const session = await broker.open();
      const [r1, r2] = broker.topology.shards.map(({ queue }) => queue) as [string, string];
      const confirmed: number[] = [];
      const all: Promise<void>[] = [];
      for (let n = 1; n <= 500; n += 1) {
        await session.ready();
        all.push(session.publish(r1, Buffer.from(`m${n}`)).then(() => void confirmed.push(n)));
        if (n % 5 === 0) all.push(session.publish(r2, Buffer.from(`n${n}`)));
      }
      await Promise.all(all);
      assert.deepEqual(
        confirmed,
        Array.from({ length: 500 }, (_, index) => index + 1),
      );
      assert.equal(session.confirmed(r1), 500);
      assert.equal(session.confirmed(r2), 100);
      assert.deepEqual(session.unconfirmed, { messages: 0, bytes: 0 });
      await session.close();
      assert.deepEqual(
        await bodiesIn(broker, r1, 500),
        Array.from({ length: 500 }, (_, index) => `m${index + 1}`),
      );
    });

    test('a message to a queue that was deleted ends the session, and the next session has the queue again', async () => {
      const broker = await openBroker(brokerConfig({ url, queueType }));
      const queue = firstQueue(broker);
      const session = await broker.open();
      await session.publish(queue, Buffer.from('kept until the queue goes'));
      const { channel, close } = await broker.connection.openChannel();
      await channel.deleteQueue(queue);
      await close();

      const [first, second] = await Promise.allSettled([
        session.publish(queue, Buffer.from('lost')),
        session.publish(queue, Buffer.from('lost too')),
      ]);
      for (const outcome of [first, second]) {
        assert.ok(outcome.status === 'rejected' && outcome.reason instanceof PublishLost, JSON.stringify(outcome));
        assert.equal(outcome.reason.kind, 'unroutable');
        assert.match(outcome.reason.message, /NO_ROUTE/);
      }
      assert.equal(session.confirmed(queue), 1);
      await assert.rejects(session.ready(), PublishLost);
      await assert.rejects(session.publish(queue, Buffer.from('never mixed in')), PublishLost);

      const next = await broker.open();
      await next.publish(queue, Buffer.from('begun anew'));
      await next.close();
      assert.deepEqual(await bodiesIn(broker, queue, 1), ['begun anew']);
    });
  });
}

test('a session takes no more than its bound unconfirmed, and goes on when confirms come', async () => {
  const broker = await openBroker(brokerConfig({ url }));
  const queue = firstQueue(broker);
  const session = await broker.open({ unconfirmedMessagesMax: 10, unconfirmedBytesMax: 1_000_000 });
  let most = 0;
  for (let n = 0; n < 200; n += 1) {
    await session.ready();
    void session.publish(queue, Buffer.alloc(1_000));
    most = Math.max(most, session.unconfirmed.messages);
  }
  assert.equal(most, 10);
  await until('all are confirmed', () => session.confirmed(queue) === 200);

  const inBytes = await broker.open({ unconfirmedMessagesMax: 1_000, unconfirmedBytesMax: 5_000 });
  for (let n = 0; n < 100; n += 1) {
    await inBytes.ready();
    void inBytes.publish(queue, Buffer.alloc(1_000));
    assert.ok(inBytes.unconfirmed.bytes <= 5_000);
  }
  await until('all are confirmed', () => inBytes.confirmed(queue) === 100);
});

test('a message that the broker does not take ends the session', async () => {
  const broker = await openBroker(brokerConfig({ url }));
  const session = await broker.open();
  const full = `${firstQueue(broker)}.full`;
  const open = await broker.connection.openChannel();
  const refusing = { 'x-max-length': 1, 'x-overflow': 'reject-publish' };
  await open.channel.assertQueue(full, { arguments: refusing, autoDelete: true });
  await session.publish(full, Buffer.from('fits'));
  const outcome = await session.publish(full, Buffer.from('does not')).catch((error: unknown) => error);
  assert.ok(outcome instanceof PublishLost && outcome.kind === 'refused', String(outcome));
  await open.channel.deleteQueue(full);
  await open.close();
});

test('a connection that ends takes the session along, and a message in it is not confirmed', async () => {
  const config = brokerConfig({ url });
  const broker = await openBroker(config);
  const own = new BrokerConnection({ url, name: 'test: ends' });
  await own.start();
  const queue = firstQueue(broker);
  const session = await broker.open({ connection: own });
  const published = session.publish(queue, Buffer.alloc(1_000_000));
  await own.stop();
  await assert.rejects(published, PublishLost);
  assert.equal((await session.ended).kind, 'closed');
  await assert.rejects(own.openChannel(), BrokerUnavailable);
  await assert.rejects(own.up(), BrokerUnavailable);
});

describe('a set-up error with the code broker-refused', () => {
  const startAt = async (at: string) => {
    const connection = new BrokerConnection({ url: at, name: 'test: refused' });
    after(() => connection.stop());
    return await connection.start().catch((error: unknown) => error);
  };

  test('is a wrong password', async () => {
    const error = await startAt(url.replace('guest:guest', 'guest:wrong'));
    assert.ok(error instanceof SetupError, String(error));
    assert.equal(error.code, 'broker-refused');
    assert.match(error.message, /check user and password/);
    assert.doesNotMatch(error.message, /wrong/);
  });

  test('is a virtual host that is not there', async () => {
    const error = await startAt(`${url}/nowhere`);
    assert.ok(error instanceof SetupError, String(error));
    assert.equal(error.code, 'broker-refused');
    assert.match(error.message, /virtual host/);
  });
});

test('two shards whose queues would have one name are a set-up error', () => {
  const config = brokerConfig({ url });
  const rings = [
    { name: 'a', shards: { 'b.c': 'redis://h1' } },
    { name: 'a.b', shards: { c: 'redis://h2' } },
  ];
  assert.throws(() => topologyOf({ rings }, config.sync), /its queue would be that of ring a, shard b\.c/);
});

test('a URL that is none is a set-up error that does not quote it', () => {
  for (const bad of ['amqp://user:secret@:x', 'http://user:secret@host', 'amqp://user:secret@host/?verify=none']) {
    assert.throws(
      () => new BrokerConnection({ url: bad, name: 'test' }),
      (error) => error instanceof SetupError && error.code === 'config-invalid' && !error.message.includes('secret'),
    );
  }
});
