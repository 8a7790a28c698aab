/**
 * One round's verdict, from what MySQL says and what the shards hold, before the round and after it.
 *
 *     stale     an entry that counts, and is not what MySQL says
 *     vanished  held exactly before, of a table whose changes overwrite, and not held any more: a change whose effect is
 *               missing, or an entry that something dropped
 *     dropped   entries that are there and do not count, by a floor or a hole
 *
 * After a crash of MySQL its binlog may have lost its tail: the epoch changes, and a hole lies below it. A capture that is
 * killed before it has noted the new epoch begins yet another one from its checkpoint, and what was changed since that
 * falls into the second hole: in such a round entries may vanish.
 */
import type { Held, ShardInventory } from './inventory.ts';
import type { DrillShard, Harm, Round } from './schedule.ts';
import type { TrueRow, Truth } from './truth.ts';

export interface Verdict {
  /** Entries that count, over what there is to hold, in the shards that lost nothing. */
  readonly held: number;
  readonly holdable: number;
  /** Of those, entries that a change of this round has brought up to date. */
  readonly overwritten: number;
  readonly stale: readonly string[];
  readonly vanished: readonly string[];
  readonly strange: readonly string[];
  readonly droppedByFloor: number;
  /** With those that were there before and vanished into a second hole. */
  readonly droppedByHole: number;
  /** Floors that are not what they were, of shards that lost nothing. */
  readonly raised: readonly string[];
  /** New holes, of all shards together; and how many there may be. */
  readonly holes: number;
  readonly holesExpected: number | 'any';
}

export interface Snapshot {
  readonly truth: Truth;
  readonly shards: readonly ShardInventory[];
}

export function judge({ harm, again }: Round, before: Snapshot, after: Snapshot, startedAt: number): Verdict {
  const lost = lostBy(harm);
  const pairs = after.shards.map((now) => ({ now, was: before.shards.find(({ shard }) => shard === now.shard) }));
  const whole = pairs.filter(({ now }) => now.shard !== lost) as { now: ShardInventory; was: ShardInventory }[];
  const entries = after.shards.flatMap(({ entries: all }) => [...all.values()]);
  const wholeEntries = whole.flatMap(({ now }) => [...now.entries.values()]);
  const vanished = whole.flatMap(({ now, was }) => vanishedFrom(was, now, before.truth, after.truth));
  const isTwofold = harm.kind === 'mysql' && again !== undefined;
  const inHoles = wholeEntries.filter(({ untrusted }) => untrusted === 'hole').length;
  return {
    held: wholeEntries.filter(({ untrusted }) => untrusted === undefined).length,
    holdable: whole.flatMap(({ now }) => now.owned.filter(isHoldable)).length,
    overwritten: whole.flatMap(({ now, was }) =>
      [...now.entries.values()].filter((held) => isOverwritten(held, was, startedAt)),
    ).length,
    stale: entries.flatMap((held) => whyStale(held, after.truth.rows.get(held.key) as TrueRow) ?? []),
    vanished: isTwofold ? [] : vanished,
    strange: after.shards.flatMap(({ strange }) => strange),
    droppedByFloor: wholeEntries.filter(({ untrusted }) => untrusted === 'floor' || untrusted === 'shape').length,
    droppedByHole: isTwofold ? inHoles + vanished.length : inHoles,
    raised: whole.flatMap(({ now, was }) => raisedIn(was, now)),
    holes: whole.reduce((sum, { now, was }) => sum + newHoles(was, now), 0),
    holesExpected: isTwofold ? 'any' : harm.kind === 'mysql' ? whole.length : 0,
  };
}

/** The shard that comes back with nothing. */
export function lostBy(harm: Harm): DrillShard | undefined {
  return harm.kind === 'shard' && harm.shard !== 'kept' ? harm.shard : undefined;
}

function isHoldable({ body, absenceIsCacheable }: TrueRow): boolean {
  return body !== undefined || absenceIsCacheable;
}

function whyStale({ key, shard, entry, untrusted }: Held, { body, counter }: TrueRow): string | undefined {
  if (untrusted !== undefined) return undefined;
  const says = (what: string) => `${shard}: ${key} at ${entry.version} (${entry.exactness}): ${what}`;
  if (entry.kind === 'negative')
    return counter === undefined && body === undefined ? undefined : says('there is a row');
  if (body === undefined || counter === undefined) return says('there is no row');
  const { counter: held } = JSON.parse(entry.body.toString()) as { counter: string };
  if (held !== counter) return says(`counter ${held}, and MySQL says ${counter}`);
  return entry.body.equals(body) ? undefined : says(`${entry.body.toString()}, and MySQL says ${body.toString()}`);
}

/** First read before the round, and of a version that was not there yet. */
function isOverwritten({ entry, untrusted }: Held, was: ShardInventory, startedAt: number): boolean {
  return untrusted === undefined && entry.version > was.stamp.to && entry.readAtMs < startedAt;
}

function vanishedFrom(was: ShardInventory, now: ShardInventory, before: Truth, after: Truth): string[] {
  const gone = [...was.entries.values()].filter(({ key, entry, untrusted }) => {
    if (untrusted !== undefined || entry.exactness === 'inexact') return false;
    if (after.rows.get(key)?.table.strategy !== 'overwrite') return false;
    const held = now.entries.get(key);
    return held === undefined || held.untrusted !== undefined;
  });
  return gone.map(({ key, shard }) => {
    const isChanged = before.rows.get(key)?.counter !== after.rows.get(key)?.counter;
    return `${shard}: ${key}, ${isChanged ? 'changed meanwhile' : 'as it was'}`;
  });
}

/** A stamp keeps no more (apply.lua): for another, the oldest goes, and what lies before its end counts no more. */
const HOLES_MAX = 16;

function newHoles({ stamp: was }: ShardInventory, { stamp: now }: ShardInventory): number {
  return now.holes.filter(([, below]) => !was.holes.some(([, known]) => known === below)).length;
}

function isForTheOldestHole({ stamp }: ShardInventory, floor: string): boolean {
  return stamp.holes.length === HOLES_MAX && stamp.holes[0]?.[1] === floor;
}

function raisedIn(was: ShardInventory, now: ShardInventory): string[] {
  const floorsOf = ({ stamp }: ShardInventory) =>
    Object.entries({ floor: stamp.floor, ...prefixed('table', stamp.tables), ...prefixed('ring', stamp.rings) });
  const known = new Map(floorsOf(was));
  return floorsOf(now).flatMap(([name, floor]) =>
    known.get(name) === floor || (name === 'floor' && isForTheOldestHole(was, floor))
      ? []
      : [`${now.shard}: ${name} from ${known.get(name)} to ${floor}`],
  );
}

function prefixed(prefix: string, floors: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(floors).map(([name, floor]) => [`${prefix} ${name}`, floor]));
}
