/** A broker that dies, hangs, is cut off or is out of memory, under publishers and consumers; on a RabbitMQ of its own. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerConnection, type BrokerState } from '../../shared/broker/connection.ts';
import { Undertaker } from '../../shared/broker/dead-letters.ts';
import { PublishLost } from '../../shared/broker/publisher.ts';
import type { ShardQueue } from '../../shared/broker/topology.ts';
import { hang, kill, openLink, resume } from '../../stack/faults.ts';
import {
  brokerConfig,
  Chain,
  type OpenBroker,
  openBroker,
  publishAll,
  redisAt,
  stampReaches,
  startApply,
  startOwnBroker,
  until,
  version,
} from '../support/broker.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const NOTICED_WITHIN_MS = 15_000;
const RESUMED_WITHIN_MS = 10_000;
const QUEUE_SETTLES_MS = 3_000;

const stack = await testStack();
const port = stack.redis[0]?.port as number;
const redis = redisAt(port);
const { server, control } = await startOwnBroker(temporaryFolder());
const { url } = server;

function queueOf({ topology }: OpenBroker): string {
  return (topology.shards[0] as ShardQueue).queue;
}

for (const queueType of ['quorum', 'classic'] as const) {
  test(`killed and started again under load, with ${queueType} queues: no change is lost, none is out of order`, async (t) => {
    const config = brokerConfig({ url, queueType, shards: { r1: port } });
    const broker = await openBroker(config);
    const apply = await startApply(config);
    // RabbitMQ 3.10 itself forgets a quorum queue that is declared less than a second before it is killed.
    await sleep(QUEUE_SETTLES_MS);
    const chain = new Chain();
    const messages = Array.from({ length: 3_000 }, () => chain.next());
    let isHalfWay = () => {};
    const halfWay = new Promise<void>((resolve) => {
      isHalfWay = resolve;
    });
    const all = publishAll(broker, queueOf(broker), messages, (count) => {
      if (count === 1_000) isHalfWay();
    });
    await halfWay;
    await kill(server);
    await server.restart();
    const back = performance.now();
    await until('apply has gone on', () => apply.status().connected, RESUMED_WITHIN_MS);
    t.diagnostic(`consuming again ${(performance.now() - back).toFixed(0)} ms after the broker answered`);
    const { sessions } = await all;
    assert.ok(sessions >= 2, 'the session that the broker died under was not used again');
    const stamp = await stampReaches(redis, config, 3_000);
    assert.equal(stamp.floor, version(0));
    assert.equal(apply.status().gaps, 0);
    await apply.stop();
  });
}

describe('a connection that carries nothing is noticed within 15 s, and made anew', { concurrency: true }, () => {
  test('the link is half open', async (t) => {
    const link = await openLink({ to: server });
    after(() => link.stop());
    const states: BrokerState[] = [];
    const connection = new BrokerConnection({
      url: url.replace(`:${server.port}`, `:${link.port}`),
      name: 'test: half open',
      onChange: (state) => states.push(state),
    });
    after(() => connection.stop());
    await connection.start();
    const broker = await openBroker(brokerConfig({ url }));
    const session = await broker.open({ connection });
    link.cut();
    const cutAt = performance.now();
    const published = session.publish(queueOf(broker), Buffer.from('into the void'));
    await assert.rejects(published, PublishLost);
    const tookMs = performance.now() - cutAt;
    t.diagnostic(`noticed after ${tookMs.toFixed(0)} ms`);
    assert.ok(tookMs <= NOTICED_WITHIN_MS, `${tookMs} ms`);
    assert.deepEqual(states, ['up', 'down']);
    await until('nothing lingers', () => link.connections <= 1);
    link.reset();
    link.heal();
    await until('it is up again', () => connection.state === 'up', NOTICED_WITHIN_MS);
    const next = await broker.open({ connection });
    await next.publish(queueOf(broker), Buffer.from('begun anew'));
    await next.close();
  });

  test('the link of a consumer is half open: it goes on without a gap once there is another way', async (t) => {
    const link = await openLink({ to: server });
    after(() => link.stop());
    const config = brokerConfig({ url: url.replace(`:${server.port}`, `:${link.port}`), shards: { r1: port } });
    const broker = await openBroker({ ...config, sync: { ...config.sync, broker: { ...config.sync.broker, url } } });
    const apply = await startApply(config);
    const chain = new Chain();
    await publishAll(broker, queueOf(broker), [chain.next(), chain.next()]);
    await stampReaches(redis, config, 2);
    link.cut();
    const cutAt = performance.now();
    await publishAll(broker, queueOf(broker), [chain.next(), chain.next()]);
    await until('it is noticed', () => !apply.status().connected, NOTICED_WITHIN_MS);
    t.diagnostic(`noticed after ${(performance.now() - cutAt).toFixed(0)} ms`);
    link.reset();
    link.heal();
    const stamp = await stampReaches(redis, config, 4, NOTICED_WITHIN_MS);
    assert.equal(stamp.floor, version(0));
    assert.equal(apply.status().gaps, 0);
    await apply.stop();
  });
});

test('hung by SIGSTOP: noticed within 15 s by publisher and consumer; when it goes on, so do they, without a gap', async (t) => {
  const config = brokerConfig({ url, shards: { r1: port } });
  const broker = await openBroker(config);
  const apply = await startApply(config);
  const session = await broker.open();
  const chain = new Chain();
  await session.publish(queueOf(broker), chain.next());
  await stampReaches(redis, config, 1);
  const other = await openBroker(brokerConfig({ url }));
  const impatient = await other.open({ confirmWithinMs: 1_000 });
  hang(server);
  const hungAt = performance.now();
  const unsure = chain.next();
  try {
    const late = await impatient.publish(queueOf(other), Buffer.from('x')).catch((error: unknown) => error);
    assert.ok(late instanceof PublishLost && late.kind === 'late', String(late));
    assert.ok(performance.now() - hungAt < 5_000);
    const [lost] = await Promise.all([
      session.publish(queueOf(broker), unsure).catch((error: unknown) => error),
      until('the consumer has noticed', () => !apply.status().connected, NOTICED_WITHIN_MS),
    ]);
    t.diagnostic(`noticed after ${(performance.now() - hungAt).toFixed(0)} ms`);
    assert.ok(lost instanceof PublishLost && lost.kind === 'closed', String(lost));
    assert.ok(performance.now() - hungAt <= NOTICED_WITHIN_MS);
  } finally {
    resume(server);
  }
  const back = performance.now();
  // It may have arrived after all; twice is free of effect.
  await publishAll(broker, queueOf(broker), [unsure, chain.next()]);
  const stamp = await stampReaches(redis, config, 3, RESUMED_WITHIN_MS);
  t.diagnostic(`applied again ${(performance.now() - back).toFixed(0)} ms after it went on`);
  assert.equal(stamp.floor, version(0));
  assert.equal(apply.status().gaps, 0);
  await apply.stop();
});

describe('out of memory', () => {
  test('the broker blocks publishers, not consumers; what waited in between is confirmed after it, without a loss', async () => {
    const config = brokerConfig({ url, shards: { r1: port } });
    const broker = await openBroker(config);
    const session = await broker.open({ unconfirmedMessagesMax: 10, confirmWithinMs: 1_000 });
    const chain = new Chain();
    for (let n = 1; n <= 10; n += 1) await session.publish(queueOf(broker), chain.next());
    await control('set_vm_memory_high_watermark', 'absolute', '1MB');
    try {
      // The broker says `blocked` to who publishes.
      const waiting = session.publish(queueOf(broker), chain.next());
      let isReady = false;
      await until('it is blocked', () => broker.connection.state === 'blocked');
      void session.ready().then(() => (isReady = true));

      const apply = await startApply(config);
      await stampReaches(redis, config, 10);
      await apply.stop();
      const fresh = await startApply(config);
      await until('nothing is delivered again: acks are read', () => fresh.status().connected);
      assert.equal(fresh.status().messages, 0);

      const clock = performance.now();
      const undertaker = new Undertaker(broker.connection, broker.topology);
      const notTaken = undertaker.bury(broker.topology.shards[0] as ShardQueue, 'why', Buffer.from('x'));
      await assert.rejects(notTaken, /does not take/);
      assert.ok(performance.now() - clock > 1_500, 'longer than confirms are waited for, when not blocked');
      assert.equal(isReady, false);
      assert.equal(session.unconfirmed.messages, 1);

      await control('set_vm_memory_high_watermark', '0.4');
      await waiting;
      await session.ready();
      await stampReaches(redis, config, 11);
      await fresh.stop();
    } finally {
      await control('set_vm_memory_high_watermark', '0.4');
    }
  });
});

test('away at the start, it is waited for', async () => {
  await server.stop();
  const config = brokerConfig({ url, shards: { r1: port } });
  const starting = startApply(config);
  await server.restart();
  const apply = await starting;
  const broker = await openBroker(config);
  await publishAll(broker, queueOf(broker), [new Chain().next()]);
  await stampReaches(redis, config, 1);
  await apply.stop();
});
