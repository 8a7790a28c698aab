/**
 * What a query event is: transaction control, or a statement that may have changed rows of followed tables.
 *
 * A statement brings no rows, so all that can be done is to raise the floor of every table that it *might* concern.
 * Raising too many costs refills; raising too few leaves old rows for good. So the rule is made of what the text cannot
 * hide, without reading SQL:
 *
 * - **DDL** changes tables that it names, and none else. A table is named where its name stands in the text as a whole
 *   word, in any case, wherever that is (a name, a comment, a string), and its database is the event's or stands there too.
 *   So quotes, comments, SQL modes and the client's character set cannot mislead it. Names that can be written in more
 *   than one way (quotes in them, or letters outside ASCII) are taken as named by every DDL.
 *   DROP, CREATE and ALTER DATABASE concern all tables of the databases named.
 * - **Whatever else** (DML in statement format, CALL, SELECT f(), CREATE TABLE … SELECT, and one with such a word in a
 *   comment) reaches tables that it does not name, by triggers, foreign keys, views and functions: it concerns every table.
 * - **Nothing** is concerned where that is certain by the first words: accounts and grants, FLUSH, ANALYZE and OPTIMIZE
 *   TABLE, temporary tables being dropped, definitions of views, triggers, routines and events.
 *
 * Only the first words are parsed. An executable comment whose version the servers do not agree on ends them: what
 * follows may or may not have been executed, so the statement is of a kind unknown, and concerns every table.
 */
import type { TableName } from '../../../shared/origin/table-name.ts';

export type Statement =
  | { readonly kind: 'begin' | 'commit' | 'rollback' | 'xa-end' }
  | { readonly kind: 'savepoint'; readonly name: string }
  | { readonly kind: 'rollback-to' | 'release'; readonly name: string }
  | { readonly kind: 'xa-start' | 'xa-prepare' | 'xa-commit' | 'xa-rollback'; readonly xid: string }
  | { readonly kind: 'other'; readonly concerns: (table: TableName) => boolean };

type Concerns = (table: TableName) => boolean;

const none: Concerns = () => false;
const every: Concerns = () => true;

/** @param db the session's default database, in which the statement's unqualified names lie. */
export function readStatement(sql: string, db: string): Statement {
  // As servers write them; nearly every statement of a row-format binlog is one of these.
  if (sql === 'BEGIN') return { kind: 'begin' };
  if (sql === 'COMMIT') return { kind: 'commit' };
  const head = new Head(sql);
  return readControl(head) ?? { kind: 'other', concerns: concernsOf(head, sql, db) };
}

function readControl(head: Head): Statement | undefined {
  const [first, second, third, fourth] = head.words;
  switch (first) {
    case 'BEGIN':
      return { kind: 'begin' };
    case 'START':
      return second === 'TRANSACTION' ? { kind: 'begin' } : undefined;
    case 'COMMIT':
      return { kind: 'commit' };
    case 'SAVEPOINT':
      return { kind: 'savepoint', name: head.nameAfter(1) };
    case 'RELEASE':
      return second === 'SAVEPOINT' ? { kind: 'release', name: head.nameAfter(2) } : undefined;
    case 'ROLLBACK': {
      // ROLLBACK [WORK] [TO [SAVEPOINT] name]
      const [to, toIndex] = second === 'WORK' ? [third, 2] : [second, 1];
      if (to !== 'TO') return { kind: 'rollback' };
      // A savepoint may itself be called savepoint.
      const keyword = (toIndex === 1 ? third : fourth) === 'SAVEPOINT' && head.nameAfter(toIndex + 2) !== '';
      return { kind: 'rollback-to', name: head.nameAfter(toIndex + (keyword ? 2 : 1)) };
    }
    case 'XA':
      return readXa(head, second);
    default:
      return undefined;
  }
}

function readXa(head: Head, verb: string | undefined): Statement | undefined {
  const xid = () => canonicalXid(head.textAfter(2));
  switch (verb) {
    case 'START':
    case 'BEGIN':
      return { kind: 'xa-start', xid: xid() };
    case 'END':
      return { kind: 'xa-end' };
    case 'PREPARE':
      return { kind: 'xa-prepare', xid: xid() };
    case 'COMMIT':
      return { kind: 'xa-commit', xid: xid() };
    case 'ROLLBACK':
      return { kind: 'xa-rollback', xid: xid() };
    default:
      return undefined;
  }
}

/** Definitions: what they do is done later, and is logged then. The other words are what may stand before the kind. */
const DEFINITIONS: ReadonlySet<string> = new Set(
  'VIEW TRIGGER PROCEDURE FUNCTION EVENT PACKAGE DEFINER ALGORITHM SQL AGGREGATE'.split(' '),
);

/** CREATE TABLE … SELECT, … VALUES (but not a partition's VALUES LESS THAN or VALUES IN), … TABLE. */
const ROW_SOURCE = /\bselect\b|\bvalues\b(?!\s*(?:less|in)\b)|\btable\b.*\btable\b/is;

