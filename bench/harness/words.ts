/** Figures as words, with as many digits as a run of seconds has, and when not to put them into words. */

/** The share of the time that a gateway may wait for a core before its latencies and its throughput are not its own. */
export const DISTURBED = 0.2;

/** MiB, where a row takes a byte. */
export const MEBIBYTES_A_MILLION_ROWS = 1e6 / 2 ** 20;

/** `0.8 ms`, `12 ms`, `2.4 s` */
export function inMs(milliseconds: number): string {
  if (milliseconds >= 1_000) return `${plain(milliseconds / 1_000)} s`;
  return `${milliseconds < 10 ? plain(milliseconds) : milliseconds.toFixed(0)} ms`;
}

export function inRate(perSecond: number): string {
  return perSecond < 10 ? plain(perSecond) : Math.round(perSecond).toLocaleString('en-US');
}

export function inPercent(share: number): string {
  return `${plain(100 * share)} %`;
}

export function inMebibytes(mebibytes: number): string {
  return `${Math.round(mebibytes).toLocaleString('en-US')} MiB`;
}

/** `3.2 times` */
export function inTimes(over: number, under: number): string {
  if (under <= 0) return 'immeasurably many times';
  const ratio = over / under;
  return `${ratio < 10 ? plain(ratio) : Math.round(ratio).toLocaleString('en-US')} times`;
}

/** `a, b and c`; `none` of nothing. */
export function listed(words: readonly string[], last: 'and' | 'or'): string {
  if (words.length === 0) return 'none';
  return words.length === 1 ? String(words[0]) : `${words.slice(0, -1).join(', ')} ${last} ${String(words.at(-1))}`;
}

/** One digit behind the point, and none that says nothing. */
function plain(value: number): string {
  return value.toFixed(1).replace(/\.0$/, '');
}
