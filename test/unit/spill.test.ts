/** The buffer of one transaction's changes, on a real file system, against an array. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import type { PlacedChange } from '../../sync-worker/capture/assembler/transaction.ts';
import {
  ChangeBuffer,
  deleteLeftovers,
  SpillFailed,
  type SpillMark,
} from '../../sync-worker/capture/assembler/spill.ts';

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`spill: seed ${seed}\n`);

const root = mkdtempSync(join(tmpdir(), 'ringfill-'));
after(() => rmSync(root, { recursive: true, force: true }));
const MEBIBYTE = 2 ** 20;
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function change(key: string, body: string | Buffer = '', op: PlacedChange['op'] = 'write', ordinal = 7): PlacedChange {
  return { op, table: `shop.t${key.length % 3}(id)`, key, shape: 'abcdefgh', body: Buffer.from(body), ordinal };
}

async function all(buffer: ChangeBuffer): Promise<PlacedChange[]> {
  const changes: PlacedChange[] = [];
  for await (const one of buffer.changes()) changes.push({ ...one, body: Buffer.from(one.body) });
  return changes;
}

const anyChange = fc
  .record({
    op: fc.constantFrom('write', 'absent', 'remove', 'refresh'),
    table: fc.constantFrom('shop.users(uid)', 'shop.größe(a,b)'),
    key: fc.string({ unit: 'grapheme', maxLength: 20 }),
    shape: fc.constantFrom('abcdefgh', '12345678'),
    body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    ordinal: fc.nat({ max: 9_999_999_998 }),
  })
  .map((value) => ({ ...value }) as PlacedChange);
type Step = { push: PlacedChange } | { spill: true } | { mark: true } | { return: number };
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: anyChange.map((push) => ({ push })) },
  { weight: 1, arbitrary: fc.constant({ spill: true } as const) },
  { weight: 1, arbitrary: fc.constant({ mark: true } as const) },
  { weight: 1, arbitrary: fc.nat(5).map((back) => ({ return: back })) },
);

test('whatever is pushed, spilled, marked and returned to, it reads as an array would', async () => {
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 60 }), fc.constantFrom(0, 200, 2_000), async (steps, bound) => {
      runs += 1;
      const folder = join(root, `property-${runs}`);
      mkdirSync(folder);
      const buffer = new ChangeBuffer({ folder, memoryBytesMax: bound });
      let model: PlacedChange[] = [];
      let marks: { mark: SpillMark; length: number }[] = [];
      for (const step of steps) {
        if ('push' in step) {
          buffer.push(step.push);
          model.push(step.push);
          if (buffer.isFull) await buffer.spill();
        } else if ('spill' in step) {
          await buffer.spill();
        } else if ('mark' in step) {
          marks.push({ mark: buffer.mark(), length: model.length });
        } else {
          marks = marks.slice(0, Math.max(0, marks.length - step.return));
          const last = marks.at(-1);
          if (last === undefined) continue;
          buffer.truncate(last.mark);
          model = model.slice(0, last.length);
        }
        assert.equal(buffer.count, model.length);
      }
      assert.deepEqual(await all(buffer), model);
      await buffer.discard();
      assert.deepEqual(readdirSync(folder), []);
    }),
    { seed, numRuns: 300 },
  );
});

test('a million changes are held in no more memory than the bound', { timeout: 120_000 }, async () => {
  const bound = 8 * MEBIBYTE;
  const buffer = new ChangeBuffer({ folder: join(root, 'million'), memoryBytesMax: bound });
  let most = 0;
  let heapMost = 0;
  const heapBefore = held();
  for (let index = 0; index < 1_000_000; index += 1) {
    buffer.push(change(`shop_users_${index}`, `{"uid":${index},"name":"somebody or other"}`));
    most = Math.max(most, buffer.memoryBytes);
    if (buffer.isFull) await buffer.spill();
    if (index % 100_000 === 0) heapMost = Math.max(heapMost, held() - heapBefore);
  }
  assert.ok(most < bound + 1024, `${most} bytes at most`);
  let next = 0;
  for await (const { key, body } of buffer.changes()) {
    if (key !== `shop_users_${next}` || body.length < 30) assert.fail(`${key} in the place of ${next}`);
    next += 1;
    if (next % 100_000 === 0) heapMost = Math.max(heapMost, held() - heapBefore);
  }
  assert.equal(next, 1_000_000);
  // Loosely: all of them would be some 350 MiB.
  assert.ok(heapMost < 3 * bound, `${Math.round(heapMost / MEBIBYTE)} MiB`);
  await buffer.discard();
});

function held(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test('a change larger than what is read at once comes back whole', async () => {
  const buffer = new ChangeBuffer({ folder: join(root, 'large'), memoryBytesMax: 1 });
  const body = Buffer.alloc(5 * MEBIBYTE, 'xyz');
  buffer.push(change('a', 'small'));
  buffer.push(change('b', body));
  buffer.push(change('c', ''));
  await buffer.spill();
  const read = await all(buffer);
  assert.deepEqual(
    read.map(({ key }) => key),
    ['a', 'b', 'c'],
  );
  assert.ok(read[1]?.body.equals(body));
  await buffer.discard();
});

test('what fits into memory touches no disk', async () => {
  const folder = join(root, 'untouched');
  const buffer = new ChangeBuffer({ folder });
  buffer.push(change('a', 'b'));
  assert.ok(!buffer.isFull);
  assert.equal((await all(buffer)).length, 1);
  await buffer.discard();
  assert.throws(() => readdirSync(folder), { code: 'ENOENT' });
});

test('it is read once', async () => {
  const buffer = new ChangeBuffer({ folder: root });
  buffer.changes();
  assert.throws(() => buffer.changes(), /only once/);
});

test('a file larger than allowed, and one that cannot be written, fail by name', async () => {
  const small = new ChangeBuffer({ folder: join(root, 'small'), memoryBytesMax: 1, fileBytesMax: 100 });
  small.push(change('a', 'x'.repeat(200)));
  await assert.rejects(small.spill(), SpillFailed);
  await small.discard();
  const blocked = join(root, 'blocked');
  writeFileSync(blocked, 'a file where a folder should be');
  const buffer = new ChangeBuffer({ folder: blocked });
  buffer.push(change('a'));
  await assert.rejects(buffer.spill(), SpillFailed);
  await buffer.discard();
});

test('rows on disk are for the owner alone', async () => {
  const folder = join(root, 'mode');
  const buffer = new ChangeBuffer({ folder });
  buffer.push(change('a'));
  await buffer.spill();
  const [name] = readdirSync(folder);
  assert.equal(statSync(join(folder, name ?? '')).mode & 0o777, 0o600);
  await buffer.discard();
});

test('what a crashed process left behind is deleted, and nothing else', async () => {
  const folder = join(root, 'leftovers');
  await deleteLeftovers(folder);
  mkdirSync(folder);
  const buffer = new ChangeBuffer({ folder });
  buffer.push(change('a'));
  await buffer.spill();
  writeFileSync(join(folder, 'checkpoint.json'), '{}');
  await deleteLeftovers(folder);
  assert.deepEqual(readdirSync(folder), ['checkpoint.json']);
  // A transaction that is still being read outlives it.
  assert.equal((await all(buffer)).length, 1);
  await buffer.discard();
});
