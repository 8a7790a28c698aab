/**
 * The continuum, judged by 1,000,000 keys: at 100,000 the sampling noise alone would move the figures (FACTS.md gives
 * 1.14 to 1.21 for the orphans' share).
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import HashRing from 'hashring';
import { Continuum, placeOf, POINTS_PER_SHARD } from '../../shared/ring/continuum.ts';
import { Layers } from '../../shared/ring/layers.ts';
import { EVERY_LAYER, type Route } from '../../shared/ring/route.ts';
import { followedName, routeOfFollowed } from '../../shared/stamp/followed.ts';

const KEYS = 1_000_000;
const places = Uint32Array.from({ length: KEYS }, (_, id) => placeOf(`test_users_${id + 1}`));

const namings: Readonly<Record<string, (index: number) => string>> = {
  'r1, r2, …': (index) => `r${index + 1}`,
  'redis-01.cache.internal:6379, …': (index) => `redis-${String(index + 1).padStart(2, '0')}.cache.internal:6379`,
  '10.0.0.11:6379, …': (index) => `10.0.0.${index + 11}:6379`,
  'alpha, bravo, …': (index) => NATO[index] as string,
};
const NATO = 'alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa'.split(
  ' ',
);

const BUSIEST_TO_MEAN_MAX = 1.05;
const WORST_ORPHAN_SHARE_MAX = 1.3;

for (const [naming, name] of Object.entries(namings)) {
  for (const size of [3, 5, 16]) {
    test(`${size} shards named ${naming}: even shares, no needless move, even orphans`, (t) => {
      const shards = Array.from({ length: size }, (_, index) => name(index));
      const ring = new Continuum(shards, 'balanced');
      const owners = Array.from(places, (place) => ring.ownerAt(place));
      const owned = count(owners);
      const busiest = Math.max(...owned.values()) / (KEYS / size);
      assert.ok(busiest <= BUSIEST_TO_MEAN_MAX, `busiest/mean ${busiest.toFixed(4)}`);

      let worstOrphanShare = 0;
      for (const lost of shards) {
        const survivors = shards.filter((shard) => shard !== lost);
        const smaller = new Continuum(survivors, 'balanced');
        const heirs = new Map<string, number>();
        let moved = 0;
        for (let key = 0; key < KEYS; key += 1) {
          const heir = smaller.ownerAt(places[key] as number);
          if (owners[key] === lost) heirs.set(heir, (heirs.get(heir) ?? 0) + 1);
          else if (owners[key] !== heir) moved += 1;
        }
        assert.equal(moved, 0, `keys that moved though ${lost} did not own them`);
        const orphans = owned.get(lost) as number;
        worstOrphanShare = Math.max(worstOrphanShare, Math.max(...heirs.values()) / (orphans / survivors.length));
      }
      assert.ok(worstOrphanShare <= WORST_ORPHAN_SHARE_MAX, `worst orphan share ${worstOrphanShare.toFixed(4)}`);
      t.diagnostic(
        `${POINTS_PER_SHARD.balanced} points a shard: busiest/mean ${busiest.toFixed(4)}, worst orphan share ${worstOrphanShare.toFixed(4)}`,
      );
    });
  }
}

test('the order in which shards are named does not matter', () => {
  const forwards = new Continuum(NATO, 'balanced');
  const backwards = new Continuum(NATO.toReversed(), 'balanced');
  for (const place of places.subarray(0, 100_000)) assert.equal(forwards.ownerAt(place), backwards.ownerAt(place));
});

test('looking up agrees with hashring’s own, in both placements', () => {
  for (const [placement, vnodes] of [
    ['ketama', 40],
    ['balanced', 2_000],
  ] as const) {
    const shards = ['10.0.0.1:6379', '10.0.0.2:6379', '10.0.0.3:6379', '10.0.0.4:6379', '10.0.0.5:6379'];
    const ours = new Continuum(shards, placement);
    const theirs = new HashRing(shards, 'md5', { 'vnode count': vnodes });
    for (let id = 0; id < 20_000; id += 1)
      assert.equal(ours.owner(`shop_orders_${id}`), theirs.get(`shop_orders_${id}`));
  }
});

test('the shares of the hash space add up to 1 and match where keys fall', () => {
  const ring = new Continuum(NATO, 'balanced');
  const shares = ring.shares();
  const owned = count(Array.from(places, (place) => ring.ownerAt(place)));
  assert.ok(Math.abs([...shares.values()].reduce((sum, share) => sum + share, 0) - 1) < 1e-9);
  for (const [shard, share] of shares) assert.ok(Math.abs((owned.get(shard) ?? 0) / KEYS - share) < 0.002, shard);
});

test('a key of any length has one owner, and long ones are not kept in memory', () => {
  const ring = new Continuum(['r1', 'r2', 'r3'], 'balanced');
  const before = process.memoryUsage().rss;
  for (let id = 0; id < 5_000; id += 1) {
    const key = String(id).padStart(60_000, 'x');
    assert.equal(ring.owner(key), ring.ownerAt(placeOf(key)));
  }
  assert.ok(process.memoryUsage().rss - before < 150 * 1024 * 1024);
});

test('keys that are names of Object’s own members are keys like any other', () => {
  const ring = new Continuum(['r1', 'r2'], 'balanced');
  for (const key of ['__proto__', 'constructor', 'toString', '']) assert.match(ring.owner(key), /^r[12]$/);
  assert.equal(Object.keys(Object.prototype).length, 0);
});

function count(owners: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const owner of owners) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return counts;
}

describe('a route picks shards for a key', () => {
  const layers = new Layers(
    [['a', 'b', 'c'], ['d', 'e'], ['f']].map((names, layer) => ({
      name: `ring ${layer}`,
      placement: 'balanced' as const,
      shards: new Map(names.map((name) => [name, name])),
    })),
  );
  const keys = Array.from({ length: 200 }, (_, index) => `shop_orders_${index}`);
  const names = (route: Route, key: string) => layers.routed(key, route).map(({ shard }) => shard);

  test('of every layer, of the first few, or one that all keys share', () => {
    for (const key of keys) {
      const all = layers.candidates(key).map(({ shard }) => shard);
      assert.deepEqual(names(EVERY_LAYER, key), all);
      assert.deepEqual(names({ kind: 'layers', count: 2 }, key), all.slice(0, 2));
      assert.deepEqual(names({ kind: 'shard', name: 'e' }, key), ['e']);
    }
  });

  test('the same whether a key is looked up often or once', () => {
    for (const route of [EVERY_LAYER, { kind: 'layers', count: 1 }, { kind: 'shard', name: 'f' }] as const) {
      for (const key of keys) assert.deepEqual(layers.routed(placeOf(key), route), layers.routed(key, route));
    }
  });

  test('and reaches no other', () => {
    const reached = (route: Route) => layers.reached(route).map(({ shard }) => shard);
    assert.deepEqual(reached(EVERY_LAYER), ['a', 'b', 'c', 'd', 'e', 'f']);
    assert.deepEqual(reached({ kind: 'layers', count: 1 }), ['a', 'b', 'c']);
    assert.deepEqual(reached({ kind: 'shard', name: 'd' }), ['d']);
  });

  test('it is told by the table’s followed name', () => {
    const schema = { key: [{ column: 'id', type: { kind: 'year' } }] } as const;
    for (const route of [
      { kind: 'layers', count: 2 },
      { kind: 'shard', name: 'r1' },
    ] as const) {
      assert.deepEqual(routeOfFollowed(followedName('shop.orders', schema, route)), route);
    }
    assert.deepEqual(routeOfFollowed(followedName('shop.orders', schema, undefined)), EVERY_LAYER);
    const strange = { key: [{ column: ' mirror x7', type: { kind: 'year' } }] } as const;
    assert.deepEqual(routeOfFollowed(followedName('shop. mirror @r1', strange, undefined)), EVERY_LAYER);
  });
});
