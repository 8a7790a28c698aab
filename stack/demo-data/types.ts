// Every column type, and what is extreme about it. `types` has one column of each and a row for each kind of extreme; the
// tables after it go through one family at a time. Loaded with an empty sql_mode, so that the values which strict servers
// no longer take in, but old databases still hold, are there too: zero dates, an ENUM's error value.

import { bytes, everywhere, text, typeTable, type DemoServer, type DemoTable } from './demo-table.ts';

const integerColumns = {
  tiny: 'TINYINT NULL',
  tiny_unsigned: 'TINYINT UNSIGNED NULL',
  small: 'SMALLINT NULL',
  small_unsigned: 'SMALLINT UNSIGNED NULL',
  medium: 'MEDIUMINT NULL',
  medium_unsigned: 'MEDIUMINT UNSIGNED NULL',
  plain: 'INT NULL',
  plain_unsigned: 'INT UNSIGNED NULL',
  big: 'BIGINT NULL',
  big_unsigned: 'BIGINT UNSIGNED NULL',
  truth: 'BOOL NULL',
  filled: 'INT(8) ZEROFILL NULL',
  filled_big: 'BIGINT(20) UNSIGNED ZEROFILL NULL',
  filled_small: 'SMALLINT(4) UNSIGNED ZEROFILL NULL',
  the_year: 'YEAR NULL',
};

// In the order of integerColumns.
const integers = (literals: string): string[] => literals.split(' ');
const lowestIntegers = integers('-128 0 -32768 0 -8388608 0 -2147483648 0 -9223372036854775808 0 0 0 0 0 1901');
const highestIntegers = integers(
  '127 255 32767 65535 8388607 16777215 2147483647 4294967295 9223372036854775807 18446744073709551615 1 4294967295 ' +
    '18446744073709551615 65535 2155',
);
const integerCount = Object.keys(integerColumns).length;

const integerTypes = typeTable('integer_types', integerColumns, [
  ['lowest', ...lowestIntegers],
  ['highest', ...highestIntegers],
  everywhere('NULL', 'NULL', integerCount),
  // As a number, 0 is the YEAR 0000; as text it would be 2000.
  everywhere('zero', '0', integerCount),
  everywhere('one', '1', integerCount),
  ['past a double', ...integers('-1 42 -1 42 -1 42 -1 42 9007199254740993 9007199254740993 -128 42 42 42 1970')],
  ['more', ...integers('-2 7 -2 7 -2 7 -2 7 -9007199254740993 9223372036854775808 127 7 7 7 2000')],
]);

const decimalColumns = {
  widest: 'DECIMAL(65,30) NULL',
  whole: 'DECIMAL(30,0) NULL',
  widest_whole: 'DECIMAL(65,0) NULL',
  money: 'DECIMAL(10,2) NULL',
  money_unsigned: 'DECIMAL(10,2) UNSIGNED NULL',
  fraction: 'DECIMAL(30,30) NULL',
  filled: 'DECIMAL(8,3) ZEROFILL NULL',
};

const decimalTypes = typeTable('decimal_types', decimalColumns, [
  [
    'lowest',
    `-${'9'.repeat(35)}.${'9'.repeat(30)}`,
    `-${'9'.repeat(30)}`,
    `-${'9'.repeat(65)}`,
    '-99999999.99',
    '0',
    `-0.${'9'.repeat(30)}`,
    '0',
  ],
  [
    'highest',
    `${'9'.repeat(35)}.${'9'.repeat(30)}`,
    '9'.repeat(30),
    '9'.repeat(65),
    '99999999.99',
    '99999999.99',
    `0.${'9'.repeat(30)}`,
    '99999.999',
  ],
  everywhere('NULL', 'NULL', 7),
  everywhere('zero', '0', 7),
  ['smallest', `0.${'0'.repeat(29)}1`, '1', '-1', '-0.01', '0.01', `-0.${'0'.repeat(29)}1`, '0.001'],
  ['trailing zeros', '1.5', '100', '1000', '1.50', '100.00', '0.5', '1.5'],
]);

