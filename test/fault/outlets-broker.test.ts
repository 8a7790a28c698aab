/**
 * RabbitMQ is killed amid events: the checkpoint passes none that was not confirmed, so all of them come, from the
 * checkpoint on, when it is back.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kill } from '../../stack/faults.ts';
import { startOwnBroker, until } from '../support/broker.ts';
import { copyOf, OutletsWorld, type ToldEvent } from '../support/outlets.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { tellIfItFails } from '../support/tell-on-failure.ts';

const ROUNDS = 3;

const toLine = (event: object) => JSON.stringify(event);

const { server } = await startOwnBroker(temporaryFolder());
const stack = { ...(await testStack()), rabbitmq: server };

test('the broker is killed again and again: every event comes at least once', { timeout: 200_000 }, async (t) => {
  const seed = Number(process.env['RINGFILL_SEED'] ?? Date.now() % 1_000_000);
  t.diagnostic(`RINGFILL_SEED=${seed}`);
  // A quorum queue whose broker is killed within a second or so of its making may stay without a leader for ever (RabbitMQ
  // 3.10.8: "leader not known", in 1 run of about 100), and nothing is confirmed then. Broker-loss has those that are older.
  const world = await OutletsWorld.open({
    stack,
    outlets: { subscribers: { '{db}_all': {} } },
    queueType: 'classic',
  });
  await tellIfItFails(
    t,
    async () => `${JSON.stringify(await world.status())}\nRabbitMQ: ${server.lastLines()}`,
    () => world.events.map(toLine),
    async () => {
      await world.startWorker();
      let count = 0;
      const confirmed = async () =>
        Number(
          /^ringfill_events_published_total (\d+)$/m.exec(
            await (await fetch(`${world.url}/-/metrics`, { signal: AbortSignal.timeout(10_000) })).text(),
          )?.[1] ?? 0,
        );
      for (let round = 0; round < ROUNDS; round += 1) {
        let isOver = false;
        const writing = (async () => {
          for (let part = 0; !isOver; part += 1) count += await world.workload(seed + 1_000 * round + part, 20);
        })();
        t.diagnostic(`round ${round}: ${count} events so far`);
        const before = await confirmed();
        try {
          await until('it tells', async () => (await confirmed()) > before + 100, 60_000);
        } finally {
          isOver = true;
          await kill(server);
          await writing;
        }
        await server.start();
        await until('it follows again', async () => (await world.status()).capture.state === 'following', 60_000);
      }
      await world.told();
      await world.broker.up();
      const consumer = await world.consume(`${world.db}_all`);
      const versions = (events: readonly ToldEvent[]) => new Set(events.map(({ version }) => version)).size;
      await until('every event has come', () => versions(consumer.ofRows) >= count, 30_000).catch((error: unknown) => {
        throw new Error(`${String(error)}: ${versions(consumer.ofRows)} of ${count}`);
      });
      assert.equal(versions(consumer.ofRows), count, 'none is missing, and none is made up');
      assert.deepEqual(copyOf(consumer.ofRows), await world.rows());
      t.diagnostic(`${count} events, ${consumer.ofRows.length - count} of them twice`);
    },
  );
});
