/**
 * Every demo row through the gateway equals what the server says by its own client: DESIGN.md's "Rows as JSON", read a
 * second time, by code that shares nothing with shared/row and shared/key.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { demoTables } from '../../stack/demo-data/demo-tables.ts';
import type { DemoTable } from '../../stack/demo-data/demo-table.ts';
import { cacheStatusOf, startGateway } from '../support/gateway.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { testStack } from '../support/stack.ts';

/** Up to here each row is also read by a GET of its own. */
const SMALL_TABLE_ROWS = 200;
const BATCH_ROWS = 1_000;

interface ServerColumn {
  readonly name: string;
  readonly type: string;
  readonly isJson: boolean;
}

/** What the server says of one cell: `main` by an expression for its type; `plain` is what it prints by itself. */
interface ServerCell {
  readonly main: Buffer;
  readonly plain: string;
}

interface ServerRow {
  /** The path segment that a client would write. */
  readonly id: string;
  readonly cells: readonly (ServerCell | null)[];
}

const stack = await testStack();
const client = new MysqlClient(stack);
const [[version = null] = []] = await client.cells(['VERSION()'], '');
const server = { flavour: stack.mysql.flavour, version: String(version) };
const tables = demoTables.filter((table) => table.isSupportedBy?.(server) ?? true);
const exposed = Object.fromEntries(
  tables.map((table) => [
    `${table.database}.${table.name}`,
    table.deny === undefined ? {} : { columns: { deny: [...table.deny] } },
  ]),
);
// One for single rows and one for batches: both see every row for the first time.
const [singles, batches] = await Promise.all([
  startGateway(stack, { tables: exposed }),
  startGateway(stack, { tables: exposed }),
]);

const compared = { rows: 0, cells: 0, single: 0, unstored: 0 };
after(() => {
  const { rows, cells, single, unstored } = compared;
  process.stdout.write(
    `rows-as-json: ${rows} rows, ${cells} cells of ${tables.length} tables compared with ${server.flavour} ${server.version}; ` +
      `${single} rows also one by one; ${unstored} too large to be stored\n`,
  );
});

for (const table of tables) {
  test(`${table.database}.${table.name}: every row is what the server says, stored first, then hit, in the same bytes`, async () => {
    const columns = await columnsOf(table);
    const rows = await rowsOf(table, columns);
    assert.ok(rows.length > 0);
    await readInBatches(table, columns, rows);
    if (rows.length <= SMALL_TABLE_ROWS) await readOneByOne(table, columns, rows);
  });
}

async function readInBatches(
  table: DemoTable,
  columns: readonly ServerColumn[],
  rows: readonly ServerRow[],
): Promise<void> {
  for (let start = 0; start < rows.length; start += BATCH_ROWS) {
    const batch = rows.slice(start, start + BATCH_ROWS);
    const path = `/${table.database}/${table.name}?ids=${batch.map((row) => row.id).join(',')}`;
    const first = await batches.get(path);
    const body = await first.text();
    assert.equal(first.status, 200, body);
    const texts = membersOf(body);
    assert.deepEqual([...texts.keys()], ['rows']);
    const elements = elementsOf(texts.get('rows') ?? '');
    assert.equal(elements.length, batch.length);
    const large = elements.filter((element) => Buffer.byteLength(element) > 1_048_576).length;
    for (const [index, element] of elements.entries()) compareRow(table, columns, batch[index] as ServerRow, element);
    compared.rows += batch.length;
    const stored = `stored=${batch.length - large}${large > 0 ? ` unstored=${large}` : ''}`;
    assert.deepEqual(
      new Set(words(first)),
      new Set(`ringfill fwd=miss ${stored}`.split(' ')),
      cacheStatusOf(first).text,
    );

    const second = await batches.get(path);
    assert.equal(await second.text(), body);
    const hits =
      large === 0
        ? `ringfill hit hit=${batch.length}`
        : `ringfill fwd=partial hit=${batch.length - large} unstored=${large}`;
    assert.deepEqual(new Set(words(second)), new Set(hits.split(' ')), cacheStatusOf(second).text);
  }
}

