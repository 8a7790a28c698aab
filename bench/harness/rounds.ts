/** What several rounds of the same amount to. */
import type { Bar } from './section.ts';

/** The mean of the two in the middle where their number is even. Throws for none. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (upper === undefined || lower === undefined) throw new Error('a median of nothing');
  return (lower + upper) / 2;
}

export function barOf(values: readonly number[]): Bar {
  return { median: medianOf(values), min: Math.min(...values), max: Math.max(...values) };
}

/** `12,345 (11,900 to 12,800)` */
export function toldWithSpread(values: readonly number[], digits = 0): string {
  const { median, min, max } = barOf(values);
  const told = (value: number) =>
    value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return values.length === 1 ? told(median) : `${told(median)} (${told(min)} to ${told(max)})`;
}

/** `share` of 0.99 for p99. 0 of nothing. */
export function percentileOf(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
