/** What a load has shown: for people, and why it failed if it did. */
import { alignedTable } from '../../cli/aligned-table.ts';
import type { LoadResult } from './run-load.ts';

export function reportText(result: LoadResult): string {
  const { answers, durationSeconds, latencyMs, rows, outcomes, places, bytes } = result;
  const perSecond = (amount: number) => whole(durationSeconds === 0 ? 0 : amount / durationSeconds);
  const lines: string[][] = [
    ['answers', `${whole(answers)} in ${durationSeconds.toFixed(1)} s`, `${perSecond(answers)}/s`],
    ['throughput', `${(bytes / 2 ** 20).toFixed(1)} MiB`, `${perSecond(rows)} rows/s`],
    ['status', ...named(result.statuses, whole)],
    ['latency, ms', ...named(latencyMs, (ms) => ms.toFixed(2))],
    ['outcome', ...named(outcomes, (times) => percent(times, rows))],
  ];
  const layers = sumBy(places, (place) => `layer ${place.slice(place.lastIndexOf('/') + 1)}`);
  if (Object.keys(places).length > 0) {
    lines.push(['answered by', ...named(layers, (times) => percent(times, rows))]);
    lines.push(['shard/layer', ...named(places, (times) => percent(times, rows))]);
  }
  const [headings, texts] = [lines.map(([heading]) => heading ?? ''), lines.map(([, ...cells]) => cells.join('   '))];
  return alignedTable(headings.map((heading, index) => [heading, texts[index] ?? '']));
}

/** Empty if every answer was 2xx or 404, and no connection failed. */
export function failuresOf({ answers, statuses, errors, unanswered }: LoadResult): string[] {
  const failures: string[] = [];
  for (const [status, times] of Object.entries(statuses)) {
    if (!/^2|^404$/.test(status)) failures.push(`${whole(times)} answers with status ${status}`);
  }
  for (const [message, times] of Object.entries(errors)) failures.push(`${whole(times)} socket errors: ${message}`);
  if (unanswered > 0) failures.push(`${whole(unanswered)} requests on connections that were closed without an answer`);
  if (answers === 0) failures.push('no answer at all');
  return failures;
}

/** Of all rows; 1 where every row was a fresh entry. */
export function hitRatio({ outcomes, rows }: LoadResult): number {
  return rows === 0 ? 0 : (outcomes['hit'] ?? 0) / rows;
}

function named(counts: Readonly<Record<string, number>>, show: (times: number) => string): string[] {
  const entries = Object.entries(counts);
  return entries.length === 0
    ? ['-']
    : entries.toSorted(([a], [b]) => order(a, b)).map(([name, times]) => `${name} ${show(times)}`);
}

/** Percentiles stay as they are given; the rest by name. */
const PERCENTILES = ['mean', 'p50', 'p90', 'p99', 'p999', 'max'];

function order(a: string, b: string): number {
  return PERCENTILES.indexOf(a) - PERCENTILES.indexOf(b) || (a < b ? -1 : 1);
}

function sumBy(counts: Readonly<Record<string, number>>, groupOf: (name: string) => string): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [name, times] of Object.entries(counts)) sums[groupOf(name)] = (sums[groupOf(name)] ?? 0) + times;
  return sums;
}

function percent(times: number, all: number): string {
  return `${((100 * times) / all).toFixed(2)} %`;
}

function whole(amount: number): string {
  return Math.round(amount).toLocaleString('en-US');
}
