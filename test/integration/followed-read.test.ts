/** The gateway's half of sync, on real servers; what the sync worker would do, the test does by hand. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createPool } from 'mysql2/promise';
import { decodeEntry } from '../../shared/entry/entry.ts';
import { ORDINAL_LAST, versionOf } from '../../shared/version/version.ts';
import { cacheStatusOf, startGateway, type TestGateway } from '../support/gateway.ts';
import { RedisEntries } from '../support/redis-entries.ts';
import { EPOCH, Stamps } from '../support/stamps.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const admin = createPool({ host: stack.mysql.host, port: stack.mysql.port, user: 'root' });
after(() => admin.end());

const FOLLOWED = 'test.users(uid)';
const SHAPE = 'shape-01';

interface World {
  readonly gateway: TestGateway;
  readonly stamps: Stamps;
  readonly entries: RedisEntries;
  /** Reads a row; its status, story and body. */
  readonly read: (
    id: number,
    headers?: Record<string, string>,
  ) => Promise<{ status: number; story: string; body: string }>;
  readonly ownerOf: (id: number) => Promise<string>;
}

async function newWorld(onSyncLost: 'serve' | 'origin' | 'unavailable' = 'serve'): Promise<World> {
  const gateway = await startGateway(stack, { tables: { 'test.users': { onSyncLost } }, sync: {} });
  const stamps = await Stamps.over(stack, gateway.keyPrefix, [FOLLOWED]);
  return {
    gateway,
    stamps,
    entries: new RedisEntries(stack, gateway.keyPrefix),
    async read(id, headers = {}) {
      const response = await gateway.get(`/test/users/${id}`, { headers });
      return { status: response.status, story: cacheStatusOf(response).text, body: await response.text() };
    },
    async ownerOf(id) {
      const answer = await gateway.get(`/-/ring/owner?key=${gateway.keyPrefix}test_users_${id}`);
      const { candidates } = (await answer.json()) as { candidates: { shard: string }[] };
      return candidates[0]?.shard as string;
    },
  };
}

