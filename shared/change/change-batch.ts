/**
 * The message between capture and apply: what one shard has to learn of one span of the binlog.
 *
 *     u32 length of the head | head: JSON | the changes, one after another:
 *     u16 length of the key | u32 length of the body | op (1) version (45) shape (8) table (4) | key | body
 *
 * Numbers are big-endian. The part from op to table is handed to the script as it lies. What the broker holds is not
 * trusted: whatever does not decode is refused whole (BatchUnreadable), and goes to the dead letters.
 */
import { SHAPE_LENGTH, VERSION_LENGTH } from '../entry/entry.ts';
import { isPlausiblePlan, isPlausibleVersion, isVersion } from '../version/version.ts';
import type { ChangeOp, VersionedChange } from './change.ts';

/** Raise it when an older apply could not read the message. */
const FORMAT = 1;

export interface BatchHead {
  readonly plan: number;
  /** The `to` of the message before this one, for this shard. */
  readonly from: string;
  readonly to: string;
  /** Stamp.asOf, .origin, .gtid. */
  readonly asOf: number;
  readonly origin: string;
  readonly gtid: string;
  /** The plan itself: the hashes of the rings by which keys are routed, and the followed tables. In heartbeats, and in a plan's first message. */
  readonly rings?: readonly string[];
  readonly tables?: readonly string[];
  /** Tables whose floor rises, by followed name: DDL, TRUNCATE, what could not be read. */
  readonly floors?: Readonly<Record<string, string>>;
  /** When the oldest of its changes was committed, or came to capture where the server does not say; µs since 1970. */
  readonly oldest?: { readonly atMicros: number; readonly by: 'commit' | 'receipt' };
  /** Stamp.holes gains one: the binlog lost its tail between these. */
  readonly hole?: readonly [above: string, below: string];
}

export interface ChangeBatch extends BatchHead {
  readonly changes: readonly VersionedChange[];
}

/** A change as the script takes it: `head` is op, version, shape and the table's number. */
export interface FramedChange {
  readonly key: Buffer;
  readonly head: Buffer;
  readonly body: Buffer;
  /** The table's number in the head. */
  readonly table: number;
}

export interface DecodedBatch {
  readonly head: BatchHead;
  /** The tables that the changes' numbers stand for. */
  readonly changeTables: readonly string[];
  readonly changes: readonly FramedChange[];
}

export class BatchUnreadable extends Error {
  constructor(why: string) {
    super(`the message cannot be read: ${why}`);
    this.name = 'BatchUnreadable';
  }
}

const OP_LETTERS: Readonly<Record<ChangeOp, string>> = {
  write: 'W',
  absent: 'N',
  remove: 'D',
  refresh: 'R',
  put: 'P',
  'too-large': 'T',
  delete: 'X',
};
const TABLE_WIDTH = 4;
const TABLES_MAX = 10 ** TABLE_WIDTH;
const HEAD_LENGTH = 1 + VERSION_LENGTH + SHAPE_LENGTH + TABLE_WIDTH;
const LENGTHS = 2 + 4;
/** Capture puts some hundreds into one (batcher.ts). Each is a key and two arguments of one script call. */
const CHANGES_MAX = 100_000;
const CHANGE_HEAD = /^[WNDRPTX][0-9]{45}[A-Za-z0-9_-]{8}[0-9]{4}$/;

export function encodeBatch(batch: ChangeBatch): Buffer {
  const { changes, ...head } = batch;
  const tables = [...new Set(changes.map(({ table }) => table))];
  if (tables.length > TABLES_MAX) throw new RangeError(`a batch has changes of ${tables.length} tables`);
  const numberOf = new Map(tables.map((table, index) => [table, String(index).padStart(TABLE_WIDTH, '0')]));
  const json = Buffer.from(JSON.stringify({ format: FORMAT, ...head, changeTables: tables }), 'utf8');
  const parts: Buffer[] = [uint32(json.length), json];
  for (const { op, version, shape, table, key, body } of changes) {
    const keyBytes = Buffer.from(key, 'utf8');
    const frame = Buffer.alloc(LENGTHS + HEAD_LENGTH);
    frame.writeUInt16BE(keyBytes.length, 0);
    frame.writeUInt32BE(body.length, 2);
    frame.write(OP_LETTERS[op] + version + shape + (numberOf.get(table) as string), LENGTHS, 'latin1');
    parts.push(frame, keyBytes, body);
  }
  return Buffer.concat(parts);
}

/** Throws BatchUnreadable. */
export function decodeBatch(message: Buffer): DecodedBatch {
  if (message.length < 4) throw new BatchUnreadable('it is too short');
  const jsonEnd = 4 + message.readUInt32BE(0);
  if (jsonEnd > message.length) throw new BatchUnreadable('its head is cut off');
  const { head, changeTables } = decodeHead(message.toString('utf8', 4, jsonEnd));
  const changes: FramedChange[] = [];
  for (let at = jsonEnd; at < message.length;) {
    const keyAt = at + LENGTHS + HEAD_LENGTH;
    if (keyAt > message.length) throw new BatchUnreadable('a change is cut off');
    const bodyAt = keyAt + message.readUInt16BE(at);
    const end = bodyAt + message.readUInt32BE(at + 2);
    if (end > message.length) throw new BatchUnreadable('a change is cut off');
    if (changes.length === CHANGES_MAX) throw new BatchUnreadable(`it has more than ${CHANGES_MAX} changes`);
    const changeHead = message.subarray(at + LENGTHS, keyAt);
    const table = tableNumberIn(changeHead, changeTables);
    changes.push({
      head: changeHead,
      key: message.subarray(keyAt, bodyAt),
      body: message.subarray(bodyAt, end),
      table,
    });
    at = end;
  }
  return { head, changeTables, changes };
}

function tableNumberIn(head: Buffer, tables: readonly string[]): number {
  const text = head.toString('latin1');
  const table = Number(text.slice(-TABLE_WIDTH));
  if (CHANGE_HEAD.test(text) && table < tables.length) return table;
  throw new BatchUnreadable('a change has a head that does not fit');
}

function decodeHead(json: string): { head: BatchHead; changeTables: readonly string[] } {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new BatchUnreadable('its head is not JSON');
  }
  if (typeof value !== 'object' || value === null) throw new BatchUnreadable('its head is not an object');
  const { format, changeTables, ...head } = value as Record<string, unknown>;
  if (format !== FORMAT) throw new BatchUnreadable(`its format is not ${FORMAT}`);
  if (!isTexts(changeTables) || !isHead(head)) throw new BatchUnreadable('its head has a field that does not fit');
  return { head, changeTables };
}

function isHead(head: Record<string, unknown>): head is Record<string, unknown> & BatchHead {
  const { plan, from, to, asOf, origin, gtid, rings, tables, floors, oldest, hole } = head;
  return (
    isPlausiblePlan(plan) &&
    isPlausibleVersion(from) &&
    isPlausibleVersion(to) &&
    from <= to &&
    Number.isSafeInteger(asOf) &&
    typeof origin === 'string' &&
    typeof gtid === 'string' &&
    (rings === undefined || isTexts(rings)) &&
    (tables === undefined || isTexts(tables)) &&
    (floors === undefined || isVersions(floors)) &&
    (oldest === undefined || isMoment(oldest)) &&
    (hole === undefined || (Array.isArray(hole) && hole.length === 2 && hole.every(isVersion)))
  );
}

function isMoment(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { atMicros, by } = value as Record<string, unknown>;
  return Number.isSafeInteger(atMicros) && (by === 'commit' || by === 'receipt');
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isVersions(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every(isVersion);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
