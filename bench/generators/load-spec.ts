/** What the generator (generate.ts) is asked to do, and what it saw; both as JSON, for it is a process of its own. */
import type { Sizes } from '../harness/items.ts';

export interface LoadSpec {
  readonly host: string;
  readonly port: number;
  /** `/db/table` */
  readonly path: string;
  readonly connections: number;
  /**
   * closed: each connection asks again as soon as it is answered. open: requests are due at a fixed rate whatever becomes of
   * those before, and latencies count from the moment they were due.
   */
  readonly loop: { readonly kind: 'closed' } | { readonly kind: 'open'; readonly perSecond: number };
  readonly ids: WantedIds;
  /** Ids in one request; 1: single rows. */
  readonly batch: number;
  /** Until then; without it, until `each` id has been asked for, or the `repeated` one so often. */
  readonly seconds?: number;
  /** What a right answer is. `row`: the row asked for, byte for byte. */
  readonly expect: { readonly kind: 'row'; readonly sizes: Sizes } | { readonly kind: 'always'; readonly body: string };
  readonly seed: number;
  /** Width of the steps in which hits are counted, by Cache-Status; none if it is missing. ms. */
  readonly stepMs?: number;
}

/** Of `count` ids from `first` on. */
export interface WantedIds {
  /** each: once, in no neighbourly order. repeated: the first, so many times. */
  readonly kind: 'each' | 'repeated' | 'random' | 'zipf';
  readonly first: number;
  readonly count: number;
  /** Of `zipf`. */
  readonly exponent?: number;
}

export interface LoadSeen {
  readonly seconds: number;
  /** Answered. */
  readonly requests: number;
  readonly rows: number;
  readonly latencyMs: Readonly<Record<'mean' | 'p50' | 'p99' | 'p999' | 'max', number>>;
  /** How much later than due requests of an open loop were sent, because of the generator or for want of a free connection. */
  readonly lateMs: Readonly<Record<'p50' | 'p99' | 'max', number>>;
  /** Requests of an open loop that were due and never sent, for every connection was busy until the end. */
  readonly unsent: number;
  /** Answers that were not right, and connections that broke. */
  readonly wrong: number;
  readonly examples: readonly string[];
  readonly steps: readonly LoadStep[];
}

export interface LoadStep {
  readonly requests: number;
  readonly hits: number;
}
