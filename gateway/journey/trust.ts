/**
 * By which rule do a shard's entries count, for this table and now?
 *
 * A followed table's shard is believed by its own stamp only, read in the same command as the entry: if it lists our ring
 * and our table, if it is young enough, and if it has not gone back. Else the shard is silent, and the next layer is asked.
 * A table that is not followed has its TTLs only.
 */
import {
  ageSeconds,
  decodeEntry,
  type Entry,
  type EntryHead,
  freshSeconds,
  VERSION_ZERO,
} from '../../shared/entry/entry.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { SeenStamp } from '../../shared/stamp/stamp-reader.ts';
import { isTrusted, oldestFloorOf, type Stamp } from '../../shared/stamp/stamp.ts';

export type Trust =
  /** Not followed, or nobody has ever followed it here: entries live by their TTL. */
  | { readonly kind: 'by-ttl'; readonly syncLost?: SilentBecause }
  /** The shard vouches for its entries from `floor` on, by this ring; it has heard of every change up to stamp.asOf. */
  | ({ readonly kind: 'by-stamp' } & ByStamp)
  /** It vouched until stamp.asOf; from then on its entries live by the table's TTL (`onSyncLost: serve`). */
  | ({ readonly kind: 'until-lost'; readonly syncLost: SilentBecause } & ByStamp);

interface ByStamp {
  readonly stamp: Stamp;
  /** The definition of the layer's ring by which the key lies there. */
  readonly ring: string;
  readonly floor: string;
}

export type Standing =
  | { readonly kind: 'vouches'; readonly trust: Trust }
  | { readonly kind: 'silent'; readonly because: SilentBecause; readonly seen: SeenStamp | undefined };

export type SilentBecause =
  /** No stamp: the shard was emptied, or the sync worker has not reached it yet. */
  | 'no-stamp'
  /** The sync worker routes by other rings than ours, or does not follow the table under our key. */
  | 'not-followed'
  /** It has not heard of the changes lately. */
  | 'behind'
  /** Its stamp is from the future: the clocks differ by more than the bound. */
  | 'clock-ahead'
  /** Its stamp is older than one that we saw here: what was applied since is lost. */
  | 'went-back'
  /** Of a mirror: after a failover, changes are told again from before what was answered here. It takes a moment. */
  | 'told-again';

export interface TrustRules {
  readonly stalenessBoundMs: number;
}

const BY_TTL: Standing = { kind: 'vouches', trust: { kind: 'by-ttl' } };

/**
 * @param rules nothing where sync is off.
 * @param rings the definitions of its layer's ring by which the key lies in the shard.
 */
export function standingOf(
  seen: SeenStamp | undefined,
  table: ExposedTable,
  rules: TrustRules | undefined,
  rings: readonly string[],
  now: number,
): Standing {
  if (rules === undefined || !table.settings.follow) return BY_TTL;
  const silent = (because: SilentBecause): Standing => ({ kind: 'silent', because, seen });
  // Nor will the sync worker follow it, once it has looked.
  if (table.unusable !== undefined) return silent('not-followed');
  if (seen === undefined) return silent('no-stamp');
  const because = shardStanding(seen, rules, rings, now);
  if (because !== undefined) return silent(because);
  const oldest = oldestFloorOf(seen.stamp, table.followedName, rings);
  if (oldest === undefined) return silent('not-followed');
  if (seen.stamp.again !== undefined && table.settings.mode === 'mirror') return silent('told-again');
  return { kind: 'vouches', trust: { kind: 'by-stamp', stamp: seen.stamp, ...oldest } };
}

/** Why a shard with a stamp vouches for no table; nothing where it can. */
export function shardStanding(
  { stamp, wentBack, since }: SeenStamp,
  { stalenessBoundMs }: TrustRules,
  rings: readonly string[],
  now: number,
): SilentBecause | undefined {
  if (wentBack) return 'went-back';
  if (!rings.some((ring) => Object.hasOwn(stamp.rings, ring))) return 'not-followed';
  if (now - stamp.asOf > stalenessBoundMs || performance.now() - since > stalenessBoundMs) return 'behind';
  return stamp.asOf - now > stalenessBoundMs ? 'clock-ahead' : undefined;
}

/** What a silent shard's entries still are under `onSyncLost: serve`; nothing where they may be older than its stamp says. */
export function trustOfSilent(
  { because, seen }: Standing & { kind: 'silent' },
  table: ExposedTable,
  rings: readonly string[],
): Trust | undefined {
  switch (because) {
    case 'no-stamp':
      return { kind: 'by-ttl', syncLost: because };
    case 'behind': {
      const stamp = seen?.stamp;
      const oldest = stamp && oldestFloorOf(stamp, table.followedName, rings);
      return stamp && oldest && { kind: 'until-lost', stamp, ...oldest, syncLost: because };
    }
    case 'not-followed':
    case 'clock-ahead':
    case 'went-back':
    case 'told-again':
      return undefined;
  }
}

/** The entry, if it is one, of the table as it is now, and counts. */
export function usableEntry(stored: Buffer, table: ExposedTable, trust: Trust): Entry | undefined {
  const entry = decodeEntry(stored);
  return entry !== undefined && isUsable(entry, table, trust) ? entry : undefined;
}

/** Whether it is of the table as it is now, and counts. */
export function isUsable(entry: EntryHead, table: ExposedTable, trust: Trust): boolean {
  if (entry.shape !== table.schema.shape) return false;
  return trust.kind === 'by-ttl' || isTrusted(entry, trust.stamp, trust.floor);
}

export interface Life {
  /** What is left until it expires; negative past it. */
  readonly freshSeconds: number;
  /** Since the row was known to be what the origin says; never negative. */
  readonly ageSeconds: number;
}

export function lifeOf(entry: EntryHead, table: ExposedTable, trust: Trust, now: number): Life {
  if (trust.kind === 'by-ttl') {
    // One that was filled while its changes were followed has a long TTL, on the strength of that.
    const { ttlSeconds, negativeTtlSeconds } = table.settings;
    const ttl = entry.kind === 'row' ? ttlSeconds : negativeTtlSeconds;
    const tooLong = entry.version === VERSION_ZERO ? 0 : Math.max(0, entry.ttlSeconds - ttl);
    return { freshSeconds: freshSeconds(entry, now) - tooLong, ageSeconds: ageSeconds(entry, now) };
  }
  // Whoever has heard of every change up to a time knows that the row was still so at that time.
  const knownAt = Math.max(entry.readAtMs, trust.stamp.asOf);
  const age = Math.max(0, Math.floor((now - knownAt) / 1000));
  const fresh = trust.kind === 'by-stamp' ? freshSeconds(entry, now) : table.settings.ttlSeconds - age;
  return { freshSeconds: fresh, ageSeconds: age };
}
