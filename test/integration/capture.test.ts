/** Capture on a real origin and a real broker: what is committed reaches every queue, whole, in order and versioned. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../support/broker.ts';
import { differences, FOLLOWED, startCapture, startOwnOrigin } from '../support/capture.ts';
import { runCommand } from '../support/cli.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

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

test('a table is altered and truncated among writes: floors to every shard, and the new columns in what follows', async () => {
  await origin.run('DELETE FROM shop.items');
  const capture = await startCapture({ origin, broker });
  await capture.caughtUp();
  await origin.run(
    "INSERT INTO shop.items VALUES (1, 'a'), (2, 'b')",
    'ALTER TABLE shop.items ADD COLUMN w INT FIRST',
    "INSERT INTO shop.items VALUES (7, 3, 'c')",
    'ALTER TABLE shop.items DROP COLUMN w',
    "INSERT INTO shop.items VALUES (4, 'd')",
  );
  await capture.caughtUp();
  const bodies = () => {
    const entries = [...capture.shards].filter(([name]) => name !== 'f1').flatMap(([, shard]) => [...shard.entries]);
    return Object.fromEntries(entries.map(([key, { op, body }]) => [key, op === 'W' ? body : op]));
  };
  // The schema is that of now; rows from before the second ALTER do not fit it, and are removed rather than guessed.
  const { shop_items_3: third, shop_items_4: fourth, ...others } = bodies();
  assert.deepEqual(others, { shop_items_1: '{"id":1,"v":"a"}', shop_items_2: '{"id":2,"v":"b"}' });
  assert.ok(third === 'D' || third === '{"w":7,"id":3,"v":"c"}' || third === '{"id":3,"v":"c"}', third);
  assert.ok(fourth === 'D' || fourth === '{"id":4,"v":"d"}', fourth);
  const altered = [...capture.shards.values()].map(({ floors }) => floors.get(FOLLOWED) ?? '');
  assert.ok(altered.every((floor) => floor !== '' && floor === altered[0]));
  await origin.run('TRUNCATE shop.items');
  await capture.caughtUp();
  for (const { floors } of capture.shards.values()) assert.ok((floors.get(FOLLOWED) ?? '') > (altered[0] ?? ''));
  // A second later at the latest its schema is known as it is now.
  await until('the schema is read again', async () => {
    await origin.run("REPLACE INTO shop.items VALUES (5, 'e')");
    await capture.caughtUp();
    return bodies()['shop_items_5'] === '{"id":5,"v":"e"}';
  });
  assertSound(capture);
  await capture.stop();
});

test('other key columns make another followed name, and with it a new plan', async () => {
  await origin.run('DELETE FROM shop.items');
  const capture = await startCapture({ origin, broker });
  await capture.caughtUp();
  const { plan = 0 } = capture.service.status;
  await origin.run(
    "ALTER TABLE shop.items MODIFY v VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL DEFAULT '', DROP PRIMARY KEY, ADD PRIMARY KEY (id, v)",
  );
  await until('every shard knows the new name', () =>
    [...capture.shards.values()].every(({ tables }) => tables.includes('shop.items(id,v)')),
  );
  assert.ok((capture.service.status.plan ?? 0) > plan);
  await origin.run("INSERT INTO shop.items VALUES (1, 'x')");
  await capture.caughtUp();
  assert.ok([...capture.shards.values()].some(({ entries }) => entries.has('shop_items_1,x')));
  await origin.run(
    'ALTER TABLE shop.items DROP PRIMARY KEY, ADD PRIMARY KEY (id), MODIFY v VARCHAR(40) CHARACTER SET utf8mb4',
  );
  assertSound(capture);
  await capture.stop();
});

test('a transaction of 30,000 rows goes in bounded messages; its last one alone is a checkpoint', async () => {
  await origin.run('DELETE FROM shop.items');
  const capture = await startCapture({ origin, broker });
  await capture.caughtUp();
  const values = Array.from({ length: 30_000 }, (_, id) => `(${id}, 'large ${id}')`);
  await origin.run(`INSERT INTO shop.items VALUES ${values.join(', ')}`);
  await capture.caughtUp(30_000);
  assert.deepEqual(await differences(capture, origin), []);
  assertSound(capture);
  for (const { messages } of capture.shards.values()) {
    assert.ok(messages.every(({ changes }) => changes.length <= 1_000));
  }
  assert.match((await capture.checkpoint()).to, /9999999999$/);
  await capture.stop();
});

test('XA transactions: their rows come with XA COMMIT, and the checkpoint stays before what is only prepared', async () => {
  await origin.run('DELETE FROM shop.items');
  const first = await startCapture({ origin, broker });
  await first.caughtUp();
  const connection = await origin.session();
  for (const statement of [
    "XA START 'one'",
    "INSERT INTO shop.items VALUES (1, 'xa')",
    "XA END 'one'",
    "XA PREPARE 'one'",
  ]) {
    await connection.query(statement);
  }
  connection.destroy();
  await origin.run("INSERT INTO shop.items VALUES (2, 'plain')");
  await first.caughtUp();
  assert.equal(
    [...first.shards.values()].some(({ entries }) => entries.has('shop_items_1')),
    false,
  );
  await first.stop();
  const held = await first.checkpoint();
  assert.ok(held.restart.position < held.position.position, JSON.stringify(held));
  const { sync } = first.config;
  const second = await startCapture({
    origin,
    broker,
    name: sync.name,
    stateFolder: sync.stateFolder,
    shards: first.shards,
  });
  await second.caughtUp();
  await until('XA COMMIT', async () => {
    // The server keeps it attached for a moment after its session is gone.
    return await origin.run("XA COMMIT 'one'").then(
      () => true,
      () => false,
    );
  });
  await second.caughtUp();
  assert.deepEqual(await differences(second, origin), []);
  assertSound(second);
  await second.stop();
  const { restart, position } = await second.checkpoint();
  assert.deepEqual(restart, position);
});

test('ringfill position shows the checkpoint, and where the origin is now', async () => {
  const capture = await startCapture({ origin, broker });
  await capture.caughtUp();
  await capture.stop();
  const { origin: identity, position, epoch, plan } = await capture.checkpoint();
  const file = join(temporaryFolder(), 'ringfill.yml');
  writeFileSync(file, JSON.stringify(capture.config));
  const text = await runCommand(['position', '--config', file]);
  assert.equal(text.code, 0, text.stderr);
  assert.match(text.stdout, new RegExp(`^position +${position.file}:${position.position}$`, 'm'));
  assert.match(text.stdout, /^origin now +\S+:\d+, \d+ bytes further$/m);
  await origin.run("REPLACE INTO shop.items VALUES (1, 'further')");
  const json = await runCommand(['position', '--config', file, '--json']);
  const told = JSON.parse(json.stdout) as {
    checkpoint: { epoch: number; plan: number; origin: string };
    origin: { identity: string; end: { position: number } };
  };
  assert.deepEqual([told.checkpoint.epoch, told.checkpoint.plan, told.checkpoint.origin], [epoch, plan, identity]);
  assert.equal(told.origin.identity, identity);
  assert.ok(told.origin.end.position > position.position);
  const { sync } = capture.config;
  writeFileSync(file, JSON.stringify({ ...capture.config, sync: { ...sync, name: 'nobody' } }));
  const none = await runCommand(['position', '--config', file]);
  assert.equal(none.code, 1);
  assert.match(none.stdout, /there is none yet/);
});
