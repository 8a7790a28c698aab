/**
 * Looks at suspects as closely as it takes: each time MySQL first, then the shard once it has applied all of that
 * (judge.ts), again and again while that says so.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ShardUnavailable } from '../../shared/errors/errors.ts';
import type { RowId } from '../../shared/key/row-id.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { comparePositions, epochOf, type LogPosition, versionOf } from '../../shared/version/version.ts';
import type { AuditedShard, HeldUnder } from './audited-shard.ts';
import { isEntry, markOf } from './held.ts';
import { type EarlierLooks, judge, type Look, type Verdict } from './judge.ts';
import type { AuditedOrigin, BinlogEnd, OriginWord } from './origin-word.ts';

export interface Suspect {
  readonly shard: AuditedShard;
  readonly key: string;
  readonly id: RowId;
  /** The table's route puts the key into the shard. */
  readonly belongs: boolean;
}

/** `look`: the one that it was judged by; nothing where the shard does not answer. */
export interface Examined {
  readonly verdict: Exclude<Verdict, { kind: 'look-again' }> | { readonly kind: 'in-flight' };
  readonly look: Look | undefined;
}

interface Open {
  readonly suspect: Suspect;
  earlier: EarlierLooks;
}

const LOOKS_MAX = 8;
const LOCKED_LOOKS_MAX = 4;
/** Before each further look, at random so that nothing that recurs is met at the same moment each time. */
const PAUSE_MS = 20;
const PAUSE_MS_MAX = 400;
const LOCKED_WORD: OriginWord = { kind: 'locked' };

export class Examination {
  readonly #origin: AuditedOrigin;
  readonly #table: ExposedTable;
  readonly #signal: AbortSignal;

  constructor(origin: AuditedOrigin, table: ExposedTable, signal: AbortSignal) {
    this.#origin = origin;
    this.#table = table;
    this.#signal = signal;
  }

  /** Throws OriginUnavailable, TableChanged, an AbortError. */
  async examine(suspects: readonly Suspect[]): Promise<Map<Suspect, Examined>> {
    const settled = new Map<Suspect, Examined>();
    let open = suspects.map((suspect): Open => ({ suspect, earlier: { absences: 0, mark: undefined } }));
    for (let looks = 1; open.length > 0; looks += 1) {
      if (looks > 1) await this.#pause(looks);
      const judged = await this.#look(open);
      open = open.filter((one) => {
        const { verdict, look } = judged.get(one) as { verdict: Verdict; look: Look | undefined };
        if (verdict.kind !== 'look-again' && !isWorthAnother(verdict, looks)) {
          settled.set(one.suspect, { verdict, look });
          return false;
        }
        if (looks >= LOOKS_MAX) {
          settled.set(one.suspect, { verdict: verdict.kind === 'look-again' ? { kind: 'in-flight' } : verdict, look });
          return false;
        }
        const isAbsence = verdict.kind === 'look-again' && verdict.because === 'perhaps-deleted';
        one.earlier = { absences: isAbsence ? one.earlier.absences + 1 : 0, mark: look?.mark };
        return true;
      });
    }
    return settled;
  }

  async #look(open: readonly Open[]): Promise<Map<Open, { verdict: Verdict; look: Look | undefined }>> {
    const judged = new Map<Open, { verdict: Verdict; look: Look | undefined }>();
    const byShard = Map.groupBy(open, ({ suspect }) => suspect.shard);
    const before = new Map<AuditedShard, Look['before']>();
    await Promise.all(
      [...byShard.keys()].map(async (shard) => {
        const standing = await shard.standing().catch(unlessDown);
        before.set(shard, standing?.kind === 'vouches' ? standing.stamp : undefined);
      }),
    );
    // Where the key does not belong MySQL need not be asked.
    const asked = new Map(open.filter(({ suspect }) => suspect.belongs).map(({ suspect: { id } }) => [id.segment, id]));
    const words = await this.#origin.words([...asked.values()]);
    const place = latest(words.values());
    const { mode } = this.#table.settings;
    await Promise.all(
      [...byShard].map(async ([shard, ones]) => {
        const found = await this.#read(shard, ones, place);
        const end = found && (await this.#endIfNewer(ones, found, words));
        for (const [index, one] of ones.entries()) {
          const under = found?.[index];
          if (under === undefined) {
            judged.set(one, { verdict: { kind: 'not-compared', because: 'down' }, look: undefined });
            continue;
          }
          const { id, belongs } = one.suspect;
          const look: Look = {
            ...under,
            mark: markOf(under.held, mode === 'mirror'),
            before: before.get(shard),
            belongs,
            mode,
            shape: this.#origin.schema.shape,
            word: words.get(id.segment) ?? LOCKED_WORD,
            end,
            earlier: one.earlier,
          };
          judged.set(one, { verdict: judge(look), look });
        }
      }),
    );
    return judged;
  }

  /** Nothing where the shard does not answer. */
  async #read(
    shard: AuditedShard,
    ones: readonly Open[],
    place: LogPosition | undefined,
  ): Promise<HeldUnder[] | undefined> {
    try {
      if (place !== undefined) await shard.reaches(place, this.#signal);
      return await shard.read(ones.map(({ suspect }) => suspect.key));
    } catch (error) {
      return unlessDown(error);
    }
  }

  async #endIfNewer(
    ones: readonly Open[],
    found: readonly HeldUnder[],
    words: ReadonlyMap<string, OriginWord>,
  ): Promise<BinlogEnd | undefined> {
    const isAnyNewer = found.some(({ held, standing }, index) => {
      const word = words.get((ones[index] as Open).suspect.id.segment);
      if (!isEntry(held) || standing.kind === 'silent' || word === undefined || word.kind === 'locked') return false;
      return held.version > versionOf(epochOf(standing.stamp.to), word.from);
    });
    return isAnyNewer ? await this.#origin.end() : undefined;
  }

  async #pause(looks: number): Promise<void> {
    const upToMs = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** looks);
    await sleep(upToMs * (0.25 + 0.75 * Math.random()), undefined, { signal: this.#signal });
  }
}

/** A lock is mostly let go soon; each look has waited for it already. */
function isWorthAnother(verdict: Verdict, looks: number): boolean {
  return verdict.kind === 'not-compared' && verdict.because === 'locked' && looks < LOCKED_LOOKS_MAX;
}

function latest(words: Iterable<OriginWord>): LogPosition | undefined {
  let place: LogPosition | undefined;
  for (const word of words) {
    if (word.kind !== 'locked' && (place === undefined || comparePositions(word.upTo, place) > 0)) place = word.upTo;
  }
  return place;
}

function unlessDown(error: unknown): undefined {
  if (!(error instanceof ShardUnavailable)) throw error;
  return undefined;
}
