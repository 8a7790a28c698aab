/** Rows as JSON without servers: the encoder's numbers and documents, against what they must read back as. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Column } from '../../shared/origin/column.ts';
import { minifyJson } from '../../shared/row/minify-json.ts';
import { CellMismatch, RowEncoder, selectExpression, shortestFloat } from '../../shared/row/row-json.ts';

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`row-json: seed ${seed}\n`);

const bits = new DataView(new ArrayBuffer(4));
function floatOfBits(pattern: number): number {
  bits.setUint32(0, pattern);
  return bits.getFloat32(0);
}

const anyFloat = fc
  .integer({ min: 0, max: 2 ** 32 - 1 })
  .map(floatOfBits)
  .filter(Number.isFinite);

function column(dataType: string, more: Partial<Column> = {}): Column {
  const plain = {
    columnType: dataType,
    nullable: true,
    charset: null,
    collation: null,
    lengthMax: null,
    precision: null,
    scale: null,
    fraction: null,
    json: false,
  };
  return { name: 'c', dataType, ...plain, ...more };
}

function encodeOne(type: Column, cell: string | Buffer | null): string {
  const encoded = new RowEncoder([type]).encode([typeof cell === 'string' ? Buffer.from(cell) : cell]).toString('utf8');
  return /^\{"c":([\s\S]*)\}$/.exec(encoded)?.[1] ?? assert.fail(encoded);
}

test('shortestFloat reads back the same float, and no shorter number does', () => {
  fc.assert(
    fc.property(anyFloat, (value) => {
      const short = shortestFloat(value);
      assert.ok(Object.is(Math.fround(short), value), `${value} -> ${short}`);
      const count = (number: number) => number.toExponential().replace(/e.*$/, '').replace(/[-.]/g, '').length;
      const length = count(short);
      if (length === 1) return;
      // The two neighbours with one digit less.
      const cut = Number(value.toPrecision(length - 1));
      const unit = 10 ** (Math.floor(Math.log10(Math.abs(value))) - length + 2);
      for (const candidate of [
        cut,
        Number((cut + unit).toPrecision(length - 1)),
        Number((cut - unit).toPrecision(length - 1)),
      ]) {
        if (count(candidate) < length)
          assert.notEqual(Math.fround(candidate), value, `${short} although ${candidate} is shorter`);
      }
    }),
    { seed, numRuns: 20_000 },
  );
});

test('the sign of zero survives', () => {
  assert.ok(Object.is(shortestFloat(-0), -0));
  assert.ok(Object.is(shortestFloat(0), 0));
  assert.equal(encodeOne(column('float'), '-0'), '-0');
  assert.equal(encodeOne(column('double'), '-0'), '-0');
  assert.equal(encodeOne(column('float'), '0'), '0');
  // -0 + 0 would be 0.
  assert.equal(selectExpression(column('float')), '`c` * 1e0');
});

test('any double is a JSON number that reads back the same', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const text = Object.is(value, -0) ? '-0' : value.toExponential();
      assert.ok(Object.is(JSON.parse(encodeOne(column('double'), text)), value));
    }),
    { seed, numRuns: 2_000 },
  );
});

test('a number wider than a FLOAT shows that the column is none any more', () => {
  assert.throws(() => encodeOne(column('float'), '0.1'), CellMismatch);
  assert.equal(encodeOne(column('float'), String(Math.fround(0.1))), '0.1');
});

test('cells that cannot be of their type are a mismatch, never a value', () => {
  const cases: [type: string, cell: string][] = [
    ['int', 'abc'],
    ['int', ''],
    ['int', '1.5'],
    ['int', '1 '],
    ['bigint', '0x1'],
    ['year', '20 4'],
    ['decimal', '1e5'],
    ['decimal', '.5'],
    ['double', ''],
    ['double', 'inf'],
    ['double', 'nan'],
    ['float', 'abc'],
  ];
  for (const [type, cell] of cases) assert.throws(() => encodeOne(column(type), cell), CellMismatch, `${type} ${cell}`);
});

test('integers to 32 bits are numbers, longer ones and decimals exact strings, without the zeros of ZEROFILL', () => {
  for (const type of ['tinyint', 'smallint', 'mediumint', 'int', 'year'])
    assert.equal(encodeOne(column(type), '0042'), '42');
  assert.equal(encodeOne(column('int'), '-2147483648'), '-2147483648');
  assert.equal(encodeOne(column('bigint'), '00018446744073709551615'), '"18446744073709551615"');
  assert.equal(encodeOne(column('decimal'), '-0012.50'), '"-12.50"');
  assert.equal(encodeOne(column('decimal'), '000.00'), '"0.00"');
  assert.equal(encodeOne(column('bit', { precision: 32 }), Buffer.from('ffffffff', 'hex')), '4294967295');
  assert.equal(encodeOne(column('bit', { precision: 33 }), Buffer.from('01ffffffff', 'hex')), '"8589934591"');
});

test('any text is a JSON string of itself, any bytes are base64 of themselves', () => {
  const utf8 = column('varchar', { charset: 'utf8mb4', collation: 'utf8mb4_general_ci' });
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.uint8Array(), (text, bytes) => {
      assert.equal(JSON.parse(encodeOne(utf8, text.toWellFormed())), text.toWellFormed());
      const encoded = JSON.parse(encodeOne(column('blob'), Buffer.from(bytes))) as string;
      assert.deepEqual(Buffer.from(encoded, 'base64'), Buffer.from(bytes));
    }),
    { seed, numRuns: 1_000 },
  );
});

test('column names are JSON strings, and NULL is null', () => {
  const names = ['__proto__', 'with "quotes"', 'back\\slash', 'größe', ''];
  const encoder = new RowEncoder(names.map((name) => ({ ...column('int'), name })));
  const json = encoder.encode([Buffer.from('1'), null, Buffer.from('3'), null, Buffer.from('5')]).toString('utf8');
  assert.equal(json, '{"__proto__":1,"with \\"quotes\\"":null,"back\\\\slash":3,"größe":null,"":5}');
});

/** JSON text with white space wherever it may stand, and the same without. */
const spaces = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 3 });
const scalar = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }).map((text) => JSON.stringify(text)),
  fc.constantFrom(
    '"\\u0041"',
    '"\\/"',
    '"\\\\"',
    '"a\\"b"',
    '"\\\\\\""',
    '" x "',
    '"\t"'.replace('\t', '\\t'),
    '"\u2028"',
  ),
  fc.constantFrom(
    '1.0',
    '-0',
    '-0.0',
    '1e2',
    '1E+2',
    '12345678901234567890',
    '0.30000000000000004',
    'true',
    'false',
    'null',
  ),
);
const document = fc.letrec<{ value: { spaced: string; tight: string } }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc
      .tuple(spaces, scalar, spaces)
      .map(([before, token, behind]) => ({ spaced: before + token + behind, tight: token })),
    fc.tuple(spaces, fc.array(tie('value'), { maxLength: 4 }), spaces).map(([inside, items, behind]) => ({
      spaced:
        items.length === 0
          ? `[${inside}]${behind}`
          : `${inside}[${items.map((item) => item.spaced).join(',')}]${behind}`,
      tight: `[${items.map((item) => item.tight).join(',')}]`,
    })),
    fc
      .tuple(spaces, fc.array(fc.tuple(fc.string({ maxLength: 4 }), spaces, tie('value')), { maxLength: 4 }), spaces)
      .map(([inside, members, behind]) => ({
        spaced: `{${inside}${members.map(([name, space, item]) => `${space}${JSON.stringify(name)}${space}:${item.spaced}`).join(',')}}${behind}`,
        tight: `{${members.map(([name, , item]) => `${JSON.stringify(name)}:${item.tight}`).join(',')}}`,
      })),
  ),
})).value;

