/**
 * What is to be said of one key in one shard: by its position, and never by how long something has been so.
 *
 * MySQL was asked first: it said so at some place from `from` to `upTo` of its binlog. Then the shard was waited for until it
 * had applied everything up to there, and only then was it read, together with its stamp. So whatever changed in between
 * is in the shard already, under a version above `from`:
 *
 *     above `from`                it has changed since: look again              above the binlog's end: ahead
 *     at or below `from`          it must be what MySQL said                    else stale, or an orphan
 *     nothing, and MySQL has it   it may have been deleted since: look again    again and again: missing
 *
 * What may hold more than its version says (an inexact entry: as of its version or a little later) is not wrong at the
 * first look: its change may not have arrived. One that was there, just so, before MySQL was asked has been told of it.
 */
import { isTrusted, type Stamp } from '../../shared/stamp/stamp.ts';
import { epochOf, type LogPosition, versionOf } from '../../shared/version/version.ts';
import type { SilentBecause, Standing } from './audited-shard.ts';
import { type Held, type HeldEntry, isEntry } from './held.ts';
import type { BinlogEnd, OriginWord } from './origin-word.ts';

/**
 * - `stale`       it counts, and is not what MySQL said
 * - `missing`     a complete mirror says "no such row" of one that MySQL has
 * - `orphan`      it counts, and MySQL has no such row; or it lies where the key does not belong
 * - `wrong-type`  what lies there is none of ours
 * - `ahead`       its version lies beyond the binlog's end: no change would ever replace it
 */
export const FAULTS = ['stale', 'missing', 'orphan', 'wrong-type', 'ahead'] as const;
export type Fault = (typeof FAULTS)[number];

export type NotCompared =
  | SilentBecause
  /** It does not answer. */
  | 'down'
  /** It has not applied what MySQL said within the time. */
  | 'behind'
  /** MySQL's rows are another server's than those whose binlog is followed. */
  | 'other-origin'
  /** A mirror that does not claim to have every row. */
  | 'incomplete'
  /** Somebody has the row locked. */
  | 'locked'
  /** Beyond the binlog's end lies even what has been applied: it was reset, and capture has not noticed yet. */
  | 'binlog-reset';

export type Verdict =
  | { readonly kind: 'right' }
  /** It does not count, and nobody is ever going to use it. */
  | { readonly kind: 'left-over' }
  | { readonly kind: 'look-again'; readonly because: LookAgain }
  | { readonly kind: 'fault'; readonly fault: Fault }
  | { readonly kind: 'not-compared'; readonly because: NotCompared };

export type LookAgain = 'changed-since' | 'perhaps-deleted' | 'unconfirmed' | 'other-epoch';

/** What earlier looks at the same key have found. */
export interface EarlierLooks {
  /** So often in a row it was not there although MySQL had it, each time at a later place. */
  readonly absences: number;
  /** What was there the last time (`markOf`); nothing before the first. */
  readonly mark: string | undefined;
}

export interface Look {
  readonly held: Held;
  readonly mark: string;
  readonly standing: Standing;
  /** The shard's stamp before MySQL was asked; nothing where the shard had none. */
  readonly before: Pick<Stamp, 'to'> | undefined;
  /** The table's route puts the key here. */
  readonly belongs: boolean;
  readonly mode: 'mirror' | 'read-through';
  readonly shape: string;
  readonly word: OriginWord;
  /** Where the binlog ends, asked after the shard was read; only where something has changed since. */
  readonly end: BinlogEnd | undefined;
  readonly earlier: EarlierLooks;
}

/** A row that is deleted and inserted again at each of so many looks is taken for missing. */
const ABSENCES_MAX = 5;

const RIGHT: Verdict = { kind: 'right' };
const LEFT_OVER: Verdict = { kind: 'left-over' };
const fault = (found: Fault): Verdict => ({ kind: 'fault', fault: found });
const lookAgain = (because: LookAgain): Verdict => ({ kind: 'look-again', because });
const notCompared = (because: NotCompared): Verdict => ({ kind: 'not-compared', because });

