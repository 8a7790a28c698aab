/** Misses read from a replica, where its GTIDs prove it; with the whole of sync behind. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeEntry, encodeEntry, type Entry } from '../../shared/entry/entry.ts';
import { gatewayConfig } from '../support/gateway.ts';
import { startGatewayProcesses } from '../support/gateway-processes.ts';
import { until } from '../support/broker.ts';
import { replicate, startOwnOrigin } from '../support/capture.ts';
import { RedisEntries } from '../support/redis-entries.ts';
import { SyncWorkerProcesses } from '../support/sync-worker-processes.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const ROWS = 300;
const stack = await testStack();
const primary = await startOwnOrigin();
const replica = await startOwnOrigin({ name: 'replica', serverId: 7 });
await replicate(primary, replica);
await primary.run(
  `INSERT INTO shop.items VALUES ${Array.from({ length: ROWS }, (_, id) => `(${id}, 'first')`).join(', ')}`,
);

const folder = temporaryFolder();
const name = `replica-${randomBytes(4).toString('hex')}`;
const settings = {
  tables: { 'shop.items': {} },
  keyPrefix: `${name}:`,
  origin: { url: primary.url, replicas: [replica.url] },
  // Shards are believed while the sync worker is stopped.
  sync: { name, stateFolder: join(folder, 'state'), stalenessBoundMs: 120_000 },
};
const workers = new SyncWorkerProcesses(folder, gatewayConfig(stack, settings).text);
const worker = await workers.start();
const entries = new RedisEntries(stack, settings.keyPrefix);
const url = (await startGatewayProcesses(stack, settings, 1)).gateways[0]?.url as string;

async function read(id: number): Promise<{ v: string; story: string }> {
  const response = await fetch(`${url}/shop/items/${id}`);
  assert.equal(response.status, 200);
  const { v } = (await response.json()) as { v: string };
  return { v, story: response.headers.get('cache-status') ?? '' };
}

async function readsFrom(server: 'primary' | 'replica'): Promise<number> {
  const metrics = await (await fetch(`${url}/-/metrics`)).text();
  const line = new RegExp(`^ringfill_origin_rows_asked_total\\{table="shop.items",from="${server}"\\} (\\d+)$`, 'm');
  return Number(line.exec(metrics)?.[1] ?? 0);
}

/** The first write after its start tells capture that it knows every GTID; then the stamps say it. */
async function stampsHaveGtids(): Promise<void> {
  for (let id = 0; ; id += 1) {
    await primary.run(`UPDATE shop.items SET v = 'told' WHERE id = ${id % 10}`);
    const before = await readsFrom('replica');
    await read(100 + id);
    if ((await readsFrom('replica')) > before) return;
  }
}

test('misses are read from the replica, right and stored', async () => {
  await stampsHaveGtids();
  const before = await readsFrom('primary');
  for (let id = 200; id < 260; id += 1) {
    const { v, story } = await read(id);
    assert.equal(v, 'first');
    assert.match(story, /fwd=miss; stored/);
  }
  assert.ok((await readsFrom('primary')) - before <= 10, 'the primary is asked only where the replica was behind');
});

test('what a replica has told ahead of the stamp is not followed by what another shard has as of the stamp', async (t) => {
  await worker.stop();
  t.after(() => workers.start());
  await primary.run("UPDATE shop.items SET v = 'ahead' WHERE id = 70");
  await until('the replica has it', async () => {
    const [row] = await replica.rows('SELECT v FROM shop.items WHERE id = 70');
    return row?.['v'] === 'ahead';
  });
  const [replicaBefore, primaryBefore] = [await readsFrom('replica'), await readsFrom('primary')];
  assert.equal((await read(70)).v, 'ahead');
  assert.equal((await readsFrom('replica')) - replicaBefore, 1);

  // It is evicted; and another gateway finds the row in a shard that has not heard of the change either.
  const stored = decodeEntry(await entries.read('shop_items_70')) as Entry;
  const body = Buffer.from(stored.body.toString().replace('ahead', 'first'));
  await entries.replace('shop_items_70', encodeEntry({ ...stored, exactness: 'exact', isSecondHand: true, body }));

  const again = await read(70);
  assert.equal(again.v, 'ahead');
  assert.match(again.story, /fwd=miss; stored/);
  assert.equal((await readsFrom('primary')) - primaryBefore, 1, 'of another replica nobody knows how far it is');
  assert.match((await read(70)).story, /; hit/);
});

test('a replica that stays behind is not asked for what it does not have', async () => {
  await replica.run('STOP SLAVE SQL_THREAD');
  await primary.run("UPDATE shop.items SET v = 'second' WHERE id >= 260");
  // Until the change has come, a miss may be read as of before it; then never again.
  for (let id = 260; id < ROWS; id += 1) while ((await read(id)).v !== 'second');
  for (let id = 260; id < ROWS; id += 1) assert.equal((await read(id)).v, 'second');
});

test('a replica that is gone costs nothing but itself', async () => {
  await replica.server.stop();
  for (let id = 20; id < 60; id += 1) assert.equal((await read(id)).v, 'first');
});
