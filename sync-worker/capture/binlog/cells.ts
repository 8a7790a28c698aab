/**
 * One column's value in a row image -> the cell as the text protocol would send it in a session with UTC and utf8mb4, so
 * that shared/row's encoder makes the same bytes of a change as of a fill.
 *
 * Decoded from the event's own bytes, not from what the driver makes of them: the driver loses what cannot be had again
 * (a geometry's SRID, the order and the numbers of a JSON document, ENUM's error value, texts in rarer character sets).
 *
 * What cannot be decoded throws Undecodable, and is never guessed: the row is then told as unreadable.
 */
import { inflateRawSync, inflateSync } from 'node:zlib';
import type { ToUtf8 } from './charsets.ts';
import { decimalText } from './decimal.ts';
import { ByteReader, Undecodable } from './event-bytes.ts';
import { TYPE } from './event-types.ts';
import { jsonText } from './json-binary.ts';

/** What a cell's decoding depends on. */
export interface CellType {
  /** TYPE; that of ENUM and SET although the binlog calls them strings. */
  readonly type: number;
  /** Bytes that a length is written in, or that an ENUM, a SET, a BIT takes. */
  readonly size: number;
  readonly unsigned: boolean;
  /** BINARY's width, to which trailing zeros are filled up; nothing under other types. */
  readonly width: number | undefined;
  readonly precision: number;
  readonly scale: number;
  readonly fraction: number;
  /** From the column's character set; nothing for bytes. */
  readonly toUtf8: ToUtf8 | undefined;
  /** Of ENUM and SET. */
  readonly members: readonly string[];
}

export type CellDecoder = (image: ByteReader) => Buffer;

export function cellDecoder(type: CellType): CellDecoder {
  switch (type.type) {
    case TYPE.tiny:
      return integer(1, type.unsigned);
    case TYPE.short:
      return integer(2, type.unsigned);
    case TYPE.int24:
      return integer(3, type.unsigned);
    case TYPE.long:
      return integer(4, type.unsigned);
    case TYPE.longlong:
      return type.unsigned
        ? (image) => ascii(image.u64().toString())
        : (image) => ascii(BigInt.asIntN(64, image.u64()).toString());
    case TYPE.float:
      // As `col * 1e0` shows it: the double that it is.
      return (image) => ascii(doubleText(image.bytes(4).readFloatLE()));
    case TYPE.double:
      return (image) => ascii(doubleText(image.bytes(8).readDoubleLE()));
    case TYPE.decimal:
      return (image) => ascii(decimalText(image, type.precision, type.scale));
    case TYPE.year:
      return (image) => ascii(yearText(image.u8()));
    case TYPE.date:
      return (image) => ascii(dateText(image.uint(3)));
    case TYPE.time2:
      return (image) => ascii(timeText(image, type.fraction));
    case TYPE.datetime2:
      return (image) => ascii(datetimeText(image, type.fraction));
    case TYPE.timestamp2:
      return (image) => ascii(timestampText(image, type.fraction));
    case TYPE.bit:
    case TYPE.vector:
    case TYPE.geometry:
    case TYPE.string:
    case TYPE.varchar:
    case TYPE.blob:
    case TYPE.varcharCompressed:
    case TYPE.blobCompressed:
      return bytesOrText(type);
    case TYPE.enum: {
      const members = ['', ...type.members].map((member) => Buffer.from(member));
      return (image) => {
        const index = image.uint(type.size);
        const member = members[index];
        if (member === undefined) throw new Undecodable(`an ENUM has no member ${index}`);
        return member;
      };
    }
    case TYPE.set:
      return (image) => Buffer.from(setText(image.bytes(type.size), type.members));
    case TYPE.json:
      return (image) => Buffer.from(jsonText(image.bytes(image.uint(type.size))));
    default:
      throw new Undecodable(`column type ${type.type} is not known`);
  }
}

