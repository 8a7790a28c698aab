/**
 * What this process has answered from a shard ahead of the shard's stamp, so that time only runs forward there.
 *
 * An answer may lie beyond the stamp: an exact one as far as its version says, an inexact one no one knows how far, but not
 * beyond the end of its read. Evicted, it can be followed by an entry that is known to include no more than the stamp does:
 * read from a replica, or copied from another shard; by this gateway or by another one. Whoever was answered with the
 * first must not be answered with the second. Once the stamp has come to what was answered, whatever the shard takes
 * includes it, and nothing need be remembered.
 */
import type { Entry } from '../../shared/entry/entry.ts';
import type { Stamp } from '../../shared/stamp/stamp.ts';

/** Of an entry, all that is looked at. */
export type Answered = Pick<Entry, 'kind' | 'exactness' | 'isSecondHand' | 'version' | 'readAtMs'>;

/** How far a shard has come; of its stamp. */
export type Reached = Pick<Stamp, 'to' | 'asOf'>;

interface Noted {
  readonly version: string;
  readonly kind: Entry['kind'];
  /** Of an inexact one: when, by `asOf`, the shard has heard of all that it may include. Else 0. */
  readonly settledAt: number;
}

/**
 * Of one shard. 100,000 keys of 30 characters take about 28 MB, and so many are only ahead while the stamp is far behind.
 * Past the bound the oldest is forgotten: it would have to be evicted and filled from elsewhere meanwhile, too.
 */
const KEYS_MAX = 100_000;
/** How many that the stamp has come to are dropped whenever one is added. */
const DROPPED_AT_ONCE = 2;

export class AnsweredAhead {
  /** By shard; then by key, in the order of their being noted. */
  readonly #shards = new Map<string, Map<string, Noted>>();

  /**
   * Of an entry that may follow (`mayFollow`).
   * @param readMsMax how long after `readAtMs` the read of an inexact one may have ended, by the clock of `asOf`.
   * @param reached as it was when the answer was found there, or earlier.
   */
  note(shard: string, key: string, entry: Answered, readMsMax: number, reached: Reached): void {
    const settledAt = settledAtOf(entry, readMsMax);
    if (entry.version <= reached.to && settledAt <= reached.asOf) return;
    let noted = this.#shards.get(shard);
    if (noted === undefined) this.#shards.set(shard, (noted = new Map()));
    const known = noted.get(key);
    if (known !== undefined && (known.version > entry.version || isSame(known, entry, settledAt))) return;
    noted.delete(key);
    let dropped = 0;
    for (const [oldest, its] of noted) {
      const isOver = isReached(its, reached) || noted.size >= KEYS_MAX;
      if (!isOver || dropped === DROPPED_AT_ONCE) break;
      noted.delete(oldest);
      dropped += 1;
    }
    noted.set(key, { version: entry.version, kind: entry.kind, settledAt });
  }

  /** What was answered before does not matter any more: the row was read from the primary since. */
  forget(shard: string, key: string): void {
    this.#shards.get(shard)?.delete(key);
  }

  /**
   * Whether something that was answered may be ahead of whatever else the shard takes.
   * @param reached by the shard now, or earlier.
   */
  isAhead(shard: string, key: string, reached: Reached): boolean {
    return this.#ahead(shard, key, reached) !== undefined;
  }

  /**
   * Whether an entry of the shard is no older than what was answered. Of what is second-hand, only the same is known not to
   * be older than an inexact answer.
   * @param readMsMax as in `note`.
   * @param reached by the shard now.
   */
  mayFollow(shard: string, key: string, entry: Answered, readMsMax: number, reached: Reached): boolean {
    const ahead = this.#ahead(shard, key, reached);
    if (ahead === undefined) return true;
    if (entry.version < ahead.version) return false;
    return ahead.settledAt === 0 || !entry.isSecondHand || isSame(ahead, entry, settledAtOf(entry, readMsMax));
  }

  #ahead(shard: string, key: string, reached: Reached): Noted | undefined {
    const noted = this.#shards.get(shard);
    const answered = noted?.get(key);
    if (answered === undefined || !isReached(answered, reached)) return answered;
    noted?.delete(key);
    return undefined;
  }
}

function settledAtOf({ exactness, readAtMs }: Answered, readMsMax: number): number {
  return exactness === 'exact' ? 0 : readAtMs + readMsMax;
}

function isReached({ version, settledAt }: Noted, { to, asOf }: Reached): boolean {
  return to >= version && asOf >= settledAt;
}

function isSame(noted: Noted, { version, kind }: Answered, settledAt: number): boolean {
  return noted.version === version && noted.settledAt === settledAt && noted.kind === kind;
}