describe('a shard that vouches', () => {
  test('a miss is stored with the place in the binlog that its read includes, exact; then it is a hit', async () => {
    const { stamps, read, entries } = await newWorld();
    await stamps.beatAll();
    assert.match((await read(8)).story, /fwd=miss; stored/);
    const entry = decodeEntry(await entries.read('test_users_8'));
    assert.equal(entry?.exactness, 'exact');
    assert.equal(entry.version, await stamps.end());
    assert.match((await read(8)).story, /; hit; ttl=[78]\d{4};/);
  });

  test('an absent row is stored inexact, as of before it was looked for', async () => {
    const { stamps, read, entries } = await newWorld();
    await stamps.beatAll();
    assert.equal((await read(99_999_999)).status, 404);
    const entry = decodeEntry(await entries.read('test_users_99999999'));
    assert.deepEqual([entry?.kind, entry?.exactness, entry?.version], ['negative', 'inexact', await stamps.end()]);
    assert.match((await read(99_999_999)).story, /; hit;/);
  });

  test('a change overwrites what was filled, and one of before the fill does not', async () => {
    const { stamps, read, ownerOf, gateway, entries } = await newWorld();
    await stamps.beatAll();
    const { body } = await read(8);
    const shape = decodeEntry(await entries.read('test_users_8'))?.shape ?? SHAPE;
    const change = (version: string, text: string) => ({
      op: 'write' as const,
      table: FOLLOWED,
      key: `${gateway.keyPrefix}test_users_8`,
      shape,
      body: Buffer.from(text),
      version,
    });
    const shard = await ownerOf(8);
    const past = versionOf(EPOCH, { file: 'x.000000', position: 4 }, 0);
    await stamps.beat(shard, { changes: [change(past, '{"uid":8,"it":"was"}')] });
    assert.equal((await read(8)).body, body);
    const future = versionOf(EPOCH, { file: 'x.999999', position: 4 }, 0);
    const to = versionOf(EPOCH, { file: 'x.999999', position: 4 }, ORDINAL_LAST);
    await stamps.beat(shard, { changes: [change(future, '{"uid":8,"it":"is"}')], to });
    const after = await read(8);
    assert.equal(after.body, '{"uid":8,"it":"is"}');
    assert.match(after.story, /; hit;/);
  });

  test('what was read is not stored where the shard has applied more than the read is known to include', async () => {
    const { stamps, read, entries } = await newWorld();
    await stamps.beatAll({ to: versionOf(EPOCH, { file: 'x.999999', position: 4 }) });
    assert.match((await read(8)).story, /unstored=early/);
    assert.deepEqual(
      (await entries.keys()).filter((key) => key !== 'ringfill:stamp'),
      [],
    );
  });

  test('what was read from another server than the one whose changes the shard hears of is not stored', async () => {
    const { stamps, read } = await newWorld();
    await stamps.beatAll({ origin: 'mysql:another' });
    assert.match((await read(8)).story, /unstored=other-origin/);
  });

  test('a row that stays locked is answered as it is, unproved and unstored', async () => {
    const { stamps, read } = await newWorld();
    await stamps.beatAll();
    const writer = await admin.getConnection();
    try {
      await writer.query('BEGIN');
      await writer.query("UPDATE test.users SET username = 'not yet' WHERE uid = 11");
      const endBeating = stamps.beatEvery(300);
      const answer = await read(11);
      await endBeating();
      assert.equal(answer.status, 200);
      assert.doesNotMatch(answer.body, /not yet/);
      assert.match(answer.story, /unstored=unproved/);
    } finally {
      await writer.query('ROLLBACK');
      writer.release();
    }
  });

  test('many locked rows are answered together after one bounded wait, and those that are free are stored', async () => {
    const { stamps, gateway } = await newWorld();
    await stamps.beatAll();
    const writer = await admin.getConnection();
    const endBeating = stamps.beatEvery(300);
    try {
      await writer.query('BEGIN');
      await writer.query("UPDATE test.users SET city = 'not yet' WHERE uid BETWEEN 100 AND 150");
      const ids = Array.from({ length: 100 }, (_, index) => 81 + index);
      const started = performance.now();
      const answer = await gateway.get(`/test/users?ids=${ids.join(',')}`);
      const tookMs = performance.now() - started;
      const { rows } = (await answer.json()) as { rows: { uid: number; city: string }[] };
      assert.deepEqual(
        rows.map(({ uid }) => uid),
        ids,
      );
      assert.ok(rows.every(({ city }) => city !== 'not yet'));
      // A range locks the row behind it too.
      assert.match(cacheStatusOf(answer).text, /stored=4[89] unstored=5[12]|unstored=5[12] stored=4[89]/);
      assert.ok(tookMs < 3_000, `${tookMs} ms`);
    } finally {
      await endBeating();
      await writer.query('ROLLBACK');
      writer.release();
    }
  });

  test('a table that is locked as a whole is 503 origin-timeout; others go on', async () => {
    const gateway = await startGateway(stack, {
      tables: { 'test.users': {}, 'shop.orders': {} },
      sync: {},
      origin: { connections: 2 },
    });
    const stamps = await Stamps.over(stack, gateway.keyPrefix, [FOLLOWED, 'shop.orders(id)']);
    await stamps.beatAll();
    const alter = await admin.getConnection();
    try {
      await alter.query('LOCK TABLES test.users WRITE');
      const locked = gateway.get('/test/users?ids=1,2,3,4,5,6,7,8');
      const other = await gateway.get('/shop/orders/1');
      assert.equal(other.status, 200);
      const refused = await locked;
      assert.equal(refused.status, 503);
      assert.match(await refused.text(), /"code":"origin-timeout"/);
    } finally {
      await alter.query('UNLOCK TABLES');
      alter.release();
    }
    assert.equal((await gateway.get('/test/users/1')).status, 200, 'and nothing is left of it');
  });

  test('while a backup holds FLUSH TABLES WITH READ LOCK, rows are read and stored as ever', async () => {
    const { stamps, read } = await newWorld();
    const backup = await admin.getConnection();
    try {
      await backup.query('FLUSH TABLES WITH READ LOCK');
      await stamps.beatAll();
      assert.match((await read(8)).story, /fwd=miss; stored/);
    } finally {
      await backup.query('UNLOCK TABLES');
      backup.release();
    }
  });

  test('a floor makes what was filled before it absent', async () => {
    const { stamps, read } = await newWorld();
    await stamps.beatAll();
    await read(8);
    const floor = versionOf(EPOCH, { file: 'x.999999', position: 4 });
    await stamps.beatAll({ floors: { [FOLLOWED]: floor }, to: floor });
    assert.match((await read(8)).story, /fwd=miss; .*unstored=early/);
  });
});

