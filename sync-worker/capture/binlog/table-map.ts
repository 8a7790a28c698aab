/**
 * A table map event -> the table as the event describes it (binlog_row_metadata=FULL), and how its cells are decoded.
 *
 * Everything is of the time when the event was written. The driver would ask the server for what is missing, and decode
 * old events by today's columns (seen: every value under the wrong name after an ADD COLUMN … FIRST); here a table whose
 * names or character sets are missing is unreadable.
 */
import type { EventColumn, EventTable } from './binlog-event.ts';
import { cellDecoder, type CellDecoder, type CellType } from './cells.ts';
import type { Charsets } from './charsets.ts';
import { bitAt, bitmapBytes, ByteReader, Undecodable } from './event-bytes.ts';
import { TYPE } from './event-types.ts';

export interface MappedTable {
  readonly table: EventTable;
  /** One a column. */
  readonly decoders: readonly CellDecoder[];
}

/** What can be known without the columns, which may be undecodable. */
export interface TableMapHead {
  readonly tableId: number;
  readonly db: string;
  readonly table: string;
  readonly rest: Buffer;
}

export function readTableMapHead(body: Buffer): TableMapHead {
  const reader = new ByteReader(body);
  const tableId = reader.uint(6);
  reader.skip(2);
  const db = reader.utf8(reader.u8());
  reader.skip(1);
  const table = reader.utf8(reader.u8());
  reader.skip(1);
  return { tableId, db, table, rest: reader.rest() };
}

/** Throws Undecodable, CharsetMissing. */
export function readTableMap(
  { db, table, rest }: TableMapHead,
  charsets: Charsets,
  listsSignOfYear: boolean,
): MappedTable {
  const reader = new ByteReader(rest);
  const count = reader.lengthEncoded();
  const types = reader.bytes(count);
  const wire = readTypes(types, new ByteReader(reader.bytes(reader.lengthEncoded())));
  const nullable = reader.bytes(bitmapBytes(count));
  const metadata = readMetadata(wire, new ByteReader(reader.rest()), listsSignOfYear);
  if (metadata.names?.length !== count) {
    throw new Undecodable('the binlog does not name its columns: binlog_row_metadata was not FULL when it was written');
  }
  const columns = wire.map((column, index) => composeColumn(column, index, metadata, bitAt(nullable, index), charsets));
  return {
    table: { db, table, columns: columns.map(({ column }) => column) },
    decoders: columns.map(({ decoder }) => decoder),
  };
}

/** A column's type with what goes with it: MySQL, libbinlogevents, `Table_map_event`. */
interface WireColumn {
  readonly type: number;
  /** Bytes of a length, an ENUM, a SET, a BIT. */
  readonly size: number;
  /** Bytes at most of CHAR and VARCHAR. */
  readonly bytesMax: number;
  readonly precision: number;
  readonly scale: number;
  readonly fraction: number;
}

function readTypes(types: Buffer, reader: ByteReader): WireColumn[] {
  const columns = [...types].map((type) => readType(type, reader));
  if (reader.left > 0) throw new Undecodable('column types and their metadata do not match');
  return columns;
}

function readType(type: number, reader: ByteReader): WireColumn {
  const none = { type, size: 0, bytesMax: 0, precision: 0, scale: 0, fraction: 0 };
  switch (type) {
    case TYPE.tiny:
    case TYPE.short:
    case TYPE.int24:
    case TYPE.long:
    case TYPE.longlong:
    case TYPE.year:
    case TYPE.date:
      return none;
    case TYPE.float:
    case TYPE.double:
      reader.skip(1);
      return none;
    case TYPE.decimal:
      return { ...none, precision: reader.u8(), scale: reader.u8() };
    case TYPE.time2:
    case TYPE.datetime2:
    case TYPE.timestamp2:
      return { ...none, fraction: reader.u8() };
    case TYPE.bit: {
      const bits = reader.u8() + 8 * reader.u8();
      return { ...none, precision: bits, size: bitmapBytes(bits) };
    }
    case TYPE.blob:
    case TYPE.blobCompressed:
    case TYPE.geometry:
    case TYPE.json:
    case TYPE.vector:
      return { ...none, size: reader.u8() };
    case TYPE.varchar:
    case TYPE.varcharCompressed: {
      const bytesMax = reader.u16();
      return { ...none, bytesMax, size: bytesMax > 255 ? 2 : 1 };
    }
    case TYPE.string: {
      // CHAR, BINARY, ENUM or SET; two bits of a long CHAR's length are in the type, flipped.
      const [real, length] = [reader.u8(), reader.u8()];
      if (real === TYPE.enum || real === TYPE.set) return { ...none, type: real, size: length };
      const bytesMax = length + (((real & 0x30) ^ 0x30) << 4);
      return { ...none, bytesMax, size: bytesMax > 255 ? 2 : 1 };
    }
    case TYPE.timestamp:
    case TYPE.time:
    case TYPE.datetime:
      // Two formats are in use under these numbers (MySQL before 5.6, MariaDB 5.3), and the binlog does not tell which.
      throw new Undecodable('a time in a format of before MySQL 5.6: ALTER TABLE … FORCE brings it up to date');
    default:
      throw new Undecodable(`column type ${type} is not known`);
  }
}

