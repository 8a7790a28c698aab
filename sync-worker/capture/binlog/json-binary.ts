/**
 * MySQL's binary JSON -> the server's own text of it, up to white space between tokens (shared/row drops that).
 *
 * Written from the bytes and not by way of JavaScript values, which would sort members by their own rules, lose `1.0`,
 * and round what a double cannot hold.
 *
 * The format: MySQL, sql-common/json_binary.h. The text: sql-common/json_dom.cc, `wrapper_to_string`.
 */
import { decimalText } from './decimal.ts';
import { ByteReader, Undecodable } from './event-bytes.ts';

const SMALL_OBJECT = 0x0;
const LARGE_OBJECT = 0x1;
const SMALL_ARRAY = 0x2;
const LARGE_ARRAY = 0x3;
const LITERAL = 0x4;
const INT16 = 0x5;
const UINT16 = 0x6;
const INT32 = 0x7;
const UINT32 = 0x8;
const INT64 = 0x9;
const UINT64 = 0xa;
const DOUBLE = 0xb;
const STRING = 0xc;
const OPAQUE = 0xf;

const LITERALS = ['null', 'true', 'false'] as const;

/** The server takes in no deeper documents. */
const DEPTH_MAX = 100;

export function jsonText(document: Buffer): string {
  // INSERT IGNORE and the like leave an empty value, which the server reads as null.
  if (document.length === 0) return 'null';
  return valueText(document[0] as number, document.subarray(1), 0);
}

/** @param at begins with the value; offsets inside a container count from there. */
function valueText(type: number, at: Buffer, depth: number): string {
  if (depth > DEPTH_MAX) throw new Undecodable('a JSON document nested too deeply');
  const reader = new ByteReader(at);
  switch (type) {
    case SMALL_OBJECT:
      return objectText(at, 2, depth);
    case LARGE_OBJECT:
      return objectText(at, 4, depth);
    case SMALL_ARRAY:
      return arrayText(at, 2, depth);
    case LARGE_ARRAY:
      return arrayText(at, 4, depth);
    case LITERAL: {
      const literal = LITERALS[reader.u8()];
      if (literal === undefined) throw new Undecodable('an unknown JSON literal');
      return literal;
    }
    case INT16:
      return String((reader.u16() << 16) >> 16);
    case UINT16:
      return String(reader.u16());
    case INT32:
      return String(reader.u32() | 0);
    case UINT32:
      return String(reader.u32());
    case INT64:
      return String(BigInt.asIntN(64, reader.u64()));
    case UINT64:
      return String(reader.u64());
    case DOUBLE:
      return jsonDoubleText(reader.bytes(8).readDoubleLE());
    case STRING:
      return JSON.stringify(reader.utf8(variableLength(reader)));
    case OPAQUE: {
      const fieldType = reader.u8();
      return opaqueText(fieldType, reader.bytes(variableLength(reader)));
    }
    default:
      throw new Undecodable(`a JSON value of type ${type}`);
  }
}

interface Container {
  readonly reader: ByteReader;
  readonly count: number;
}

function container(at: Buffer, size: 2 | 4): Container {
  const reader = new ByteReader(at);
  const count = reader.uint(size);
  reader.skip(size);
  return { reader, count };
}

function objectText(at: Buffer, size: 2 | 4, depth: number): string {
  const { reader, count } = container(at, size);
  const names: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const start = reader.uint(size);
    names.push(at.toString('utf8', start, start + reader.u16()));
  }
  const members = names.map((name) => `${JSON.stringify(name)}:${entryText(at, reader, size, depth)}`);
  return `{${members.join(',')}}`;
}

function arrayText(at: Buffer, size: 2 | 4, depth: number): string {
  const { reader, count } = container(at, size);
  const elements: string[] = [];
  for (let index = 0; index < count; index += 1) elements.push(entryText(at, reader, size, depth));
  return `[${elements.join(',')}]`;
}

