/** `ringfill dead-letters`, as its users run it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BrokerConnection } from '../../shared/broker/connection.ts';
import { Undertaker } from '../../shared/broker/dead-letters.ts';
import type { ShardQueue } from '../../shared/broker/topology.ts';
import { brokerConfig, openBroker, type SyncedConfig } from '../support/broker.ts';
import { type CommandOutcome, runCommand, writeConfig } from '../support/cli.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const stack = await testStack();
const { url } = stack.rabbitmq;
const folder = temporaryFolder();

async function deadLetters(config: SyncedConfig, ...args: string[]): Promise<CommandOutcome> {
  const path = writeConfig(folder, `${config.sync.name}.yml`, JSON.stringify(config));
  return await runCommand(['dead-letters', ...args, '--config', path]);
}

for (const queueType of ['quorum', 'classic'] as const) {
  describe(`dead letters in a ${queueType} queue`, () => {
    test('are listed without harm, replayed to their shard in order, and dropped only when that is meant', async () => {
      const config = brokerConfig({ url, queueType });
      const broker = await openBroker(config);
      const shard = broker.topology.shards[0] as ShardQueue;
      const undertaker = new Undertaker(broker.connection, broker.topology);
      for (const n of [1, 2, 3, 4]) await undertaker.bury(shard, `reason ${n}`, Buffer.from(`letter ${n}`));
      await undertaker.bury({ ...shard, shard: 'gone', queue: 'ringfill.gone' }, 'reason 5', Buffer.from('letter 5'));

      for (let time = 0; time < 3; time += 1) {
        const { stdout, code } = await deadLetters(config, 'list');
        assert.equal(code, 0);
        assert.match(stdout, /^id +ring +shard +since +bytes +why\n/);
        assert.deepEqual(
          [...stdout.matchAll(/reason (\d)/g)].map(([, n]) => n),
          ['1', '2', '3', '4', '5'],
        );
      }
      const listed = JSON.parse((await deadLetters(config, 'list', '--json')).stdout) as Record<string, unknown>[];
      assert.deepEqual(
        listed.map(({ shard: name, bytes, why }) => [name, bytes, why]),
        [...[1, 2, 3, 4].map((n) => ['r1', 8, `reason ${n}`]), ['gone', 8, 'reason 5']],
      );
      const idOf = (index: number) => listed[index]?.['id'] as string;

      const unknown = await deadLetters(config, 'drop', '--yes', idOf(0), 'nonsense');
      assert.equal(unknown.code, 1);
      assert.match(unknown.stderr, /no dead letter nonsense \[dead-letter-unknown\]/);

      const hesitant = await deadLetters(config, 'drop', idOf(3));
      assert.equal(hesitant.code, 1);
      assert.match(hesitant.stderr, /1 dead letter would be thrown away; say --yes/);

      const dropped = await deadLetters(config, 'drop', idOf(3), '--yes');
      assert.deepEqual([dropped.code, dropped.stdout], [0, '1 dead letter thrown away.\n']);

      const replayed = await deadLetters(config, 'replay');
      assert.equal(replayed.code, 1);
      assert.match(replayed.stdout, /^3 dead letters sent again; free of effect where the shard has gone past/);
      assert.match(replayed.stderr, /is kept: the configuration has no shard gone/);

      const { channel, close } = await broker.connection.openChannel();
      const bodies: string[] = [];
      const { promise, resolve } = Promise.withResolvers<void>();
      await channel.consume(shard.queue, (message) => {
        bodies.push(message?.content.toString() ?? '');
        if (bodies.length === 3) resolve();
      });
      await promise;
      await close();
      assert.deepEqual(bodies, ['letter 1', 'letter 2', 'letter 3']);

      assert.equal((await deadLetters(config, 'drop', '--yes')).stdout, '1 dead letter thrown away.\n');
      assert.equal((await deadLetters(config, 'list')).stdout, 'There are no dead letters.\n');
    });
  });
}

test('a broker that is away ends the command with a clear word', async () => {
  const { code, stderr } = await deadLetters(brokerConfig({ url: 'amqp://127.0.0.1:1' }), 'list');
  assert.equal(code, 1);
  assert.match(stderr, /127\.0\.0\.1:1: .*ECONNREFUSED.*\[broker-unreachable\]/);
});

test('a configuration without sync has no dead letters, and is told so', async () => {
  const { sync: _, ...rest } = brokerConfig({ url });
  const path = writeConfig(folder, 'unsynced.yml', JSON.stringify(rest));
  const { code, stderr } = await runCommand(['dead-letters', 'list', '--config', path]);
  assert.equal(code, 1);
  assert.match(stderr, /has no sync/);
});

test('the undertaker tells when the broker does not take a letter', async () => {
  const config = brokerConfig({ url });
  const broker = await openBroker(config);
  const own = new BrokerConnection({ url, name: 'test: undertaker' });
  await own.start();
  const undertaker = new Undertaker(own, broker.topology);
  await own.stop();
  await assert.rejects(
    undertaker.bury(broker.topology.shards[0] as ShardQueue, 'why', Buffer.from('x')),
    /RabbitMQ: stopped/,
  );
});
