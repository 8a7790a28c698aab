/** What becomes of capture, and of what the shards hold, when the origin, its binlog or the checkpoint does not go on as it was. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { kill } from '../../stack/faults.ts';
import { checkpointPath } from '../../sync-worker/capture/continuity/checkpoint.ts';
import { epochOf, epochStart } from '../../shared/version/version.ts';
import { until } from '../support/broker.ts';
import {
  type CaptureSettings,
  differences,
  type OwnOrigin,
  replicate,
  spawnCapture,
  startCapture,
  startOwnOrigin,
  type TestCapture,
} from '../support/capture.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const broker = stack.rabbitmq.url;
const origin = await startOwnOrigin();

async function following(settings: CaptureSettings): Promise<TestCapture> {
  await settings.origin.run('DELETE FROM shop.items');
  const capture = await startCapture(settings);
  await capture.caughtUp();
  return capture;
}

/** Another of the same installation, with its state and its shards. */
function successor({ config, shards }: TestCapture, origin: OwnOrigin, changed: Partial<CaptureSettings> = {}) {
  const { name, stateFolder } = config.sync;
  return startCapture({ origin, broker, name, stateFolder, shards, ...changed });
}

async function upsert(origin: OwnOrigin, v: string, ...ids: number[]): Promise<void> {
  await origin.run(`REPLACE INTO shop.items VALUES ${ids.map((id) => `(${id}, '${v}')`).join(', ')}`);
}

function gapsOf({ shards }: TestCapture): number[] {
  return [...shards.values()].map(({ gaps }) => gaps);
}

async function assertSame(capture: TestCapture, origin: OwnOrigin): Promise<void> {
  await capture.caughtUp(30_000);
  assert.deepEqual(await differences(capture, origin), []);
  for (const { disordered, fenced } of capture.shards.values()) assert.deepEqual([disordered, fenced], [0, 0]);
}

test('the origin is restarted cleanly: capture reads on under the same epoch, and nothing is dropped', async () => {
  const capture = await following({ origin, broker });
  await upsert(origin, 'before', 1, 2, 3);
  await capture.caughtUp();
  const { epoch } = capture.service.status;
  await origin.server.restart();
  await upsert(origin, 'after', 2, 3, 4);
  await assertSame(capture, origin);
  assert.equal(capture.service.status.epoch, epoch);
  assert.deepEqual(gapsOf(capture), [0, 0, 0]);
  for (const { holes } of capture.shards.values()) assert.deepEqual(holes, []);
  assert.ok(
    capture
      .decisions()
      .slice(1)
      .every((decision) => decision === 'resume same-binlog'),
    String(capture.decisions()),
  );
  await capture.stop();
});

test('the origin is killed: what may have been lost above the last known place is a hole, under a new epoch', async () => {
  const capture = await following({ origin, broker });
  await upsert(origin, 'before', 1, 2, 3);
  await capture.caughtUp();
  const { epoch = 0 } = capture.service.status;
  await kill(origin.server);
  await origin.server.restart();
  await upsert(origin, 'after', 2, 3, 4);
  await assertSame(capture, origin);
  const { epoch: later = 0 } = capture.service.status;
  assert.ok(later > epoch);
  assert.deepEqual(gapsOf(capture), [0, 0, 0]);
  assert.ok(capture.decisions().includes('bridge crash'), String(capture.decisions()));
  for (const { holes, stamp } of capture.shards.values()) {
    assert.ok(holes.length >= 1);
    const [above = '', below = ''] = holes.at(-1) ?? [];
    assert.equal(epochOf(above), epoch);
    assert.equal(below, epochStart(later));
    assert.ok(above < below && below < (stamp?.to ?? ''));
  }
  await capture.stop();
});

test('the origin is killed while capture is down: the crash is found in the binlog', async () => {
  const first = await following({ origin, broker });
  await first.stop();
  await upsert(origin, 'missed', 1, 2);
  await kill(origin.server);
  await origin.server.restart();
  await upsert(origin, 'after', 2, 3);
  const second = await successor(first, origin);
  await assertSame(second, origin);
  assert.deepEqual(second.decisions(), ['resume same-binlog', 'bridge crash']);
  assert.deepEqual(gapsOf(second), [0, 0, 0]);
  // It was crossed once and for all.
  await second.stop();
  const third = await successor(second, origin);
  await assertSame(third, origin);
  assert.deepEqual(third.decisions(), ['resume same-binlog']);
  await third.stop();
});

