/**
 * Strategy `refresh`: entries that a change removed are read from the origin again, before a reader misses them.
 *
 * The change has taken the entry and its lease; what is read from now on, and proved to include the shard's stamp, is
 * stored just as a gateway's fill. Whoever comes first, fills; so nothing here has to succeed: an entry that is not read
 * back is absent, and its next reader fills it. Past the bound keys are let go for the same reason.
 */
import type { ShardQueue } from '../../shared/broker/topology.ts';
import { messageOf, OriginUnavailable, RequestRefused, ShardUnavailable } from '../../shared/errors/errors.ts';
import { entryToStore, whyUnstorable } from '../../shared/fill/entry-to-store.ts';
import { parseRowId } from '../../shared/key/row-id.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { RowReader } from '../../shared/origin/row-reader.ts';
import type { Layers } from '../../shared/ring/layers.ts';
import type { Shard } from '../../shared/shard/shard.ts';
import type { Log } from '../../shared/telemetry/log.ts';

export interface ReadBackOptions {
  readonly tables: Iterable<ExposedTable>;
  readonly layers: Layers<Shard>;
  readonly reader: RowReader;
  /** Longer than the longest origin read, in ms. */
  readonly leaseTtlMs: number;
  readonly log: Log;
  readonly onOutcome: (outcome: ReadBackOutcome) => void;
}

export type ReadBackOutcome = 'stored' | 'unstored' | 'failed' | 'let-go';

/** Of all shards together; the reader gathers them into a few SELECTs. */
const UNDER_WAY_MAX = 2_000;

export class ReadBack {
  readonly #options: ReadBackOptions;
  #underWay = 0;

  constructor(options: ReadBackOptions) {
    this.#options = options;
  }

  /** Returns at once. */
  read(queue: ShardQueue, entryKeys: readonly string[]): void {
    for (const key of entryKeys) {
      if (this.#underWay >= UNDER_WAY_MAX) {
        this.#options.onOutcome('let-go');
        continue;
      }
      this.#underWay += 1;
      void this.#fill(queue, key)
        .catch((error: unknown): ReadBackOutcome => {
          const isWeather = error instanceof ShardUnavailable || error instanceof OriginUnavailable;
          if (!isWeather) this.#options.log.error({ err: error, key }, 'not read back');
          else this.#options.log.debug({ reason: messageOf(error), key }, 'not read back');
          return 'failed';
        })
        .then((outcome) => this.#options.onOutcome(outcome))
        .finally(() => (this.#underWay -= 1));
    }
  }

  async #fill(queue: ShardQueue, key: string): Promise<ReadBackOutcome> {
    const { reader, leaseTtlMs, layers } = this.#options;
    const named = this.#tableOf(key);
    if (named === undefined) return 'unstored';
    const { table, id } = named;
    const owner = layers.candidates(key).find((one) => one.ring === queue.ring && one.shard.name === queue.shard);
    if (owner === undefined) return 'unstored';
    const { shard } = owner;
    const followedAs = { table: table.followedName, ring: owner.rings[0] as string };
    const lease = await shard.lease(key, { followedAs, shape: table.schema.shape, leaseTtlMs, over: 'nothing' });
    // Another is filling it, or has: that is as good.
    if (lease.kind !== 'lease') return 'unstored';
    const readAtMs = Date.now();
    try {
      const row = await reader.read(table, id);
      if (whyUnstorable(row, table, id, lease.base) === undefined) {
        const { entry, keptMs } = entryToStore(row, table, lease.base, { readAtMs, random: Math.random });
        return (await shard.fill(key, lease.token, entry, keptMs, followedAs)) === 'stored' ? 'stored' : 'unstored';
      }
    } catch (error) {
      await shard.release(key, lease.token, 'keep').catch(() => undefined);
      throw error;
    }
    await shard.release(key, lease.token, 'drop');
    return 'unstored';
  }

  #tableOf(key: string) {
    for (const table of this.#options.tables) {
      if (!key.startsWith(table.keyPrefix)) continue;
      try {
        return { table, id: parseRowId(table.schema.key, key.slice(table.keyPrefix.length)) };
      } catch (error) {
        // Another table's key that begins alike.
        if (!(error instanceof RequestRefused)) throw error;
      }
    }
    return undefined;
  }
}