// ---- optional metadata

const SIGNEDNESS = 1;
const DEFAULT_CHARSET = 2;
const COLUMN_CHARSET = 3;
const COLUMN_NAME = 4;
const SET_STR_VALUE = 5;
const ENUM_STR_VALUE = 6;
const GEOMETRY_TYPE = 7;
const ENUM_AND_SET_DEFAULT_CHARSET = 10;
const ENUM_AND_SET_COLUMN_CHARSET = 11;

interface Metadata {
  names: string[] | undefined;
  /** By column. */
  readonly unsigned: Map<number, boolean>;
  /** The collation's number, by column. */
  readonly collations: Map<number, number>;
  /** In the column's own character set, by column. */
  readonly members: Map<number, Buffer[]>;
  readonly geometry: Map<number, number>;
}

const NUMERIC: ReadonlySet<number> = new Set([
  TYPE.tiny,
  TYPE.short,
  TYPE.int24,
  TYPE.long,
  TYPE.longlong,
  TYPE.decimal,
  TYPE.float,
  TYPE.double,
]);
const CHARACTER: ReadonlySet<number> = new Set([
  TYPE.varchar,
  TYPE.varString,
  TYPE.string,
  TYPE.blob,
  TYPE.blobCompressed,
  TYPE.varcharCompressed,
]);

function readMetadata(wire: readonly WireColumn[], reader: ByteReader, listsSignOfYear: boolean): Metadata {
  const metadata: Metadata = {
    names: undefined,
    unsigned: new Map(),
    collations: new Map(),
    members: new Map(),
    geometry: new Map(),
  };
  const columnsOf = (isMeant: (type: number) => boolean) =>
    wire.flatMap(({ type }, index) => (isMeant(type) ? [index] : []));
  const signed = columnsOf((type) => NUMERIC.has(type) || (listsSignOfYear && type === TYPE.year));
  const character = columnsOf((type) => CHARACTER.has(type));
  const choices = columnsOf((type) => type === TYPE.enum || type === TYPE.set);
  while (reader.left > 0) {
    const type = reader.u8();
    const field = new ByteReader(reader.bytes(reader.lengthEncoded()));
    switch (type) {
      case SIGNEDNESS:
        for (const [at, column] of signed.entries()) {
          // The first column is the highest bit here.
          metadata.unsigned.set(column, ((field.buffer[at >> 3] ?? 0) & (0x80 >> (at & 7))) !== 0);
        }
        break;
      case DEFAULT_CHARSET:
        readDefaultCollation(field, character, metadata.collations);
        break;
      case ENUM_AND_SET_DEFAULT_CHARSET:
        readDefaultCollation(field, choices, metadata.collations);
        break;
      case COLUMN_CHARSET:
        for (const column of character) metadata.collations.set(column, field.lengthEncoded());
        break;
      case ENUM_AND_SET_COLUMN_CHARSET:
        for (const column of choices) metadata.collations.set(column, field.lengthEncoded());
        break;
      case COLUMN_NAME:
        metadata.names = [];
        while (field.left > 0) metadata.names.push(field.utf8(field.lengthEncoded()));
        break;
      case ENUM_STR_VALUE:
        readMembers(
          field,
          columnsOf((each) => each === TYPE.enum),
          metadata.members,
        );
        break;
      case SET_STR_VALUE:
        readMembers(
          field,
          columnsOf((each) => each === TYPE.set),
          metadata.members,
        );
        break;
      case GEOMETRY_TYPE:
        for (const column of columnsOf((each) => each === TYPE.geometry)) {
          metadata.geometry.set(column, field.lengthEncoded());
        }
        break;
      default:
      // Keys, visibility, and what later servers add: not needed to read a row.
    }
  }
  return metadata;
}

