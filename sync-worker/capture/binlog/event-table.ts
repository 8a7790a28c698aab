/**
 * A table as an event describes it, met with the table as the server describes it today: where the cells are that the
 * schema speaks of, and whether they mean the same.
 *
 * Strict: where they differ in anything that could make another row of the same bytes, the entry is removed instead of
 * overwritten; and where not even the key is the same, the table's floor rises. Both are always safe.
 */
import { isDeepStrictEqual } from 'node:util';
import type { TableConfig } from '../../../shared/config/schema.ts';
import type { KeyPart } from '../../../shared/key/key-part.ts';
import { type Column, isUnsigned } from '../../../shared/origin/column.ts';
import { keyPartType } from '../../../shared/origin/key-type.ts';
import type { TableSchema } from '../../../shared/origin/table-schema.ts';
import type { EventCells, EventColumn, EventTable } from './binlog-event.ts';
import { inet4Text, inet6Text, uuidText } from './dialect/mariadb.ts';
import { GEOMETRY_NAMES } from './table-map.ts';
import type { EventView } from '../assembler/event-view.ts';

/** What a cell has to go through to be what a SELECT would have sent. */
type Conversion = (cell: Buffer) => Buffer;

interface Source {
  readonly index: number;
  readonly convert: Conversion;
}

type Schema = Pick<TableSchema, 'columns' | 'key' | 'keyAt'>;

/**
 * Nothing where the key's columns are not as the schema has them.
 * @param exposed the table's allow or deny list; without it, columns that only the event has are taken for hidden ones.
 */
export function viewOf(event: EventTable, schema: Schema, exposed?: TableConfig['columns']): EventView | undefined {
  const place = new Map(event.columns.map((column, index) => [column.name, index]));
  const sourceOf = (name: string, conversionOf: (column: EventColumn) => Conversion | undefined) => {
    const index = place.get(name);
    const convert = index === undefined ? undefined : conversionOf(event.columns[index] as EventColumn);
    return index === undefined || convert === undefined ? undefined : { index, convert };
  };
  const columnSource = (column: Column) => sourceOf(column.name, (found) => conversion(found, column));
  const keySources = allOf(
    schema.key.map((part, at) => {
      const column = schema.columns[schema.keyAt[at] as number];
      // A key column that is not exposed is known by its type in the key only.
      return column === undefined
        ? sourceOf(part.column, (found) => hiddenKeyConversion(found, part))
        : columnSource(column);
    }),
  );
  if (keySources === undefined) return undefined;
  const sources = hasTheColumns(event, schema, exposed) ? allOf(schema.columns.map(columnSource)) : undefined;
  return { keyCells: picking(keySources), exposedCells: sources && picking(sources) };
}

/** Whether the event's rows can be encoded as rows of the schema. */
export function agrees(event: EventTable, schema: Schema, exposed?: TableConfig['columns']): boolean {
  return viewOf(event, schema, exposed)?.exposedCells !== undefined;
}

/** The exposed columns, in the schema's order. */
function hasTheColumns(event: EventTable, schema: Schema, exposed: TableConfig['columns']): boolean {
  const known = new Set(schema.columns.map((column) => column.name));
  const isExposed = (name: string) => {
    if (exposed === undefined) return known.has(name);
    if (isServersOwn(name)) return false;
    return (exposed.allow?.includes(name) ?? true) && !(exposed.deny?.includes(name) ?? false);
  };
  const names = event.columns.map((column) => column.name).filter(isExposed);
  return isDeepStrictEqual(
    names,
    schema.columns.map((column) => column.name),
  );
}

/** MySQL makes a hidden column for each index over an expression. */
function isServersOwn(name: string): boolean {
  return name.startsWith('!hidden!');
}

function allOf(sources: readonly (Source | undefined)[]): Source[] | undefined {
  const found = sources.filter((source) => source !== undefined);
  return found.length === sources.length ? found : undefined;
}

function picking(sources: readonly Source[]): (cells: EventCells) => EventCells {
  return (cells) =>
    sources.map(({ index, convert }) => {
      const cell = cells[index];
      return cell === null || cell === undefined ? null : convert(cell);
    });
}

// ---- one column

const asItIs: Conversion = (cell) => cell;

/** Nothing where the two are not the same type. */
function conversion(event: EventColumn, column: Column): Conversion | undefined {
  if (event.nullable !== column.nullable) return undefined;
  const bytes = MARIADB_BYTES[column.dataType];
  if (bytes !== undefined && event.dataType === 'binary') {
    // Older MariaDB had a UUID with another order of bytes; its columns say so.
    const isPlain = column.columnType === column.dataType;
    return isPlain && event.bytesMax === bytes.length ? bytes.convert : undefined;
  }
  if (!isSameType(event, column)) return undefined;
  const { dataType, scale } = column;
  return dataType === 'double' && scale !== null ? (cell) => roundedDouble(cell, scale) : asItIs;
}

