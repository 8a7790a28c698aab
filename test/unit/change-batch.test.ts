/** The message between capture and apply: what is written is read, and whatever else comes is refused whole. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BatchUnreadable, type ChangeBatch, decodeBatch, encodeBatch } from '../../shared/change/change-batch.ts';
import type { ChangeOp, VersionedChange } from '../../shared/change/change.ts';

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`change-batch: seed ${seed}\n`);

const LETTERS: Readonly<Record<ChangeOp, string>> = {
  write: 'W',
  absent: 'N',
  remove: 'D',
  refresh: 'R',
  put: 'P',
  'too-large': 'T',
  delete: 'X',
};

const version = fc.string({ unit: fc.constantFrom(...'0123456789'.split('')), minLength: 45, maxLength: 45 });
// From before 2200.
const plausible = version.map((digits) => `0${digits.slice(1)}`);
const change: fc.Arbitrary<VersionedChange> = fc.record({
  op: fc.constantFrom(...(Object.keys(LETTERS) as ChangeOp[])),
  table: fc.constantFrom('shop.users(id)', 'shop.orders(id,no)', 'bücher.übersicht(nr)'),
  key: fc.string({ unit: 'binary', maxLength: 20 }),
  shape: fc.string({ unit: fc.constantFrom(...'abzABZ09_-'.split('')), minLength: 8, maxLength: 8 }),
  version,
  body: fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
});
const batch: fc.Arbitrary<ChangeBatch> = fc
  .record(
    {
      plan: fc.nat(),
      span: fc.tuple(plausible, plausible),
      asOf: fc.nat(),
      origin: fc.string(),
      gtid: fc.string(),
      rings: fc.array(fc.string(), { maxLength: 3 }),
      tables: fc.array(fc.string(), { maxLength: 3 }),
      floors: fc.dictionary(fc.string(), version, { maxKeys: 3, noNullPrototype: true }),
      hole: fc.tuple(version, version),
      changes: fc.array(change, { maxLength: 5 }),
    },
    { requiredKeys: ['plan', 'span', 'asOf', 'origin', 'gtid', 'changes'] },
  )
  .map(({ span, ...rest }) => {
    const [from, to] = span.toSorted() as [string, string];
    return { ...rest, from, to };
  });

test('a message is decoded as it was encoded', () => {
  fc.assert(
    fc.property(batch, (original) => {
      const { changes, ...head } = original;
      const decoded = decodeBatch(encodeBatch(original));
      assert.deepEqual(decoded.head, head);
      const read = decoded.changes.map((framed) => {
        const text = framed.head.toString('latin1');
        const table = decoded.changeTables[Number(text.slice(54))];
        return [text.slice(0, 54), table, framed.key.toString(), framed.body];
      });
      const written = changes.map(({ op, version: at, shape, table, key, body }) => [
        LETTERS[op] + at + shape,
        table,
        Buffer.from(key).toString(),
        body,
      ]);
      assert.deepEqual(read, written);
    }),
    { seed, numRuns: 500 },
  );
});

const small: ChangeBatch = {
  plan: 1,
  from: '1'.repeat(45),
  to: '2'.repeat(45),
  asOf: 3,
  origin: 'o',
  gtid: 'g',
  changes: [
    { op: 'write', table: 't', key: 'key-1', shape: 'shape--1', version: '1'.repeat(45), body: Buffer.from('{"a":1}') },
    { op: 'absent', table: 't', key: 'key-2', shape: 'shape--1', version: '2'.repeat(45), body: Buffer.alloc(0) },
  ],
};

test('arbitrary bytes are refused as unreadable, by no other error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.throws(() => decodeBatch(Buffer.from(bytes)), BatchUnreadable);
    }),
    { seed, numRuns: 2_000 },
  );
});

test('a message cut short anywhere but between changes is refused', () => {
  const whole = encodeBatch(small);
  const bounds = new Set([0, 1].map((count) => encodeBatch(small).length - tail(count)));
  function tail(from: number): number {
    return small.changes.slice(from).reduce((sum, { key, body }) => sum + 64 + key.length + body.length, 0);
  }
  for (let length = 0; length < whole.length; length += 1) {
    if (bounds.has(length)) assert.ok(decodeBatch(whole.subarray(0, length)).changes.length < 2);
    else assert.throws(() => decodeBatch(whole.subarray(0, length)), BatchUnreadable, String(length));
  }
});

test('one byte changed gives a message of the right form, or a refusal', () => {
  const whole = encodeBatch(small);
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
      const spoilt = Buffer.from(whole);
      spoilt[at] = byte;
      try {
        decodeBatch(spoilt);
      } catch (error) {
        assert.ok(error instanceof BatchUnreadable, String(error));
      }
    }),
    { seed, numRuns: 3_000 },
  );
});

test('a head with a field that does not fit is refused', () => {
  const wrong: Record<string, unknown>[] = [
    { plan: 1.5 },
    { plan: -1 },
    { plan: Number.MAX_SAFE_INTEGER },
    { plan: '1' },
    { from: 'x' },
    { from: '3'.repeat(45) },
    { to: undefined },
    { asOf: 1.5 },
    { asOf: null },
    { origin: 1 },
    { gtid: undefined },
    { rings: ['a', 1] },
    { tables: 'a' },
    { floors: { t: 'x' } },
    { floors: null },
    { hole: ['1'.repeat(45)] },
    { hole: ['1'.repeat(45), 'x'] },
  ];
  for (const fields of wrong) {
    const spoilt = { ...small, changes: [], ...fields } as unknown as ChangeBatch;
    assert.throws(() => decodeBatch(encodeBatch(spoilt)), BatchUnreadable, JSON.stringify(fields));
  }
});

test('a change of a table that is not named, or of an unknown op, is refused', () => {
  const whole = encodeBatch(small).toString('latin1');
  for (const [find, replace] of [
    [`W${'1'.repeat(45)}shape--10000`, `W${'1'.repeat(45)}shape--10001`],
    [`W${'1'.repeat(45)}`, `Q${'1'.repeat(45)}`],
    ['"format":1', '"format":2'],
    ['"changeTables":["t"]', '"changeTables":[ 7 ]'],
  ] as const) {
    assert.ok(whole.includes(find));
    assert.throws(() => decodeBatch(Buffer.from(whole.replace(find, replace), 'latin1')), BatchUnreadable, find);
  }
});

test('a key or a table that does not fit its field is a mistake of ours, and says so', () => {
  const [first] = small.changes as [VersionedChange];
  const long = { ...small, changes: [{ ...first, key: 'k'.repeat(65_536) }] };
  assert.throws(() => encodeBatch(long), RangeError);
});
