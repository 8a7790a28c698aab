import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptBatch } from '../../shared/shard/script-batch.ts';

function batchOver(run: (terms: string, rows: readonly Buffer[]) => Promise<readonly number[]>) {
  const runs: { readonly terms: string; readonly rows: number }[] = [];
  const batch = new ScriptBatch<string, Buffer, number>({
    areSame: (one, other) => one === other,
    bytesOf: (row) => row.length,
    run: async (terms, rows) => {
      runs.push({ terms, rows: rows.length });
      return await run(terms, rows);
    },
  });
  return { batch, runs };
}

const firstBytes = (_terms: string, rows: readonly Buffer[]) => Promise.resolve(rows.map((row) => row[0] as number));

test('the calls of one tick on the same terms are one, each with its own outcome', async () => {
  const { batch, runs } = batchOver(firstBytes);
  const rows = Array.from({ length: 100 }, (_, index) => Buffer.from([index]));
  const outcomes = await Promise.all(rows.map((row, index) => batch.call(index % 2 === 0 ? 'even' : 'odd', row)));
  assert.deepEqual(
    outcomes,
    rows.map((row) => row[0]),
  );
  assert.deepEqual(runs, [
    { terms: 'even', rows: 50 },
    { terms: 'odd', rows: 50 },
  ]);
});

test('many are called in portions, large ones in smaller portions, and one that is too large alone', async () => {
  const { batch, runs } = batchOver(firstBytes);
  await Promise.all(Array.from({ length: 600 }, () => batch.call('small', Buffer.from([1]))));
  assert.deepEqual(
    runs.map(({ rows }) => rows),
    [256, 256, 88],
  );
  runs.length = 0;
  const sizes = [400_000, 400_000, 400_000, 3_000_000, 10, 10];
  await Promise.all(sizes.map((size) => batch.call('large', Buffer.alloc(size))));
  assert.deepEqual(
    runs.map(({ rows }) => rows),
    [2, 1, 1, 2],
  );
});

test('what fails, fails for those in it, and for no others', async () => {
  const { batch } = batchOver((terms, rows) =>
    terms === 'bad' ? Promise.reject(new Error('no')) : firstBytes(terms, rows),
  );
  const outcomes = await Promise.allSettled([
    batch.call('bad', Buffer.from([1])),
    batch.call('good', Buffer.from([2])),
    batch.call('bad', Buffer.from([3])),
  ]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'fulfilled', 'rejected'],
  );
  assert.equal(await batch.call('good', Buffer.from([4])), 4);
});
