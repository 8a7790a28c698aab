/** How fast a snapshot goes: Pace, on a clock that the test moves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from '../../sync-worker/snapshot/pace.ts';

const { signal } = new AbortController();

function paced(rowsPerSecondMax: number) {
  let now = 0;
  const pauses: number[] = [];
  const pace = new Pace({
    rowsPerSecondMax,
    now: () => now,
    pause: async (ms) => {
      pauses.push(Math.round(ms));
      now += ms;
    },
  });
  return {
    pauses,
    get now() {
      return now;
    },
    async took(rows: number, ms: number, forWhom: 'the origin' | 'locks' = 'the origin'): Promise<void> {
      now += ms;
      await pace.took(rows, forWhom === 'locks' ? undefined : ms, signal);
    },
  };
}

test('no more rows a second than are wanted', async () => {
  const pace = paced(1_000);
  for (let n = 0; n < 50; n += 1) await pace.took(100, 5);
  assert.equal(Math.round(pace.now), 5_000);
});

test('what was not used is not saved up: after a slow time it goes no faster than that', async () => {
  const pace = paced(1_000);
  await pace.took(100, 60_000);
  const before = pace.now;
  for (let n = 0; n < 20; n += 1) await pace.took(100, 5);
  assert.ok(pace.now - before > 1_800, `${pace.now - before} ms for 2,000 rows`);
});

test('while the origin is several times slower than it was, each chunk is followed by a pause; a single one is not', async () => {
  const pace = paced(1_000_000);
  for (let n = 0; n < 20; n += 1) await pace.took(1_000, 20);
  await pace.took(1_000, 100);
  assert.deepEqual(pace.pauses, []);
  for (let n = 0; n < 10; n += 1) await pace.took(1_000, 200);
  assert.ok(pace.pauses.length >= 7, pace.pauses.join());
  assert.ok((pace.pauses.at(-1) ?? 0) > 200, pace.pauses.join());
  for (let n = 0; n < 20; n += 1) await pace.took(1_000, 20);
  const count = pace.pauses.length;
  for (let n = 0; n < 20; n += 1) await pace.took(1_000, 20);
  assert.equal(pace.pauses.length, count, 'it is over');
});

test('a chunk that waited for something else, or of a few rows, says nothing about the origin', async () => {
  const pace = paced(1_000_000);
  for (let n = 0; n < 10; n += 1) await pace.took(1_000, 20);
  for (let n = 0; n < 10; n += 1) await pace.took(10, 500);
  for (let n = 0; n < 10; n += 1) await pace.took(1_000, 900, 'locks');
  assert.deepEqual(pace.pauses, []);
});
