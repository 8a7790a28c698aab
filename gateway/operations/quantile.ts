/** What a histogram's buckets say of a quantile, as Prometheus' `histogram_quantile` does: linear within a bucket. */

/** How many observations were at most `le`; the last one's `le` is Infinity. Ascending. */
export interface Bucket {
  readonly le: number;
  readonly count: number;
}

/**
 * @param q 0 to 1.
 * @returns in the unit of the buckets; nothing where there are no observations. What lies beyond the last bound is told as
 * that bound.
 */
export function quantile(q: number, buckets: readonly Bucket[]): number | undefined {
  const total = buckets.at(-1)?.count ?? 0;
  if (total <= 0) return undefined;
  const rank = q * total;
  const index = buckets.findIndex(({ count }) => count >= rank);
  const bucket = buckets[index];
  const below: Bucket = buckets[index - 1] ?? { le: 0, count: 0 };
  if (bucket === undefined || bucket.le === Infinity) return below.le;
  const within = bucket.count - below.count;
  return within === 0 ? bucket.le : below.le + (bucket.le - below.le) * ((rank - below.count) / within);
}
