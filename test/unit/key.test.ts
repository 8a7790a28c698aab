/** Keys without servers: canonical spellings, their literals, ids in URLs, tables that could collide. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RequestRefused } from '../../shared/errors/errors.ts';
import { collidingKeySpaces, tableKeyPrefix } from '../../shared/key/cache-key.ts';
import {
  absenceIsCacheable,
  canonicalSpelling,
  type KeyPart,
  type KeyPartType,
  spellingOfCell,
  sqlLiteral,
} from '../../shared/key/key-part.ts';
import { parseRowId, percentDecode, percentEncode, rowIdOfCells, splitRowIds } from '../../shared/key/row-id.ts';

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`key: seed ${seed}\n`);

const TYPES: Readonly<Record<string, KeyPartType>> = {
  int: { kind: 'integer', min: -(2n ** 31n), max: 2n ** 31n - 1n },
  bigUnsigned: { kind: 'integer', min: 0n, max: 2n ** 64n - 1n },
  decimal: { kind: 'decimal', precision: 12, scale: 4, unsigned: false },
  whole: { kind: 'decimal', precision: 5, scale: 0, unsigned: true },
  fraction: { kind: 'decimal', precision: 4, scale: 4, unsigned: false },
  bit: { kind: 'bit', width: 40 },
  year: { kind: 'year' },
  date: { kind: 'date' },
  time: { kind: 'time', fraction: 3 },
  datetime: { kind: 'datetime', fraction: 6 },
  fixed: { kind: 'binary', bytesMax: 4, fixed: true },
  varying: { kind: 'binary', bytesMax: 8, fixed: false },
  text: { kind: 'text', bytewise: false },
};
const two = (value: number) => String(value).padStart(2, '0');
const day = fc
  .date({ min: new Date('1000-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10));
const digits = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789'.split('')), minLength: length, maxLength: length });
const clock = fc.tuple(fc.nat(23), fc.nat(59), fc.nat(59)).map((parts) => parts.map(two).join(':'));

/** A type with a cell as MySQL's text protocol sends it. */
const typedCell: fc.Arbitrary<{ type: KeyPartType; cell: Buffer }> = fc.oneof(
  ...(
    [
      ['int', fc.integer().map(String)],
      ['bigUnsigned', fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String)],
      // ZEROFILL.
      ['bigUnsigned', fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => String(value).padStart(20, '0'))],
      [
        'decimal',
        fc
          .tuple(fc.integer({ min: -99_999_999, max: 99_999_999 }), digits(4))
          .map(([whole, rest]) => `${whole}.${rest}`),
      ],
      ['whole', fc.nat(99_999).map((value) => two(value).padStart(5, '0'))],
      [
        'fraction',
        fc
          .tuple(fc.constantFrom('', '-'), fc.integer({ min: 1, max: 9_999 }))
          .map(([sign, value]) => `${sign}0.${String(value).padStart(4, '0')}`),
      ],
      ['year', fc.integer({ min: 1901, max: 2155 }).map(String)],
      ['date', day],
      [
        'time',
        fc
          .tuple(fc.integer({ min: 1, max: 838 }), fc.constantFrom('', '-'), digits(3))
          .map(([hours, sign, rest]) => `${sign}${two(hours)}:59:00.${rest}`),
      ],
      ['datetime', fc.tuple(day, clock, digits(6)).map(([date, time, rest]) => `${date} ${time}.${rest}`)],
      ['text', fc.string({ unit: 'binary', maxLength: 50 }).map((value) => value.toWellFormed().replaceAll('\0', ''))],
    ] as const
  ).map(([name, cells]) =>
    (cells as fc.Arbitrary<string>).map((cell) => ({ type: TYPES[name] as KeyPartType, cell: Buffer.from(cell) })),
  ),
  ...(
    [
      ['bit', fc.uint8Array({ minLength: 5, maxLength: 5 })],
      ['fixed', fc.uint8Array({ minLength: 4, maxLength: 4 })],
      ['varying', fc.uint8Array({ maxLength: 8 })],
    ] as const
  ).map(([name, cells]) => cells.map((cell) => ({ type: TYPES[name] as KeyPartType, cell: Buffer.from(cell) }))),
);

const part = (type: KeyPartType): KeyPart => ({ column: 'k', type });

function canonicalOrNothing(type: KeyPartType, typed: string): string | undefined {
  try {
    return canonicalSpelling(part(type), typed);
  } catch (error) {
    assert.ok(error instanceof RequestRefused, String(error));
    assert.equal(error.code, 'bad-id');
    return undefined;
  }
}