const floatColumns = {
  single: 'FLOAT NULL',
  precise: 'DOUBLE NULL',
  single_unsigned: 'FLOAT UNSIGNED NULL',
  single_rounded: 'FLOAT(7,2) NULL',
  precise_rounded: 'DOUBLE(10,2) NULL',
};

const floatTypes = typeTable('float_types', floatColumns, [
  everywhere('NULL', 'NULL', 5),
  everywhere('zero', '0', 5),
  ['negative zero', '-0e0', '-0e0', '0', '-0e0', '-0e0'],
  ['one tenth', '0.1', '0.1', '0.1', '0.1', '0.1'],
  ['one third', '1e0/3', '1e0/3', '1e0/3', '1e0/3', '1e0/3'],
  ['highest', '3.4028234e38', '1.7976931348623157e308', '3.4028234e38', '99999.99', '99999999.99'],
  ['lowest', '-3.4028234e38', '-1.7976931348623157e308', '0', '-99999.99', '-99999999.99'],
  ['smallest normal', '1.17549435e-38', '2.2250738585072014e-308', '1.17549435e-38', '0.01', '0.01'],
  ['denormal', '1.4e-45', '4.9406564584124654e-324', '1.4e-45', '-0.01', '-0.01'],
  ['denormal, larger', '-1.1e-40', '-2.2e-310', '1.1e-40', '0.001', '0.001'],
  ['whole up to 2^24', '16777216', '16777216', '16777215', '1234.5', '1234567.89'],
  ['past 2^24', '16777217', '16777217', '16777218', '54321.12', '7654321.12'],
  ['whole past 2^53', '9007199254740993', '9007199254740993', '1e15', '-1234.57', '-1234567.89'],
  ['1e38', '1e38', '1e38', '1e38', '1', '1'],
  ['exponents that JSON writes', '1e21', '1e21', '1e-7', '10', '1e7'],
  ['exponents that JSON does not write', '1e20', '1e20', '1e-6', '0.5', '1e-6'],
  ['seventeen digits', '123456.789', '0.30000000000000004', '3.14159274', '3.14', '2.72'],
]);

const timeColumns = {
  the_date: 'DATE NULL',
  the_time: 'TIME NULL',
  time_3: 'TIME(3) NULL',
  time_6: 'TIME(6) NULL',
  datetime_0: 'DATETIME NULL',
  datetime_1: 'DATETIME(1) NULL',
  datetime_2: 'DATETIME(2) NULL',
  datetime_3: 'DATETIME(3) NULL',
  datetime_4: 'DATETIME(4) NULL',
  datetime_5: 'DATETIME(5) NULL',
  datetime_6: 'DATETIME(6) NULL',
  timestamp_0: 'TIMESTAMP NULL DEFAULT NULL',
  timestamp_3: 'TIMESTAMP(3) NULL DEFAULT NULL',
  timestamp_6: 'TIMESTAMP(6) NULL DEFAULT NULL',
  the_year: 'YEAR NULL',
};

function times(date: string, time: string, datetime: string, timestamp: string, year: string): string[] {
  const repeat = (literal: string, count: number): string[] => Array.from({ length: count }, () => text(literal));
  return [text(date), ...repeat(time, 3), ...repeat(datetime, 7), ...repeat(timestamp, 3), year];
}