test('minifyJson drops the white space between tokens, and keeps every token', () => {
  fc.assert(
    fc.property(document, ({ spaced, tight }) => {
      assert.equal(minifyJson(spaced), tight);
      assert.deepEqual(JSON.parse(tight), JSON.parse(spaced));
    }),
    { seed, numRuns: 3_000 },
  );
});

test('minifyJson gives nothing for what is not JSON, whatever it is', () => {
  for (const text of ['', ' ', '{', '"', '"\\"', "{'a':1}", '01', '[1,]', 'undefined', '\u00a01', '"\n"'])
    assert.equal(minifyJson(text), undefined, text);
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]":,\\ 1a\n'.split('')), maxLength: 12 }), (text) => {
      let valid = true;
      try {
        JSON.parse(text);
      } catch {
        valid = false;
      }
      const minified = minifyJson(text);
      assert.equal(minified !== undefined, valid);
      if (minified !== undefined) assert.deepEqual(JSON.parse(minified), JSON.parse(text));
    }),
    { seed, numRuns: 3_000 },
  );
});

test('a string of tens of megabytes is a token like any other', () => {
  const long = '\\n\\"\\\\x'.repeat(6_000_000);
  assert.equal(minifyJson(`{ "a" : "${long}" }`)?.length, long.length + 8);
});