describe('a shard that does not vouch is gone round', () => {
  test('behind: the fallback answers and keeps the row', async () => {
    const { stamps, read } = await newWorld();
    for (const { shard, ring } of stack.redis) {
      await stamps.beat(shard, ring === 'primary' ? { asOf: Date.now() - 10_000 } : {});
    }
    assert.match((await read(8)).story, /fwd=miss; stored; .*detail="f\d\/1"/);
    assert.match((await read(8)).story, /hit; .*detail="f\d\/1"/);
  });

  test('its clock ahead, its ring or its table not followed: likewise', async () => {
    for (const beat of [{ asOf: Date.now() + 60_000 }, { rings: ['another-ring'] }]) {
      const { stamps, read } = await newWorld();
      for (const { shard, ring } of stack.redis) await stamps.beat(shard, ring === 'primary' ? beat : {});
      assert.match((await read(8)).story, /stored; .*detail="f\d\/1"/);
    }
  });

  test('gone back: a dump of a second ago passes every other test', async () => {
    const { stamps, read, ownerOf, entries, gateway } = await newWorld();
    await stamps.beatAll();
    const owner = await ownerOf(8);
    await read(8);
    const redis = await entries.holderOf('test_users_8');
    const stamp = (await redis.get(`${gateway.keyPrefix}ringfill:stamp`)) as string;
    await stamps.beat(owner, { to: versionOf(EPOCH, { file: 'x.999999', position: 4 }) });
    await read(8);
    await redis.set(`${gateway.keyPrefix}ringfill:stamp`, stamp);
    assert.match((await read(8)).story, /detail="f\d\/1"/);
    const ring = (await (await gateway.get('/-/ring')).json()) as {
      layers: { shards: { shard: string; state: string }[] }[];
    };
    assert.equal(ring.layers[0]?.shards.find(({ shard }) => shard === owner)?.state, 'went-back');
  });
});

describe('sync lost everywhere', () => {
  const lose = ({ stamps }: World) => stamps.beatAll({ asOf: Date.now() - 10_000 });

  test('serve: rows live on by their TTL, and the answer says so', async () => {
    const world = await newWorld('serve');
    await lose(world);
    assert.match((await world.read(8)).story, /fwd=miss; stored/);
    assert.match((await world.read(8)).story, /; hit; ttl=(?:300|2\d\d);.*sync-lost=behind/);
  });

  test('serve, and nobody has ever followed: likewise; the first stamp makes those rows absent', async () => {
    const { read, stamps } = await newWorld('serve');
    assert.match((await read(8)).story, /fwd=miss; stored/);
    assert.match((await read(8)).story, /; hit; .*sync-lost=no-stamp/);
    await stamps.beatAll();
    assert.match((await read(8)).story, /fwd=miss; stored/);
  });

  test('sync is taken out of the configuration: what was kept for a day counts for its plain TTL', async () => {
    const { stamps, read, gateway, entries } = await newWorld();
    await stamps.beatAll();
    await read(8);
    const plain = await startGateway(stack, { tables: { 'test.users': {} }, keyPrefix: gateway.keyPrefix });
    const response = await plain.get('/test/users/8');
    assert.match(cacheStatusOf(response).text, /; hit; ttl=(?:300|2\d\d|[1-9]\d);/);
    await entries.age('test_users_8', 400);
    assert.match(cacheStatusOf(await plain.get('/test/users/8')).text, /fwd=stale; stored/);
  });

  test('origin: each answer is the origin’s, and nothing is stored', async () => {
    const world = await newWorld('origin');
    await lose(world);
    for (let time = 0; time < 2; time += 1) assert.match((await world.read(8)).story, /unstored=behind/);
  });

  test('unavailable: 503 sync-lost, and the origin’s own word for those who ask for it', async () => {
    const world = await newWorld('unavailable');
    await lose(world);
    const refused = await world.read(8);
    assert.equal(refused.status, 503);
    assert.match(refused.body, /"code":"sync-lost"/);
    assert.equal((await world.read(8, { 'cache-control': 'no-cache' })).status, 200);
  });
});

