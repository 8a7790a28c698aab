/**
 * Which file an event is written to, and which files have to go. Pure: names, sizes and times in, decisions out.
 *
 *     binlog_2026.log  binlog_202611.log  binlog_20261122.log  binlog_2026112214.log  binlog_202611221430.log
 *     binlog_20261122.1.log      the next of the same period, when the first is full
 *
 * Periods are UTC's, as an event's `time` is.
 */
export type Period = 'year' | 'month' | 'day' | 'hour' | 'minute';

/** How many digits of yyyyMMddHHmm. */
const DIGITS: Readonly<Record<Period, number>> = { year: 4, month: 6, day: 8, hour: 10, minute: 12 };

export function periodOf(period: Period, atMs: number): string {
  return new Date(atMs).toISOString().replace(/\D/g, '').slice(0, DIGITS[period]);
}

export interface BinlogFile {
  readonly name: string;
  /** `20261122`. */
  readonly period: string;
  /** 0 for the first of its period. */
  readonly part: number;
}

export function fileName(period: string, part: number): string {
  return `binlog_${period}${part === 0 ? '' : `.${part}`}.log`;
}

const NAME = /^binlog_(?<period>[0-9]{4}(?:[0-9]{2}){0,4})(?:\.(?<part>[1-9][0-9]{0,8}))?\.log$/;

/** Nothing for a file that is none of ours. */
export function parseFileName(name: string): BinlogFile | undefined {
  const { period, part } = NAME.exec(name)?.groups ?? {};
  return period === undefined ? undefined : { name, period, part: part === undefined ? 0 : Number(part) };
}

/** The oldest first, whatever periods they are of. */
export function compareFiles(a: BinlogFile, b: BinlogFile): number {
  return endOf(a.period) - endOf(b.period) || a.period.length - b.period.length || a.part - b.part;
}

/** ms since 1970: the first moment after the period. */
function endOf(period: string): number {
  const [year = 0, month, day, hour, minute] = [period.slice(0, 4), ...(period.slice(4).match(/[0-9]{2}/g) ?? [])].map(
    Number,
  );
  if (month === undefined) return Date.UTC(year + 1);
  if (day === undefined) return Date.UTC(year, month);
  if (hour === undefined) return Date.UTC(year, month - 1, day + 1);
  if (minute === undefined) return Date.UTC(year, month - 1, day, hour + 1);
  return Date.UTC(year, month - 1, day, hour, minute + 1);
}

export interface Keep {
  readonly days: number;
  readonly files: number;
  readonly bytes: number;
}

const DAY_MS = 86_400_000;

/** Which files have to go. The newest, which is written to, never has. */
export function expiredFiles<File extends BinlogFile & { readonly bytes: number }>(
  files: readonly File[],
  keep: Keep,
  nowMs: number,
): File[] {
  const newestFirst = files.toSorted((a, b) => compareFiles(b, a));
  let bytes = 0;
  return newestFirst.filter((file, index) => {
    bytes += file.bytes;
    if (index === 0) return false;
    const isOld = nowMs - endOf(file.period) > keep.days * DAY_MS;
    return isOld || index >= keep.files || bytes > keep.bytes;
  });
}