async function readOneByOne(
  table: DemoTable,
  columns: readonly ServerColumn[],
  rows: readonly ServerRow[],
): Promise<void> {
  for (const row of rows) {
    const path = `/${table.database}/${table.name}/${row.id}`;
    const first = await singles.get(path);
    const body = await first.text();
    assert.equal(first.status, 200, `${path}: ${body}`);
    compareRow(table, columns, row, body);
    assert.equal(first.headers.get('content-location'), null, `${path} is the row's own spelling`);
    const second = await singles.get(path);
    assert.equal(await second.text(), body, path);
    if (Buffer.byteLength(body) > 1_048_576) {
      for (const response of [first, second])
        assert.match(cacheStatusOf(response).text, /fwd=miss; .*unstored=too-large"$/);
      compared.unstored += 1;
    } else {
      assert.match(cacheStatusOf(first).text, /^ringfill; fwd=miss; stored; /);
      assert.match(cacheStatusOf(second).text, /^ringfill; hit; /);
    }
    assert.equal(second.headers.get('etag'), first.headers.get('etag'));
    compared.single += 1;
  }
}

/** `ringfill; fwd=miss; detail="stored=2 unstored=1"` -> its words. */
function words(response: Response): string[] {
  return cacheStatusOf(response).text.replace('detail="', '').replace('"', '').split(/;? /);
}

// ---- what the server says

async function columnsOf({ database, name, definition }: DemoTable): Promise<ServerColumn[]> {
  const cells = await client.cells(
    ['COLUMN_NAME', 'LOWER(DATA_TYPE)'],
    `FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '${database}' AND TABLE_NAME = '${name}' ORDER BY ORDINAL_POSITION`,
  );
  return cells.map(([column, type]) => ({
    name: String(column),
    type: String(type),
    // As it was declared: MariaDB makes a LONGTEXT of it.
    isJson: new RegExp(`^\\s*\`?${String(column)}\`? JSON\\b`, 'm').test(definition),
  }));
}

async function rowsOf({ database, name }: DemoTable, columns: readonly ServerColumn[]): Promise<ServerRow[]> {
  const keys = await client.cells(
    ['COLUMN_NAME'],
    `FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = '${database}' AND TABLE_NAME = '${name}' AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX`,
  );
  const keyNames = keys.map(([column]) => String(column));
  const main = columns.map((column) => mainExpression(column));
  const plain = columns.map(({ name: column }) => `CONCAT(\`${column}\`)`);
  const order = keyNames.map((column) => `\`${column}\``).join(', ');
  const rows = await client.cells([...main, ...plain], `FROM \`${database}\`.\`${name}\` ORDER BY ${order}`);
  return rows.map((cells) => {
    const own = columns.map((_, index) => {
      const [value, printed] = [cells[index] ?? null, cells[columns.length + index] ?? null];
      return value === null || printed === null ? null : { main: value, plain: printed.toString('utf8') };
    });
    const id = keyNames.map((key) => {
      const at = columns.findIndex((column) => column.name === key);
      return segment(columns[at] as ServerColumn, own[at] as ServerCell);
    });
    return { id: id.join(','), cells: own };
  });
}

function mainExpression({ name, type, isJson }: ServerColumn): string {
  const column = `\`${name}\``;
  if (isJson) return `CONVERT(${column} USING utf8mb4)`;
  switch (type) {
    case 'float':
      // As the double that it is; FLOAT itself is printed with six digits.
      return `CONCAT(1e0 * ${column})`;
    case 'bit':
      return `CONCAT(${column} + 0)`;
    case 'char':
    case 'varchar':
    case 'tinytext':
    case 'text':
    case 'mediumtext':
    case 'longtext':
    case 'enum':
    case 'set':
      return `CONVERT(${column} USING utf8mb4)`;
    case 'binary':
    case 'varbinary':
    case 'tinyblob':
    case 'blob':
    case 'mediumblob':
    case 'longblob':
      return column;
    default:
      if (!SPATIAL.has(type)) return `CONCAT(${column})`;
      // x before y, whatever the reference system says; MariaDB knows no other order.
      return stack.mysql.flavour === 'mysql' ? `ST_AsWKB(${column}, 'axis-order=long-lat')` : `ST_AsWKB(${column})`;
  }
}

const SPATIAL = new Set(
  'geometry point linestring polygon multipoint multilinestring multipolygon geometrycollection geomcollection'.split(
    ' ',
  ),
);

const BYTES = new Set('binary varbinary tinyblob blob mediumblob longblob'.split(' '));

function segment({ type }: ServerColumn, { main }: ServerCell): string {
  return BYTES.has(type) ? main.toString('hex') : encodeURIComponent(main.toString('utf8'));
}

// ---- DESIGN.md's rules, cell by cell

function compareRow(table: DemoTable, columns: readonly ServerColumn[], row: ServerRow, json: string): void {
  const shown = columns.filter((column) => !(table.deny ?? []).includes(column.name));
  const members = membersOf(json);
  const place = `${table.name}/${row.id}`;
  assert.deepEqual(
    [...members.keys()],
    shown.map((column) => column.name),
    place,
  );
  for (const column of shown) {
    const cell = row.cells[columns.indexOf(column)] ?? null;
    const token = members.get(column.name) ?? '';
    compareCell(`${place} ${column.name}`, column, cell, token);
    compared.cells += 1;
  }
}

function compareCell(place: string, { type, isJson }: ServerColumn, cell: ServerCell | null, token: string): void {
  if (cell === null) return assert.equal(token, 'null', place);
  const text = cell.main.toString('utf8');
  if (isJson) return compareDocument(place, text, token);
  if (SPATIAL.has(type) || BYTES.has(type)) return assert.equal(token, `"${cell.main.toString('base64')}"`, place);
  switch (type) {
    case 'tinyint':
    case 'smallint':
    case 'mediumint':
    case 'int':
    case 'year':
      return assert.equal(token, String(Number(text)), place);
    case 'bigint':
      return assert.equal(token, `"${BigInt(text)}"`, place);
    case 'decimal':
      // ZEROFILL pads; the value has no leading zeros.
      return assert.equal(token, `"${text.replace(/^(-?)0*([0-9])/, '$1$2')}"`, place);
    case 'bit':
      return compareBit(place, BigInt(text), token);
    case 'float':
      return compareNumber(place, token, Number(text), cell.plain.startsWith('-'), Math.fround);
    case 'double':
      return compareNumber(place, token, Number(text), cell.plain.startsWith('-'), (value) => value);
    case 'date':
    case 'time':
    case 'datetime':
    case 'timestamp':
      assert.match(text, /^[-0-9:. ]+$/, place);
      return assert.equal(token, `"${text}"`, place);
    default:
      return assert.equal(JSON.parse(token), text, place);
  }
}

/** Beyond 32 bits of *width* it is a string; here told by the column that the value came from. */
function compareBit(place: string, value: bigint, token: string): void {
  const width = Number(/bit_([0-9]+)$/.exec(place)?.[1]);
  assert.equal(token, width > 32 ? `"${value}"` : String(value), place);
}

/** The same number, sign of zero included, and no shorter digits would read back the same. */
function compareNumber(
  place: string,
  token: string,
  value: number,
  negative: boolean,
  read: (value: number) => number,
): void {
  assert.match(token, /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?$/i, place);
  assert.equal(read(Number(token)), read(value), place);
  assert.equal(token.startsWith('-'), negative, `${place}: ${token}`);
  const digits = significantDigits(token);
  if (digits <= 1) return;
  const shorter = Number(Math.abs(value).toPrecision(Math.min(digits - 1, 17)));
  const step = 10 ** (Math.floor(Math.log10(Math.abs(value))) - digits + 2);
  for (const candidate of [shorter, shorter - step, shorter + step]) {
    if (significantDigits(String(candidate)) >= digits) continue;
    assert.notEqual(
      read(candidate),
      read(Math.abs(value)),
      `${place}: ${token} although ${candidate} reads back the same`,
    );
  }
}

function significantDigits(number: string): number {
  return number.replace(/e.*$/i, '').replace(/[-.]/g, '').replace(/^0+/, '').replace(/0+$/, '').length;
}

/** The same value, and every token as the server wrote it. */
function compareDocument(place: string, text: string, token: string): void {
  assert.deepEqual(JSON.parse(token), JSON.parse(text), place);
  assert.equal(token, withoutSpaceBetweenTokens(text), place);
}

function withoutSpaceBetweenTokens(json: string): string {
  const kept: string[] = [];
  let inString = false;
  for (let at = 0; at < json.length; at += 1) {
    const char = json[at] as string;
    if (inString && char === '\\') {
      kept.push(char, json[at + 1] as string);
      at += 1;
      continue;
    }
    if (char === '"') inString = !inString;
    if (inString || !' \t\r\n'.includes(char)) kept.push(char);
  }
  return kept.join('');
}

// ---- JSON's outer level, without parsing what is inside

/** Of `{"a":1,"b":[2]}`: a -> `1`, b -> `[2]`. White space outside a value would show as a failure. */
function membersOf(json: string): Map<string, string> {
  assert.ok(json.startsWith('{') && json.endsWith('}'), json.slice(0, 100));
  const members = new Map<string, string>();
  for (const member of splitAtCommas(json.slice(1, -1))) {
    const colon = endOfString(member, 0);
    assert.equal(member[colon], ':', member.slice(0, 100));
    const name = JSON.parse(member.slice(0, colon)) as string;
    assert.ok(!members.has(name), `${name} twice`);
    members.set(name, member.slice(colon + 1));
  }
  return members;
}

function elementsOf(json: string): string[] {
  assert.ok(json.startsWith('[') && json.endsWith(']'), json.slice(0, 100));
  return splitAtCommas(json.slice(1, -1));
}

function splitAtCommas(json: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < json.length; at += 1) {
    const char = json[at];
    if (char === '"') at = endOfString(json, at) - 1;
    else if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') depth -= 1;
    else if (char === ',' && depth === 0) {
      parts.push(json.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(json.slice(start));
  return parts;
}

/** Just past the string that begins there. */
function endOfString(text: string, opening: number): number {
  for (let at = opening + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
  throw new Error(`no end of string: ${text.slice(opening, opening + 100)}`);
}
