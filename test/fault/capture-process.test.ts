/** Capture as a process: killed at every station of a change's way, stopped while it has the lock, cut off from its broker. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openLink } from '../../stack/faults.ts';
import { highestOf } from '../../sync-worker/capture/continuity/plan.ts';
import type { Station } from '../../sync-worker/capture/capture-run.ts';
import { until } from '../support/broker.ts';
import {
  captureConfig,
  consume,
  differences,
  type OwnOrigin,
  spawnCapture,
  startCapture,
  startOwnOrigin,
} from '../support/capture.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const broker = stack.rabbitmq.url;
const origin = await startOwnOrigin();

/** Writes until it is told to stop, or the test ends: single rows, large transactions, key changes and deletes. */
function writeOn(t: TestContext, to: OwnOrigin): { stop(): Promise<number> } {
  let isOver = false;
  t.after(() => {
    isOver = true;
  });
  const writing = (async () => {
    const connection = await to.session();
    let n = 0;
    for (; !isOver; n += 1) {
      // It must leave the servers and us some of the machine.
      if (n % 5 === 0) await sleep(5);
      const id = (n * 7) % 200;
      const rows = Array.from({ length: n % 50 === 0 ? 500 : 3 }, (_, index) => `(${(id + index) % 600}, 'n${n}')`);
      await connection.query(`REPLACE INTO shop.items VALUES ${rows.join(', ')}`);
      if (n % 5 === 0) await connection.query(`DELETE FROM shop.items WHERE id = ${(id + 1) % 600}`);
      if (n % 11 === 0) await connection.query(`UPDATE IGNORE shop.items SET id = id + 1000 WHERE id = ${id}`);
    }
    connection.destroy();
    return n;
  })();
  return {
    stop() {
      isOver = true;
      return writing;
    },
  };
}

test('killed at every station, again and again, while rows are written: nothing is missing, and no shard finds a gap', async (t) => {
  await origin.run('DELETE FROM shop.items');
  const config = captureConfig({ origin, broker });
  const shards = await consume(config);
  const highest = () => highestOf([...shards.values()].map(({ stamp }) => stamp));
  const settings = { origin, broker, name: config.sync.name, stateFolder: config.sync.stateFolder, shards };
  // So that there is a checkpoint to begin with.
  const first = await startCapture(settings);
  await first.caughtUp();
  await first.stop();
  const stations: readonly Station[] = ['decoded', 'published', 'confirmed', 'checkpoint-written'];
  const writing = writeOn(t, origin);
  for (const count of [1, 3, 40]) {
    for (const station of stations) {
      const dieAt = { station, count: station === 'checkpoint-written' ? Math.min(count, 4) : count };
      const child = spawnCapture({ config, dieAt, highest: highest() });
      const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
      assert.equal(signal, 'SIGKILL', `it came to ${station}`);
    }
  }
  await writing.stop();
  const last = await startCapture(settings);
  await last.caughtUp(30_000);
  assert.deepEqual(await differences(last, origin), []);
  for (const shard of shards.values()) assert.deepEqual([shard.gaps, shard.disordered], [0, 0]);
  await last.stop();
});

test('a holder that stands still loses the lock to a standby, and when it goes on it does no harm', async (t) => {
  await origin.run('DELETE FROM shop.items');
  const config = captureConfig({ origin, broker });
  const shards = await consume(config);
  const settings = { origin, broker, name: config.sync.name, stateFolder: config.sync.stateFolder, shards };
  const holder = spawnCapture({ config, highest: { epoch: 0, plan: 0 } });
  await until('the first follows', () => [...shards.values()].every(({ stamp }) => (stamp?.asOf ?? 0) > 0));
  const standby = await startCapture(settings);
  await sleep(500);
  assert.equal(standby.service.status.state, 'waiting-for-lock');
  const writing = writeOn(t, origin);
  await sleep(300);
  holder.kill('SIGSTOP');
  const stoppedAt = performance.now();
  await until('the standby follows', () => standby.service.status.state === 'following');
  const tookMs = performance.now() - stoppedAt;
  assert.ok(tookMs < 8_000, `${tookMs} ms`);
  await standby.caughtUp();
  const { plan = 0 } = standby.service.status;
  holder.kill('SIGCONT');
  await sleep(2_000);
  await writing.stop();
  await standby.caughtUp();
  assert.deepEqual(await differences(standby, origin), []);
  assert.equal(standby.service.status.state, 'following');
  assert.deepEqual(standby.decisions(), ['resume same-binlog']);
  assert.equal((await standby.checkpoint()).plan, plan);
  for (const { stamp, gaps } of shards.values()) assert.deepEqual([stamp?.plan, gaps], [plan, 0]);
  holder.kill('SIGTERM');
  await once(holder, 'exit');
  await standby.stop();
});

test('the link to the broker breaks: everything unconfirmed is published again, in order', async (t) => {
  const { hostname, port } = new URL(broker);
  const link = await openLink({ to: { host: hostname, port: Number(port) } });
  const through = new URL(broker);
  through.port = String(link.port);
  await origin.run('DELETE FROM shop.items');
  const config = captureConfig({ origin, broker });
  const shards = await consume(config);
  const capture = await startCapture({ origin, broker: through.href, name: config.sync.name, shards });
  await capture.caughtUp();
  const writing = writeOn(t, origin);
  for (let time = 0; time < 4; time += 1) {
    await sleep(400);
    link.reset();
    await capture.caughtUp(30_000);
  }
  await writing.stop();
  await capture.caughtUp();
  assert.deepEqual(await differences(capture, origin), []);
  for (const shard of shards.values()) assert.deepEqual([shard.gaps, shard.disordered, shard.fenced], [0, 0, 0]);
  assert.ok(
    capture
      .decisions()
      .slice(1)
      .every((decision) => decision === 'resume same-binlog'),
    String(capture.decisions()),
  );
  await capture.stop();
  await link.stop();
});
