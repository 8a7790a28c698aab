/**
 * What this process has answered from a shard ahead of the shard's stamp, so that time only runs forward there.
 *
 * A fill from the primary may lie beyond the stamp. Evicted, it can be followed by a fill that is known to include no more
 * than the stamp does: from a replica, or from another shard; by this gateway or by another one. Whoever was answered with
 * the first must not be answered with the second. Once the stamp has come to what was answered, whatever the shard takes
 * includes it, and nothing need be remembered.
 */

/**
 * Of one shard. 100,000 keys of 30 characters take about 20 MB, and so many are only ahead while the stamp is far behind.
 * Past the bound the oldest is forgotten: it would have to be evicted and filled from elsewhere meanwhile, too.
 */
const KEYS_MAX = 100_000;
/** How many that the stamp has come to are dropped whenever one is added. */
const DROPPED_AT_ONCE = 2;

export class AnsweredAhead {
  /** By shard; then by key, in the order of their being noted. */
  readonly #shards = new Map<string, Map<string, string>>();

  /** @param to of the shard's stamp, as it was when the answer was found there, or earlier. */
  note(shard: string, key: string, version: string, to: string): void {
    if (version <= to) return;
    let noted = this.#shards.get(shard);
    if (noted === undefined) this.#shards.set(shard, (noted = new Map()));
    let dropped = 0;
    for (const [oldest, itsVersion] of noted) {
      const isOver = itsVersion <= to || noted.size >= KEYS_MAX;
      if (!isOver || dropped === DROPPED_AT_ONCE) break;
      noted.delete(oldest);
      dropped += 1;
    }
    const known = noted.get(key);
    if (known !== undefined) noted.delete(key);
    noted.set(key, known !== undefined && known > version ? known : version);
  }

  /**
   * Whether a row as of this version is no older than what was answered.
   * @param to of the shard's stamp now.
   */
  mayFollow(shard: string, key: string, version: string, to: string): boolean {
    const noted = this.#shards.get(shard);
    const answered = noted?.get(key);
    if (noted === undefined || answered === undefined) return true;
    if (to >= answered) {
      noted.delete(key);
      return true;
    }
    return version >= answered;
  }
}
