import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReadBatch } from '../../shared/shard/read-batch.ts';

function batchOver(answer: (keys: string[]) => Promise<(Buffer | null)[]>) {
  const sizes: number[] = [];
  const batch = new ReadBatch(
    async (keys) => {
      sizes.push(keys.length);
      return { stored: await answer(keys), seen: undefined };
    },
    (stored) => stored.length,
  );
  const readMany = (count: number) => Promise.all(Array.from({ length: count }, (_, index) => batch.read(`k${index}`)));
  return { sizes, readMany };
}

test('the reads of one tick are one fetch, each with its own answer', async () => {
  const { sizes, readMany } = batchOver((keys) => Promise.resolve(keys.map((key) => Buffer.from(key))));
  const answers = await readMany(100);
  assert.deepEqual(sizes, [100]);
  assert.equal(answers[42]?.stored?.toString(), 'k42');
});

test('large entries are fetched in several reads, of some megabytes each; small ones in one again', async () => {
  let bytes = 400_000;
  const { sizes, readMany } = batchOver((keys) => Promise.resolve(keys.map(() => Buffer.alloc(bytes))));
  await readMany(100);
  sizes.length = 0;
  await readMany(100);
  assert.ok(Math.max(...sizes) * bytes <= 8 * 1024 * 1024, String(sizes));
  bytes = 100;
  for (let round = 0; round < 10; round += 1) await readMany(100);
  sizes.length = 0;
  await readMany(100);
  assert.deepEqual(sizes, [100]);
});

test('after a failure many are read in smaller portions, and never less than 32 at once for that reason', async () => {
  const { sizes, readMany } = batchOver(() => Promise.reject(new Error('late')));
  for (let round = 0; round < 5; round += 1) await assert.rejects(readMany(512), /late/);
  assert.equal(sizes[0], 512);
  assert.equal(Math.min(...sizes.slice(0, -1)), 32);
});
