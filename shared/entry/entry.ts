/**
 * What a shard holds under a read-through key: a short header of fixed width, then the JSON that is served as it lies.
 *
 *     offset  width  field
 *     0       1      layout of this header: "1"
 *     1       1      kind: R a row, N "no such row"
 *     2       1      exactness: x exact, i inexact (PROTOCOL.md, "Knowing F"); X, I the same of a second-hand one
 *     3       45     version: epoch (10) file (10) position (15) ordinal (10), digits, compared as text
 *     48      8      shape: a hash of the table's exposed columns and of the encoder's version
 *     56      8      when the origin was read: ms since 1970, base 36
 *     64      6      TTL in seconds, base 36
 *     70             the body; none under N
 *
 * Text of fixed width, so that a script cuts it with string.sub and a person reads it with `redis-cli GET`.
 * What Redis holds is not trusted: whatever does not decode counts as absent. Of a row's JSON it is seen whether it begins
 * and ends as an object does, so that one that was cut off is none; to parse it would cost more than all the rest of a hit.
 */
export type Exactness = 'exact' | 'inexact';

export interface EntryHead {
  readonly kind: 'row' | 'negative';
  readonly exactness: Exactness;
  /**
   * Read from a replica, or taken from another shard. What is first-hand was read from the primary under a lease of this
   * shard, and so includes all that anything did that was here before it.
   */
  readonly isSecondHand: boolean;
  readonly version: string;
  readonly shape: string;
  /** When the origin was read, in ms since 1970. */
  readonly readAtMs: number;
  /** From readAtMs on; past it the entry is expired. */
  readonly ttlSeconds: number;
}

export interface Entry extends EntryHead {
  /** The row as JSON; empty under a negative. */
  readonly body: Buffer;
}

export const SHAPE_LENGTH = 8;
export const VERSION_LENGTH = 45;
/** The version of what is read without sync: before every place in any binlog. */
export const VERSION_ZERO = '0'.repeat(VERSION_LENGTH);

const LAYOUT = '1';
const SHAPE_AT = 3 + VERSION_LENGTH;
const READ_AT = SHAPE_AT + SHAPE_LENGTH;
const READ_WIDTH = 8;
const TTL_AT = READ_AT + READ_WIDTH;
const TTL_WIDTH = 6;
const BODY_AT = TTL_AT + TTL_WIDTH;
const EXACTNESS = { 'first-hand': { exact: 'x', inexact: 'i' }, 'second-hand': { exact: 'X', inexact: 'I' } } as const;
const EMPTY = Buffer.alloc(0);
const OPENING = '{'.charCodeAt(0);
const CLOSING = '}'.charCodeAt(0);

const HEADER = /^1[RN][xiXI][0-9]{45}[A-Za-z0-9_-]{8}[0-9a-z]{14}$/;

export function encodeEntry(entry: Entry): Buffer {
  const header =
    LAYOUT +
    (entry.kind === 'row' ? 'R' : 'N') +
    EXACTNESS[entry.isSecondHand ? 'second-hand' : 'first-hand'][entry.exactness] +
    entry.version +
    entry.shape +
    base36(entry.readAtMs, READ_WIDTH) +
    base36(entry.ttlSeconds, TTL_WIDTH);
  if (!HEADER.test(header)) throw new Error(`an entry's header has a field that does not fit: ${header}`);
  return entry.kind === 'row'
    ? Buffer.concat([Buffer.from(header, 'latin1'), entry.body])
    : Buffer.from(header, 'latin1');
}

/** Nothing where the bytes are not an entry of this layout. */
export function decodeEntry(stored: Buffer): Entry | undefined {
  if (stored.length < BODY_AT) return undefined;
  const head = decodeHead(stored.toString('latin1', 0, BODY_AT));
  if (head === undefined || !isBody(head.kind, stored.length, stored[BODY_AT], stored.at(-1))) return undefined;
  return { ...head, body: head.kind === 'row' ? stored.subarray(BODY_AT) : EMPTY };
}

/** The same of a text that has a character for each byte; without the body, which is `bodyText`. */
export function decodeEntryText(stored: string): EntryHead | undefined {
  const head = decodeHead(stored.slice(0, BODY_AT));
  const { length } = stored;
  if (head === undefined || !isBody(head.kind, length, stored.charCodeAt(BODY_AT), stored.charCodeAt(length - 1))) {
    return undefined;
  }
  return head;
}

/** Of a text that is an entry. */
export function bodyText(stored: string): string {
  return stored.slice(BODY_AT);
}

function decodeHead(header: string): EntryHead | undefined {
  if (!HEADER.test(header)) return undefined;
  return {
    kind: header[1] === 'R' ? 'row' : 'negative',
    exactness: header[2] === 'x' || header[2] === 'X' ? 'exact' : 'inexact',
    isSecondHand: header[2] === 'X' || header[2] === 'I',
    version: header.slice(3, SHAPE_AT),
    shape: header.slice(SHAPE_AT, READ_AT),
    readAtMs: Number.parseInt(header.slice(READ_AT, TTL_AT), 36),
    ttlSeconds: Number.parseInt(header.slice(TTL_AT, BODY_AT), 36),
  };
}

/** A row's begins and ends as an object does; a negative has none. */
function isBody(kind: EntryHead['kind'], length: number, first: number | undefined, last: number | undefined): boolean {
  return kind === 'row' ? length >= BODY_AT + 2 && first === OPENING && last === CLOSING : length === BODY_AT;
}

/** Seconds of freshness that are left; negative once expired. */
export function freshSeconds(entry: EntryHead, nowMs: number): number {
  return entry.ttlSeconds - ageSeconds(entry, nowMs);
}

/** Whole seconds since the origin was read; never negative, though clocks differ. */
export function ageSeconds(entry: EntryHead, nowMs: number): number {
  return Math.max(0, Math.floor((nowMs - entry.readAtMs) / 1000));
}

function base36(value: number, width: number): string {
  return Math.floor(value).toString(36).padStart(width, '0');
}
