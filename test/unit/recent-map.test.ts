import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RecentMap } from '../../shared/collections/recent-map.ts';

test('what is asked for among the last few stays, and never more than twice as many are kept', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 200 }),
      (size, keys) => {
        const map = new RecentMap<number, string>(size);
        const recent: number[] = [];
        for (const key of keys) {
          const among = recent.slice(-size).includes(key);
          const known = map.get(key);
          assert.ok(!among || known === `value ${key}`, `${key} was forgotten`);
          assert.ok(known === undefined || known === `value ${key}`);
          if (known === undefined) map.set(key, `value ${key}`);
          recent.push(key);
        }
        const kept = [...new Set(keys)].filter((key) => map.get(key) !== undefined);
        assert.ok(kept.length <= 2 * size);
      },
    ),
  );
});

test('a value that is set again is the new one', () => {
  const map = new RecentMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  map.set('c', 3);
  map.set('a', 4);
  assert.equal(map.get('a'), 4);
});
