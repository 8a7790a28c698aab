/** Capture on a real origin and a real broker: what is committed reaches every queue, whole, in order and versioned. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../support/broker.ts';
import { differences, FOLLOWED, startCapture, startOwnOrigin } from '../support/capture.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const broker = stack.rabbitmq.url;
const origin = await startOwnOrigin();

function assertSound(capture: Awaited<ReturnType<typeof startCapture>>, gaps = 0): void {
  for (const [name, shard] of capture.shards) {
    assert.deepEqual([name, shard.gaps, shard.disordered, shard.fenced], [name, gaps, 0, 0]);
  }
}

test('rows written become changes in the queues of their shards, and everybody learns how fresh they are', async () => {
  const capture = await startCapture({ origin, broker });
  await until('it follows', () => capture.service.status.state === 'following');
  await capture.caughtUp();
  const values = Array.from({ length: 500 }, (_, index) => `(${index}, 'v${index}')`);
  await origin.run(
    `INSERT INTO shop.items VALUES ${values.join(', ')}`,
    "UPDATE shop.items SET v = CONCAT(v, 'x') WHERE id % 3 = 0",
    'DELETE FROM shop.items WHERE id % 5 = 0',
    "REPLACE INTO shop.items VALUES (10, 'back')",
  );
  await capture.caughtUp();
  assert.deepEqual(await differences(capture, origin), []);
  assertSound(capture);
  const { position, lagMs = Infinity, bytesBehind, epoch, plan, gtid } = capture.service.status;
  assert.ok(position !== undefined && epoch !== undefined && plan !== undefined && gtid !== undefined);
  assert.ok(lagMs < 2_000, String(lagMs));
  assert.equal(bytesBehind, 0);
  assert.deepEqual(capture.decisions(), ['begin no-checkpoint']);
  for (const shard of capture.shards.values()) assert.deepEqual(shard.tables, [FOLLOWED]);
  await until(
    'a checkpoint at the end',
    async () => (await capture.checkpoint()).position.position === position.position,
  );
  await capture.stop();
  assert.equal(capture.service.status.state, 'stopped');
});

test('stopped and started again, it reads on where it stopped: no gap, nothing twice, nothing left out', async () => {
  const first = await startCapture({ origin, broker });
  await first.caughtUp();
  await origin.run('DELETE FROM shop.items', "INSERT INTO shop.items VALUES (1, 'a'), (2, 'b')");
  await first.caughtUp();
  await first.stop();
  const { sync } = first.config;
  const before = await first.checkpoint();
  await origin.run("UPDATE shop.items SET v = 'c' WHERE id = 1", "INSERT INTO shop.items VALUES (3, 'd')");
  const second = await startCapture({
    origin,
    broker,
    name: sync.name,
    stateFolder: sync.stateFolder,
    shards: first.shards,
  });
  await second.caughtUp();
  assert.deepEqual(await differences(second, origin), []);
  assertSound(second);
  assert.deepEqual(second.decisions(), ['resume same-binlog']);
  const { epoch, plan = 0 } = second.service.status;
  assert.equal(epoch, before.epoch);
  assert.ok(plan > before.plan);
  await second.stop();
});
