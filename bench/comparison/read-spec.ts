/** What the reading thread is asked to do, and what it saw. */

const TRIES = 20;

export interface ReadSpec {
  /** Of the gateway. */
  readonly url: string;
  /** `db.table`: rows of `id` and `n`. */
  readonly table: string;
  /** Open loop. */
  readonly perSecond: number;
  readonly seconds: number;
  /** Ids from 1 to this one, the first wanted most. */
  readonly keys: number;
  readonly zipf: number;
  readonly seed: number;
}

/** Times of performance.now(), of the thread's in what it sends, of the asking one's in what `startReading` hands out. */
export interface ReadAnswer {
  readonly id: number;
  readonly dueAt: number;
  readonly sentAt: number;
  readonly endedAt: number;
  /** Or why no whole answer came. */
  readonly status: number | string;
  /** The row's counter; nothing where it is not the row that was asked for. */
  readonly n: number | undefined;
  readonly isHit: boolean;
  /** It says itself that nobody hears of changes just now. */
  readonly isSyncLost: boolean;
}

export interface ReadSeen {
  readonly answers: readonly ReadAnswer[];
  readonly unsent: number;
}

export type FromThread =
  | { readonly kind: 'started'; readonly machineMs: number }
  /** `machineMsAtZero` of the thread. */
  | ({ readonly kind: 'seen'; readonly machineMsAtZero: number } & ReadSeen);

/** The machine's monotonic clock, which every thread and process shares. ms. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** What it was when this thread's performance.now() was 0. */
export function machineMsAtZero(): number {
  // Whoever is held up between the two sees too little.
  return Math.max(...Array.from({ length: TRIES }, () => machineMs() - performance.now()));
}
