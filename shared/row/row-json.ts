/**
 * Rows as JSON: DESIGN.md's rules, in one place for fills, changes and snapshots, so that the same row gives the same
 * bytes whichever way it came.
 *
 * What arrives: cells as the text protocol sends them, in UTC and utf8mb4. What leaves: one JSON object, in column order.
 *
 * | type                                   | JSON                                              |
 * |----------------------------------------|---------------------------------------------------|
 * | TINYINT … INT, YEAR, BIT to 32 bits    | number                                            |
 * | BIGINT, DECIMAL, BIT past 32 bits      | string, exact                                     |
 * | FLOAT, DOUBLE                          | the shortest number that reads back the same      |
 * | DATE, TIME, DATETIME, TIMESTAMP        | string as MySQL writes it; TIMESTAMP in UTC       |
 * | CHAR, TEXT, ENUM, SET, UUID, INET      | string                                            |
 * | BINARY, BLOB                           | base64                                            |
 * | JSON                                   | embedded, without insignificant white space       |
 * | geometry                               | base64 of the WKB                                 |
 * | NULL                                   | null                                              |
 *
 * A mirror keeps the columns one by one, each as its text: what stands in the JSON, a string without its quotes and escapes;
 * NULL is left out.
 */
import { withoutLeadingZeros } from '../key/key-part.ts';
import type { Column } from '../origin/column.ts';
import { quoteName } from '../origin/table-name.ts';
import { minifyJson } from './minify-json.ts';

/** Raise it when the same row would give other bytes: entries of the old encoder are then no longer used. */
export const ENCODER_VERSION = 1;

type CellText = (cell: Buffer) => string;

/** How a column's text becomes JSON: as it is, in quotes (nothing in it wants escaping), or in quotes and escaped. */
type TextForm = 'number' | 'json' | 'quoted' | 'escaped';

interface ColumnEncoder {
  readonly form: TextForm;
  readonly text: CellText;
}

/** A cell that cannot be of the type we know: the table has changed under us. */
export class CellMismatch extends Error {
  constructor(column: string, dataType: string) {
    super(`column ${column} does not hold a ${dataType} any more`);
    this.name = 'CellMismatch';
  }
}

interface Member extends ColumnEncoder {
  readonly name: string;
  /** What stands before its value in JSON, without the comma. */
  readonly head: string;
}

export class RowEncoder {
  readonly #members: readonly Member[];

  constructor(columns: readonly Column[]) {
    this.#members = columns.map((column) => ({
      name: column.name,
      head: `${JSON.stringify(column.name)}:`,
      ...columnEncoder(column),
    }));
  }

  /** @param cells one a column, in order. Throws CellMismatch. */
  encode(cells: readonly (Buffer | null)[]): Buffer {
    let json = '{';
    for (const [index, { head, form, text }] of this.#members.entries()) {
      const cell = cells[index];
      json += index === 0 ? head : `,${head}`;
      json += cell === null || cell === undefined ? 'null' : jsonOf(form, text(cell));
    }
    return Buffer.from(`${json}}`, 'utf8');
  }

  /** The columns' texts by name as one JSON object of strings, NULL left out. Throws CellMismatch. */
  encodeTexts(cells: readonly (Buffer | null)[]): Buffer {
    return Buffer.from(this.textsJson(cells), 'utf8');
  }

  /** The same, not encoded. @param ofNull the JSON that stands for NULL; without it NULL is left out. */
  textsJson(cells: readonly (Buffer | null)[], ofNull?: string): string {
    let json = '';
    for (const [index, { head, form, text }] of this.#members.entries()) {
      const cell = cells[index];
      const isNull = cell === null || cell === undefined;
      if (isNull && ofNull === undefined) continue;
      const comma = json === '' ? '' : ',';
      if (isNull) json += `${comma}${head}${ofNull}`;
      else {
        const value = text(cell);
        json += `${comma}${head}${form === 'quoted' ? `"${value}"` : JSON.stringify(value)}`;
      }
    }
    return `{${json}}`;
  }

  /**
   * What `encode` makes of the same row; nothing where a text cannot be of its column, for it would make other JSON of
   * the row than its columns say. @param texts by column name; one that is not there is NULL.
   */
  ofTexts(texts: ReadonlyMap<string, string>): Buffer | undefined {
    let json = '{';
    for (const [index, { name, head, form }] of this.#members.entries()) {
      const text = texts.get(name);
      json += index === 0 ? head : `,${head}`;
      if (text === undefined) json += 'null';
      else if (isOfForm(form, text)) json += jsonOf(form, text);
      else return undefined;
    }
    return Buffer.from(`${json}}`, 'utf8');
  }
}

