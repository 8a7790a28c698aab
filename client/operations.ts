/** What a gateway tells operators beside its rings. A newer gateway may tell more. */
import type { RingLayer } from './ring.ts';

/** At a glance. */
export interface Status {
  readonly version: string;
  /** Why the gateway should not be sent requests; null while it should. */
  readonly whyNotReady: string | null;
  readonly isOriginUp: boolean;
  /** Whether changes are followed. */
  readonly isSynced: boolean;
  readonly layers: readonly RingLayer[];
  /** The sync worker on the gateway's host; null without sync, and where none answers there. */
  readonly worker: {
    readonly state: string;
    /** How old the newest proof is that every change has been published; milliseconds. */
    readonly lagMs: number | null;
    /** To the end of the binlog, within its last file. */
    readonly bytesBehind: number | null;
    /** Per second, over all shards. */
    readonly changesApplied: number | null;
  } | null;
  /** Of one process, over up to a minute; null until it has run for a second or two. Rates are per second. */
  readonly lately: {
    readonly seconds: number;
    readonly rows: number;
    readonly errors: number;
    readonly originReads: number;
    /** 0 to 1; null where no row was asked for. */
    readonly hitRatio: number | null;
  } | null;
}

/** Where a row may lie, and what lies there. */
export interface KeyStory {
  readonly key: string;
  /** `db.table`. */
  readonly table: string;
  readonly id: string;
  readonly mode: 'read-through' | 'mirror';
  readonly isFollowed: boolean;
  readonly candidates: readonly HeldStory[];
  readonly origin: {
    readonly kind: 'row' | 'absent' | 'unavailable';
    /** The row, as JSON text. */
    readonly row: string | null;
  };
}

export interface HeldStory {
  readonly layer: number;
  readonly ring: string;
  readonly shard: string;
  readonly state: string;
  readonly kind: 'row' | 'negative' | 'too-large' | 'none' | 'unreadable' | 'unreached';
  /** Whether a request would be answered by it now. */
  readonly counts: boolean;
  /** Why it does not count, or by what rule it does. */
  readonly because: string;
  /** A place in the binlog, as digits that compare as text. */
  readonly version: string | null;
  /** Since the row was known to be so. */
  readonly ageSeconds: number | null;
  /** Until it expires, negative past that. */
  readonly freshSeconds: number | null;
  /** Whether MySQL says the same; null where either says nothing. */
  readonly agrees: boolean | null;
}

/** What became of a cached row in each shard where it may lie. */
export interface Invalidation {
  readonly key: string;
  readonly table: string;
  readonly id: string;
  readonly shards: readonly {
    readonly layer: number;
    readonly ring: string;
    readonly shard: string;
    readonly state: string;
    /** - `unreached`: the shard does not answer, and keeps what it has. */
    readonly outcome: 'removed' | 'none' | 'unreached';
  }[];
}