test('the spelling of a cell is canonical: what the origin returns can be asked for', () => {
  fc.assert(
    fc.property(typedCell, ({ type, cell }) => {
      const spelling = spellingOfCell(type, cell);
      assert.equal(canonicalSpelling(part(type), spelling), spelling);
    }),
    { seed, numRuns: 3_000 },
  );
});

test('a number has one spelling: whatever else reads as the same number is refused', () => {
  const padded = fc.tuple(
    fc.constantFrom('', '+', '-', ' ', '0', '00'),
    fc.bigInt({ min: 0n, max: 2n ** 31n }),
    fc.constantFrom('', '.0', '.', ' ', 'e0', 'n', '\n', '\0'),
  );
  fc.assert(
    fc.property(padded, ([before, value, after]) => {
      const typed = `${before}${value}${after}`;
      const canonical = canonicalOrNothing(TYPES['int'] as KeyPartType, typed);
      if (canonical !== undefined) assert.equal(BigInt(canonical).toString(), typed);
    }),
    { seed, numRuns: 2_000 },
  );
});

test('the literal of any input that is let through is digits, hex, or a quoted time', () => {
  const types = fc.constantFrom(...Object.values(TYPES));
  const awkward = fc.constantFrom(
    "'",
    '"',
    '\\',
    '`',
    '0x1',
    '1 OR 1=1',
    "2024-01-01' --",
    '2024-01-01\n',
    '2024-01-01 00:00:00.000000\n',
    '12:00:00.000\n',
    "X'",
    '1\n',
    '１',
    '٣',
    '00ff\n',
    '1.0000\n',
    '2024\n',
  );
  const typed = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: fc.constantFrom(..."0123456789-:. 'abcdefx\n".split('')), maxLength: 30 }),
    awkward,
    typedCell.map(({ type, cell }) => spellingOfCell(type, cell)),
  );
  let letThrough = 0;
  fc.assert(
    fc.property(types, typed, (type, input) => {
      const spelling = canonicalOrNothing(type, input);
      if (spelling === undefined) return;
      letThrough += 1;
      assert.match(
        sqlLiteral(type, spelling),
        /^(?:-?[0-9]+(?:\.[0-9]+)?|'[-0-9:. ]+'|X'(?:[0-9a-f]{2})*'|_utf8mb4 X'(?:[0-9a-f]{2})*')$(?!\n)/,
      );
    }),
    { seed, numRuns: 5_000 },
  );
  assert.ok(letThrough > 500, `only ${letThrough} were let through`);
});

test('the literal of a text is its bytes', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0')),
      (value) => {
        const spelled = value.toWellFormed();
        const hex = /^_utf8mb4 X'([0-9a-f]*)'$/.exec(sqlLiteral(TYPES['text'] as KeyPartType, spelled))?.[1] ?? '';
        assert.equal(Buffer.from(hex, 'hex').toString('utf8'), spelled);
      },
    ),
    { seed },
  );
});

test('a spelling that is not canonical for the key as it is now makes no literal: the key may have changed its type', () => {
  const integer = { kind: 'integer', min: 0n, max: 255n } as const;
  for (const spelling of ['0) OR 1=1 UNION SELECT 1-- ', "x'", '256', '']) {
    assert.throws(() => sqlLiteral(integer, spelling), { code: 'bad-id' });
  }
  assert.throws(() => sqlLiteral({ kind: 'date' }, "2024-01-01' OR '1'='1"), { code: 'bad-id' });
});

test('days are those of the calendar, and MySQL’s zero months and days', () => {
  const good = [
    '2024-02-29',
    '2000-02-29',
    '0000-00-00',
    '2024-00-00',
    '2024-00-31',
    '2024-05-00',
    '0004-02-29',
    '9999-12-31',
    '0099-12-31',
    '0000-02-29',
  ];
  const bad = [
    '2023-02-29',
    '1900-02-29',
    '2024-04-31',
    '2024-13-01',
    '2024-00-32',
    '2024-1-1',
    '02024-01-01',
    '2024-01-01 ',
    '-2024-01-01',
  ];
  for (const date of good) assert.equal(canonicalOrNothing({ kind: 'date' }, date), date);
  for (const date of bad) assert.equal(canonicalOrNothing({ kind: 'date' }, date), undefined, date);
});

test('an absence may be remembered unless other texts are equal to the one asked for', () => {
  for (const [name, type] of Object.entries(TYPES)) assert.equal(absenceIsCacheable(type), name !== 'text', name);
  assert.equal(absenceIsCacheable({ kind: 'text', bytewise: true }), true);
});