/** RFC 8259, section 6. */
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$/;
/** What must be escaped in a string (section 7), or is in no number and no base64. */
const WANTS_ESCAPING = /["\\\p{Cc}]/u;

function isOfForm(form: TextForm, text: string): boolean {
  switch (form) {
    case 'number':
      return NUMBER.test(text);
    case 'json':
      return isJson(text);
    case 'quoted':
      return !WANTS_ESCAPING.test(text);
    case 'escaped':
      return true;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function jsonOf(form: TextForm, text: string): string {
  switch (form) {
    case 'number':
    case 'json':
      return text;
    case 'quoted':
      return `"${text}"`;
    case 'escaped':
      return JSON.stringify(text);
  }
}

/** How to select a column so that its text is exact. */
export function selectExpression(column: Column): string {
  // The text protocol rounds FLOAT to six digits (16777216 reads 16777200); as a double it is exact. Times one, not plus
  // zero: -0 + 0 is 0.
  return column.dataType === 'float' ? `${quoteName(column.name)} * 1e0` : quoteName(column.name);
}

function columnEncoder(column: Column): ColumnEncoder {
  const mismatch = () => new CellMismatch(column.name, column.dataType);
  const number = (text: CellText): ColumnEncoder => ({ form: 'number', text });
  const quoted = (text: CellText): ColumnEncoder => ({ form: 'quoted', text });
  if (column.json) return { form: 'json', text: jsonCell };
  switch (column.dataType) {
    case 'tinyint':
    case 'smallint':
    case 'mediumint':
    case 'int':
    case 'year':
      return number((cell) => integerText(cell, mismatch));
    case 'bigint':
      return quoted((cell) => integerText(cell, mismatch));
    case 'decimal':
      return quoted((cell) => decimalText(cell, mismatch));
    case 'float':
      return number((cell) => numberText(shortestFloat(singlePrecision(cell, mismatch))));
    case 'double':
      return number((cell) => numberText(floatingPoint(cell, mismatch)));
    case 'bit':
      return (column.precision ?? 1) > 32
        ? quoted((cell) => bits(cell).toString())
        : number((cell) => bits(cell).toString());
    case 'geometry':
    case 'point':
    case 'linestring':
    case 'polygon':
    case 'multipoint':
    case 'multilinestring':
    case 'multipolygon':
    case 'geometrycollection':
    case 'geomcollection':
      // MySQL's own format: four bytes of SRID, then the WKB (MySQL manual, "Internal Geometry Storage Format").
      return quoted((cell) => cell.toString('base64', 4));
    case 'date':
    case 'time':
    case 'datetime':
    case 'timestamp':
    case 'uuid':
    case 'inet4':
    case 'inet6':
      return { form: 'escaped', text: (cell) => cell.toString('latin1') };
    default:
      // Text has a character set; all else is bytes.
      return column.charset === null || column.charset === 'binary'
        ? quoted((cell) => cell.toString('base64'))
        : { form: 'escaped', text: (cell) => cell.toString('utf8') };
  }
}

function integerText(cell: Buffer, mismatch: () => Error): string {
  const text = cell.toString('latin1');
  if (!/^-?[0-9]+$/.test(text)) throw mismatch();
  return withoutLeadingZeros(text);
}

function decimalText(cell: Buffer, mismatch: () => Error): string {
  const text = cell.toString('latin1');
  if (!/^-?[0-9]+(?:\.[0-9]+)?$/.test(text)) throw mismatch();
  return withoutLeadingZeros(text);
}

function floatingPoint(cell: Buffer, mismatch: () => Error): number {
  const value = Number(cell.toString('latin1'));
  if (!Number.isFinite(value) || cell.length === 0) throw mismatch();
  return value;
}

/** As a double, so a column that has become a DOUBLE shows only by its digits. */
function singlePrecision(cell: Buffer, mismatch: () => Error): number {
  const value = floatingPoint(cell, mismatch);
  if (Math.fround(value) !== value) throw mismatch();
  return value;
}

/** JSON.stringify writes -0 as 0, which does not read back the same. */
function numberText(value: number): string {
  return Object.is(value, -0) ? '-0' : JSON.stringify(value);
}

/** The double with the fewest digits that is the same single-precision number; nine digits always suffice (IEEE 754). */
export function shortestFloat(value: number): number {
  // toPrecision writes -0 without its sign.
  if (value === 0) return value;
  for (let digits = 1; digits < 9; digits += 1) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === Math.fround(value)) return candidate;
  }
  return Number(value.toPrecision(9));
}

function bits(cell: Buffer): bigint {
  return cell.length === 0 ? 0n : BigInt(`0x${cell.toString('hex')}`);
}

/** MariaDB lets a session switch the check off, so a JSON column can hold what is not JSON: then it is a text. */
function jsonCell(cell: Buffer): string {
  const text = cell.toString('utf8');
  return minifyJson(text) ?? JSON.stringify(text);
}
