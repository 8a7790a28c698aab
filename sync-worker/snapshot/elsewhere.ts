/**
 * What a mirrored table has left in shards where its rows do not lie: from when it was cached in every layer, or had more
 * copies. It is believed by nobody; but a table that is pinned to a shard should lie there alone, and hashes have no TTL.
 */
import { ShardUnavailable } from '../../shared/errors/errors.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { Layers } from '../../shared/ring/layers.ts';
import { EVERY_LAYER } from '../../shared/ring/route.ts';
import type { Shard } from '../../shared/shard/shard.ts';
import { tableKeysIn } from './table-keys.ts';

/** Shards that are away keep it. @returns how many keys were removed. */
export async function removeElsewhere(
  table: ExposedTable,
  {
    layers,
    stampKey,
    signal,
  }: { readonly layers: Layers<Shard>; readonly stampKey: string; readonly signal: AbortSignal },
): Promise<number> {
  const reached = new Set(layers.reached(table.settings.mirrored ?? EVERY_LAYER).map(({ shard }) => shard));
  const others = layers.reached(EVERY_LAYER).filter(({ shard }) => !reached.has(shard));
  let removed = 0;
  for (const { shard } of others) {
    try {
      for await (const keys of tableKeysIn(shard, table)) {
        signal.throwIfAborted();
        const count = await shard.run('snapshot', (redis) =>
          redis.mirrorElsewhere(1 + keys.length, stampKey, ...keys, table.followedName),
        );
        removed += count;
      }
    } catch (error) {
      if (!(error instanceof ShardUnavailable)) throw error;
    }
  }
  return removed;
}
