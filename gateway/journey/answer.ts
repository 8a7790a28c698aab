/**
 * What a request's journey ends with: what was found, and the story of how. The same words stand in `Cache-Status`, in
 * the log, in the metrics and in the tests' titles.
 */
import type { Entry } from '../../shared/entry/entry.ts';
import { TaggedBody } from '../../shared/entry/tagged-body.ts';
import type { OriginTrouble } from '../../shared/errors/errors.ts';
import type { Unstorable } from '../../shared/fill/entry-to-store.ts';
import type { RowId } from '../../shared/key/row-id.ts';
import type { OriginRow } from '../../shared/origin/row-select.ts';
import type { SilentBecause } from './trust.ts';

export interface Answer {
  readonly found: Found;
  readonly story: Story;
}

export type Found =
  | {
      readonly kind: 'row';
      readonly body: TaggedBody;
      /** The row's own id, where the client spelled it otherwise. */
      readonly canonicalId?: RowId;
    }
  | { readonly kind: 'absent' };

/** Which shard of which layer. */
export interface Place {
  readonly layer: number;
  readonly shard: string;
}

export type Story =
  /** A fresh entry, or a mirrored row, or that a mirror has none. */
  | {
      readonly outcome: 'hit';
      readonly place: Place;
      /** A mirror's rows do not expire. */
      readonly freshSeconds?: number;
      readonly ageSeconds: number;
      /** Why the shard does not vouch for it, where it is served all the same (`onSyncLost: serve`). */
      readonly syncLost?: SilentBecause;
      /** Out of the gateway's own memory; the shard was not asked. */
      readonly near?: true;
    }
  /** An entry past its TTL, because the origin cannot be asked. */
  | {
      readonly outcome: 'expired';
      readonly place: Place;
      readonly freshSeconds: number;
      readonly ageSeconds: number;
      readonly because: OriginTrouble;
    }
  /** Read from the origin and stored. */
  | { readonly outcome: 'stored'; readonly place: Place; readonly fwd: ForwardReason }
  /** Read from the origin by someone else, for us too. */
  | { readonly outcome: 'collapsed'; readonly place: Place; readonly fwd: ForwardReason }
  /** Read from the origin and not stored. */
  | { readonly outcome: 'unstored'; readonly place?: Place; readonly fwd: ForwardReason; readonly because: Unstored };

/** Why the origin was asked: RFC 9211, section 2.2. */
export type ForwardReason =
  /** Nothing under the key. */
  | 'miss'
  /** An entry past its TTL. */
  | 'stale'
  /** The client wanted the origin's own word. */
  | 'request'
  /** No shard can be used. */
  | 'bypass';

/** Every reason not to store what was read. */
export type Unstored =
  | Unstorable
  /** No shard of any layer answers. */
  | 'no-shard'
  /** Another gateway filled meanwhile, or the lease ran out. */
  | 'lease-lost'
  /** Another gateway holds the lease and did not fill in time. */
  | 'lease-busy'
  /** The shard went away, or would not take the entry; or none would. */
  | 'shard-refused'
  /** No shard can say whether the mirror has the row (`onIncomplete: origin`). */
  | 'mirror-unavailable'
  /** The client asked for it: `Cache-Control: no-store`. */
  | 'no-store'
  /** What the read includes is not known to reach to what the shard has applied. */
  | 'early'
  /** What the shard has is newer. */
  | 'older'
  /** No shard vouches for what it holds. */
  | SilentBecause;

export function foundIn(entry: Entry): Found {
  return entry.kind === 'row' ? { kind: 'row', body: new TaggedBody(entry.body) } : { kind: 'absent' };
}

export function foundAs(row: OriginRow, asked: RowId): Found {
  if (row.kind === 'absent') return { kind: 'absent' };
  const body = new TaggedBody(row.body);
  return row.id.segment === asked.segment ? { kind: 'row', body } : { kind: 'row', body, canonicalId: row.id };
}

export function placeOf({
  layer,
  shard,
}: {
  readonly layer: number;
  readonly shard: { readonly name: string };
}): Place {
  return { layer, shard: shard.name };
}
