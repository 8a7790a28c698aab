/**
 * What the dashboard's page is told, and in which shape: read by the server that says it and by the page's script, which
 * takes its types from here. Nothing of the server's is imported, for the page is checked with a browser's types.
 */

/** Over about one second; rates are per second. Null: nothing happened that it could be told from, or nobody knows. */
export interface Figures {
  /** The end of the second, in ms since 1970. */
  readonly at: number;
  /** Answers to requests for rows. */
  readonly requests: number;
  /** Rows asked for in them; a batch asks for many. */
  readonly rows: number;
  /** Of the rows asked for, 0 to 1. */
  readonly hitRatio: number | null;
  /** Problem documents other than "no such row". */
  readonly errors: number;
  /** SELECTs sent to MySQL for rows. */
  readonly originReads: number;
  readonly originRows: number;
  /** Rows that were read from MySQL and stored in a shard. */
  readonly stored: number;
  /** Interpolated within the histogram's buckets. Below the first bound (0.5 ms) it says no more than that. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Of the shards that answer, the one that has heard least lately. Null without sync. */
  readonly lagMs: number | null;
  /** Rows that wait for a connection to MySQL, at the second's end. */
  readonly waiting: number;
  /** Of read-through tables. */
  readonly throughRows: number;
  readonly throughHitRatio: number | null;
  /** Of mirrors. */
  readonly mirrorRows: number;
  readonly mirrorHitRatio: number | null;
}

export interface ShardNow {
  readonly shard: string;
  /** Its ShardCondition: `ok`, `down`, `slow`, …; or why it does not vouch for what it holds (SilentBecause). */
  readonly state: string;
  /** Of the hash space; a ring's shares add up to 1. 0 of a shard that only a former definition of the ring names. */
  readonly share: number;
  /** Up to when changes have been applied here, ISO 8601; null without sync. */
  readonly asOf: string | null;
  readonly lagMs: number | null;
  /**
   * It has lost what it held then, ISO 8601, and what is missed in it is looked for in the next ring; only while that
   * is so.
   */
  readonly refillingSince?: string;
}

export interface LayerNow {
  readonly ring: string;
  readonly shards: readonly ShardNow[];
}

/** The sync worker on the gateway's own host, as its `/-/status` says. */
export interface WorkerNow {
  readonly state: string;
  /** How old the newest proof is that every change has been published. */
  readonly lagMs: number | null;
  /** To the end of the binlog, within its last file. */
  readonly bytesBehind: number | null;
  /** Per second, over all shards; null until there are two answers to compare. */
  readonly changesApplied: number | null;
}

/** Event `now`: each second. */
export interface Now {
  readonly figures: Figures;
  readonly layers: readonly LayerNow[];
  readonly isOriginUp: boolean;
  /** Why the gateway should not be sent requests; null while it should. */
  readonly whyNotReady: string | null;
  /** Null without sync, and where none answers on this host. */
  readonly worker: WorkerNow | null;
}

/** A stretch of a ring's continuum, as it lies: who owns which part of it, in order. */
export interface LayerSample {
  readonly ring: string;
  readonly placement: string;
  /** Of the whole ring. */
  readonly points: number;
  /** Names, in the order of the configuration. */
  readonly shards: readonly string[];
  /** The first arcs: the shard's index among `shards`, and how much of the stretch it has; these add up to 1. */
  readonly arcs: readonly (readonly [shard: number, part: number])[];
}

/** Event `about`: first of all, and again when the configuration has changed. */
export interface About {
  readonly version: string;
  /** Whether changes are followed. */
  readonly isSynced: boolean;
  /** Whether there are routes that change something: only where the gateway asks for keys. */
  readonly hasAdmin: boolean;
  readonly stalenessBoundMs: number | null;
  /** The exposed tables; empty until MySQL has shown them. */
  readonly tables: readonly { readonly label: string; readonly mode: 'read-through' | 'mirror' }[];
  readonly samples: readonly LayerSample[];
}

/** Event `history`: what there was before, a second apart, the oldest first. */
export type History = readonly Figures[];

/** What lies under a key in one shard, and what it is worth. */
export interface HeldStory {
  readonly layer: number;
  readonly ring: string;
  readonly shard: string;
  readonly state: string;
  /** ISO 8601; null without a stamp. */
  readonly asOf: string | null;
  /** - `none`: nothing lies there. `unreadable`: nothing of ours. `unreached`: the shard does not answer. */
  readonly kind: 'row' | 'negative' | 'too-large' | 'none' | 'unreadable' | 'unreached';
  /** Whether a request would be answered by it now. */
  readonly counts: boolean;
  /** Why it does not count; or by what rule it does: `by-stamp`, `by-ttl`, `until-lost`, `complete`. */
  readonly because: string;
  readonly version: string | null;
  readonly exactness: 'exact' | 'inexact' | null;
  /** Since the row was known to be so. */
  readonly ageSeconds: number | null;
  /** Until it expires, negative past that; null of a mirror's rows, which do not. */
  readonly freshSeconds: number | null;
  readonly ttlSeconds: number | null;
  /** The row, as requests are answered with it; JSON text. */
  readonly row: string | null;
  /** Whether MySQL says the same, byte for byte; null where either says nothing. */
  readonly agrees: boolean | null;
}

/** `/-/ring/story?key=…` */
export interface KeyStory {
  readonly key: string;
  /** `db.table`. */
  readonly table: string;
  readonly id: string;
  readonly mode: 'read-through' | 'mirror';
  readonly isFollowed: boolean;
  /** The key's place in the hash space, 0 to 2^32 - 1. */
  readonly place: number;
  readonly candidates: readonly HeldStory[];
  readonly origin: {
    readonly kind: 'row' | 'absent' | 'unavailable';
    /** The row's own id, where it is spelled otherwise. */
    readonly id: string | null;
    readonly row: string | null;
    /** An error code; where it is unavailable. */
    readonly because: string | null;
  };
}

/** - `removed`: something lay there. - `none`: nothing did. - `unreached`: the shard does not answer, and keeps what it has. */
export type InvalidationOutcome = 'removed' | 'none' | 'unreached';

/** `POST /-/ring/invalidate?key=…` */
export interface Invalidation {
  readonly key: string;
  /** `db.table`. */
  readonly table: string;
  readonly id: string;
  /** Wherever it may lie: the owners in each layer, former ones too. */
  readonly shards: readonly {
    readonly layer: number;
    readonly ring: string;
    readonly shard: string;
    readonly state: string;
    readonly outcome: InvalidationOutcome;
  }[];
}

/** `/-/status`: at a glance. */
export interface Status {
  readonly version: string;
  /** Why the gateway should not be sent requests; null while it should. */
  readonly whyNotReady: string | null;
  readonly isOriginUp: boolean;
  readonly isSynced: boolean;
  readonly layers: readonly LayerNow[];
  /** Of the gateway on whose host it runs. Null without sync, and where none answers there. */
  readonly worker: WorkerNow | null;
  /** Of this process, over up to a minute; null until it has run for a second or two. */
  readonly lately: {
    readonly seconds: number;
    /** Per second. */
    readonly rows: number;
    readonly errors: number;
    readonly originReads: number;
    /** Of the rows asked for, 0 to 1; null where none was. */
    readonly hitRatio: number | null;
  } | null;
}
