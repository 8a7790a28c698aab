/** How numbers, times and states are told. */

/**
 * @typedef {'good' | 'warn' | 'bad'} Kind
 * @typedef {{ readonly kind: Kind, readonly symbol: string, readonly meaning: string }} StateWords
 */

/** @type {Readonly<Record<string, StateWords>>} */
const STATES = {
  ok: { kind: 'good', symbol: '●', meaning: 'answers, and vouches for what it holds' },
  'refuses-writes': { kind: 'warn', symbol: '◐', meaning: 'answers; what it misses is kept in the next ring' },
  behind: { kind: 'warn', symbol: '◔', meaning: 'has not heard of the changes lately' },
  'no-stamp': { kind: 'warn', symbol: '○', meaning: 'empty, or not reached by the sync worker yet' },
  'not-followed': { kind: 'warn', symbol: '○', meaning: 'the sync worker routes by other rings' },
  'clock-ahead': { kind: 'warn', symbol: '◔', meaning: 'its stamp is from the future' },
  'went-back': { kind: 'warn', symbol: '◔', meaning: 'an old dump was restored; it catches up' },
  'told-again': { kind: 'warn', symbol: '◔', meaning: 'changes are being told again' },
  slow: { kind: 'bad', symbol: '▲', meaning: 'out of use: its answers take too long' },
  refusing: { kind: 'bad', symbol: '▲', meaning: 'out of use: it answers nothing, and says why' },
  down: { kind: 'bad', symbol: '✕', meaning: 'out of use: the next ring answers for it' },
};

/** @type {StateWords} */
const UNKNOWN = { kind: 'warn', symbol: '?', meaning: 'a state that this page does not know' };

/**
 * @param {string} state
 * @returns {StateWords}
 */
export function stateWords(state) {
  return Object.hasOwn(STATES, state) ? /** @type {StateWords} */ (STATES[state]) : UNKNOWN;
}

export const UNKNOWN_FIGURE = '–';

/** @type {readonly Intl.NumberFormat[]} */
const BY_DIGITS = [0, 1, 2].map(
  (digits) => new Intl.NumberFormat('en', { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);

/**
 * @param {number} value
 * @param {0 | 1 | 2} digits after the point
 */
function fixed(value, digits) {
  return /** @type {Intl.NumberFormat} */ (BY_DIGITS[digits]).format(value);
}

/** @param {number | null} value a second */
export function rate(value) {
  if (value === null) return UNKNOWN_FIGURE;
  return fixed(value, value === 0 || value >= 10 ? 0 : 1);
}

/** @param {number | null} value 0 to 1 */
export function percent(value) {
  if (value === null) return UNKNOWN_FIGURE;
  // 99.96 % is not all of them.
  return fixed(Math.floor(value * 1_000) / 10, value === 1 || value === 0 ? 0 : 1);
}

/**
 * A figure and its unit.
 * @param {number | null} ms
 * @returns {readonly [figure: string, unit: string]}
 */
export function duration(ms) {
  if (ms === null) return [UNKNOWN_FIGURE, ''];
  if (ms < 10) return [fixed(ms, 1), 'ms'];
  if (ms < 1_000) return [fixed(ms, 0), 'ms'];
  if (ms < 120_000) return [fixed(ms / 1_000, ms < 10_000 ? 1 : 0), 's'];
  if (ms < 7_200_000) return [fixed(ms / 60_000, 0), 'min'];
  return [fixed(ms / 3_600_000, 0), 'h'];
}

/** @param {number | null} ms */
export function durationText(ms) {
  return duration(ms).join(' ').trim();
}

/**
 * The histogram cannot tell what lies below its first bound.
 * @param {number | null} ms
 */
export function latencyText(ms) {
  if (ms === null) return UNKNOWN_FIGURE;
  return ms < LATENCY_FLOOR_MS ? `< ${LATENCY_FLOOR_MS} ms` : durationText(ms);
}

const LATENCY_FLOOR_MS = 0.5;

/** @param {number | null} bytes */
export function bytesText(bytes) {
  if (bytes === null) return UNKNOWN_FIGURE;
  if (bytes < 1_000) return `${fixed(bytes, 0)} B`;
  if (bytes < 1_000_000) return `${fixed(bytes / 1_000, 1)} kB`;
  return `${fixed(bytes / 1_000_000, 1)} MB`;
}

/** @param {number} seconds whole ones */
export function secondsText(seconds) {
  const past = Math.abs(seconds);
  if (past < 120) return `${seconds} s`;
  return past < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}

const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** @param {number} at ms since 1970 */
export function clock(at) {
  return CLOCK.format(at);
}

/**
 * `1 shard`, `2 shards`
 * @param {number} count
 * @param {string} noun
 */
export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/**
 * `r1`, `r1 and r2`, `r1, r2 and r3`
 * @param {readonly string[]} words
 */
export function listed(words) {
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
