/**
 * The drill's tables: with keys and columns of several kinds, one for each strategy, and every key that a row of theirs
 * may ever have. Whoever writes a row gives it another `counter`, of a sequence of the server's: no two states of a row
 * are alike.
 */
import type { SeededRandom } from '../../../stack/demo-data/seeded-random.ts';

export interface DrillKey {
  /** As in the URL. */
  readonly segment: string;
  /** A literal for each key column. */
  readonly literals: readonly string[];
}

export interface DrillTable {
  readonly name: string;
  readonly strategy: 'overwrite' | 'invalidate' | 'refresh';
  readonly keyColumns: readonly string[];
  readonly columns: readonly string[];
  readonly definition: string;
  readonly keys: readonly DrillKey[];
  /** A key that is no other's, and that nobody asks for: where rows are put aside while two change places. */
  readonly aside: (writer: number) => readonly string[];
  /** A literal for each of `columns`. */
  readonly values: (random: SeededRandom) => readonly string[];
}

export const DRILL_DB = 'drill';

const ACCOUNTS = 300;
const ORDERS = 60;
const LINES_PER_ORDER = 4;
const FILES = 120;
const LABELS = 40;
/** Of all keys; the others are absent to begin with. */
const ROWS_AT_FIRST = 0.9;

const WORDS = ['', 'fig', 'Übergröße', '日本', 'a"b\\c', "it's", '🦊 fox', 'tab\there'] as const;

export const DRILL_TABLES: readonly DrillTable[] = [
  {
    name: 'accounts',
    strategy: 'overwrite',
    keyColumns: ['id'],
    columns: ['owner', 'balance', 'ratio', 'opened', 'note'],
    definition: `id INT NOT NULL PRIMARY KEY, owner VARCHAR(40) NOT NULL, balance DECIMAL(20, 4), ratio DOUBLE,
      opened DATETIME(3), note TEXT`,
    keys: count(ACCOUNTS).map((id) => ({ segment: String(id), literals: [String(id)] })),
    aside: (writer) => [String(-1 - writer)],
    values: (random) => [
      text(random),
      orNull(
        random,
        `${random.below(2) === 0 ? '-' : ''}${random.below(1e9)}${random.below(1e6)}.${random.below(9999)}`,
      ),
      orNull(random, `${random.below(1e9)} / 7e${random.below(9)}`),
      orNull(random, `FROM_UNIXTIME(${random.below(2 ** 31)}.${random.below(999)})`),
      orNull(random, `REPEAT(${text(random)}, ${random.below(200)})`),
    ],
  },
  {
    name: 'order_lines',
    strategy: 'overwrite',
    keyColumns: ['order_id', 'line_no'],
    columns: ['data', 'kind', 'flags', 'shipped'],
    definition: `order_id BIGINT UNSIGNED NOT NULL, line_no SMALLINT NOT NULL, data JSON, kind ENUM('new', 'kept', 'Rück'),
      flags BIT(5), shipped TIMESTAMP NULL, PRIMARY KEY (order_id, line_no)`,
    keys: count(ORDERS).flatMap((order) =>
      count(LINES_PER_ORDER).map((line) => {
        const literals = [String(10_000_000_000 + order), String(line)];
        return { segment: literals.join(','), literals };
      }),
    ),
    aside: (writer) => ['1', String(writer)],
    values: (random) => [
      orNull(random, `'{"n": [${random.below(99)}, ${random.below(1e6)}.5, null, true], "t": "ü${random.below(99)}"}'`),
      orNull(random, `${1 + random.below(3)}`),
      orNull(random, `b'${random.below(32).toString(2)}'`),
      orNull(random, `FROM_UNIXTIME(${1 + random.below(2 ** 31 - 2)})`),
    ],
  },
  {
    name: 'files',
    strategy: 'refresh',
    keyColumns: ['hash'],
    columns: ['content', 'weight'],
    definition: 'hash VARBINARY(8) NOT NULL PRIMARY KEY, content BLOB, weight FLOAT',
    keys: count(FILES).map((n) => {
      const hex = (0xbeef_0000 + n * 7).toString(16);
      return { segment: hex, literals: [`X'${hex}'`] };
    }),
    aside: (writer) => [`X'ff0${writer}'`],
    values: (random) => [
      orNull(random, `X'${random.bytes(random.below(60)).toString('hex')}'`),
      orNull(random, `${random.below(1e6)} / 3`),
    ],
  },
  {
    name: 'labels',
    strategy: 'invalidate',
    keyColumns: ['name'],
    columns: ['said'],
    definition: 'name VARCHAR(20) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY, said VARCHAR(200) NOT NULL',
    keys: count(LABELS).map((n) => {
      const name = `ä ${n}/ß`;
      return { segment: encodeURIComponent(name), literals: [quoted(name)] };
    }),
    aside: (writer) => [quoted(`aside ${writer}`)],
    values: (random) => [text(random)],
  },
];

/** What makes the tables, with most of their rows. */
export function creation(random: SeededRandom): string[] {
  return [
    `CREATE DATABASE ${DRILL_DB} CHARACTER SET utf8mb4`,
    ...DRILL_TABLES.flatMap((table) => {
      const rows = table.keys.slice(0, Math.floor(table.keys.length * ROWS_AT_FIRST));
      return [
        `CREATE TABLE ${DRILL_DB}.${table.name} (counter BIGINT UNSIGNED NOT NULL, ${table.definition}) ENGINE = InnoDB`,
        `${insertInto(table)} ${rows.map((key) => tuple(key.literals, table.values(random))).join(', ')}`,
      ];
    }),
  ];
}

export function insertInto({ name, keyColumns, columns }: DrillTable, verb = 'INSERT INTO'): string {
  return `${verb} ${DRILL_DB}.${name} (counter, ${[...keyColumns, ...columns].join(', ')}) VALUES`;
}

export function tuple(key: readonly string[], values: readonly string[]): string {
  return `(UUID_SHORT(), ${[...key, ...values].join(', ')})`;
}

function count(upTo: number): number[] {
  return Array.from({ length: upTo }, (_, index) => index + 1);
}

function orNull(random: SeededRandom, literal: string): string {
  return random.below(8) === 0 ? 'NULL' : literal;
}

function text(random: SeededRandom): string {
  return quoted(`${random.oneOf(WORDS)}${random.below(1_000)}`);
}

function quoted(literal: string): string {
  return `_utf8mb4 X'${Buffer.from(literal).toString('hex')}'`;
}