const textKey = (count: number): KeyPart[] =>
  Array.from({ length: count }, (_, index) => ({ column: `k${index}`, type: { kind: 'text', bytewise: true } }));
const texts = fc.array(
  fc.string({ unit: 'binary', maxLength: 20 }).map((value) => value.toWellFormed().replaceAll('\0', '')),
  { minLength: 1, maxLength: 4 },
);

test('an id is the same after the way through a URL, whatever its parts hold', () => {
  fc.assert(
    fc.property(texts, (parts) => {
      const id = rowIdOfCells(
        textKey(parts.length),
        parts.map((value) => Buffer.from(value)),
      );
      assert.match(id.segment, /^[A-Za-z0-9\-._~%,]*$/);
      assert.deepEqual(parseRowId(textKey(parts.length), id.segment), id);
      assert.deepEqual(splitRowIds(textKey(parts.length), `${id.segment},${id.segment}`), [id.segment, id.segment]);
    }),
    { seed, numRuns: 1_000 },
  );
});

test('different parts make different ids', () => {
  fc.assert(
    fc.property(texts, texts, (one, other) => {
      fc.pre(one.length === other.length && one.some((value, index) => value !== other[index]));
      const segmentOf = (parts: string[]) =>
        rowIdOfCells(
          textKey(parts.length),
          parts.map((value) => Buffer.from(value)),
        ).segment;
      assert.notEqual(segmentOf(one), segmentOf(other));
    }),
    { seed, numRuns: 500 },
  );
});

test('percentDecode undoes percentEncode, and refuses what is not UTF-8', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      const wellFormed = value.toWellFormed();
      assert.equal(percentDecode(percentEncode(wellFormed)), wellFormed);
      assert.match(percentEncode(wellFormed), /^(?:[A-Za-z0-9\-._~]|%[0-9A-F]{2})*$/);
    }),
    { seed },
  );
  for (const broken of ['%', '%4', '%zz', '%FF', '%C3%28', '%ED%A0%80', '%C0%80']) {
    assert.throws(
      () => percentDecode(broken),
      (error: unknown) => error instanceof RequestRefused && error.code === 'bad-encoding',
      broken,
    );
  }
});

test('tables whose keys could be one another’s are found, and only those', () => {
  const space = (name: string, kind: 'text' | 'integer') => {
    const [db = '', table = ''] = name.split('.');
    const type: KeyPartType = kind === 'text' ? { kind, bytewise: true } : (TYPES['int'] as KeyPartType);
    return { name, prefix: tableKeyPrefix('p:', db, table), key: [{ column: 'k', type }] };
  };
  const collide = (...spaces: ReturnType<typeof space>[]) => collidingKeySpaces(spaces).map(({ where }) => where);
  assert.deepEqual(collide(space('a.b', 'text'), space('a.b_c', 'integer')), ['tables.a.b_c']);
  assert.deepEqual(collide(space('a.b_c', 'integer'), space('a.b', 'text')), ['tables.a.b_c']);
  assert.deepEqual(collide(space('a.b', 'integer'), space('a.b_c', 'text')), []);
  assert.deepEqual(collide(space('a_b.c', 'integer'), space('a.b_c', 'integer')), ['tables.a.b_c']);
  assert.deepEqual(collide(space('a.b', 'text'), space('c.b', 'text'), space('a.bc', 'text')), []);
});

test('two rows of tables that do not collide never share a key', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '_', '-', '%', ':'), minLength: 1, maxLength: 4 });
  const id = fc.string({ unit: fc.constantFrom('a', '1', '_', ':', ',', '%'), maxLength: 4 });
  const row = fc.record({
    db: name,
    table: name,
    kind: fc.constantFrom('text' as const, 'integer' as const),
    id,
    number: fc.nat(11),
  });
  fc.assert(
    fc.property(row, row, (one, other) => {
      fc.pre(one.db !== other.db || one.table !== other.table);
      const spaceOf = ({ db, table, kind }: typeof one) => ({
        name: `${db}.${table}`,
        prefix: tableKeyPrefix('', db, table),
        key: [part(kind === 'text' ? { kind, bytewise: true } : (TYPES['int'] as KeyPartType))],
      });
      const keyOf = (asked: typeof one) => {
        const space = spaceOf(asked);
        return (
          space.prefix +
          rowIdOfCells(space.key, [Buffer.from(asked.kind === 'text' ? asked.id : String(asked.number))]).segment
        );
      };
      if (keyOf(one) === keyOf(other)) assert.equal(collidingKeySpaces([spaceOf(one), spaceOf(other)]).length, 1);
    }),
    { seed, numRuns: 20_000 },
  );
});
