/**
 * Texts of any character set -> UTF-8, just as the server converts them for a session in utf8mb4.
 *
 * For the Unicode sets that is arithmetic. For all others the server itself is asked, once, for every character of the
 * set: no two libraries agree with MySQL on each of latin1's, sjis's or gbk's, and one that differs would make a change
 * and a fill two different rows.
 */
import { Undecodable } from './event-bytes.ts';

/** Throws Undecodable where the bytes are no text of the character set. */
export type ToUtf8 = (text: Buffer) => Buffer;

/** Ask the server for it (`load`), then decode again. */
export class CharsetMissing extends Error {
  readonly charset: string;

  constructor(charset: string) {
    super(`the character set ${charset} has not been read from the server yet`);
    this.name = 'CharsetMissing';
    this.charset = charset;
  }
}

/** Runs a statement on the origin, in a session with a strict SQL mode; cells as they are. */
export type Ask = (sql: string) => Promise<readonly (readonly unknown[])[]>;

export class Charsets {
  readonly #converters = new Map<string, ToUtf8>([
    ['utf8', same],
    ['utf8mb3', same],
    ['utf8mb4', same],
    ['ascii', asciiOnly],
    ['ucs2', ucs2],
    ['utf16', utf16],
    ['utf16le', utf16le],
    ['utf32', utf32],
  ]);
  /** Which character set a collation's number belongs to. */
  readonly #collations: ReadonlyMap<number, string>;

  constructor(collations: ReadonlyMap<number, string>) {
    this.#collations = collations;
  }

  /** `binary` for bytes. Throws Undecodable where the server did not list the collation. */
  charsetOf(collation: number): string {
    const charset = this.#collations.get(collation);
    if (charset === undefined) throw new Undecodable(`collation ${collation} is not known`);
    return charset;
  }

  /** Throws CharsetMissing. */
  converter(charset: string): ToUtf8 {
    const converter = this.#converters.get(charset);
    if (converter === undefined) throw new CharsetMissing(charset);
    return converter;
  }

  async load(charset: string, ask: Ask): Promise<void> {
    this.#converters.set(charset, await askForTable(charset, ask));
  }
}

function same(text: Buffer): Buffer {
  return text;
}

function isAscii(text: Buffer): boolean {
  for (let at = 0; at < text.length; at += 1) if ((text[at] as number) >= 0x80) return false;
  return true;
}

function asciiOnly(text: Buffer): Buffer {
  if (isAscii(text)) return text;
  throw new Undecodable('a text that is not ASCII');
}

function utf16le(text: Buffer): Buffer {
  const decoded = text.toString('utf16le');
  if (text.length % 2 !== 0 || !decoded.isWellFormed()) throw new Undecodable('a text that is not UTF-16');
  return Buffer.from(decoded);
}

function utf16(text: Buffer): Buffer {
  if (text.length % 2 !== 0) throw new Undecodable('a text that is not UTF-16');
  return utf16le(Buffer.from(text).swap16());
}

/** UTF-16 as it was before there were surrogates: to the server, half a pair is no character, and so are two. */
function ucs2(text: Buffer): Buffer {
  for (let at = 0; at < text.length; at += 2) {
    if (((text[at] as number) & 0xf8) === 0xd8) throw new Undecodable('a surrogate in ucs2');
  }
  return utf16(text);
}

function utf32(text: Buffer): Buffer {
  let decoded = '';
  for (let at = 0; at < text.length; at += 4) {
    const point = at + 4 <= text.length ? text.readUInt32BE(at) : -1;
    if (point < 0 || point > 0x10ffff) throw new Undecodable('a text that is not UTF-32');
    decoded += String.fromCodePoint(point);
  }
  if (!decoded.isWellFormed()) throw new Undecodable('a surrogate in UTF-32');
  return Buffer.from(decoded);
}

// ---- all others: the server's own tables

/** From a character's bytes, read as one number, to its text. */
type Table = Map<number, string>;

interface Tables {
  readonly byLength: readonly [Table, Table, Table, Table];
}

