/** A query event: a statement, in the character set of the client that gave it. */
import { inflateSync } from 'node:zlib';
import type { Charsets } from './charsets.ts';
import { ByteReader, Undecodable } from './event-bytes.ts';
import { EVENT } from './event-types.ts';

export interface Query {
  readonly db: string;
  readonly sql: string;
  readonly failed: boolean;
  /** Names in it may be misread: it is not a text of the character set that it is said to be in. */
  readonly garbled: boolean;
}

/** Throws CharsetMissing, Undecodable. */
export function readQuery(type: number, body: ByteReader, charsets: Charsets): Query {
  body.skip(8);
  const dbBytes = body.u8();
  const errorCode = body.u16();
  const statusBytes = body.u16();
  // Of LOAD DATA: which file, and where in the statement its name stands.
  if (type === EVENT.executeLoadQuery) body.skip(13);
  const status = body.bytes(statusBytes);
  const db = body.utf8(dbBytes);
  body.skip(1);
  const statement = type === EVENT.queryCompressed ? inflated(body.rest()) : body.rest();
  const collation = clientCollation(status);
  const text = textOf(statement, collation === undefined ? 'utf8mb4' : charsets.charsetOf(collation), charsets);
  return { db, failed: errorCode !== 0, ...text };
}

function textOf(statement: Buffer, charset: string, charsets: Charsets): { sql: string; garbled: boolean } {
  const bytes = charset === 'binary' ? statement : converted(statement, charset, charsets);
  const sql = (bytes ?? statement).toString('utf8');
  return { sql, garbled: bytes === undefined };
}

function converted(statement: Buffer, charset: string, charsets: Charsets): Buffer | undefined {
  const toUtf8 = charsets.converter(charset);
  try {
    return toUtf8(statement);
  } catch (error) {
    if (error instanceof Undecodable) return undefined;
    throw error;
  }
}

/** MariaDB's log_bin_compress (sql/log_event.cc, `binlog_buf_uncompress`): a byte, the length, then zlib's. */
export function inflated(packed: Buffer): Buffer {
  const reader = new ByteReader(packed);
  const length = readInflatedLength(reader);
  const plain = inflateSync(reader.rest(), { maxOutputLength: Math.max(1, length) });
  if (plain.length !== length) throw new Undecodable('a compressed event of another length than it says');
  return plain;
}

/** How long it is then, as it says itself; the reader stands before the compressed part afterwards. */
export function readInflatedLength(reader: ByteReader): number {
  const head = reader.u8();
  if ((head & 0xf0) !== 0x80) throw new Undecodable(`an event compressed by method ${head >> 4}`);
  return reader.uintBE(head & 7);
}

/** Bytes of the status variables that can stand before the client's character set, by their number. */
const STATUS_BYTES: ReadonlyMap<number, number> = new Map([
  [0, 4],
  [1, 8],
  [3, 4],
]);
const CLIENT_CHARSET = 4;
const CATALOG = 6;

/** Nothing where the event does not tell. */
function clientCollation(status: Buffer): number | undefined {
  const reader = new ByteReader(status);
  while (reader.left > 0) {
    const variable = reader.u8();
    if (variable === CLIENT_CHARSET) return reader.u16();
    const bytes = variable === CATALOG ? reader.u8() : STATUS_BYTES.get(variable);
    if (bytes === undefined) return undefined;
    reader.skip(bytes);
  }
  return undefined;
}
