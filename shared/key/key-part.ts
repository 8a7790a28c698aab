/**
 * One column of a row's key: its canonical spelling, and the SQL literal of that spelling.
 *
 * What arrives: an id as a client spelled it, or a key cell as the origin returned it. What leaves: canonical text.
 * The two must meet: a row is only ever stored under the key made from its own cells, and `WHERE k = '007'` finds 7,
 * `WHERE k = 'foo '` finds `Foo`. An entry under a client's spelling would never be told of a change.
 *
 * - Numeric and temporal parts have one canonical spelling; any other is refused with 400.
 * - Binary parts are lower-case hex.
 * - A text part is canonical as it is typed; whether it *is* the row's key is known only once the row is here.
 */
import { RequestRefused } from '../errors/errors.ts';

export type KeyPartType =
  | { readonly kind: 'integer'; readonly min: bigint; readonly max: bigint }
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number; readonly unsigned: boolean }
  | { readonly kind: 'bit'; readonly width: number }
  | { readonly kind: 'year' }
  | { readonly kind: 'date' }
  | { readonly kind: 'time'; readonly fraction: number }
  | { readonly kind: 'datetime'; readonly fraction: number }
  | { readonly kind: 'binary'; readonly bytesMax: number; readonly fixed: boolean }
  /** `bytewise`: two spellings are equal only if their bytes are (a binary, no-pad collation). */
  | { readonly kind: 'text'; readonly bytewise: boolean };

export interface KeyPart {
  readonly column: string;
  readonly type: KeyPartType;
}

/** InnoDB's longest index key is 3,072 bytes; a longer text cannot be in an index (MySQL manual, "InnoDB Limits"). */
export const TEXT_BYTES_MAX = 3072;

/** The canonical spelling of what a client typed (percent-decoded). Throws RequestRefused `bad-id`. */
export function canonicalSpelling(part: KeyPart, typed: string): string {
  const wanted = refusal(part.type, typed);
  if (wanted === undefined) return typed;
  throw new RequestRefused('bad-id', `${JSON.stringify(clip(typed))} is not ${wanted} (key column ${part.column}).`);
}

/** Says what was wanted instead, or nothing where the spelling is canonical. */
function refusal(type: KeyPartType, typed: string): string | undefined {
  switch (type.kind) {
    case 'integer':
      return isWholeNumber(typed, type)
        ? undefined
        : `a whole number from ${type.min} to ${type.max} without sign +, leading zeros or spaces`;
    case 'bit': {
      const wanted = `a whole number of at most ${type.width} bits`;
      if (!/^(?:0|[1-9][0-9]{0,19})$/.test(typed)) return wanted;
      return BigInt(typed) >> BigInt(type.width) === 0n ? undefined : wanted;
    }
    case 'decimal': {
      const integral = type.precision - type.scale;
      const sign = type.unsigned ? '' : '-?';
      const whole = integral === 0 ? '0' : `(?:0|[1-9][0-9]{0,${integral - 1}})`;
      const fraction = type.scale === 0 ? '' : `\\.[0-9]{${type.scale}}`;
      const spelled = new RegExp(`^${sign}${whole}${fraction}$`).test(typed);
      const negativeZero = typed.startsWith('-') && !/[1-9]/.test(typed);
      if (spelled && !negativeZero) return undefined;
      return `a decimal number with ${type.scale} digits after the point and at most ${integral} before it`;
    }
    case 'year':
      return /^(?:0000|190[1-9]|19[1-9][0-9]|20[0-9]{2}|21[0-4][0-9]|215[0-5])$/.test(typed)
        ? undefined
        : 'a year of four digits, 1901 to 2155 or 0000';
    case 'date':
      return isCalendarDay(typed) ? undefined : 'a date as YYYY-MM-DD';
    case 'datetime': {
      const clock = new RegExp(`^ (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]${fractionPattern(type.fraction)}$`);
      const canonical = isCalendarDay(typed.slice(0, 10)) && clock.test(typed.slice(10));
      return canonical ? undefined : `a time as YYYY-MM-DD hh:mm:ss${fractionHint(type.fraction)}`;
    }
    case 'time': {
      const pattern = new RegExp(
        `^-?(?:[0-7]?[0-9]{2}|8[0-2][0-9]|83[0-8]):[0-5][0-9]:[0-5][0-9]${fractionPattern(type.fraction)}$`,
      );
      const leadingZero = /^-?0[0-9]{2}:/.test(typed);
      const negativeZero = typed.startsWith('-') && !/[1-9]/.test(typed);
      if (pattern.test(typed) && !leadingZero && !negativeZero) return undefined;
      return `a time as hh:mm:ss${fractionHint(type.fraction)}`;
    }
    case 'binary': {
      const bytes = typed.length / 2;
      const wanted = type.fixed
        ? `${type.bytesMax} bytes in lower-case hex`
        : `up to ${type.bytesMax} bytes in lower-case hex`;
      if (!/^(?:[0-9a-f]{2})*$/.test(typed)) return wanted;
      return (type.fixed ? bytes === type.bytesMax : bytes <= type.bytesMax) ? undefined : wanted;
    }
    case 'text':
      if (Buffer.byteLength(typed) > TEXT_BYTES_MAX) return `a text of at most ${TEXT_BYTES_MAX} bytes`;
      return typed.includes('\0') ? 'a text without NUL' : undefined;
  }
}

