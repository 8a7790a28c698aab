import type { RingLayer } from '../client/index.ts';
import { alignedTable } from './aligned-table.ts';

/** The rings for people: a line a shard. */
export function ringTable(layers: readonly RingLayer[]): string {
  const rows = layers.flatMap((layer, index) =>
    layer.shards.map((shard) => [
      index,
      layer.ring,
      shard.shard,
      shard.refillingSince === undefined ? shard.state : `${shard.state}, refilling`,
      `${(100 * shard.share).toFixed(1)} %`.padStart(7),
      shard.asOf ?? '-',
      shard.lagMs === null ? '-' : `${shard.lagMs} ms`,
    ]),
  );
  return alignedTable([['layer', 'ring', 'shard', 'state', 'share', 'as of', 'lag'], ...rows]);
}