test('killed with the first change after the origin’s crash, capture crosses that once and for all', async () => {
  const first = await following({ origin, broker });
  await first.stop();
  await upsert(origin, 'missed', 1);
  await kill(origin.server);
  await origin.server.restart();
  await upsert(origin, 'after', 2);
  // Each row goes to one shard of either ring: two messages before the crash, and the first after it.
  const dieAt = { station: 'published' as const, count: 3 };
  const second = spawnCapture({ config: first.config, dieAt, highest: { epoch: 0, plan: 0 } });
  await once(second, 'exit');
  assert.equal(second.signalCode, 'SIGKILL');
  const third = await successor(first, origin);
  await assertSame(third, origin);
  assert.deepEqual(third.decisions(), ['resume same-binlog']);
  for (const { holes } of third.shards.values()) assert.equal(new Set(holes.map(String)).size, 1);
  assert.deepEqual(gapsOf(third), [0, 0, 0]);
  await third.stop();
});

test('a shard that could not be asked turns out to stand in a later epoch: capture decides again', async () => {
  const capture = await following({ origin, broker });
  const { epoch = 0 } = capture.service.status;
  const { stamp } = capture.shards.get('r1') ?? {};
  assert.ok(stamp !== undefined);
  stamp.to = epochStart(epoch + 1_000);
  await until('it bridges', () => capture.decisions().at(-1) === 'bridge shards-ahead');
  await upsert(origin, 'after', 1, 2, 3);
  await assertSame(capture, origin);
  assert.equal(capture.service.status.epoch, epoch + 1_001);
  const told = capture.events.find(({ event }) => event === 'capture interrupted');
  assert.deepEqual([told?.['level'], /later than ours/.test(String(told?.['reason']))], [40, true]);
  assert.deepEqual(gapsOf(capture), [0, 0, 0]);
  await capture.stop();
});

test('the binlog is reset under a running capture: it begins anew, and every shard drops what it holds', async () => {
  const capture = await following({ origin, broker });
  await upsert(origin, 'before', 1, 2);
  await capture.caughtUp();
  const { epoch = 0 } = capture.service.status;
  // A file is told from another of its name by the second in which it was made.
  await sleep(1_100);
  await origin.run('RESET MASTER');
  await upsert(origin, 'after', 2, 3, 4, 5, 6, 7, 8, 9);
  await capture.caughtUp(30_000);
  const last = capture.decisions().at(-1) ?? '';
  assert.match(last, /^begin (?:reset|bad-position)$/);
  assert.ok((capture.service.status.epoch ?? 0) > epoch);
  assert.ok(
    gapsOf(capture).every((gaps) => gaps === 1),
    String(gapsOf(capture)),
  );
  for (const { stamp } of capture.shards.values()) assert.ok(epochOf(stamp?.floor ?? '') > epoch);
  await upsert(origin, 'later', 1, 2, 3, 4, 5, 6, 7, 8, 9);
  await assertSame(capture, origin);
  await capture.stop();
});

test('the binlog is reset while capture is down, and grows past where it stopped', async () => {
  const first = await following({ origin, broker });
  await first.stop();
  await sleep(1_100);
  await origin.run('RESET MASTER');
  for (let n = 0; n < 40; n += 1) await upsert(origin, `after ${n}`, 1, 2, 3);
  const second = await successor(first, origin);
  await second.caughtUp(30_000);
  assert.match(second.decisions().at(-1) ?? '', /^begin (?:reset|bad-position)$/);
  assert.deepEqual(gapsOf(second), [1, 1, 1]);
  await second.stop();
});