/** MySQL keeps zero months and days (`2024-00-00`); comparing with a day past the month's end is an error (1525). */
function isWholeNumber(typed: string, { min, max }: { readonly min: bigint; readonly max: bigint }): boolean {
  if (!/^(?:0|-?[1-9][0-9]{0,19})$/.test(typed)) return false;
  // A number up to 2^53 is compared as exactly, and sooner.
  const value = typed.length <= 15 ? Number(typed) : BigInt(typed);
  return value >= min && value <= max;
}

function isCalendarDay(typed: string): boolean {
  const match = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/.exec(typed);
  if (match === null) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (month > 12) return false;
  if (month === 0) return day <= 31;
  // Day 0 of the next month is the last of this one; the leap rule repeats every 400 years and Date counts 0-99 as 19xx.
  return day <= new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate();
}

function fractionPattern(digits: number): string {
  return digits === 0 ? '' : `\\.[0-9]{${digits}}`;
}

function fractionHint(digits: number): string {
  return digits === 0 ? '' : `.${'f'.repeat(digits)}`;
}

function clip(typed: string): string {
  return typed.length > 64 ? `${typed.slice(0, 64)}…` : typed;
}

/** The canonical spelling of a key cell, as the origin sends it in its text protocol. */
export function spellingOfCell(type: KeyPartType, cell: Buffer): string {
  switch (type.kind) {
    case 'integer':
      // ZEROFILL columns send leading zeros.
      return BigInt(cell.toString('latin1')).toString();
    case 'decimal':
      return withoutLeadingZeros(cell.toString('latin1'));
    case 'bit':
      return cell.length === 0 ? '0' : BigInt(`0x${cell.toString('hex')}`).toString();
    case 'year':
    case 'date':
    case 'time':
    case 'datetime':
      return cell.toString('latin1');
    case 'binary':
      return cell.toString('hex');
    case 'text':
      return cell.toString('utf8');
  }
}

/** `-0012.50` -> `-12.50`; `000` -> `0`. DECIMAL ZEROFILL columns send leading zeros. */
export function withoutLeadingZeros(decimal: string): string {
  return decimal.replace(/^(-?)0+(?=[0-9])/, '$1');
}

/**
 * The SQL literal of a canonical spelling. Made of digits, or of hex, so that there is nothing to escape and no SQL
 * mode can change its meaning (under NO_BACKSLASH_ESCAPES an escaped string was seen to execute).
 * Throws RequestRefused `bad-id` where the spelling is not canonical.
 */
export function sqlLiteral(type: KeyPartType, spelling: string): string {
  // Asked again here: the key may have changed its type since this spelling was found canonical (ALTER TABLE).
  const wanted = refusal(type, spelling);
  if (wanted !== undefined) throw new RequestRefused('bad-id', `${JSON.stringify(clip(spelling))} is not ${wanted}.`);
  switch (type.kind) {
    case 'integer':
    case 'decimal':
    case 'bit':
      return spelling;
    case 'year':
    case 'date':
    case 'time':
    case 'datetime':
      // Digits, '-', ':', '.' and one space: canonicalSpelling let nothing else through.
      return `'${spelling}'`;
    case 'binary':
      return `X'${spelling}'`;
    case 'text':
      return `_utf8mb4 X'${Buffer.from(spelling, 'utf8').toString('hex')}'`;
  }
}

/**
 * Whether an absent row may be remembered under this spelling. An absent text has no bytes to compare with, so under a
 * case-insensitive or padding collation a later INSERT of `foo` would not find the "no such row" under `Foo`.
 */
export function absenceIsCacheable(type: KeyPartType): boolean {
  return type.kind !== 'text' || type.bytewise;
}
