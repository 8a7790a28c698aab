/** Rows taken from one shard into another, on real servers; what the sync worker would do, the test does by hand. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Config } from '../../shared/config/schema.ts';
import { decodeEntry, type Entry } from '../../shared/entry/entry.ts';
import { Layers } from '../../shared/ring/layers.ts';
import { ringHash } from '../../shared/ring/ring-hash.ts';
import { ORDINAL_LAST, versionOf } from '../../shared/version/version.ts';
import { until } from '../support/broker.ts';
import { cacheStatusOf, type GatewaySettings, ringsOf, startGateway, type TestGateway } from '../support/gateway.ts';
import { RedisEntries } from '../support/redis-entries.ts';
import { EPOCH, Stamps } from '../support/stamps.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const FOLLOWED = 'test.users(uid)';

interface Answer {
  readonly status: number;
  readonly story: string;
  readonly body: string;
}

interface World {
  readonly gateway: TestGateway;
  readonly stamps: Stamps;
  readonly entries: RedisEntries;
  readonly read: (id: number) => Promise<Answer>;
  /** The shards where it may lie, in order. */
  readonly placesOf: (id: number) => Promise<string[]>;
  readonly entryIn: (shard: string, id: number) => Promise<Entry | undefined>;
}

async function newWorld(users: Config['tables'][string], rings?: GatewaySettings['rings']): Promise<World> {
  const settings = { tables: { 'test.users': { warmOneIn: 0, ...users } }, sync: {}, ...(rings && { rings }) };
  const gateway = await startGateway(stack, settings);
  const stamps = await Stamps.over(stack, gateway.keyPrefix, [FOLLOWED]);
  const entries = new RedisEntries(stack, gateway.keyPrefix);
  return {
    gateway,
    stamps,
    entries,
    async read(id) {
      const response = await gateway.get(`/test/users/${id}`);
      return { status: response.status, story: cacheStatusOf(response).text, body: await response.text() };
    },
    async placesOf(id) {
      const answer = await gateway.get(`/-/ring/owner?key=${gateway.keyPrefix}test_users_${id}`);
      const { candidates } = (await answer.json()) as { candidates: { shard: string }[] };
      return candidates.map(({ shard }) => shard);
    },
    async entryIn(shard, id) {
      const stored = await entries.readIn(shard, `test_users_${id}`);
      return stored === null ? undefined : decodeEntry(stored);
    },
  };
}

describe('copies: 2', () => {
  test('what is stored in its shard is soon in the next ring’s, and known there to include as much', async () => {
    const { stamps, read, placesOf, entryIn } = await newWorld({ copies: 2 });
    await stamps.beatAll();
    const [owner, second] = (await placesOf(8)) as [string, string];
    assert.match((await read(8)).story, /fwd=miss; stored/);
    await until('it is there', async () => (await entryIn(second, 8)) !== undefined);
    assert.deepEqual(await entryIn(second, 8), { ...(await entryIn(owner, 8)), isSecondHand: true });
  });

  test('a row that its shard has lost is answered from the next ring’s, and is back in its shard', async () => {
    const { stamps, read, placesOf, entryIn, entries } = await newWorld({ copies: 2 });
    await stamps.beatAll();
    const [owner, second] = (await placesOf(8)) as [string, string];
    const { body } = await read(8);
    await until('it is there', async () => (await entryIn(second, 8)) !== undefined);
    await entries.removeIn(owner, 'test_users_8');
    const again = await read(8);
    assert.match(again.story, new RegExp(`; hit; .*detail="${second}/1"`));
    assert.equal(again.body, body);
    await until('it is back', async () => (await entryIn(owner, 8)) !== undefined);
    assert.match((await read(8)).story, new RegExp(`; hit; .*detail="${owner}/0"`));
  });

  test('"no such row" likewise', async () => {
    const { stamps, read, placesOf, entryIn, entries } = await newWorld({ copies: 2 });
    await stamps.beatAll();
    const [owner, second] = (await placesOf(99_999_999)) as [string, string];
    await read(99_999_999);
    await until('it is there', async () => (await entryIn(second, 99_999_999))?.kind === 'negative');
    await entries.removeIn(owner, 'test_users_99999999');
    const again = await read(99_999_999);
    assert.equal(again.status, 404);
    assert.match(again.story, new RegExp(`; hit; .*detail="${second}/1"`));
  });

  test('a copy that does not include what the shard has heard of since is answered, and not stored until it does', async () => {
    const { stamps, read, placesOf, entryIn, entries } = await newWorld({ copies: 2 });
    await stamps.beatAll();
    const [owner, second] = (await placesOf(8)) as [string, string];
    await read(8);
    await until('it is there', async () => (await entryIn(second, 8)) !== undefined);
    await entries.removeIn(owner, 'test_users_8');
    const later = versionOf(EPOCH, { file: 'x.999999', position: 4 }, ORDINAL_LAST);
    await stamps.beat(owner, { to: later });
    assert.match((await read(8)).story, new RegExp(`detail="${second}/1"`));
    assert.equal(await entryIn(owner, 8), undefined);
    await stamps.beat(second, { to: later });
    await until('it is back', async () => (await entryIn(owner, 8)) !== undefined);
    assert.equal((await entryIn(owner, 8))?.version, later);
  });
});

