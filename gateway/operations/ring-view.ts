/** The rings as `/-/ring` and `/-/ring/owner` show them. */
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { Layers } from '../../shared/ring/layers.ts';
import { EVERY_LAYER } from '../../shared/ring/route.ts';
import type { Ports, ShardPort } from '../journey/ports.ts';
import { shardStanding, type TrustRules } from '../journey/trust.ts';

export interface RingView {
  readonly layers: readonly {
    readonly ring: string;
    readonly shards: readonly {
      readonly shard: string;
      /** Its ShardCondition: `ok`, `down`, `slow`, …; or why it does not vouch for what it holds (SilentBecause). */
      readonly state: string;
      /** Of the hash space; a ring's shares add up to 1. */
      readonly share: number;
      /** Up to when changes have been applied here, ISO 8601; null without sync. */
      readonly asOf: string | null;
      readonly lagMs: number | null;
      /**
       * It has lost what it held then, ISO 8601, and what is missed in it is looked for in the next ring; only while that
       * is so.
       */
      readonly refillingSince?: string;
    }[];
  }[];
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
