/** The near cache over real Redis; what the sync worker would do, the test does by hand. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ORDINAL_LAST, versionOf } from '../../shared/version/version.ts';
import { redisAt, until } from '../support/broker.ts';
import type { GatewaySettings } from '../support/gateway.ts';
import { nearWorld } from '../support/near-world.ts';
import { EPOCH } from '../support/stamps.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const KEYS_READ = 20;
const newWorld = (settings: Partial<GatewaySettings> = {}) => nearWorld(stack, settings);

/** How many entries the shards were asked for: each MGET asks for the stamp, and for entries besides. */
async function keysAsked(): Promise<number> {
  const asked = await Promise.all(
    stack.redis.map(async ({ port }) => {
      // In one reply: stamps are asked for all the time.
      const text = await redisAt(port).info('all');
      const count = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
      return count(/keyspace_hits:(\d+)/) + count(/keyspace_misses:(\d+)/) - count(/cmdstat_mget:calls=(\d+)/);
    }),
  );
  return asked.reduce((sum, one) => sum + one, 0);
}

describe('a row that was read', () => {
  test('is answered out of memory, word for word as by the shard, which is asked for nothing', async () => {
    const { stamps, read, untilNear, gateway } = await newWorld({ sync: { stalenessBoundMs: 60_000 } });
    await stamps.beatAll();
    const endBeating = stamps.beatEvery(300);
    const ids = Array.from({ length: KEYS_READ }, (_, index) => index + 1);
    const bodies = new Map<number, string>();
    for (const id of ids) bodies.set(id, (await read(id)).body);
    for (const id of ids) await untilNear(id);
    await endBeating();
    const before = await keysAsked();
    const rounds = 25;
    for (let round = 0; round < rounds; round += 1) {
      for (const id of ids) {
        const { isNear, body, story, status } = await read(id);
        assert.ok(isNear, story);
        assert.equal(status, 200);
        assert.match(story, /^ringfill; hit; ttl=\d+; key="[^"]+"; detail="\w+\/0 near"$/);
        assert.equal(body, bodies.get(id));
      }
    }
    const asked = (await keysAsked()) - before;
    process.stdout.write(`ℹ ${rounds * ids.length} near hits, ${asked} entries asked for\n`);
    assert.equal(asked, 0);
    const metrics = await (await gateway.get('/-/metrics')).text();
    assert.ok(Number(/^ringfill_near_hits_total (\d+)$/m.exec(metrics)?.[1]) >= rounds * ids.length);
    assert.equal(/^ringfill_near_entries (\d+)$/m.exec(metrics)?.[1], String(ids.length));
    assert.match(metrics, /^ringfill_near_feed_up\{ring="primary",shard="r1"\} 1$/m);
  });

  test('once it is changed, it is not seen as it was any more', async () => {
    const { stamps, read, untilNear, ownerOf, changeTo } = await newWorld();
    await stamps.beatAll();
    const endBeating = stamps.beatEvery(300);
    await untilNear(8);
    await endBeating();
    const shard = await ownerOf(8);
    for (let position = 10; position < 60; position += 1) {
      const body = `{"uid":8,"it":"${position}"}`;
      const to = versionOf(EPOCH, { file: 'x.999999', position }, ORDINAL_LAST);
      await stamps.beat(shard, { to, changes: [await changeTo(8, position, body)] });
      // Redis has told before it was asked this: the feed's socket is read in the same round or before.
      await until(`it is seen as of ${position}`, async () => (await read(8)).body === body, 1_000);
      for (let reads = 0; reads < 3; reads += 1) assert.equal((await read(8)).body, body);
    }
  });

  test('and is absent, is answered so', async () => {
    const { stamps, untilNear } = await newWorld();
    await stamps.beatAll();
    const endBeating = stamps.beatEvery(300);
    assert.equal((await untilNear(99_999_999)).status, 404);
    await endBeating();
  });
});

describe('the shard itself is asked', () => {
  test('by whoever wants the origin’s word, or a write of its own, and what that brings is not gone back from', async () => {
    const { stamps, read, untilNear } = await newWorld();
    await stamps.beatAll();
    const endBeating = stamps.beatEvery(300);
    await untilNear(9);
    const origin = await read(9, { 'cache-control': 'no-cache' });
    assert.match(origin.story, /fwd=request; stored/);
    assert.equal((await read(9)).isNear, false);
    await untilNear(9);
    assert.equal((await read(9, { 'ringfill-after': 'x.000000:4' })).isNear, false);
    await endBeating();
  });

  test('for tables that are not near, and where there is no near cache', async () => {
    const { stamps, read } = await newWorld({ tables: { 'test.users': { near: false } } });
    await stamps.beatAll();
    for (let reads = 0; reads < 5; reads += 1) {
      assert.equal((await read(10)).isNear, false);
      await sleep(50);
    }
  });

  test('once its stamp is older than the bound, which then is the origin’s turn', async () => {
    const { stamps, read, untilNear } = await newWorld({
      sync: { stalenessBoundMs: 500, heartbeatMs: 100 },
    });
    await stamps.beatAll();
    const endBeating = stamps.beatEvery(100);
    await untilNear(11);
    await endBeating();
    await sleep(600);
    const { story } = await read(11);
    assert.match(story, /unstored=behind/);
  });
});
