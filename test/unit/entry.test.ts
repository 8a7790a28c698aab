/** Entries: what is written is read, and whatever else lies in Redis is nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ageSeconds,
  decodeEntry,
  encodeEntry,
  type Entry,
  freshSeconds,
  SHAPE_LENGTH,
  VERSION_LENGTH,
  VERSION_ZERO,
} from '../../shared/entry/entry.ts';

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`entry: seed ${seed}\n`);

const [OPENING, CLOSING] = [Buffer.from('{'), Buffer.from('}')];
const shape = fc.string({
  unit: fc.constantFrom(...'ABCXYZabcxyz0189_-'.split('')),
  minLength: SHAPE_LENGTH,
  maxLength: SHAPE_LENGTH,
});
const version = fc.string({
  unit: fc.constantFrom(...'0123456789'.split('')),
  minLength: VERSION_LENGTH,
  maxLength: VERSION_LENGTH,
});
const entry: fc.Arbitrary<Entry> = fc
  .record({
    kind: fc.constantFrom('row' as const, 'negative' as const),
    exactness: fc.constantFrom('exact' as const, 'inexact' as const),
    isSecondHand: fc.boolean(),
    version,
    shape,
    readAtMs: fc.integer({ min: 0, max: 36 ** 8 - 1 }),
    ttlSeconds: fc.integer({ min: 1, max: 31_536_000 }),
    body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.concat([OPENING, bytes, CLOSING])),
  })
  .map((fields) => (fields.kind === 'row' ? { ...fields } : { ...fields, body: Buffer.alloc(0) }));

test('an entry is decoded as it was encoded', () => {
  fc.assert(
    fc.property(entry, (original) => assert.deepEqual(decodeEntry(encodeEntry(original)), original)),
    { seed, numRuns: 2_000 },
  );
});

test('the header stands where scripts cut it', () => {
  const bytes = encodeEntry({
    kind: 'row',
    exactness: 'exact',
    isSecondHand: false,
    version: VERSION_ZERO,
    shape: 'ABCDEFGH',
    readAtMs: 1,
    ttlSeconds: 37,
    body: Buffer.from('{}'),
  });
  assert.equal(bytes.toString('latin1'), `1Rx${'0'.repeat(45)}ABCDEFGH0000000100${'0011'}{}`);
  const letters = (['exact', 'inexact'] as const).flatMap((exactness) =>
    [false, true].map((isSecondHand) =>
      encodeEntry({ ...(decodeEntry(bytes) as Entry), exactness, isSecondHand }).toString('latin1', 2, 3),
    ),
  );
  assert.deepEqual(letters, ['x', 'X', 'i', 'I']);
});

test('arbitrary bytes are nothing or an entry, never an error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      decodeEntry(Buffer.from(bytes));
    }),
    { seed, numRuns: 5_000 },
  );
});

test('an entry with one byte of its header changed is nothing, or another entry of the right form', () => {
  fc.assert(
    fc.property(entry, fc.nat(69), fc.nat(255), (original, at, byte) => {
      const bytes = encodeEntry(original);
      const before = bytes[at];
      bytes[at] = byte;
      const decoded = decodeEntry(bytes);
      if (decoded === undefined) return;
      assert.deepEqual(encodeEntry(decoded), bytes);
      if (byte !== before) assert.notDeepEqual(decoded, original);
    }),
    { seed, numRuns: 5_000 },
  );
});

test('an entry cut short anywhere in its header is nothing', () => {
  fc.assert(
    fc.property(entry, fc.nat(69), (original, length) => {
      assert.equal(decodeEntry(encodeEntry(original).subarray(0, length)), undefined);
    }),
    { seed },
  );
  const row = encodeEntry({
    kind: 'row',
    exactness: 'exact',
    isSecondHand: false,
    version: VERSION_ZERO,
    shape: 'ABCDEFGH',
    readAtMs: 1,
    ttlSeconds: 1,
    body: Buffer.from('{}'),
  });
  assert.equal(decodeEntry(row.subarray(0, 70)), undefined, 'a row without a body');
  assert.equal(decodeEntry(row.subarray(0, 71)), undefined, 'a row that was cut off');
  const foreign = Buffer.concat([row.subarray(0, 70), Buffer.from('["a"]')]);
  assert.equal(decodeEntry(foreign), undefined, 'a row that is no object');
  const negative = Buffer.from(row);
  negative.write('N', 1);
  assert.equal(decodeEntry(negative), undefined, 'a "no such row" with a body');
});

test('a field that does not fit is a mistake of ours, and says so', () => {
  const good: Entry = {
    kind: 'negative',
    exactness: 'exact',
    isSecondHand: false,
    version: VERSION_ZERO,
    shape: 'ABCDEFGH',
    readAtMs: 1,
    ttlSeconds: 1,
    body: Buffer.alloc(0),
  };
  const bad: Partial<Entry>[] = [
    { version: '1' },
    { version: 'x'.repeat(45) },
    { shape: 'short' },
    { shape: 'ABCDEFG\n' },
    { readAtMs: -1 },
    { readAtMs: 36 ** 8 },
    { ttlSeconds: 36 ** 6 },
    { readAtMs: Number.NaN },
  ];
  for (const change of bad)
    assert.throws(() => encodeEntry({ ...good, ...change }), /does not fit/, JSON.stringify(change));
});

test('freshness is what is left of the TTL, and age never negative though clocks differ', () => {
  const read: Entry = {
    kind: 'negative',
    exactness: 'exact',
    isSecondHand: false,
    version: VERSION_ZERO,
    shape: 'ABCDEFGH',
    readAtMs: 1_000_000,
    ttlSeconds: 10,
    body: Buffer.alloc(0),
  };
  assert.equal(freshSeconds(read, 1_000_000), 10);
  assert.equal(freshSeconds(read, 1_009_999), 1);
  assert.equal(freshSeconds(read, 1_010_000), 0);
  assert.equal(freshSeconds(read, 1_020_000), -10);
  assert.equal(ageSeconds(read, 990_000), 0);
  assert.equal(ageSeconds(read, 1_001_999), 1);
});
