/** Stamps: what is believed, and that nothing else is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ringHash } from '../../shared/ring/ring-hash.ts';
import { StampReader } from '../../shared/stamp/stamp-reader.ts';
import { decodeStamp, floorOf, isComplete, isTrusted, type Stamp, STAMP_BYTES_MAX } from '../../shared/stamp/stamp.ts';

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`stamp: seed ${seed}\n`);

const version = fc.string({ unit: fc.constantFrom(...'0123456789'.split('')), minLength: 45, maxLength: 45 });
const versions = fc.dictionary(fc.string({ maxLength: 8 }), version, { maxKeys: 3, noNullPrototype: true });
// From before 2200.
const plausible = version.map((digits) => `0${digits.slice(1)}`);
const stamp: fc.Arbitrary<Stamp> = fc.record({
  plan: fc.nat(),
  to: plausible,
  floor: plausible,
  asOf: fc.nat(),
  origin: fc.string(),
  gtid: fc.string(),
  rings: versions,
  tables: versions,
  holes: fc.array(fc.tuple(version, version), { maxLength: 3 }),
  complete: fc.dictionary(
    fc.string({ maxLength: 8 }),
    fc.record({ rings: fc.string(), shape: fc.string(), since: version }, { noNullPrototype: true }),
    { maxKeys: 3, noNullPrototype: true },
  ),
});
const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));
const v = (number: number) => String(number).padStart(45, '0');
const plain: Stamp = {
  plan: 1,
  to: v(100),
  floor: v(0),
  asOf: 1,
  origin: 'o',
  gtid: '',
  rings: { r: v(10) },
  tables: { t: v(20) },
  holes: [],
  complete: {},
};

test('a stamp is decoded as it was written; without holes or complete mirrors where the script left them out', () => {
  fc.assert(
    fc.property(stamp, (original) => assert.deepEqual(decodeStamp(bytesOf(original)), { ...original })),
    { seed },
  );
  const { holes: _, complete: __, ...without } = plain;
  assert.deepEqual(decodeStamp(bytesOf(without)), plain);
});

test('arbitrary bytes and JSON are nothing or a stamp, never an error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), fc.uint8Array(), (text, bytes) => {
      decodeStamp(Buffer.from(text));
      decodeStamp(Buffer.from(bytes));
    }),
    { seed, numRuns: 2_000 },
  );
});

test('a stamp with one field missing, or of another kind, is none', () => {
  for (const field of Object.keys(plain).filter((name) => name !== 'holes' && name !== 'complete')) {
    for (const value of [undefined, null, [], {}, true, [v(1)], { a: 1 }, { a: 'x' }]) {
      const isMap = JSON.stringify(value) === '{}';
      if ((field === 'rings' || field === 'tables') && isMap) continue;
      assert.equal(decodeStamp(bytesOf({ ...plain, [field]: value })), undefined, `${field}: ${JSON.stringify(value)}`);
    }
  }
  const beyond = '9'.repeat(45);
  for (const wrong of [
    { plan: 1.5 },
    { plan: -1 },
    { plan: 2 ** 53 - 1 },
    { asOf: 0.5 },
    { to: beyond },
    { floor: beyond },
  ]) {
    assert.equal(decodeStamp(bytesOf({ ...plain, ...wrong })), undefined, JSON.stringify(wrong));
  }
  assert.equal(decodeStamp(Buffer.from(JSON.stringify(plain).replace('"asOf":1', '"asOf":1e999'))), undefined);
  assert.equal(decodeStamp(bytesOf({ ...plain, gtid: '.'.repeat(STAMP_BYTES_MAX) })), undefined);
  for (const holes of [7, [[v(1)]], [[v(1), v(2), v(3)]], [[v(1), 'x']], { 0: [v(1), v(2)] }]) {
    assert.equal(decodeStamp(bytesOf({ ...plain, holes })), undefined, JSON.stringify(holes));
  }
});

test('the floor is the highest of the shard’s, the ring’s and the table’s; nothing where one of them is not followed', () => {
  fc.assert(
    fc.property(version, version, version, (floor, since, tableFloor) => {
      const of = { ...plain, floor, rings: { r: since }, tables: { t: tableFloor } };
      assert.equal(floorOf(of, 't', 'r'), [floor, since, tableFloor].toSorted().at(-1));
    }),
    { seed },
  );
  assert.equal(floorOf(plain, 'other', 'r'), undefined);
  assert.equal(floorOf(plain, 't', 'other'), undefined);
  for (const name of ['__proto__', 'constructor', 'toString']) {
    assert.equal(floorOf(plain, name, 'r'), undefined);
    assert.equal(floorOf(plain, 't', name), undefined);
  }
});

test('an entry counts from the floor on, but not in a hole; an inexact one not below a hole either', () => {
  const holed: Stamp = { ...plain, holes: [[v(50), v(60)]] };
  const counts = (number: number, exactness: 'exact' | 'inexact') =>
    isTrusted({ version: v(number), exactness }, holed, v(20));
  const expected: [number, exact: boolean, inexact: boolean][] = [
    [19, false, false],
    [20, true, false],
    [50, true, false],
    [51, false, false],
    [59, false, false],
    [60, true, true],
    [61, true, true],
  ];
  for (const [number, exact, inexact] of expected) {
    assert.equal(counts(number, 'exact'), exact, `exact ${number}`);
    assert.equal(counts(number, 'inexact'), inexact, `inexact ${number}`);
  }
});

test('a reader knows since when it has seen an `asOf`, whatever else changes in the stamp', () => {
  const reader = new StampReader();
  const sinceOf = (stamp: Partial<Stamp>) => reader.read(bytesOf({ ...plain, ...stamp }))?.since as number;
  const first = sinceOf({ asOf: 10 });
  assert.ok(first <= performance.now());
  assert.equal(sinceOf({ asOf: 10, to: v(70) }), first);
  assert.ok(sinceOf({ asOf: 11, to: v(70) }) > first);
});

test('a reader remembers the highest `to`: a shard that went back is told, until it has caught up', () => {
  const reader = new StampReader();
  const read = (to: number | undefined) =>
    reader.read(to === undefined ? null : bytesOf({ ...plain, to: v(to) }))?.wentBack;
  assert.equal(read(undefined), undefined);
  assert.equal(read(10), false);
  assert.equal(read(20), false);
  assert.equal(read(19), true);
  assert.equal(read(19), true, 'the same bytes again');
  assert.equal(read(undefined), undefined);
  assert.equal(read(19), true, 'also after it had none');
  assert.equal(read(20), false);
  assert.equal(reader.read(Buffer.from('no stamp')), undefined);
  assert.equal(read(15), true);
});

test('a ring’s hash is of its members and their placement, in whatever order they are named', () => {
  assert.equal(ringHash(['a', 'b'], 'ketama'), ringHash(['b', 'a'], 'ketama'));
  const hashes = [
    ringHash(['a', 'b'], 'ketama'),
    ringHash(['a', 'b'], 'balanced'),
    ringHash(['ab'], 'ketama'),
    ringHash(['a'], 'ketama'),
  ];
  assert.equal(new Set(hashes).size, hashes.length);
});

test('a mirror is complete while nothing has been dropped since its snapshot began, for this ring and shape', () => {
  const mark = { rings: 'r,former', shape: 's', since: v(50) };
  const of = (more: Partial<Stamp>, ring = 'r', shape = 's') => {
    const stamped = { ...plain, complete: { t: mark }, ...more };
    return isComplete(stamped, 't', ring, shape, floorOf(stamped, 't', 'r') as string);
  };
  assert.ok(of({}));
  assert.ok(!of({ complete: {} }));
  assert.ok(of({}, 'former'), 'the definitions of one ring');
  assert.ok(!of({}, 'other'));
  assert.ok(!of({}, 'r', 'other'));
  for (const dropped of [{ floor: v(51) }, { tables: { t: v(51) } }, { rings: { r: v(51) } }] as const) {
    assert.ok(!of(dropped), JSON.stringify(dropped));
  }
  assert.ok(!of({ holes: [[v(30), v(60)]] }), 'what was deleted there is unknown');
  assert.ok(of({ holes: [[v(30), v(40)]] }));
  assert.ok(!isComplete({ ...plain, complete: {} }, '__proto__', 'r', 's', v(0)));
});