/** A type and an offset, or the value itself where it fits into the offset's place. */
function entryText(at: Buffer, reader: ByteReader, size: 2 | 4, depth: number): string {
  const type = reader.u8();
  const inline =
    type === LITERAL || type === INT16 || type === UINT16 || (size === 4 && (type === INT32 || type === UINT32));
  const place = reader.bytes(size);
  if (inline) return valueText(type, place, depth + 1);
  const offset = place.readUIntLE(0, size);
  if (offset >= at.length) throw new Undecodable('a JSON value outside its container');
  return valueText(type, at.subarray(offset), depth + 1);
}

/** Seven bits a byte, least significant first; the eighth says that more follow. */
function variableLength(reader: ByteReader): number {
  let length = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = reader.u8();
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return length;
  }
  throw new Undecodable('an endless length in a JSON document');
}

/**
 * As the server writes doubles here (strings/dtoa.cc, `my_gcvt`): the shortest digits; with a point from 1e-15 up to
 * 1e15, else with an exponent; and `.0` after what would look like an integer.
 */
export function jsonDoubleText(value: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [mantissa = '', exponent = ''] = Math.abs(value).toExponential().split('e');
  const digits = mantissa.replace('.', '');
  const point = Number(exponent) + 1;
  const sign = value < 0 ? '-' : '';
  if (point < -14 || (point > 15 && digits.length <= point)) return `${sign}${mantissa}e${point - 1}`;
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  if (digits.length <= point) return `${sign}${digits}${'0'.repeat(point - digits.length)}.0`;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

const OPAQUE_TIMESTAMP = 7;
const OPAQUE_DATE = 10;
const OPAQUE_TIME = 11;
const OPAQUE_DATETIME = 12;
const OPAQUE_DECIMAL = 246;

/** What JSON has no type for: decimals, times, and bytes. */
function opaqueText(fieldType: number, value: Buffer): string {
  switch (fieldType) {
    case OPAQUE_DECIMAL: {
      const reader = new ByteReader(value);
      const precision = reader.u8();
      return decimalText(reader, precision, reader.u8());
    }
    case OPAQUE_DATE:
      return `"${packedDatetime(value).slice(0, 10)}"`;
    case OPAQUE_DATETIME:
    case OPAQUE_TIMESTAMP:
      return `"${packedDatetime(value)}"`;
    case OPAQUE_TIME:
      return `"${packedTime(value)}"`;
    default:
      return JSON.stringify(`base64:type${fieldType}:${base64Lines(value)}`);
  }
}

/** The server's encoder begins a new line after each 76 characters (mysys/base64.cc). */
function base64Lines(value: Buffer): string {
  return value.toString('base64').replace(/.{76}(?=.)/g, '$&\n');
}

/** 24 bits of microseconds; above them 6 of second, 6 of minute, 5 of hour, 5 of day, the rest year * 13 + month. */
function packedDatetime(value: Buffer): string {
  const packed = new ByteReader(value).u64();
  const field = (from: bigint, bits: bigint) => Number((packed >> from) & ((1n << bits) - 1n));
  const yearMonth = field(46n, 17n);
  const [year, month] = [Math.floor(yearMonth / 13), yearMonth % 13];
  return (
    `${pad(year, 4)}-${pad(month, 2)}-${pad(field(41n, 5n), 2)} ` +
    `${pad(field(36n, 5n), 2)}:${pad(field(30n, 6n), 2)}:${pad(field(24n, 6n), 2)}.${pad(field(0n, 24n), 6)}`
  );
}

function packedTime(value: Buffer): string {
  const signed = BigInt.asIntN(64, new ByteReader(value).u64());
  const packed = signed < 0n ? -signed : signed;
  const field = (from: bigint, bits: bigint) => Number((packed >> from) & ((1n << bits) - 1n));
  return (
    `${signed < 0n ? '-' : ''}${pad(field(36n, 10n), 2)}:${pad(field(30n, 6n), 2)}:` +
    `${pad(field(24n, 6n), 2)}.${pad(field(0n, 24n), 6)}`
  );
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}
