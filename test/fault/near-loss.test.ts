/** The near cache while Redis does not tell, or tells nothing any more; each shard behind a link of its own. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { hang, type Link, openLink, resume } from '../../stack/faults.ts';
import type { RedisServer } from '../../stack/redis.ts';
import { ORDINAL_LAST, versionOf } from '../../shared/version/version.ts';
import { redisAt, until } from '../support/broker.ts';
import { type NearWorld, nearWorld } from '../support/near-world.ts';
import { EPOCH } from '../support/stamps.ts';
import { temporaryFolder, testStack, type TestStack } from '../support/stack.ts';
import { redisUrl, startOwnRedis } from '../support/least-privilege.ts';

/** Longer than this after a confirmation, memory is not asked; and so long it may take to be noticed. ms. */
const BELIEVED_MS = 1_000;
const NOTICED_MS = 500;

const shared = await testStack();
const folder = temporaryFolder();
const server: RedisServer = await startOwnRedis({ folder, name: 'r1' });
after(() => server.stop());
/** The one shard, as the sync worker reaches it. */
const stack: TestStack = { ...shared, redis: [{ shard: 'r1', ring: 'primary', port: server.port }] };

let position = 10;
let world: NearWorld;
let link: Link;
let endBeating: () => Promise<void>;

/** A gateway of its own, and a link; the worker's heartbeats until they are ended. */
async function inWorld(run: () => Promise<void>, url = redisUrl): Promise<void> {
  link = await openLink({ to: { host: '127.0.0.1', port: server.port } });
  world = await nearWorld(stack, {
    rings: [{ name: 'primary', placement: 'balanced', shards: { r1: url(link.port) } }],
    shards: { slowMs: 0 },
    // What is seen here, no stamp's age has a part in.
    sync: { stalenessBoundMs: 60_000 },
  });
  await world.stamps.beatAll();
  endBeating = world.stamps.beatEvery(200);
  try {
    await run();
  } finally {
    await endBeating();
    await world.gateway.stop();
    await link.stop();
  }
}

/** As the sync worker would: from now on every reader of the shard sees it. @returns the row's new body. */
async function change(id: number): Promise<string> {
  await endBeating();
  position += 1;
  const body = `{"uid":${id},"it":"is as of ${position}"}`;
  const to = versionOf(EPOCH, { file: 'x.999999', position }, ORDINAL_LAST);
  await world.stamps.beat('r1', { to, changes: [await world.changeTo(id, position, body)] });
  return body;
}

async function metric(name: string): Promise<number> {
  const text = await (await world.gateway.get('/-/metrics')).text();
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1]);
}

describe('the connection that tells', () => {
  test('is half open: what it does not tell is believed no longer than a second, never again after that; another is made', () =>
    inWorld(async () => {
      await world.untilNear(8);
      link.cutLast();
      const body = await change(8);
      const changedAt = performance.now();
      let seenAt: number | undefined;
      while (performance.now() - changedAt < BELIEVED_MS + 2 * NOTICED_MS) {
        const { body: read } = await world.read(8);
        if (read === body) seenAt ??= performance.now() - changedAt;
        else assert.equal(seenAt, undefined, `it goes back to ${read}`);
        await sleep(5);
      }
      assert.ok(seenAt !== undefined && seenAt < BELIEVED_MS + NOTICED_MS, `seen after ${seenAt} ms`);
      process.stdout.write(`ℹ a change that was not told was seen after ${seenAt.toFixed(0)} ms\n`);
      await until('another one tells', async () => (await metric('ringfill_near_feed_up')) === 1);
    }));

  test('is closed by Redis: what is here goes at once, and comes back', () =>
    inWorld(async () => {
      await world.untilNear(9);
      await redisAt(server.port).call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await until('it is read of the shard', async () => !(await world.read(9)).isNear, 1_000);
      await world.untilNear(9);
    }));
});

describe('the shard', () => {
  test('hangs: its rows are not answered out of memory for longer than a second', () =>
    inWorld(async () => {
      await world.untilNear(10);
      hang(server);
      try {
        await until('it is not near', async () => !(await world.read(10)).isNear, BELIEVED_MS + NOTICED_MS);
      } finally {
        resume(server);
      }
      await world.untilNear(10);
    }));

  test('is emptied: nothing of it is answered out of memory', () =>
    inWorld(async () => {
      await world.untilNear(11);
      await endBeating();
      await redisAt(server.port).flushall();
      await until('it is not near', async () => !(await world.read(11)).isNear, 1_000);
      for (let reads = 0; reads < 20; reads += 1) assert.equal((await world.read(11)).isNear, false);
    }));

  test('does not let us listen: its near cache is off, the rest as ever, and the metric says so', async () => {
    const admin = redisAt(server.port);
    await admin.call('ACL', 'SETUSER', 'deaf', 'on', '>secret', '~*', '+@all', '-client|tracking');
    const asDeaf = (port: number) => `redis://deaf:secret@127.0.0.1:${port}`;
    await inWorld(async () => {
      for (let reads = 0; reads < 20; reads += 1) {
        const { status, isNear } = await world.read(12);
        assert.deepEqual([status, isNear], [200, false]);
        await sleep(20);
      }
      assert.equal(await metric('ringfill_near_feed_up'), 0);
      assert.equal(await metric('ringfill_near_hits_total'), 0);
    }, asDeaf);
  });
});