function concernsOf(head: Head, sql: string, db: string): Concerns {
  // A comment only: MariaDB puts one in the place of an event that the reader would not know.
  if (head.words.length === 0 && head.isWhole) return none;
  const [first] = head.words;
  const [second, third] = head.words[1] === 'OR' ? head.words.slice(3) : head.words.slice(1);
  switch (first) {
    case 'GRANT':
    case 'REVOKE':
    case 'FLUSH':
      return none;
    case 'SET':
      return second === 'PASSWORD' || (second === 'DEFAULT' && third === 'ROLE') ? none : every;
    case 'ANALYZE':
    case 'OPTIMIZE': {
      // MariaDB's ANALYZE UPDATE … executes it.
      const kind = second === 'LOCAL' || second === 'NO_WRITE_TO_BINLOG' ? third : second;
      return kind === 'TABLE' || kind === 'TABLES' ? none : every;
    }
    case 'CREATE':
    case 'ALTER':
    case 'DROP':
    case 'RENAME':
    case 'TRUNCATE':
      if (second === 'USER' || second === 'ROLE') return none;
      if (second === 'DATABASE' || second === 'SCHEMA') return named(sql, undefined);
      if (second !== undefined && DEFINITIONS.has(second)) return none;
      if (first === 'DROP' && second === 'TEMPORARY') return none;
      if (first === 'CREATE' && ROW_SOURCE.test(sql)) return every;
      return named(sql, db);
    default:
      return every;
  }
}

/** Without a default database, its tables are named by their database alone. */
function named(sql: string, db: string | undefined): Concerns {
  const text = sql.toLowerCase();
  const defaultDb = db?.toLowerCase();
  return (table) =>
    (table.db.toLowerCase() === defaultDb || standsIn(text, table.db)) &&
    (db === undefined || standsIn(text, table.table));
}

/** Printable ASCII without quotes: it has one spelling, but for upper and lower case. */
const ONE_SPELLING = /^[ !#-&(-_a-~]+$/;
const WORD_CHARACTER = /[0-9a-z_$]/;
/** `/*!50100users`: the version is not part of the name. */
const EXECUTABLE_COMMENT = /\/\*m?![0-9]*$/;

function standsIn(text: string, name: string): boolean {
  if (!ONE_SPELLING.test(name)) return true;
  const wanted = name.toLowerCase();
  for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + 1)) {
    const before = text.slice(Math.max(0, at - 12), at);
    const begins = !WORD_CHARACTER.test(before.slice(-1)) || EXECUTABLE_COMMENT.test(before);
    if (begins && !WORD_CHARACTER.test(text.charAt(at + wanted.length))) return true;
  }
  return false;
}

/**
 * White space, comments, and the brackets of executable comments that every supported server executes: those without a
 * version, and those up to 5.6 (MariaDB passes over 5.7 to 9.99).
 */
const BLANK =
  /(?:\s+|\/\*(?!M?!).*?\*\/|--(?=\s|$)[^\n]*|#[^\n]*|\/\*!(?:[0-4][0-9]{4}|50[0-6][0-9]{2})?(?![0-9])|\*\/)*/sy;
const WORD = /[\w$\u0080-\uffff]+/y;
const NAME = /`(?<back>(?:[^`]|``)*)`|"(?<double>(?:[^"]|"")*)"|(?<plain>[\w$\u0080-\uffff]+)/y;
const HEAD_WORDS = 6;

/** The words that a statement begins with. */
class Head {
  readonly words: readonly string[];
  /** There is nothing after them. */
  readonly isWhole: boolean;
  readonly #sql: string;
  /** Where each word ends. */
  readonly #ends: readonly number[];

  constructor(sql: string) {
    const words: string[] = [];
    const ends: number[] = [];
    let at = skip(BLANK, sql, 0);
    while (words.length < HEAD_WORDS) {
      const end = skip(WORD, sql, at);
      if (end === at) break;
      words.push(sql.slice(at, end).toUpperCase());
      ends.push(end);
      at = skip(BLANK, sql, end);
    }
    this.#sql = sql;
    this.words = words;
    this.#ends = ends;
    this.isWhole = at === sql.length;
  }

  /** What follows the first `count` words. */
  textAfter(count: number): string {
    const end = this.#ends[count - 1] ?? this.#sql.length;
    return this.#sql.slice(skip(BLANK, this.#sql, end));
  }

  /** The name after the first `count` words, in lower case, as savepoints are compared; empty where there is none. */
  nameAfter(count: number): string {
    NAME.lastIndex = 0;
    const { back, double, plain } = NAME.exec(this.textAfter(count))?.groups ?? {};
    return (back?.replaceAll('``', '`') ?? double?.replaceAll('""', '"') ?? plain ?? '').toLowerCase();
  }
}

function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

const XID_PART = /X'(?<hex>[0-9a-f]*)'|0x(?<prefixed>[0-9a-f]+)|'(?<text>(?:[^']|'')*)'/iy;

/**
 * One spelling for one XA transaction: `hex,hex,format`. The binlog writes X'…',X'…',1, a client may have written 'a'.
 * What is not written so stays as it is: then equal texts are equal ids.
 */
export function canonicalXid(text: string): string {
  const parts: string[] = [];
  let at = 0;
  while (parts.length < 2) {
    XID_PART.lastIndex = at;
    const match = XID_PART.exec(text)?.groups;
    if (match === undefined) return text.trim();
    const bytes = match['text']?.replaceAll("''", "'");
    parts.push(
      bytes === undefined
        ? (match['hex'] ?? match['prefixed'] ?? '').toLowerCase()
        : Buffer.from(bytes).toString('hex'),
    );
    const comma = /^\s*,\s*/.exec(text.slice(XID_PART.lastIndex));
    at = XID_PART.lastIndex + (comma?.[0].length ?? 0);
    if (comma === null) break;
  }
  const format = /^[0-9]+/.exec(text.slice(at))?.[0] ?? '1';
  return `${parts[0]},${parts[1] ?? ''},${format}`;
}
