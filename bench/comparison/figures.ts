/** What is measured of each architecture, and what `which, when` and the report are made from. Rates are a second. */
import type { Figures } from '../watch/figures.ts';

export const ARCHITECTURES = ['mirror', 'synced', 'ttl', 'none'] as const;
export type ArchitectureName = (typeof ARCHITECTURES)[number];

export const ARCHITECTURE_WORDS: Readonly<Record<ArchitectureName, string>> = {
  mirror: 'mirror',
  synced: 'read-through with sync',
  ttl: 'TTL alone',
  none: 'no cache',
};

/** What was asked of all architectures alike. */
export interface ComparisonSettings {
  readonly rows: number;
  /** Cached before the first workload, where anything is; of those that are read most. */
  readonly warmRows: number;
  readonly ttlSeconds: number;
}

export interface ArchitectureFigures {
  readonly name: ArchitectureName;
  /** From COMMIT's return to the end of the first answer that has the change. */
  readonly visibleMs: Percentiles;
  /** At each rate, the lowest first. */
  readonly reads: readonly Workload[];
  readonly tail: Workload;
  readonly burst: Burst;
  /** Nothing where there is nothing that could be cold or lost. */
  readonly cold?: Harmed;
  readonly lost?: Harmed;
  /** Of all Redis, for one row that lies in them. Nothing without a cache. */
  readonly redisBytesARow?: number;
  /** Nothing without sync. */
  readonly sync?: Sync;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface Workload {
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  /** Answered, in whatever way. */
  readonly requests: number;
  /** Due, and not sent because too many were under way. */
  readonly unsent: number;
  /** By status, or by why no whole answer came. */
  readonly statuses: Readonly<Record<string, number>>;
  /** From the due time. */
  readonly latencyMs: Readonly<Record<'p50' | 'p99' | 'p999' | 'max', number>>;
  /** How much later than due requests were sent, because whoever sends them was held up. */
  readonly lateMs: Percentiles;
  readonly hitRatio: number;
  readonly origin: OriginRate;
  /** Of all answers, those whose row had been replaced when they were asked for. */
  readonly oldShare: number;
  /** How long ago it had been replaced, of those; 0 without any. */
  readonly oldMs: Percentiles;
  readonly cpu: Cpu;
}

/** By MySQL's own counts, for each second; what the writers did themselves is left out. */
export interface OriginRate {
  /** SELECT statements. */
  readonly queries: number;
  /** Rows looked up by a key or read next to one. */
  readonly rows: number;
}

/** By the kernel's accounts; shares of one core, but for the first. */
export interface Cpu {
  readonly gatewayMicrosARequest: number;
  /** For how much of the time the gateway's main thread wanted a core, and something else had it. 0 where the kernel does not say. */
  readonly gatewayWaited: number;
  readonly mysql: number;
  readonly redis: number;
  readonly worker: number;
  readonly broker: number;
}

export interface Burst extends Workload {
  readonly changes: number;
  /** From the last COMMIT to the answer that has its last row. */
  readonly lastVisibleMs: number;
}

/** A workload amid which something was lost. */
export interface Harmed extends Workload {
  /** Answers but 200. */
  readonly errors: number;
  /** From the harm to the last of them; 0 without any. */
  readonly errorsUntilMs: number;
  readonly figures: Figures;
  readonly course: Course;
}

/** One figure for each step, from the beginning of the load on. */
export interface Course {
  readonly stepSeconds: number;
  readonly hitRatio: readonly number[];
  /** A second. */
  readonly originRows: readonly number[];
}

export interface Sync {
  readonly workerMebibytes: number;
  readonly brokerMebibytes: number;
}
