// Small tables, one for each kind of key that a row can have. The rows are few, and chosen for their spelling.

import { createHash } from 'node:crypto';
import { bytes, number, text, type DemoTable } from './demo-table.ts';

function keyTable(
  name: string,
  key: string,
  columns: readonly string[],
  keys: readonly (string | readonly string[])[],
): DemoTable {
  return {
    database: 'shop',
    name,
    definition: `${key},\n  note VARCHAR(80) NOT NULL,\n  PRIMARY KEY (${columns.join(', ')})`,
    columns: [...columns, 'note'],
    rows: () => keys.map((parts, index) => [...[parts].flat(), text(`${name} ${String(index + 1)}`)]),
  };
}

function digest(seed: string, length: number): Buffer {
  return createHash('sha512').update(seed).digest().subarray(0, length);
}

const assets = keyTable(
  'assets',
  'asset_id BINARY(16) NOT NULL',
  ['asset_id'],
  [
    bytes(Buffer.alloc(16, 0x00)),
    bytes(Buffer.alloc(16, 0xff)),
    // Stored with zeros up to 16 bytes.
    bytes(Buffer.from('short')),
    bytes(Buffer.from('trailing spaces ')),
    ...Array.from({ length: 16 }, (_, index) => bytes(digest(`asset ${String(index)}`, 16))),
  ],
);

const tokens = keyTable(
  'tokens',
  'token VARBINARY(64) NOT NULL',
  ['token'],
  [
    bytes(Buffer.from([0x00])),
    bytes(Buffer.from([0x00, 0x00])),
    bytes(Buffer.from('a')),
    bytes(Buffer.from('a ')),
    bytes(Buffer.from('A')),
    bytes(Buffer.from([0xc3, 0x28, 0x80])),
    bytes(digest('token', 64)),
  ],
);

const vouchers = keyTable(
  'vouchers',
  'code VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL',
  ['code'],
  [
    'abc',
    'ABC',
    'Abc',
    'naïve',
    'nai\u0308ve',
    '日本語',
    '😀',
    "O'Reilly",
    'a/b',
    'a,b',
    '50%',
    '%41',
    'a b',
    '_',
    ' led',
    '0',
    '007',
    'null',
    '__proto__',
    'constructor',
    '"quoted"',
    'back\\slash',
    'tab\there',
    'a?b#c&d=e',
    'مرحبا',
  ].map(text),
);

const translations = keyTable(
  'translations',
  'lang CHAR(5) CHARACTER SET ascii NOT NULL,\n  term VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL',
  ['lang', 'term'],
  [
    ['de', 'Grüße, alle'],
    ['de', '100 %'],
    ['de', 'und/oder'],
    ['de', 'und%2Foder'],
    ['fr', 'à la carte'],
    ['en', 'a,b'],
    ['en', 'a%2Cb'],
    ['en', ','],
    ['en', ' '.repeat(2) + 'indented'],
    ['ja', 'お茶'],
    ['ja', '🍵'],
    ['zh-CN', '你好,世界'],
  ].map((parts) => parts.map(text)),
);

const holidays = keyTable(
  'holidays',
  'day DATE NOT NULL',
  ['day'],
  ['1000-01-01', '1970-01-01', '2024-02-29', '2024-12-25', '9999-12-31'].map(text),
);

const readings = keyTable(
  'readings',
  'taken_at DATETIME(6) NOT NULL',
  ['taken_at'],
  [
    '1000-01-01 00:00:00.000000',
    '2024-02-29 12:00:00.000000',
    '2024-02-29 12:00:00.000001',
    '2024-02-29 12:00:00.100000',
    '9999-12-31 23:59:59.999999',
  ].map(text),
);

const tariffs = keyTable(
  'tariffs',
  'rate DECIMAL(12,4) NOT NULL',
  ['rate'],
  ['0.0000', '0.0001', '-0.5000', '1.1000', '7.0000', '12345678.9000', '99999999.9999', '-99999999.9999'],
);

const altitudes = keyTable(
  'altitudes',
  'metres INT NOT NULL',
  ['metres'],
  [-2_147_483_648, -10_994, -431, -1, 0, 1, 8_849, 2_147_483_647].map(number),
);

// Around 2^53, where a double would confuse neighbours.
const ledger = keyTable(
  'ledger',
  'entry BIGINT UNSIGNED NOT NULL',
  ['entry'],
  [1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n].map(number),
);

export const keyTables: readonly DemoTable[] = [
  assets,
  tokens,
  vouchers,
  translations,
  holidays,
  readings,
  tariffs,
  altitudes,
  ledger,
];
