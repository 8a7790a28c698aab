/**
 * So many rows a second for each of many: for each key, or for each address. Each has a token bucket: `burstRows` when it
 * is full, filled at `rowsPerSecond`.
 *
 * A batch of more rows than the bucket holds is let through a full one and leaves it in debt, so that no batch is refused
 * for ever, and the rate holds all the same.
 *
 * Of its own: the known plug-ins count requests in windows, not rows, and take longer over it than a hit takes in all.
 */
import { LRUCache } from 'lru-cache';

export interface RateLimitOptions {
  /** At least 1. */
  readonly rowsPerSecond: number;
  /** At least 1. */
  readonly burstRows: number;
  /** Of how many it is remembered; those that were not seen for the longest begin with a full bucket again. Default 100,000. */
  readonly remembered?: number;
  /** Milliseconds on a clock that is never set back. */
  readonly now?: () => number;
}

interface Bucket {
  /** Below zero: in debt. */
  rows: number;
  asOfMs: number;
}

export class RateLimit {
  readonly #rowsPerMs: number;
  readonly #burstRows: number;
  readonly #now: () => number;
  readonly #buckets: LRUCache<string, Bucket>;

  constructor(options: RateLimitOptions) {
    const { rowsPerSecond, burstRows, remembered = 100_000, now = () => performance.now() } = options;
    this.#buckets = new LRUCache({ max: remembered });
    this.#rowsPerMs = rowsPerSecond / 1_000;
    this.#burstRows = burstRows;
    this.#now = now;
  }

  /** @returns 0: they are granted; else after how many seconds to ask again, and nothing was taken. */
  take(who: string, rows: number): number {
    const bucket = this.#filled(who);
    const missing = Math.min(rows, this.#burstRows) - bucket.rows;
    if (missing > 0) return Math.ceil(missing / this.#rowsPerMs / 1_000);
    bucket.rows -= rows;
    return 0;
  }

  #filled(who: string): Bucket {
    const nowMs = this.#now();
    const bucket = this.#buckets.get(who);
    if (bucket === undefined) {
      const full = { rows: this.#burstRows, asOfMs: nowMs };
      this.#buckets.set(who, full);
      return full;
    }
    bucket.rows = Math.min(this.#burstRows, bucket.rows + (nowMs - bucket.asOfMs) * this.#rowsPerMs);
    bucket.asOfMs = nowMs;
    return bucket;
  }
}
