/** The rings as `/-/ring` and `/-/ring/owner` show them. */
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { Layers } from '../../shared/ring/layers.ts';
import { EVERY_LAYER } from '../../shared/ring/route.ts';
import type { Ports } from '../journey/ports.ts';
import type { ShardPort } from '../journey/shard-port.ts';
import { shardStanding, type TrustRules } from '../journey/trust.ts';
import type { LayerNow } from '../ui/wire.ts';

export interface RingView {
  readonly layers: readonly LayerNow[];
}

export async function ringView({
  layers,
  trustRules,
  refillMs,
  now,
}: Pick<Ports, 'layers' | 'trustRules' | 'refillMs' | 'now'>): Promise<RingView> {
  const views = layers.layers.map(async ({ name, shards, shares, rings }) => ({
    ring: name,
    shards: await Promise.all(
      [...shards].map(async ([shardName, shard]) => {
        const { state, ...standing } = await standingView(shard, { rules: trustRules, rings, refillMs, now });
        return { shard: shardName, state, share: Number((shares.get(shardName) ?? 0).toFixed(4)), ...standing };
      }),
    ),
  }));
  return { layers: await Promise.all(views) };
}

interface ViewTerms {
  readonly rules: TrustRules | undefined;
  readonly rings: readonly string[];
  readonly refillMs: number;
  /** Asked when the stamp is there: one that was waited for is no younger for it. */
  readonly now: () => number;
}

async function standingView(shard: ShardPort, { rules, rings, refillMs, now: clock }: ViewTerms) {
  if (rules === undefined || shard.state === 'down') return { state: shard.condition, asOf: null, lagMs: null };
  try {
    const seen = await shard.seenStamp();
    if (seen === undefined) return { state: 'no-stamp', asOf: null, lagMs: null };
    const { asOf, lostAt } = seen.stamp;
    const now = clock();
    return {
      state: shardStanding(seen, rules, rings, now) ?? shard.condition,
      asOf: new Date(asOf).toISOString(),
      lagMs: Math.max(0, now - asOf),
      ...(lostAt !== undefined && now - lostAt < refillMs && { refillingSince: new Date(lostAt).toISOString() }),
    };
  } catch {
    // It went away meanwhile.
    return { state: shard.condition, asOf: null, lagMs: null };
  }
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

/** @param tables of which a mirror's key belongs into some layers only, or into one shard. */
export function ownerView(layers: Layers<ShardPort>, tables: Iterable<ExposedTable>, key: string): OwnerView {
  const table = [...tables].find((exposed) => exposed.rowIdOf(key) !== undefined);
  const candidates = layers
    .routed(key, table?.settings.mirrored ?? EVERY_LAYER)
    .map(({ layer, ring, shard }) => ({ layer, ring, shard: shard.name, state: shard.condition }));
  return { key, candidates };
}
