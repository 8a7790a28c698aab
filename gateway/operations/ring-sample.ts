/**
 * A stretch of each ring as it lies. Of 8,000 points a shard nobody can see any; of the first few hundred one sees how the
 * shards take turns.
 */
import { continuumOf } from '../../shared/ring/continua.ts';
import { HASH_SPACE, POINTS_PER_SHARD } from '../../shared/ring/continuum.ts';
import type { Layers } from '../../shared/ring/layers.ts';
import type { LayerSample } from '../ui/wire.ts';

const ARCS = 240;

export function ringSamples(layers: Layers<unknown>): readonly LayerSample[] {
  return layers.layers.map(({ name, placement, shares }) => {
    const shards = [...shares.keys()];
    const arcs: [shard: number, places: number][] = [];
    let from = 0;
    for (const { last, shard } of continuumOf(shards, placement).arcs()) {
      if (arcs.length === ARCS || last >= HASH_SPACE) break;
      arcs.push([shards.indexOf(shard), last + 1 - from]);
      from = last + 1;
    }
    return {
      ring: name,
      placement,
      points: POINTS_PER_SHARD[placement] * shards.length,
      shards,
      arcs: arcs.map(([shard, places]) => [shard, Number((places / from).toPrecision(4))] as const),
    };
  });
}
