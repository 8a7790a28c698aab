/** Versions: text that is compared as the places are that it stands for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { VERSION_LENGTH, VERSION_ZERO } from '../../shared/entry/entry.ts';
import {
  comparePositions,
  describeVersion,
  epochOf,
  epochStart,
  fileNumber,
  isVersion,
  laterOf,
  ORDINAL_LAST,
  versionOf,
} from '../../shared/version/version.ts';

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`version: seed ${seed}\n`);

const place = fc.record({
  epoch: fc.integer({ min: 0, max: 9_999_999_999 }),
  file: fc.integer({ min: 0, max: 9_999_999_999 }),
  position: fc.integer({ min: 0, max: 999_999_999_999_999 }),
  ordinal: fc.integer({ min: 0, max: ORDINAL_LAST }),
});
type Place = typeof place extends fc.Arbitrary<infer T> ? T : never;
const textOf = ({ epoch, file, position, ordinal }: Place) =>
  versionOf(epoch, { file: `mysql-bin.${file}`, position }, ordinal);

test('text is in the order of places, part by part', () => {
  const near = fc.tuple(place, place, fc.nat(4)).map(([a, b, same]) => {
    const parts = ['epoch', 'file', 'position', 'ordinal'] as const;
    return [a, { ...b, ...Object.fromEntries(parts.slice(0, same).map((part) => [part, a[part]])) }] as const;
  });
  fc.assert(
    fc.property(near, ([a, b]) => {
      const byParts = a.epoch - b.epoch || a.file - b.file || a.position - b.position || a.ordinal - b.ordinal;
      const [textA, textB] = [textOf(a), textOf(b)];
      assert.equal(Math.sign(byParts), textA < textB ? -1 : Number(textA > textB));
      assert.equal(laterOf(textA, textB), byParts < 0 ? textB : textA);
      assert.equal(textA.length, VERSION_LENGTH);
      assert.ok(isVersion(textA));
      assert.equal(epochOf(textA), a.epoch);
    }),
    { seed, numRuns: 2_000 },
  );
});

test('a position covers every change of the transactions that end there, and nothing beyond', () => {
  const at = { file: 'b.000042', position: 1337 };
  assert.ok(versionOf(7, at, ORDINAL_LAST - 1) < versionOf(7, at));
  assert.ok(versionOf(7, { ...at, position: 1338 }, 0) > versionOf(7, at));
  assert.equal(versionOf(7, at), '0000000007' + '0000000042' + '000000000001337' + '9999999999');
});

test('an epoch starts after all of the one before', () => {
  const last = { file: 'b.9999999999', position: 999_999_999_999_999 };
  assert.ok(epochStart(8) > versionOf(7, last));
  assert.ok(epochStart(8) <= versionOf(8, { file: 'b.0', position: 0 }, 0));
  assert.equal(epochStart(0), VERSION_ZERO);
});

test('positions go past 2^32, and files past six digits', () => {
  assert.ok(versionOf(1, { file: 'b.1000000', position: 4 }) > versionOf(1, { file: 'b.999999', position: 2 ** 32 }));
  assert.ok(versionOf(1, { file: 'b.1', position: 2 ** 32 }) > versionOf(1, { file: 'b.1', position: 2 ** 32 - 1 }));
  assert.ok(comparePositions({ file: 'b.1000000', position: 4 }, { file: 'b.999999', position: 5 }) > 0);
  assert.equal(comparePositions({ file: 'b.01', position: 4 }, { file: 'b.1', position: 4 }), 0);
});

test('what does not fit is refused, never cut', () => {
  const at = { file: 'b.1', position: 1 };
  const bad: [number, { file: string; position: number }, number][] = [
    [10_000_000_000, at, 0],
    [-1, at, 0],
    [1.5, at, 0],
    [Number.NaN, at, 0],
    [1, { file: 'b.10000000000', position: 1 }, 0],
    [1, { file: 'b.1', position: 1e15 }, 0],
    [1, { file: 'b.1', position: -1 }, 0],
    [1, at, ORDINAL_LAST + 1],
  ];
  for (const [epoch, where, ordinal] of bad) assert.throws(() => versionOf(epoch, where, ordinal), RangeError);
  assert.throws(() => epochStart(10_000_000_000), RangeError);
  for (const file of ['', 'b', 'b.', 'b.1x', 'b.-1', 'b.1.']) assert.throws(() => fileNumber(file), RangeError, file);
  assert.equal(fileNumber('a.b.000012'), 12);
});

test('only 45 digits are a version', () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      assert.equal(isVersion(value), typeof value === 'string' && /^\d{45}$/.test(value) && value.length === 45);
    }),
    { seed },
  );
  for (const text of ['1'.repeat(44), '1'.repeat(46), `${'1'.repeat(45)}\n`, '٣'.repeat(45), ` ${'1'.repeat(44)}`]) {
    assert.equal(isVersion(text), false, JSON.stringify(text));
  }
});

test('for people, a position has no ordinal, and a change has', () => {
  const at = { file: 'b.42', position: 1337 };
  assert.equal(describeVersion(versionOf(1_795_000_000, at)), '1795000000/42:1337');
  assert.equal(describeVersion(versionOf(1_795_000_000, at, 3)), '1795000000/42:1337#3');
});