/** One collation for all, then those columns that differ: place among `columns`, collation. */
function readDefaultCollation(field: ByteReader, columns: readonly number[], into: Map<number, number>): void {
  const common = field.lengthEncoded();
  for (const column of columns) into.set(column, common);
  while (field.left > 0) {
    const column = columns[field.lengthEncoded()];
    const collation = field.lengthEncoded();
    if (column === undefined) throw new Undecodable('the character set of a column that is not there');
    into.set(column, collation);
  }
}

function readMembers(field: ByteReader, columns: readonly number[], into: Map<number, Buffer[]>): void {
  for (const column of columns) {
    const count = field.lengthEncoded();
    into.set(
      column,
      Array.from({ length: count }, () => field.bytes(field.lengthEncoded())),
    );
  }
}

// ---- both together

function composeColumn(
  wire: WireColumn,
  index: number,
  metadata: Metadata,
  nullable: boolean,
  charsets: Charsets,
): { column: EventColumn; decoder: CellDecoder } {
  const { type } = wire;
  const name = metadata.names?.[index] ?? '';
  const hasCharset = CHARACTER.has(type) || type === TYPE.enum || type === TYPE.set;
  const collation = metadata.collations.get(index);
  if (hasCharset && collation === undefined) throw new Undecodable(`the character set of ${name} is missing`);
  const charset = collation === undefined ? 'binary' : charsets.charsetOf(collation);
  const isBytes = charset === 'binary';
  const toUtf8 = isBytes ? undefined : charsets.converter(charset);

  const unsigned = metadata.unsigned.get(index);
  if (NUMERIC.has(type) && unsigned === undefined) throw new Undecodable(`the sign of ${name} is missing`);
  const raw = metadata.members.get(index);
  if ((type === TYPE.enum || type === TYPE.set) && raw === undefined) {
    throw new Undecodable(`the members of ${name} are missing`);
  }
  const members = raw?.map((member) => (toUtf8 === undefined ? member : toUtf8(member)).toString('utf8'));

  const cell: CellType = {
    ...wire,
    unsigned: unsigned ?? false,
    width: type === TYPE.string && isBytes ? wire.bytesMax : undefined,
    toUtf8,
    members: members ?? [],
  };
  const exact = type === TYPE.decimal;
  const hasFraction = type === TYPE.time2 || type === TYPE.datetime2 || type === TYPE.timestamp2;
  const column = {
    name,
    dataType: dataTypeOf(wire, isBytes, metadata.geometry.get(index)),
    unsigned: unsigned ?? false,
    nullable,
    charset: isBytes ? null : charset,
    bytesMax: wire.bytesMax === 0 ? null : wire.bytesMax,
    precision: exact || type === TYPE.bit ? wire.precision : null,
    scale: exact ? wire.scale : null,
    fraction: hasFraction ? wire.fraction : null,
    members: members ?? null,
  };
  return { column, decoder: cellDecoder(cell) };
}

/** By the number that the metadata has for each. */
export const GEOMETRY_NAMES = [
  'geometry',
  'point',
  'linestring',
  'polygon',
  'multipoint',
  'multilinestring',
  'multipolygon',
  'geometrycollection',
] as const;

const BLOB_SIZES = ['', 'tiny', '', 'medium', 'long'] as const;

function dataTypeOf({ type, size }: WireColumn, isBytes: boolean, geometry: number | undefined): string {
  switch (type) {
    case TYPE.tiny:
      return 'tinyint';
    case TYPE.short:
      return 'smallint';
    case TYPE.int24:
      return 'mediumint';
    case TYPE.long:
      return 'int';
    case TYPE.longlong:
      return 'bigint';
    case TYPE.float:
      return 'float';
    case TYPE.double:
      return 'double';
    case TYPE.decimal:
      return 'decimal';
    case TYPE.year:
      return 'year';
    case TYPE.date:
      return 'date';
    case TYPE.time2:
      return 'time';
    case TYPE.datetime2:
      return 'datetime';
    case TYPE.timestamp2:
      return 'timestamp';
    case TYPE.bit:
      return 'bit';
    case TYPE.enum:
      return 'enum';
    case TYPE.set:
      return 'set';
    case TYPE.json:
      return 'json';
    case TYPE.vector:
      return 'vector';
    case TYPE.geometry:
      return GEOMETRY_NAMES[geometry ?? 0] ?? 'geometry';
    case TYPE.string:
      return isBytes ? 'binary' : 'char';
    case TYPE.varchar:
    case TYPE.varcharCompressed:
      return isBytes ? 'varbinary' : 'varchar';
    default:
      return `${BLOB_SIZES[size] ?? ''}${isBytes ? 'blob' : 'text'}`;
  }
}