function ascii(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function integer(bytes: number, unsigned: boolean): CellDecoder {
  if (unsigned) return (image) => ascii(String(image.uint(bytes)));
  const shift = 32 - bytes * 8;
  return (image) => ascii(String((image.uint(bytes) << shift) >> shift));
}

/** String() writes -0 as 0. */
function doubleText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

function yearText(value: number): string {
  return value === 0 ? '0000' : String(1900 + value);
}

// ---- bytes and text

function bytesOrText({ type, size, width, toUtf8 }: CellType): CellDecoder {
  if (type === TYPE.bit) return (image) => image.bytes(size);
  const compressed = type === TYPE.varcharCompressed || type === TYPE.blobCompressed;
  const read: CellDecoder = compressed
    ? (image) => uncompressed(image.bytes(image.uint(size)))
    : (image) => image.bytes(image.uint(size));
  if (width !== undefined) return (image) => filledUp(read(image), width);
  return toUtf8 === undefined ? read : (image) => toUtf8(read(image));
}

/** The binlog leaves a BINARY's trailing zeros out. */
function filledUp(value: Buffer, width: number): Buffer {
  if (value.length === width) return value;
  const filled = Buffer.alloc(width);
  value.copy(filled);
  return filled;
}

/**
 * MariaDB's COMPRESSED columns (sql/field_comp.cc). First byte: the method in the upper half (0 stored, 8 zlib); below
 * it, how many bytes give the original's length, and in bit 3 whether zlib's own header is left out.
 */
function uncompressed(value: Buffer): Buffer {
  const [head] = value;
  if (head === undefined) return value;
  switch (head >> 4) {
    case 0:
      return value.subarray(1);
    case 8: {
      const lengthBytes = head & 7;
      const length = new ByteReader(value.subarray(1)).uintBE(lengthBytes);
      const packed = value.subarray(1 + lengthBytes);
      const inflate = (head & 8) === 0 ? inflateSync : inflateRawSync;
      return inflate(packed, { maxOutputLength: Math.max(1, length) });
    }
    default:
      throw new Undecodable(`a COMPRESSED column by method ${head >> 4}`);
  }
}

function setText(bits: Buffer, members: readonly string[]): string {
  let chosen = 0n;
  for (let at = bits.length - 1; at >= 0; at -= 1) chosen = (chosen << 8n) | BigInt(bits[at] as number);
  if (chosen >> BigInt(members.length) !== 0n) throw new Undecodable('a SET has a member that its column has not');
  return members.filter((_, index) => ((chosen >> BigInt(index)) & 1n) === 1n).join(',');
}

// ---- times

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}

function dateText(packed: number): string {
  return `${pad(packed >> 9, 4)}-${pad((packed >> 5) & 15, 2)}-${pad(packed & 31, 2)}`;
}

/** Fractions are stored in whole bytes of two digits. */
function fractionText(stored: number, digits: number): string {
  if (digits === 0) return '';
  return `.${pad(digits % 2 === 1 ? Math.floor(stored / 10) : stored, digits)}`;
}

function fractionBytes(digits: number): number {
  return (digits + 1) >> 1;
}

/**
 * DATETIME: 5 bytes, most significant first: a sign that is always set, 17 bits of year * 13 + month, 5 of day, 5 of
 * hour, 6 of minute, 6 of second (MySQL: "Date and Time Data Type Representation").
 */
function datetimeText(image: ByteReader, fraction: number): string {
  const packed = image.uintBE(5) - 0x80_0000_0000;
  if (packed < 0) throw new Undecodable('a DATETIME below zero');
  const days = Math.floor(packed / 2 ** 17);
  const [yearMonth, day] = [days >> 5, days & 31];
  const seconds = packed % 2 ** 17;
  const stored = fraction === 0 ? 0 : image.uintBE(fractionBytes(fraction));
  return (
    `${pad(Math.floor(yearMonth / 13), 4)}-${pad(yearMonth % 13, 2)}-${pad(day, 2)} ` +
    `${clockText(seconds >> 12, (seconds >> 6) & 63, seconds & 63)}${fractionText(stored, fraction)}`
  );
}

/** TIME: 3 bytes and the fraction's, as one number that is moved up by half its range, so that it can be negative. */
function timeText(image: ByteReader, fraction: number): string {
  const bytes = fractionBytes(fraction);
  const unit = 2 ** (8 * bytes);
  const moved = image.uintBE(3 + bytes) - 0x80_0000 * unit;
  const [sign, packed] = moved < 0 ? ['-', -moved] : ['', moved];
  const seconds = Math.floor(packed / unit);
  const clock = clockText((seconds >> 12) & 1023, (seconds >> 6) & 63, seconds & 63);
  return `${sign}${clock}${fractionText(packed % unit, fraction)}`;
}

function timestampText(image: ByteReader, fraction: number): string {
  const seconds = image.uintBE(4);
  const stored = fraction === 0 ? 0 : image.uintBE(fractionBytes(fraction));
  const rest = fractionText(stored, fraction);
  if (seconds === 0 && stored === 0) return `0000-00-00 00:00:00${rest}`;
  // 2011-10-05T14:48:00.000Z
  const iso = new Date(seconds * 1000).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)}${rest}`;
}

function clockText(hours: number, minutes: number, seconds: number): string {
  return `${pad(hours, 2)}:${pad(minutes, 2)}:${pad(seconds, 2)}`;
}