export function judge(look: Look): Verdict {
  const { held, standing, before, belongs, mode, word, earlier } = look;
  if (!belongs) return judgeMisplaced(look);
  if (standing.kind === 'silent') return notCompared(standing.because);
  if (word.kind === 'locked') return notCompared('locked');
  const { stamp } = standing;
  const epoch = epochOf(stamp.to);
  if (before === undefined || epochOf(before.to) !== epoch) return lookAgain('other-epoch');
  if (word.origin !== stamp.origin) return notCompared('other-origin');
  const from = versionOf(epoch, word.from);
  const upTo = versionOf(epoch, word.upTo);
  if (stamp.to < upTo) return notCompared('behind');

  if (held.kind === 'foreign') {
    if (held.isOfOtherMode && (mode === 'read-through' || !standing.isComplete)) return LEFT_OVER;
    return isAsBefore(look) ? fault('wrong-type') : lookAgain('unconfirmed');
  }
  if (isEntry(held) && held.version > from) return judgeNewer(look, held, stamp);
  if (isEntry(held) && counts(look, held, standing)) {
    if (agrees(held, word)) return RIGHT;
    if (held.exactness === 'inexact' && !isAsBefore(look)) return lookAgain('unconfirmed');
    return fault(word.kind === 'row' || held.kind === 'negative' ? 'stale' : 'orphan');
  }
  // Here, nothing counts.
  const isWanted = mode === 'mirror' && word.kind === 'row';
  if (!isWanted) return held.kind === 'nothing' ? RIGHT : LEFT_OVER;
  if (!standing.isComplete) return notCompared('incomplete');
  const nothingSince = from === upTo && stamp.to === upTo;
  return nothingSince || earlier.absences + 1 >= ABSENCES_MAX ? fault('missing') : lookAgain('perhaps-deleted');
}

/**
 * At a first look, without waiting for the shard: it has what MySQL has, and was not written later. So few rows change while
 * they are looked at that only the others need a closer look.
 */
export function isPlainlyRight(held: Held, standing: Standing, word: OriginWord, shape: string): boolean {
  if (standing.kind === 'silent' || word.kind === 'locked' || !isEntry(held)) return false;
  const { stamp } = standing;
  return (
    word.origin === stamp.origin &&
    held.version <= versionAt(stamp, word.from) &&
    counts({ shape }, held, standing) &&
    agrees(held, word)
  );
}

/** Of the epoch that the shard is in; made once for all rows of a read. */
function versionAt({ to }: Stamp, place: LogPosition): string {
  const epoch = epochOf(to);
  const known = VERSIONS.get(place);
  if (known?.epoch === epoch) return known.version;
  const version = versionOf(epoch, place);
  VERSIONS.set(place, { epoch, version });
  return version;
}

const VERSIONS = new WeakMap<LogPosition, { readonly epoch: number; readonly version: string }>();

/** Nobody looks for it here, and no change of its row is sent here. */
function judgeMisplaced(look: Look): Verdict {
  const { held, standing } = look;
  if (held.kind === 'nothing') return RIGHT;
  return standing.kind === 'vouches' && isEntry(held) && counts(look, held, standing) ? fault('orphan') : LEFT_OVER;
}

/** It was written after what MySQL said; or it never was, and no change would ever replace it. */
function judgeNewer({ end }: Look, held: HeldEntry, stamp: Stamp): Verdict {
  if (end === undefined) return lookAgain('changed-since');
  if (end.origin !== stamp.origin) return notCompared('other-origin');
  const endVersion = versionOf(epochOf(stamp.to), end.at);
  if (stamp.to > endVersion) return notCompared('binlog-reset');
  return held.version > endVersion ? fault('ahead') : lookAgain('changed-since');
}

/** A gateway of this configuration would answer with it. */
export function counts(
  { shape }: Pick<Look, 'shape'>,
  held: HeldEntry,
  { stamp, floor }: Standing & { kind: 'vouches' },
): boolean {
  return held.shape === shape && isTrusted(held, stamp, floor);
}

/** Whether the shard has it as MySQL does; of all columns, byte for byte. */
export function agrees(held: HeldEntry, word: OriginWord): boolean {
  if (held.kind === 'negative') return word.kind === 'absent';
  if (word.kind !== 'row') return false;
  if (held.kind === 'too-large') return word.isTooLarge;
  if (held.content.kind === 'json') return held.content.body.equals(word.body);
  const { texts: wanted = {} } = word;
  let count = 0;
  for (const column in wanted) {
    if (held.content.texts.get(column) !== wanted[column]) return false;
    count += 1;
  }
  return count === held.content.texts.size;
}

function isAsBefore({ mark, earlier }: Look): boolean {
  return earlier.mark === mark;
}
