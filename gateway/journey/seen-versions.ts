/**
 * The newest version that this process has had of each shard, so that time only runs forward there.
 *
 * A fill from the primary may be ahead of the shard's stamp. If it is evicted, a fill from a replica, known to include no
 * more than the stamp, could bring an older row than was answered before. So a replica is only asked for what includes all
 * that was ever answered from the shard.
 */
export class SeenVersions {
  readonly #newest = new Map<string, string>();

  note(shard: string, version: string): void {
    if (version > (this.#newest.get(shard) ?? '')) this.#newest.set(shard, version);
  }

  /** Whether a row as of this version can be older than none that was answered. */
  covers(shard: string, version: string): boolean {
    return version >= (this.#newest.get(shard) ?? '');
  }
}