async function askForTable(charset: string, ask: Ask): Promise<ToUtf8> {
  if (!/^[a-z0-9_]+$/.test(charset)) throw new Undecodable(`no name of a character set: ${charset}`);
  const one = await characters(charset, ask, 'SELECT n AS code FROM byte');
  const two: Table = new Map();
  const three: Table = new Map();
  const four: Table = new Map();
  const leads = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !one.has(byte));
  if (leads.length > 0) {
    const lead = leads.join(', ');
    const pairs = `SELECT a.n * 256 + b.n AS code FROM byte a JOIN byte b WHERE a.n IN (${lead})`;
    for (const [code, text] of await characters(charset, ask, pairs)) two.set(code, text);
  }
  // Of the sets that MySQL knows, these have longer characters.
  if (charset === 'ujis' || charset === 'eucjpms') {
    const threes = `SELECT ${0x8f} * 65536 + a.n * 256 + b.n AS code FROM byte a JOIN byte b WHERE a.n >= 128 AND b.n >= 128`;
    for (const [code, text] of await characters(charset, ask, threes)) three.set(code, text);
  }
  if (charset === 'gb18030') {
    const fours =
      'SELECT a.n * 16777216 + b.n * 65536 + c.n * 256 + d.n AS code FROM byte a JOIN byte b JOIN byte c JOIN byte d' +
      ' WHERE a.n BETWEEN 129 AND 132 AND b.n BETWEEN 48 AND 57 AND c.n BETWEEN 129 AND 254 AND d.n BETWEEN 48 AND 57';
    for (const [code, text] of await characters(charset, ask, fours)) four.set(code, text);
  }
  return byTables(charset, { byLength: [one, two, three, four] });
}

/** What the server makes of each code; codes that are no character are left out. */
async function characters(charset: string, ask: Ask, codes: string): Promise<Table> {
  const rows = await ask(
    'WITH RECURSIVE byte (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM byte WHERE n < 255)' +
      ` SELECT code, HEX(CONVERT(CHAR(code USING ${charset}) USING utf8mb4)) FROM (${codes}) AS codes`,
  );
  const table: Table = new Map();
  for (const [code, hex] of rows) {
    // What is no character is NULL, and an empty text where the server is not strict.
    if (typeof hex === 'string' && hex !== '') table.set(Number(code), Buffer.from(hex, 'hex').toString('utf8'));
  }
  return table;
}

function byTables(charset: string, { byLength: [one, two, three, four] }: Tables): ToUtf8 {
  const keepsAscii = Array.from({ length: 128 }, (_, byte) => byte).every(
    (byte) => one.get(byte) === String.fromCharCode(byte),
  );
  const tables = [one, two, three, four];
  return (text) => {
    if (keepsAscii && isAscii(text)) return text;
    let converted = '';
    for (let at = 0; at < text.length;) {
      const { length, char } = characterAt(text, at);
      converted += char;
      at += length;
    }
    return Buffer.from(converted);
  };

  function characterAt(text: Buffer, at: number): { length: number; char: string } {
    for (const [index, table] of tables.entries()) {
      const length = index + 1;
      if (at + length > text.length) break;
      const code = text.readUIntBE(at, length);
      const char = table.get(code) ?? (length === 4 && charset === 'gb18030' ? beyondBmp(code) : undefined);
      if (char !== undefined) return { length, char };
    }
    throw new Undecodable(`a text that is not ${charset}`);
  }
}

/** GB 18030 counts from 90 30 81 30 on through Unicode's further planes. */
function beyondBmp(code: number): string | undefined {
  const [a, b, c, d] = [code >>> 24, (code >>> 16) & 255, (code >>> 8) & 255, code & 255];
  if (a < 0x90 || b < 0x30 || b > 0x39 || c < 0x81 || c > 0xfe || d < 0x30 || d > 0x39) return undefined;
  const point = 0x10000 + (((a - 0x90) * 10 + (b - 0x30)) * 126 + (c - 0x81)) * 10 + (d - 0x30);
  return point > 0x10ffff ? undefined : String.fromCodePoint(point);
}