// TIMESTAMPs are given in UTC: the loader's session is.
const timeTypes = typeTable('time_types', timeColumns, [
  everywhere('NULL', 'NULL', 15),
  ['zero', ...times('0000-00-00', '00:00:00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '0')],
  ['lowest', ...times('1000-01-01', '-838:59:59', '1000-01-01 00:00:00', '1970-01-01 00:00:01', '1901')],
  ['highest', ...times('9999-12-31', '838:59:59', '9999-12-31 23:59:59', '2038-01-19 03:14:07', '2155')],
  [
    'with fractions',
    ...times('2024-02-29', '12:34:56.123456', '2024-02-29 12:34:56.123456', '2024-02-29 12:34:56.123456', '2024'),
  ],
  [
    'fractions that round up',
    ...times('2024-12-31', '23:59:59.999999', '2024-12-31 23:59:59.999999', '2024-12-31 23:59:59.999999', '2024'),
  ],
  [
    'longest time with fractions',
    ...times('0001-01-01', '838:59:58.999999', '9999-12-31 23:59:58.999999', '2038-01-19 03:14:06.999999', '1970'),
  ],
  [
    'a little below zero',
    ...times('1969-12-31', '-00:00:00.000001', '1969-12-31 23:59:59.5', '1970-01-01 00:00:01.5', '1969'),
  ],
  [
    'negative with fractions',
    ...times('0099-12-31', '-12:34:56.654321', '0099-12-31 00:00:00.000001', '2000-01-01', '1999'),
  ],
  ['no such day in a month', ...times('2024-00-00', '-00:30:00', '2024-05-00 10:00:00', '2024-03-31 02:30:00', '2001')],
]);

const bitColumns = {
  bit_1: 'BIT(1) NULL',
  bit_8: 'BIT(8) NULL',
  bit_31: 'BIT(31) NULL',
  bit_32: 'BIT(32) NULL',
  bit_33: 'BIT(33) NULL',
  bit_53: 'BIT(53) NULL',
  bit_64: 'BIT(64) NULL',
};

const bitTypes = typeTable('bit_types', bitColumns, [
  everywhere('NULL', 'NULL', 7),
  everywhere('zero', "b'0'", 7),
  everywhere('one', "b'1'", 7),
  ['all', ...[1, 8, 31, 32, 33, 53, 64].map((width) => `b'${'1'.repeat(width)}'`)],
  ['highest only', ...[1, 8, 31, 32, 33, 53, 64].map((width) => `b'1${'0'.repeat(width - 1)}'`)],
  ['a pattern', ...[1, 8, 31, 32, 33, 53, 64].map((width) => `b'${'10'.repeat(32).slice(0, width)}'`)],
]);

const textColumns = {
  fixed: 'CHAR(40) NULL',
  varying: 'VARCHAR(255) NULL',
  tiny: 'TINYTEXT NULL',
  plain: 'TEXT NULL',
  medium: 'MEDIUMTEXT NULL',
  long_one: 'LONGTEXT NULL',
  binary_collation: 'VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL',
  latin1: 'VARCHAR(255) CHARACTER SET latin1 NULL',
  latin1_fixed: 'CHAR(40) CHARACTER SET latin1 NULL',
  utf16: 'VARCHAR(255) CHARACTER SET utf16 NULL',
  ucs2: 'VARCHAR(255) CHARACTER SET ucs2 NULL',
  utf32: 'TEXT CHARACTER SET utf32 NULL',
  cyrillic: 'VARCHAR(255) CHARACTER SET cp1251 NULL',
};
const textCount = Object.keys(textColumns).length;

function texts(what: string, value: string): string[] {
  return everywhere(what, text(value), textCount);
}

const controls = String.fromCodePoint(...Array.from({ length: 31 }, (_, index) => index + 1), 127);

const textTypes = typeTable('text_types', textColumns, [
  everywhere('NULL', 'NULL', textCount),
  texts('empty', ''),
  texts('ASCII', 'plain text'),
  texts('blanks around', '  two before, three after   '),
  texts('western', 'Grüße, café, Ærøskøbing, ¿qué?'),
  texts('euro', '20 € for “this” – or that™'),
  texts('Cyrillic', 'Съешь ещё этих мягких булок'),
  texts('Chinese and Japanese', '读缓存 お茶をどうぞ'),
  texts('emoji', '😀👩‍👩‍👧‍👦🇩🇪👍🏽'),
  texts('combining', 'e\u0301 n\u0303 a\u030A \u1E9B\u0323'),
  texts('right to left', 'שלום עולם مرحبا \u202Eabc\u202C'),
  texts('quotes', `it's "so" \`so\` «so»`),
  texts('backslashes', 'C:\\new\\table \\u0041 \\" \\\\'),
  texts('lines', 'one\ntwo\r\nthree\rfour\ttab'),
  texts('line separators of JavaScript', 'a\u2028b\u2029c\u0085d'),
  texts('controls', controls),
  texts('NUL inside', 'before\u0000after'),
  texts('ends of planes', '\uFEFF\uFFFD\uFFFF\u{10000}\u{10FFFF}\uE000'),
  texts('looks like JSON', '{"a": [1, null, "x"]}'),
  texts('looks like HTML', '<script>alert("&amp;")</script>'),
  texts('looks like nothing', 'NULL'),
  [
    'as long as it goes',
    text('c'.repeat(40)),
    text('ü'.repeat(255)),
    text('t'.repeat(255)),
    text(`${'x'.repeat(65_534)}!`),
    text('m€'.repeat(35_000)),
    text('long 😀 '.repeat(12_000)),
    text('😀'.repeat(255)),
    text('ÿ'.repeat(255)),
    text('ß'.repeat(40)),
    text('😀'.repeat(255)),
    text('お'.repeat(255)),
    text('u'.repeat(2_000)),
    text('Ж'.repeat(255)),
  ],
]);

const binaryColumns = {
  fixed: 'BINARY(8) NULL',
  varying: 'VARBINARY(255) NULL',
  tiny: 'TINYBLOB NULL',
  plain: 'BLOB NULL',
  medium: 'MEDIUMBLOB NULL',
  long_one: 'LONGBLOB NULL',
};

const allBytes = Buffer.from(Array.from({ length: 255 }, (_, index) => index + 1));

const binaryTypes = typeTable('binary_types', binaryColumns, [
  everywhere('NULL', 'NULL', 6),
  everywhere('empty', "''", 6),
  everywhere('trailing zeros', "X'6162630000'", 6),
  everywhere('trailing blanks', "X'61622020'", 6),
  everywhere('zeros', "X'0000000000000000'", 6),
  everywhere('not UTF-8', "X'C328A0A1FFFE80'", 6),
  everywhere('UTF-8', bytes(Buffer.from('é😀')), 6),
  ['every byte', "X'0001027F80FEFF0A'", ...Array.from({ length: 5 }, () => bytes(allBytes))],
  [
    'long',
    "X'0102030405060708'",
    ...[255, 255, 65_535, 70_000, 100_000].map((length) => `REPEAT(X'A5', ${String(length)})`),
  ],
]);

const manyNames = Array.from({ length: 300 }, (_, index) => `'choice ${String(index + 1)}'`);
const sixtyFour = Array.from({ length: 64 }, (_, index) => `'m${String(index + 1)}'`);

const choiceColumns = {
  choice: `ENUM('small','medium','large','größer','with ''quote''','with,comma') NULL`,
  choice_wide: `ENUM(${manyNames.join(',')}) NULL`,
  choice_latin1: `ENUM('ja','nö') CHARACTER SET latin1 NULL`,
  members: `SET('read','write','delete','größer') NULL`,
  members_wide: `SET(${sixtyFour.join(',')}) NULL`,
};

const choiceTypes = typeTable('choice_types', choiceColumns, [
  everywhere('NULL', 'NULL', 5),
  ['first', '1', '1', '1', '1', '1'],
  ['last', "'with,comma'", "'choice 300'", "'nö'", "'größer'", "'m64'"],
  ['the error value; no member', "'no such'", "'no such'", "'no such'", "''", "''"],
  ['all', "'with ''quote'''", "'choice 256'", "'nö'", "'read,write,delete,größer'", '18446744073709551615'],
  ['some', "'größer'", "'choice 255'", "'ja'", "'delete,read'", "'m64,m1,m33'"],
]);

// MariaDB goes 32 deep.
const nested = `${'['.repeat(30)}${']'.repeat(30)}`;
const documents: readonly (readonly [what: string, json: string])[] = [
  ['object', '{"name": "Tasse", "sizes": [1, 2.5, -3], "box": {"fragile": true, "note": null}}'],
  ['empty object', '{}'],
  ['empty array', '[]'],
  ['null literal', 'null'],
  ['true', 'true'],
  ['a number', '42'],
  ['a string', '"text"'],
  ['an empty string', '""'],
  ['large integers', '[18446744073709551615, -9223372036854775808, 9007199254740993]'],
  ['floats', '[0.1, 1.0, -0.0, 1e2, 1.5e300, 1e-7, 123456789.123456789, 0.30000000000000004]'],
  ['escapes', String.raw`{"quote\"": "back\\slash \/ \b\f\n\r\t \u0041 \u00e9 \ud83d\ude00 \u0000"}`],
  ['unicode', '{"größe": "中文 😀 مرحبا", "line": "a\u2028b\u2029c"}'],
  ['an empty key', '{"": {"": []}}'],
  ['spaces and order of keys', '{ "b" : 1,\n "a" : [ ] , "aa": 2 }'],
  ['a key twice', '{"a": 1, "a": 2}'],
  ['keys that JavaScript knows', '{"__proto__": {"polluted": true}, "constructor": 1, "toString": null}'],
  ['deep', nested],
  ['long', JSON.stringify(Array.from({ length: 2_000 }, (_, index) => ({ index, text: `row ${String(index)} é` })))],
];

const jsonTypes = typeTable('json_types', { document: 'JSON NULL', document_2: 'JSON NULL' }, [
  everywhere('NULL', 'NULL', 2),
  ...documents.map(([what, json]) => [what, text(json), text(`[${json}]`)]),
]);

const shapes: Readonly<Record<string, string>> = {
  POINT: 'POINT(1.5 -2)',
  LINESTRING: 'LINESTRING(0 0,1 1,2.25 3)',
  POLYGON: 'POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,2 1,2 2,1 1))',
  MULTIPOINT: 'MULTIPOINT(0 0,1 1)',
  MULTILINESTRING: 'MULTILINESTRING((0 0,1 1),(2 2,3 3))',
  MULTIPOLYGON: 'MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))',
  GEOMETRYCOLLECTION: 'GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))',
};

const spatialColumns = {
  any_shape: 'GEOMETRY NULL',
  ...Object.fromEntries(Object.keys(shapes).map((type) => [`a_${type.toLowerCase()}`, `${type} NULL`])),
};
const spatialTypes = typeTable('spatial_types', spatialColumns, [
  everywhere('NULL', 'NULL', 8),
  [
    'one of each',
    ...[shapes['POLYGON'], ...Object.values(shapes)].map((shape) => `ST_GeomFromText('${String(shape)}')`),
  ],
  [
    'one of each, SRID 4326',
    ...[shapes['POINT'], ...Object.values(shapes)].map((shape) => `ST_GeomFromText('${String(shape)}', 4326)`),
  ],
  [
    'extreme coordinates',
    "ST_GeomFromText('POINT(1.7976931348623157e308 -1e-300)')",
    "ST_GeomFromText('POINT(0 0)')",
    ...Array.from({ length: 6 }, () => 'NULL'),
  ],
]);

// Values are given to the first three only; the server makes the others.
const generatedTypes: DemoTable = {
  database: 'shop',
  name: 'generated_types',
  definition: `id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  what VARCHAR(60) NOT NULL,
  width INT NULL,
  height INT NULL,
  label VARCHAR(40) NULL,
  perimeter BIGINT GENERATED ALWAYS AS (2 * (CAST(width AS SIGNED) + height)) VIRTUAL,
  area BIGINT GENERATED ALWAYS AS (CAST(width AS SIGNED) * height) STORED,
  shouted VARCHAR(40) GENERATED ALWAYS AS (UPPER(label)) VIRTUAL,
  shouted_stored VARCHAR(50) GENERATED ALWAYS AS (CONCAT(UPPER(label), '!')) STORED,
  given_at TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6)`,
  columns: ['what', 'width', 'height', 'label', 'given_at'],
  rows: () => [
    [text('NULL'), 'NULL', 'NULL', 'NULL', 'NULL'],
    [text('ordinary'), '3', '4', text('grün'), text('2024-01-01 00:00:00.000001')],
    [text('large'), '2000000000', '2000000000', text("o'clock 😀"), text('2024-06-01 12:00:00')],
    [text('empty'), '0', '0', text(''), text('2024-12-31 23:59:59.999999')],
  ],
};

function isMariadbFrom(major: number, minor: number): (server: DemoServer) => boolean {
  return ({ flavour, version }) => {
    const [ownMajor = 0, ownMinor = 0] = version.split('.').map(Number);
    return flavour === 'mariadb' && (ownMajor > major || (ownMajor === major && ownMinor >= minor));
  };
}

const mariadbTypes: DemoTable = {
  ...typeTable(
    'mariadb_types',
    {
      the_uuid: 'UUID NULL',
      address: 'INET6 NULL',
      address_4: 'INET4 NULL',
      unseen: 'INT INVISIBLE NULL',
    },
    [
      everywhere('NULL', 'NULL', 4),
      ['lowest', text('00000000-0000-0000-0000-000000000000'), text('::'), text('0.0.0.0'), '1'],
      [
        'highest',
        text('ffffffff-ffff-ffff-ffff-ffffffffffff'),
        text('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'),
        text('255.255.255.255'),
        '2',
      ],
      [
        'ordinary',
        text('6CCD780C-BABA-1026-9564-5B8C656024DB'),
        text('2001:DB8::FF00:42:8329'),
        text('192.0.2.1'),
        '3',
      ],
      ['mapped', text('123e4567-e89b-42d3-a456-426614174000'), text('::ffff:192.0.2.128'), text('127.0.0.1'), '4'],
    ],
  ),
  // INET4 is the youngest of them.
  isSupportedBy: isMariadbFrom(10, 10),
};

// Larger than a row that the gateway stores (1 MiB by default), just below it, and ordinary.
const documentTypes = typeTable('documents', { body: 'LONGTEXT NULL' }, [
  ['ordinary', text('A short document.')],
  ['just below 1 MiB', `REPEAT('0123456789abcdef', ${String(65_536 - 64)})`],
  ['above 1 MiB', `REPEAT('0123456789abcdef', ${String(65_536 + 4_096)})`],
]);

const everyColumn = {
  ...prefixed('int', integerColumns),
  ...prefixed('dec', decimalColumns),
  ...prefixed('flt', floatColumns),
  ...prefixed('tm', timeColumns),
  ...prefixed('bit', bitColumns),
  ...prefixed('txt', textColumns),
  ...prefixed('bin', binaryColumns),
  ...prefixed('pick', choiceColumns),
  json_document: 'JSON NULL',
  geo_point: 'POINT NULL',
  geo_any: 'GEOMETRY NULL',
};

function prefixed(prefix: string, columns: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(columns).map(([column, type]) => [`${prefix}_${column}`, type]));
}

const families = [integerTypes, decimalTypes, floatTypes, timeTypes, bitTypes, textTypes, binaryTypes, choiceTypes];

/** The row of a family with that label, without the label. */
function literals(family: DemoTable, what: string): readonly string[] {
  for (const [label, ...row] of family.rows()) if (label === text(what)) return row;
  throw new Error(`shop.${family.name} has no row ${what}`);
}

function acrossFamilies(what: string, labels: readonly string[], rest: readonly string[]): string[] {
  return [what, ...families.flatMap((family, index) => literals(family, labels[index] ?? '')), ...rest];
}

const point = "ST_GeomFromText('POINT(1 2)')";
const types = typeTable('types', everyColumn, [
  acrossFamilies(
    'lowest',
    ['lowest', 'lowest', 'lowest', 'lowest', 'zero', 'ASCII', 'zeros', 'first'],
    [text('{}'), point, point],
  ),
  acrossFamilies(
    'highest',
    ['highest', 'highest', 'highest', 'highest', 'all', 'emoji', 'every byte', 'all'],
    [text('[18446744073709551615]'), point, `ST_GeomFromText('${String(shapes['POLYGON'])}', 4326)`],
  ),
  everywhere('NULL', 'NULL', Object.keys(everyColumn).length),
  acrossFamilies(
    'zero and empty',
    ['zero', 'zero', 'zero', 'zero', 'zero', 'empty', 'empty', 'the error value; no member'],
    [text('""'), point, point],
  ),
  acrossFamilies(
    'small and awkward',
    ['one', 'smallest', 'denormal', 'with fractions', 'one', 'controls', 'trailing zeros', 'some'],
    [text('{"": [null, 0.1]}'), point, point],
  ),
  acrossFamilies(
    'ordinary',
    ['more', 'trailing zeros', 'one tenth', 'fractions that round up', 'a pattern', 'quotes', 'UTF-8', 'last'],
    [text('{"name": "it\'s"}'), point, point],
  ),
]);

export const typeTables: readonly DemoTable[] = [
  types,
  ...families,
  jsonTypes,
  spatialTypes,
  generatedTypes,
  mariadbTypes,
  documentTypes,
];