test('files are purged while capture is down: with changes in them it begins anew', async () => {
  const first = await following({ origin, broker });
  await upsert(origin, 'before', 1);
  await first.caughtUp();
  await first.stop();
  await upsert(origin, 'missed', 1, 2);
  await purge(origin);
  const second = await successor(first, origin);
  await second.caughtUp(30_000);
  assert.deepEqual(second.decisions(), ['begin purged']);
  assert.deepEqual(gapsOf(second), [1, 1, 1]);
  await upsert(origin, 'after', 1, 2, 3);
  await assertSame(second, origin);
  await second.stop();
});

for (const [what, harm, reason] of [
  ['deleted', (path: string) => rm(path), 'no-checkpoint'],
  ['torn', (path: string) => writeFile(path, '{"format": 1, "ori'), 'checkpoint-unreadable'],
] as const) {
  test(`the checkpoint is ${what}: capture begins at the end, above all epochs that the shards have seen`, async () => {
    const first = await following({ origin, broker });
    await upsert(origin, 'before', 1, 2);
    await first.caughtUp();
    const { epoch = 0 } = first.service.status;
    await first.stop();
    await upsert(origin, 'missed', 1, 2, 3);
    await harm(checkpointPath(first.config.sync.stateFolder, first.config.sync.name));
    const second = await successor(first, origin);
    await second.caughtUp();
    assert.deepEqual(second.decisions(), [`begin ${reason}`]);
    assert.deepEqual(gapsOf(second), [1, 1, 1]);
    assert.ok((second.service.status.epoch ?? 0) > epoch);
    await upsert(origin, 'after', 1, 2, 3);
    await assertSame(second, origin);
    await second.stop();
  });
}

test('another server answers at the same address: without proof it begins anew, under a new epoch', async () => {
  const origin = await startOwnOrigin();
  const capture = await following({ origin, broker });
  await upsert(origin, 'before', 1, 2);
  await capture.caughtUp();
  const { port } = origin.server;
  await origin.server.stop();
  const other = await startOwnOrigin({ port, serverId: 7 });
  for (let n = 0; n < 40; n += 1) await upsert(other, 'other', 1, 2, 3);
  await until(
    'it follows again',
    () => capture.decisions().some((decision) => decision.endsWith('another-server')),
    30_000,
  );
  await upsert(other, 'after', 1, 2, 3);
  await assertSame(capture, other);
  assert.equal(capture.decisions().at(-1), 'begin another-server');
  assert.deepEqual(gapsOf(capture), [1, 1, 1]);
  await capture.stop();
});

test('a replica takes over: GTIDs prove that nothing is missing, and nothing is dropped but what lies above', async () => {
  const origin = await startOwnOrigin();
  const capture = await following({ origin, broker });
  const replica = await startOwnOrigin({ serverId: 7 });
  await replicate(origin, replica);
  await upsert(origin, 'before', 1, 2, 3);
  await capture.caughtUp();
  await until('the replica has it', async () => (await replica.rows('SELECT * FROM shop.items')).length === 3);
  await capture.stop();
  await upsert(origin, 'unread', 3, 4);
  await until('the replica has it too', async () => (await replica.rows('SELECT * FROM shop.items')).length === 4);
  await origin.server.stop();
  await replica.run('STOP SLAVE');
  await upsert(replica, 'after', 4, 5);
  const next = await successor(capture, replica);
  await assertSame(next, replica);
  assert.deepEqual(next.decisions(), ['resume-by-gtid another-server']);
  assert.deepEqual(gapsOf(next), [0, 0, 0]);
  for (const { holes, stamp } of next.shards.values()) {
    assert.equal(holes.length, 1);
    assert.notEqual(stamp?.origin, undefined);
  }
  await next.stop();
});

/** All but the last file. MariaDB keeps for a moment what a recovery may need, and both keep what somebody still reads. */
async function purge(origin: OwnOrigin): Promise<void> {
  await origin.run('FLUSH BINARY LOGS');
  const [end] = await origin.rows('SHOW MASTER STATUS');
  await until('older files are gone', async () => {
    await origin.run(`PURGE BINARY LOGS TO '${String(end?.['File'])}'`);
    return (await origin.rows('SHOW BINARY LOGS')).length === 1;
  });
}