describe('the columns’ texts, as a mirror keeps them', () => {
  const encoder = new RowEncoder([
    { ...column('int'), name: 'id' },
    { ...column('bigint'), name: 'n' },
    { ...column('decimal'), name: 'price' },
    { ...column('double'), name: 'ratio' },
    { ...column('datetime'), name: 'at' },
    { ...column('varchar', { charset: 'utf8mb4' }), name: '__proto__' },
    { ...column('blob'), name: 'bytes' },
    { ...column('bit', { precision: 40 }), name: 'bits' },
    { ...column('longtext', { charset: 'utf8mb4', json: true }), name: 'a "document"' },
  ]);
  const cell = <T>(arbitrary: fc.Arbitrary<T>, asCell: (value: T) => Buffer = (value) => Buffer.from(String(value))) =>
    fc.option(arbitrary.map(asCell), { nil: null });
  const bytes = fc.uint8Array({ maxLength: 20 });
  const row = fc.tuple(
    cell(fc.integer()),
    cell(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
    cell(fc.constantFrom('0.10', '-12.50')),
    cell(fc.double({ noDefaultInfinity: true, noNaN: true })),
    cell(fc.constantFrom('2026-11-22 10:00:00', '0000-00-00 00:00:00')),
    cell(fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed())),
    cell(bytes, (value) => Buffer.from(value)),
    cell(fc.uint8Array({ minLength: 5, maxLength: 5 }), (value) => Buffer.from(value)),
    cell(fc.json()),
  );

  test('make the same JSON as the cells', () => {
    fc.assert(
      fc.property(row, (cells) => {
        const texts = JSON.parse(encoder.encodeTexts(cells).toString('utf8')) as Record<string, string>;
        assert.equal(encoder.ofTexts(new Map(Object.entries(texts)))?.toString(), encoder.encode(cells).toString());
      }),
      { seed, numRuns: 2_000 },
    );
  });

  test('are the values without their quotes and escapes; NULL is left out', () => {
    const cells = ['7', '-8', '1.50', '0.5', '2026-11-22 10:00:00', 'it\'s "ü"\n', '\xff', null, '{ "a" : [ 1 ] }'];
    const texts = encoder.encodeTexts(
      cells.map((text) => (text === null ? null : Buffer.from(text, text === '\xff' ? 'latin1' : 'utf8'))),
    );
    assert.deepEqual(Object.entries(JSON.parse(texts.toString('utf8')) as object), [
      ['id', '7'],
      ['n', '-8'],
      ['price', '1.50'],
      ['ratio', '0.5'],
      ['at', '2026-11-22 10:00:00'],
      ['__proto__', 'it\'s "ü"\n'],
      ['bytes', '/w=='],
      ['a "document"', '{"a":[1]}'],
    ]);
  });
});
