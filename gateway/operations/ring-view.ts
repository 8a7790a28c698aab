/** The rings as `/-/ring` and `/-/ring/owner` show them. */
import type { Layers } from '../../shared/ring/layers.ts';
import type { ShardPort } from '../journey/read-through.ts';

export interface RingView {
  readonly layers: readonly {
    readonly ring: string;
    readonly shards: readonly {
      readonly shard: string;
      readonly state: string;
      /** Of the hash space; a ring's shares add up to 1. */
      readonly share: number;
      /** Up to when changes have been applied here, ISO 8601; null without sync. */
      readonly asOf: string | null;
      readonly lagMs: number | null;
    }[];
  }[];
}

export function ringView(layers: Layers<ShardPort>): RingView {
  return {
    layers: layers.layers.map(({ name, shards, shares }) => ({
      ring: name,
      shards: [...shards].map(([shard, { state }]) => ({
        shard,
        state,
        share: Number((shares.get(shard) ?? 0).toFixed(4)),
        asOf: null,
        lagMs: null,
      })),
    })),
  };
}

export interface OwnerView {
  readonly key: string;
  readonly candidates: readonly {
    readonly layer: number;
    readonly ring: string;
    readonly shard: string;
    readonly state: string;
  }[];
}

export function ownerView(layers: Layers<ShardPort>, key: string): OwnerView {
  const candidates = layers
    .candidates(key)
    .map(({ layer, ring, shard }) => ({ layer, ring, shard: shard.name, state: shard.state }));
  return { key, candidates };
}