/**
 * DOUBLE(M,D) is printed with D decimals. What is stored is near that and not always the nearest (seen: -0.01 stored as
 * -0.010000000000000009), and the binlog has what is stored, without the D. Ties go to the even digit (strings/dtoa.c);
 * toFixed rounds them up.
 */
function roundedDouble(cell: Buffer, decimals: number): Buffer {
  const value = Number(cell.toString('latin1'));
  const rounded = Math.abs(value).toFixed(decimals);
  // With so many digits more it is exact.
  const exact = Math.abs(value).toFixed(Math.min(100, decimals + 60));
  const cut = exact.length - (Math.min(100, decimals + 60) - decimals);
  const lower = exact.slice(0, cut);
  const isTie = /^5?0*$/.test(exact.slice(cut)) && exact[cut] === '5';
  const even = isTie && /[02468]\.?$/.test(lower) ? lower : rounded;
  return Buffer.from(`${cell[0] === MINUS ? '-' : ''}${even}`, 'latin1');
}

const MINUS = 0x2d;

/** Types of MariaDB's that are bytes in the binlog. */
const MARIADB_BYTES: Readonly<Record<string, { readonly length: number; readonly convert: Conversion }>> = {
  uuid: { length: 16, convert: (cell) => Buffer.from(uuidText(cell), 'latin1') },
  inet6: { length: 16, convert: (cell) => Buffer.from(inet6Text(cell), 'latin1') },
  inet4: { length: 4, convert: (cell) => Buffer.from(inet4Text(cell), 'latin1') },
};

function isSameType(event: EventColumn, column: Column): boolean {
  // Which geometry a column may hold does not change the bytes of the one that it holds.
  if (GEOMETRIES.has(column.dataType)) return GEOMETRIES.has(event.dataType);
  // MariaDB's VECTOR is a VARBINARY to its binlog.
  if (column.dataType === 'vector') return event.dataType === 'vector' || event.dataType === 'varbinary';
  if (event.dataType !== column.dataType) return false;
  switch (column.dataType) {
    case 'tinyint':
    case 'smallint':
    case 'mediumint':
    case 'int':
    case 'bigint':
    case 'float':
    case 'double':
      return event.unsigned === isUnsigned(column);
    case 'decimal':
      return (
        event.unsigned === isUnsigned(column) && event.precision === column.precision && event.scale === column.scale
      );
    case 'bit':
      return event.precision === (column.precision ?? 1);
    case 'time':
    case 'datetime':
    case 'timestamp':
      return event.fraction === (column.fraction ?? 0);
    case 'binary':
      // Values are filled up to the width. No other length shows in a value.
      return event.bytesMax === column.lengthMax;
    case 'enum':
    case 'set':
      return isSameCharset(event, column) && isSameChoice(event.members ?? [], column);
    default:
      // Also JSON: MySQL's own type, and MariaDB's LONGTEXT that is one only to the schema.
      return isSameCharset(event, column);
  }
}

/** MySQL 8 has another name for the last. */
const GEOMETRIES: ReadonlySet<string> = new Set([...GEOMETRY_NAMES, 'geomcollection']);

function isSameCharset(event: EventColumn, column: Column): boolean {
  return charsetName(event.charset) === charsetName(column.charset);
}

/** Bytes have none; and `utf8` has been called utf8mb3 since MySQL 8.0.29 and MariaDB 10.6. */
function charsetName(charset: string | null): string | null {
  if (charset === 'binary') return null;
  return charset === 'utf8' ? 'utf8mb3' : charset;
}

/** COLUMN_TYPE lists the members: with quotes doubled, and some servers escape what cannot be seen. */
function isSameChoice(members: readonly string[], { dataType, columnType }: Column): boolean {
  const listed = (quote: (member: string) => string) => `${dataType}(${members.map(quote).join(',')})`;
  const doubled = (member: string) => `'${member.replaceAll("'", "''")}'`;
  return columnType === listed(doubled) || columnType === listed((member) => doubled(escaped(member)));
}

function escaped(member: string): string {
  return member.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\0', '\\0');
}

/** As far as a key's type tells: of a UUID it does not. */
function hiddenKeyConversion(event: EventColumn, { type }: KeyPart): Conversion | undefined {
  if (event.nullable) return undefined;
  if (type.kind === 'text') return event.charset === null ? undefined : asItIs;
  const eventType = keyPartType({
    name: event.name,
    dataType: event.dataType,
    columnType: event.unsigned ? `${event.dataType} unsigned` : event.dataType,
    nullable: event.nullable,
    charset: event.charset,
    collation: null,
    lengthMax: event.bytesMax,
    precision: event.precision,
    scale: event.scale,
    fraction: event.fraction,
    json: false,
  });
  if (type.kind === 'binary' && eventType?.kind === 'binary' && !type.fixed && !eventType.fixed) return asItIs;
  return isDeepStrictEqual(eventType, type) ? asItIs : undefined;
}