describe('without further copies', () => {
  test('a shard that has lost what it held is filled from the next ring for a while', async () => {
    const { stamps, read, placesOf, entryIn, entries } = await newWorld({});
    await stamps.beatAll();
    const [owner, second] = (await placesOf(8)) as [string, string];
    await read(8);
    // As it comes to be there while the owner is away.
    await entries.copyBetween(owner, second, 'test_users_8');
    await entries.removeIn(owner, 'test_users_8', 'ringfill:stamp');
    await stamps.beat(owner);
    assert.match((await read(8)).story, new RegExp(`; hit; .*detail="${second}/1"`));
    await until('it is back', async () => (await entryIn(owner, 8)) !== undefined);
  });

  test('what is hit is copied into the next ring, where it lives for no longer than fallbackTtlSeconds', async () => {
    const { stamps, read, placesOf, entryIn } = await newWorld({ warmOneIn: 1, fallbackTtlSeconds: 60 });
    await stamps.beatAll();
    const [, second] = (await placesOf(8)) as [string, string];
    const stored = Date.now();
    await read(8);
    assert.equal(await entryIn(second, 8), undefined);
    await read(8);
    await until('it is there', async () => (await entryIn(second, 8)) !== undefined);
    const entry = await entryIn(second, 8);
    assert.ok(entry !== undefined && entry.ttlSeconds >= 60 && entry.ttlSeconds <= 61 + (Date.now() - stored) / 1_000);
  });
});

describe('while a ring changes', () => {
  const [primary, fallback] = ringsOf(stack) as [Config['rings'][number], Config['rings'][number]];
  const names = Object.keys(primary.shards);
  const placed = (shards: readonly string[]) => new Map(shards.map((shard) => [shard, shard]));
  const before = names.slice(0, -1);
  const former = { shards: Object.fromEntries(before.map((name) => [name, primary.shards[name]])) };
  const rings = [{ ...primary, former: [former] }, fallback] as Config['rings'];
  const hashes = { newest: ringHash(names, 'balanced'), former: ringHash(before, 'balanced') };

  /** By which the sync worker routes before it knows of the change. */
  const all = [hashes.former, ringHash(Object.keys(fallback.shards), 'balanced')];

  /** The first row that the change of rings moves; and one that it leaves where it is. */
  function rowsOf(keyPrefix: string): { moved: number; unmoved: number } {
    const layers = new Layers([
      {
        name: 'primary',
        placement: 'balanced',
        shards: placed(names),
        formers: [{ placement: 'balanced', shards: placed(before) }],
      },
    ]);
    const ids = Array.from({ length: 1_000 }, (_, index) => index + 1);
    const owners = (id: number) => layers.owners(`${keyPrefix}test_users_${id}`, 0);
    const find = (count: number) => ids.find((id) => owners(id).length === count) as number;
    return { moved: find(2), unmoved: find(1) };
  }

  test('an unmoved row stays a hit, though the shard hears of the new ring only now', async () => {
    const { stamps, read, gateway } = await newWorld({}, rings);
    const { unmoved } = rowsOf(gateway.keyPrefix);
    await stamps.beatAll({ rings: all });
    assert.match((await read(unmoved)).story, /fwd=miss; stored/);
    const later = versionOf(EPOCH, { file: 'x.999999', position: 4 }, ORDINAL_LAST);
    await stamps.beatAll({ to: later, rings: all });
    await stamps.beatAll({ plan: 2, to: later, rings: [hashes.newest, ...all] });
    assert.match((await read(unmoved)).story, /; hit; .*\/0"/);
  });

  test('a moved row is answered by its former owner, and copied to the new one', async () => {
    const { stamps, read, gateway, placesOf, entryIn } = await newWorld({}, rings);
    const { moved } = rowsOf(gateway.keyPrefix);
    const [now, then] = (await placesOf(moved)) as [string, string];
    assert.ok(before.includes(then) && !before.includes(now));
    await stamps.beatAll({ rings: all });
    // The new owner is told of nothing by the former ring: its former one answers.
    assert.match((await read(moved)).story, new RegExp(`stored; .*detail="${then}/0"`));
    await stamps.beatAll({ plan: 2, rings: [hashes.newest, ...all] });
    assert.match((await read(moved)).story, new RegExp(`; hit; .*detail="${then}/0"`));
    await until('it is copied', async () => (await entryIn(now, moved)) !== undefined);
    assert.match((await read(moved)).story, new RegExp(`; hit; .*detail="${now}/0"`));
  });

  test('a row left over where the new ring places it, from before it did, is not believed', async () => {
    const { stamps, read, gateway, placesOf, entries } = await newWorld({}, rings);
    const { moved } = rowsOf(gateway.keyPrefix);
    const [now, then] = (await placesOf(moved)) as [string, string];
    await stamps.beatAll({ rings: all });
    await read(moved);
    await entries.copyBetween(then, now, `test_users_${moved}`);
    await entries.removeIn(then, `test_users_${moved}`);
    const later = versionOf(EPOCH, { file: 'x.999999', position: 4 }, ORDINAL_LAST);
    await stamps.beatAll({ to: later, rings: all });
    await stamps.beatAll({ plan: 2, to: later, rings: [hashes.newest, ...all] });
    assert.doesNotMatch((await read(moved)).story, /; hit;/);
  });
});