describe('Ringfill-After: an answer that includes the client’s own write', () => {
  test('a shard that has applied it answers; one that has not is waited for, then the origin is asked', async () => {
    const { stamps, read } = await newWorld();
    await stamps.beatAll({ gtid: '0-1-100' });
    await read(8);
    assert.match((await read(8, { 'ringfill-after': '0-1-99' })).story, /; hit;/);
    assert.match((await read(8, { 'ringfill-after': '0-1-101' })).story, /fwd=request; stored/);
    const waiting = read(8, { 'ringfill-after': '0-1-101' });
    await stamps.beatAll({ gtid: '0-1-101' });
    assert.match((await waiting).story, /; hit;/);
  });

  test('a place in the binlog serves as well', async () => {
    const { stamps, read } = await newWorld();
    const to = versionOf(EPOCH, { file: 'x.000007', position: 500 });
    await stamps.beatAll({ to });
    assert.match((await read(8, { 'ringfill-after': 'mysql-bin.000007:500' })).story, /fwd=miss/);
    assert.match((await read(8, { 'ringfill-after': 'mysql-bin.000007:501' })).story, /fwd=request/);
  });

  test('what is no place in the binlog is refused, numbers out of range included', async () => {
    const { read } = await newWorld();
    const uuid = '3e11fa47-71ca-11e1-9e33-c80aa9429562';
    for (const text of [
      'yesterday',
      `${uuid}:0`,
      `${uuid}:9999999999999999999`,
      '9999999999-1-5',
      '0-1-99999999999999999999',
    ]) {
      const refused = await read(8, { 'ringfill-after': text });
      assert.equal(refused.status, 400, text);
      assert.match(refused.body, /"code":"bad-write-position"/);
    }
  });

  test('a table that is not followed is read from the origin, whatever the shard’s stamp says', async () => {
    const gateway = await startGateway(stack, { tables: { 'test.users': { follow: false } }, sync: {} });
    const stamps = await Stamps.over(stack, gateway.keyPrefix, []);
    await stamps.beatAll({ gtid: '0-1-100' });
    await gateway.get('/test/users/8');
    const answer = await gateway.get('/test/users/8', { headers: { 'ringfill-after': '0-1-99' } });
    assert.match(cacheStatusOf(answer).text, /fwd=request; stored/);
  });

  test('no-store keeps nothing of the answer', async () => {
    const { stamps, read, entries } = await newWorld();
    await stamps.beatAll({ gtid: '0-1-100' });
    assert.match(
      (await read(8, { 'ringfill-after': '0-1-101', 'cache-control': 'no-store' })).story,
      /unstored=no-store/,
    );
    assert.deepEqual(
      await entries.keys(),
      [...new Set(stack.redis)].map(() => 'ringfill:stamp'),
    );
  });
});

test('/-/ring tells up to when each shard has heard of the changes', async () => {
  const { stamps, gateway } = await newWorld();
  const before = Date.now();
  await stamps.beatAll();
  const { layers } = (await (await gateway.get('/-/ring')).json()) as {
    layers: { shards: { state: string; asOf: string; lagMs: number }[] }[];
  };
  for (const { state, asOf, lagMs } of layers.flatMap(({ shards }) => shards)) {
    assert.equal(state, 'ok');
    assert.ok(Date.parse(asOf) >= before);
    assert.ok(lagMs >= 0 && lagMs < 2_000);
  }
});
