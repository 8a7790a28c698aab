/**
 * Versions: places in the binlog as text of fixed width, compared as text, by us and by the scripts on the shards.
 *
 *     epoch (10)  file (10)  position (15)  ordinal (10)
 *
 * - `epoch`: seconds since 1970 at which this server's binlog, without a break, was first followed. It changes only
 *   with the server's identity or the binlog's continuity; names and positions recur then.
 * - `file`: the integer after the last dot of the binlog's name.
 * - `position`: the *end* of the event that commits. Events carry 32 bits of it; capture carries it past 2^32.
 * - `ordinal`: which change of the transaction. A *position* as such (a stamp's `to`, a floor, S0, F) has the last
 *   ordinal: it covers every change of the transactions that end there.
 *
 * Digits only: Lua compares text by the server's locale, and every locale has digits in this order.
 */
import { VERSION_LENGTH } from '../entry/entry.ts';

/** Where a binlog ends, or where to read on. */
export interface LogPosition {
  /** Such as `mysql-bin.000042`. */
  readonly file: string;
  /** Bytes from the file's start; past 2^32 in a file with one huge transaction. */
  readonly position: number;
}

const EPOCH_WIDTH = 10;
const FILE_WIDTH = 10;
const POSITION_WIDTH = 15;
const ORDINAL_WIDTH = 10;

export const POSITION_MAX = 10 ** POSITION_WIDTH - 1;

export const ORDINAL_LAST = 9_999_999_999;

/**
 * The year 2200, in ms since 1970. Epochs and plans are taken from the clock, or one above the highest that was ever
 * seen; so what claims to be from later is believed nowhere: from there on one could not count up any more.
 */
export const TIME_MAX_MS = 7_258_118_400_000;

const VERSION = /^[0-9]{45}$/;

/** The version of one change, or with ORDINAL_LAST of a position. Throws RangeError where a part does not fit. */
export function versionOf(epoch: number, { file, position }: LogPosition, ordinal: number = ORDINAL_LAST): string {
  return (
    digits('epoch', epoch, EPOCH_WIDTH) +
    digits('file', fileNumber(file), FILE_WIDTH) +
    digits('position', position, POSITION_WIDTH) +
    digits('ordinal', ordinal, ORDINAL_WIDTH)
  );
}

export function isVersion(text: unknown): text is string {
  return typeof text === 'string' && VERSION.test(text);
}

/** Of an epoch that one can count up from. */
export function isPlausibleVersion(text: unknown): text is string {
  return isVersion(text) && epochOf(text) <= TIME_MAX_MS / 1_000;
}

/** A plan that one can count up from (sync-worker/capture/continuity/plan.ts). */
export function isPlausiblePlan(plan: unknown): plan is number {
  return Number.isSafeInteger(plan) && (plan as number) >= 0 && (plan as number) <= TIME_MAX_MS;
}

/** Of a position, not of a change amid a transaction. */
export function isWhole(version: string): boolean {
  return version.endsWith(String(ORDINAL_LAST));
}

export function epochOf(version: string): number {
  return Number(version.slice(0, EPOCH_WIDTH));
}

/** Before every place of this epoch, and after every place of an earlier one. */
export function epochStart(epoch: number): string {
  return digits('epoch', epoch, EPOCH_WIDTH).padEnd(VERSION_LENGTH, '0');
}

/** For people: `1795000000/42:1337` or `…#3`, a change inside its transaction. */
export function describeVersion(version: string): string {
  const file = Number(version.slice(EPOCH_WIDTH, EPOCH_WIDTH + FILE_WIDTH));
  const position = Number(version.slice(EPOCH_WIDTH + FILE_WIDTH, -ORDINAL_WIDTH));
  const ordinal = Number(version.slice(-ORDINAL_WIDTH));
  return `${epochOf(version)}/${file}:${position}${ordinal === ORDINAL_LAST ? '' : `#${ordinal}`}`;
}

export function laterOf(a: string, b: string): string {
  return a > b ? a : b;
}

/** `mysql-bin.000042` -> 42. Throws RangeError where the name does not end in a number. */
export function fileNumber(file: string): number {
  const suffix = /\.([0-9]+)$/.exec(file)?.[1];
  if (suffix === undefined) throw new RangeError(`the binlog's name ${JSON.stringify(file)} does not end in a number`);
  return Number(suffix);
}

/** Negative where `a` lies before `b`, of one epoch. */
export function comparePositions(a: LogPosition, b: LogPosition): number {
  return fileNumber(a.file) - fileNumber(b.file) || a.position - b.position;
}

function digits(part: string, value: number, width: number): string {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 10 ** width) {
    throw new RangeError(`a version's ${part} of ${value} does not fit into ${width} digits`);
  }
  return String(value).padStart(width, '0');
}
