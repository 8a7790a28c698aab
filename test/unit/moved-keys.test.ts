/** Which keys move when a ring changes: laid beside what single keys do, and beside the least that has to move. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Continuum, HASH_SPACE, type Placement, placeOf } from '../../shared/ring/continuum.ts';
import { leastToMove, type Move, movedKeys, ownedOnlyUnder } from '../../shared/ring/moved-keys.ts';

const PLACEMENTS: readonly Placement[] = ['balanced', 'ketama'];
const KEYS = 20_000;
const places = Array.from({ length: KEYS }, (_, id) => placeOf(`shop_orders_${id}`));

/** Six standard deviations of a share that is sampled with so many keys. */
const SAMPLING_NOISE = 6 * Math.sqrt(0.25 / KEYS);

const names = fc.uniqueArray(fc.stringMatching(/^[A-Za-z0-9._:-]{1,12}$/), { minLength: 1, maxLength: 6 });
const definition = fc.record({ shards: names, placement: fc.constantFrom(...PLACEMENTS) });

/** As often as is affordable with 8,000 points a shard. */
const RUNS = { numRuns: 25 };

function movedOf(moves: readonly Move[]): number {
  return moves.reduce((sum, { share }) => sum + share, 0);
}

test('the shares are those of single keys, for any two definitions', () => {
  fc.assert(
    fc.property(definition, definition, (before, after) => {
      const [was, is] = [before, after].map(({ shards, placement }) => new Continuum(shards, placement)) as [
        Continuum,
        Continuum,
      ];
      const counted = new Map<string, number>();
      for (const place of places) {
        const [from, to] = [was.ownerAt(place), is.ownerAt(place)];
        if (from !== to) counted.set(`${from} ${to}`, (counted.get(`${from} ${to}`) ?? 0) + 1);
      }
      const shares = new Map(movedKeys(was, is).map(({ from, to, share }) => [`${from} ${to}`, share]));
      for (const pair of new Set([...counted.keys(), ...shares.keys()])) {
        const [told, seen] = [shares.get(pair) ?? 0, (counted.get(pair) ?? 0) / KEYS];
        assert.ok(Math.abs(told - seen) <= SAMPLING_NOISE, `${pair}: ${told} told, ${seen} seen`);
      }
    }),
    RUNS,
  );
});

test('they are exact: what a shard loses and gains is the difference of its shares', () => {
  fc.assert(
    fc.property(definition, definition, (before, after) => {
      const [was, is] = [before, after].map(({ shards, placement }) => new Continuum(shards, placement)) as [
        Continuum,
        Continuum,
      ];
      const moves = movedKeys(was, is);
      const [shareBefore, shareAfter] = [was.shares(), is.shares()];
      for (const shard of new Set([...before.shards, ...after.shards])) {
        const gained = movedOf(moves.filter(({ to }) => to === shard));
        const lost = movedOf(moves.filter(({ from }) => from === shard));
        const difference = (shareAfter.get(shard) ?? 0) - (shareBefore.get(shard) ?? 0);
        assert.ok(Math.abs(gained - lost - difference) < 1e-9, shard);
      }
    }),
    RUNS,
  );
});

test('the arcs end where the owner changes, and cover the hash space', () => {
  fc.assert(
    fc.property(definition, fc.array(fc.nat(HASH_SPACE - 1), { maxLength: 50 }), ({ shards, placement }, some) => {
      const ring = new Continuum(shards, placement);
      let passed = -1;
      for (const { last, shard } of ring.arcs()) {
        assert.ok(last >= passed);
        if (last > passed) {
          assert.equal(ring.ownerAt(last), shard);
          assert.equal(ring.ownerAt(passed + 1), shard);
        }
        passed = last;
      }
      assert.equal(passed, HASH_SPACE - 1);
      assert.deepEqual(movedKeys(ring, new Continuum(shards.toReversed(), placement)), []);
      assert.equal(ownedOnlyUnder([ring], [ring]), 0);
      assert.equal(ownedOnlyUnder([ring], []), 1, 'all of it');
      for (const place of some) assert.ok(shards.includes(ring.ownerAt(place)));
    }),
    RUNS,
  );
});

for (const placement of PLACEMENTS) {
  for (const size of [1, 2, 3, 5, 16]) {
    const few = Array.from({ length: size }, (_, index) => `r${index + 1}`);
    const more = [...few, 'new'];

    test(`${placement}, ${size} shards: one more takes its own share, and nothing else moves`, (t) => {
      const [was, is] = [new Continuum(few, placement), new Continuum(more, placement)];
      const moves = movedKeys(was, is);
      assert.ok(moves.every(({ to }) => to === 'new'));
      const moved = movedOf(moves);
      assert.ok(Math.abs(moved - (is.shares().get('new') as number)) < 1e-9);
      assert.equal(leastToMove(few, more), 1 / (size + 1));
      // No ring is quite even: balanced promises 1.05 of the share at most, ketama 1.22 was the worst seen.
      const uneven = placement === 'balanced' ? 1.05 : 1.35;
      assert.ok(moved <= uneven / (size + 1), `${moved} moved`);
      t.diagnostic(`${(100 * moved).toFixed(2)} % moved, ${(100 / (size + 1)).toFixed(2)} % is the least`);
    });

    test(`${placement}, ${size + 1} shards: one fewer gives away its own share, and nothing else moves`, () => {
      const [was, is] = [new Continuum(more, placement), new Continuum(few, placement)];
      const moves = movedKeys(was, is);
      assert.ok(moves.every(({ from }) => from === 'new'));
      assert.ok(Math.abs(movedOf(moves) - (was.shares().get('new') as number)) < 1e-9);
      assert.ok(Math.abs(leastToMove(more, few) - 1 / (size + 1)) < 1e-12);
    });
  }
}

test('the least that has to move: what the even shares gain', () => {
  assert.equal(leastToMove(['a', 'b'], ['a', 'b']), 0);
  assert.equal(leastToMove(['a', 'b', 'c'], ['a', 'b', 'd']), 1 / 3);
  assert.equal(leastToMove(['a', 'b'], ['c', 'd']), 1);
  assert.equal(leastToMove(['a', 'b'], ['a', 'b', 'c', 'd']), 0.5);
});

test('a dropped definition takes with it what no kept one places alike', () => {
  const of = (...shards: string[]) => new Continuum(shards, 'balanced');
  const [now, then] = [of('r1', 'r2', 'r3', 'r4'), of('r1', 'r2', 'r3')];
  assert.ok(Math.abs(ownedOnlyUnder([then], [now]) - movedOf(movedKeys(then, now))) < 1e-12);
  const inBetween = of('r1', 'r2', 'r3', 'r5');
  const cold = ownedOnlyUnder([then], [now, inBetween]);
  let seen = 0;
  for (const place of places) {
    const owner = then.ownerAt(place);
    if (owner !== now.ownerAt(place) && owner !== inBetween.ownerAt(place)) seen += 1;
  }
  assert.ok(Math.abs(cold - seen / KEYS) <= SAMPLING_NOISE, `${cold} told, ${seen / KEYS} seen`);
  const both = ownedOnlyUnder([then, inBetween], [now]);
  const [one, other] = [ownedOnlyUnder([then], [now]), ownedOnlyUnder([inBetween], [now])];
  assert.ok(both >= Math.max(one, other) && both <= one + other, 'what several take with them counts once');
  assert.equal(ownedOnlyUnder([], [now]), 0);
  assert.equal(ownedOnlyUnder([], []), 0);
});
