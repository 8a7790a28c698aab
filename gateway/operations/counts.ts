/**
 * What the metrics have counted so far, and what happened between two readings of them: the dashboard's figures are
 * differences of the very numbers that Prometheus scrapes, so that the two never tell different stories.
 */
import type { Registry } from 'prom-client';
import type { Figures } from '../ui/wire.ts';
import { type Bucket, quantile } from './quantile.ts';

/** One reading. Counters since the process started. */
export interface Counts {
  /** By performance.now(). */
  readonly readAt: number;
  readonly rows: number;
  readonly hits: number;
  readonly mirrorRows: number;
  readonly mirrorHits: number;
  readonly stored: number;
  readonly errors: number;
  readonly originReads: number;
  readonly originRows: number;
  /** Of all answers, by how long they took; seconds. */
  readonly latency: readonly Bucket[];
  readonly waiting: number;
}

interface Sample {
  readonly value: number;
  readonly labels: Readonly<Partial<Record<string, string | number>>>;
}

/** @param mirrors labels of the tables that are mirrors. */
export async function readCounts(registry: Registry, mirrors: ReadonlySet<string>): Promise<Counts> {
  const samples = async (name: string): Promise<readonly Sample[]> =>
    ((await registry.getSingleMetric(name)?.get())?.values ?? []) as readonly Sample[];
  const [rows, errors, originReads, originRows, latency, waiting] = await Promise.all([
    samples('ringfill_rows_total'),
    samples('ringfill_errors_total'),
    samples('ringfill_origin_reads_total'),
    samples('ringfill_origin_rows_asked_total'),
    samples('ringfill_request_seconds'),
    samples('ringfill_origin_waiting'),
  ]);
  const isOfMirror = ({ labels: { table } }: Sample) => mirrors.has(String(table));
  const isHit = ({ labels: { outcome } }: Sample) => outcome === 'hit';
  return {
    readAt: performance.now(),
    rows: sum(rows),
    hits: sum(rows.filter(isHit)),
    mirrorRows: sum(rows.filter(isOfMirror)),
    mirrorHits: sum(rows.filter((sample) => isOfMirror(sample) && isHit(sample))),
    stored: sum(rows.filter(({ labels }) => labels['outcome'] === 'stored')),
    // "No such row" is an answer like any other.
    errors: sum(errors.filter(({ labels }) => labels['code'] !== 'row-not-found')),
    originReads: sum(originReads),
    originRows: sum(originRows),
    latency: bucketsOf(latency),
    waiting: sum(waiting),
  };
}

/** @param at the end of the span between the two, in ms since 1970. */
export function figuresBetween(before: Counts, after: Counts, at: number): Omit<Figures, 'lagMs'> {
  const seconds = (after.readAt - before.readAt) / 1_000;
  // A counter may go back: a reload drops what it does not measure any more.
  const count = (name: Exclude<keyof Counts, 'latency'>) => Math.max(0, after[name] - before[name]);
  const rate = (name: Exclude<keyof Counts, 'latency'>) => count(name) / seconds;
  const latency = after.latency.map(({ le, count: soFar }, index) => ({
    le,
    count: soFar - (before.latency[index]?.count ?? 0),
  }));
  const throughRows = count('rows') - count('mirrorRows');
  const throughHits = count('hits') - count('mirrorHits');
  return {
    at,
    requests: (latency.at(-1)?.count ?? 0) / seconds,
    rows: rate('rows'),
    hitRatio: ratio(count('hits'), count('rows')),
    errors: rate('errors'),
    originReads: rate('originReads'),
    originRows: rate('originRows'),
    stored: rate('stored'),
    p50Ms: inMs(quantile(0.5, latency)),
    p99Ms: inMs(quantile(0.99, latency)),
    waiting: after.waiting,
    throughRows: throughRows / seconds,
    throughHitRatio: ratio(throughHits, throughRows),
    mirrorRows: rate('mirrorRows'),
    mirrorHitRatio: ratio(count('mirrorHits'), count('mirrorRows')),
  };
}

function sum(samples: readonly Sample[]): number {
  return samples.reduce((total, { value }) => total + value, 0);
}

function ratio(part: number, whole: number): number | null {
  return whole > 0 ? part / whole : null;
}

function inMs(seconds: number | undefined): number | null {
  return seconds === undefined ? null : seconds * 1_000;
}

/** Over all routes. */
function bucketsOf(samples: readonly Sample[]): readonly Bucket[] {
  const byBound = new Map<number, number>();
  for (const { labels, value } of samples) {
    if (labels['le'] === undefined) continue;
    const le = labels['le'] === '+Inf' ? Infinity : Number(labels['le']);
    byBound.set(le, (byBound.get(le) ?? 0) + value);
  }
  return [...byBound].map(([le, count]) => ({ le, count })).toSorted((a, b) => a.le - b.le);
}
