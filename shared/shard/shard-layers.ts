/** The shards of the configuration, ring by ring, each with its own connection; none is started yet. */
import type { Config, RingConfig } from '../config/schema.ts';
import { messageOf, SetupError } from '../errors/errors.ts';
import { stampKey } from '../key/cache-key.ts';
import { Layers } from '../ring/layers.ts';
import { ringHash } from '../ring/ring-hash.ts';
import { HighestStamps } from '../stamp/stamp-reader.ts';
import type { Log } from '../telemetry/log.ts';
import { describeEndpoint, type Endpoint } from './endpoint.ts';
import { nearPrefixes } from './near/near-prefixes.ts';
import type { NearStore } from './near/near-store.ts';
import { SlowQuota } from './slow-quota.ts';
import { type NearOptions, Shard, type ShardCommand, type ShardCondition, type ShardState } from './shard.ts';

/** For whoever counts. */
export interface ShardObserver {
  readonly onChange?: (ring: string, shard: string, state: ShardState) => void;
  /** Of one that is in use or out of it as before, too. */
  readonly onCondition?: (ring: string, shard: string, condition: ShardCondition) => void;
  readonly onUnreadable?: (kind: 'stamp' | 'lease', shard: string, key: string) => void;
  readonly onAnswer?: (command: ShardCommand, seconds: number) => void;
  /** Redis tells of the changes of what is kept in memory, or does not. */
  readonly onFeed?: (ring: string, shard: string, up: boolean) => void;
}

/**
 * Throws SetupError where a shard's URL is not one.
 * @param highest what is remembered of the shards' stamps, by whoever outlives these connections.
 * @param near where replies of all of them are kept; nothing where none are.
 */
export function shardLayers(
  config: Config,
  log: Log,
  observer: ShardObserver = {},
  highest = new HighestStamps(),
  near?: NearStore,
): Layers<Shard> {
  const quota = new SlowQuota();
  const prefixes = near === undefined ? [] : nearPrefixes(config);
  return layersOf(config, (ring, name, endpoint) => {
    const shard = shardOf(
      config,
      ring,
      name,
      endpoint,
      log,
      observer,
      highest,
      quota,
      near && { store: near, prefixes },
    );
    quota.count(shard);
    return shard;
  });
}

/** The rings, with what they were before; each shard is made once. */
export function layersOf<Shard>(
  { rings }: Pick<Config, 'rings'>,
  make: (ring: RingConfig, name: string, endpoint: Endpoint) => Shard,
): Layers<Shard> {
  return new Layers(
    rings.map((ring) => {
      const made = new Map<string, Shard>();
      const placingOf = ({ shards, placement }: Pick<RingConfig, 'shards' | 'placement'>) => {
        for (const [name, endpoint] of Object.entries(shards)) {
          if (!made.has(name)) made.set(name, make(ring, name, endpoint));
        }
        const named = Object.keys(shards).map((name) => [name, made.get(name) as Shard] as const);
        return { placement: placement ?? ('balanced' as const), shards: new Map(named) };
      };
      return { name: ring.name, ...placingOf(ring), formers: (ring.former ?? []).map(placingOf) };
    }),
  );
}

export function ringHashOf({ shards, placement }: Pick<RingConfig, 'shards' | 'placement'>): string {
  return ringHash(Object.keys(shards), placement ?? 'balanced');
}

/** By which definitions changes are routed: the ring's newest, and its former ones. */
export function ringHashesOf(ring: RingConfig): string[] {
  return [ring, ...(ring.former ?? [])].map(ringHashOf);
}

function shardOf(
  config: Config,
  ring: RingConfig,
  name: string,
  endpoint: Endpoint,
  log: Log,
  observer: ShardObserver,
  highest: HighestStamps,
  quota: SlowQuota,
  near: Pick<NearOptions, 'store' | 'prefixes'> | undefined,
): Shard {
  const { timeoutMs, failuresToOpen, slowMs } = config.shards;
  const fields = { shard: name, ring: ring.name, address: addressOf(name, endpoint) };
  const conditionOf = (shard: Shard) => observer.onCondition?.(ring.name, name, shard.condition);
  const made: Shard = new Shard({
    name,
    ring: ring.name,
    endpoint,
    followed: config.sync && {
      stampKey: stampKey(config.keyPrefix),
      highest: highest.of(stampKey(config.keyPrefix), name),
    },
    timeoutMs,
    failuresToOpen,
    slowMs,
    mayLeaveForSlowness: () => quota.mayOneMoreLeave,
    onChange: (shard, state, why) => {
      observer.onChange?.(ring.name, name, state);
      conditionOf(shard);
      if (state === 'down') log.warn({ ...fields, reason: why }, 'shard out of use');
      else log.info(fields, 'shard in use');
    },
    onStillDown: (reason) => {
      conditionOf(made);
      log.warn({ ...fields, reason }, 'shard still out of use');
    },
    onKeptThoughSlow: (reason) => log.warn({ ...fields, reason }, 'shard in use though slow: too many are'),
    onWrites: (refusedBecause) => {
      conditionOf(made);
      if (refusedBecause === undefined) log.info(fields, 'shard takes rows again');
      else log.warn({ ...fields, reason: refusedBecause }, 'shard refuses rows');
    },
    onUnreadable: (kind, key) => observer.onUnreadable?.(kind, name, key),
    near: near && {
      ...near,
      keyPrefix: config.keyPrefix,
      onFeed: (up, why) => {
        observer.onFeed?.(ring.name, name, up);
        if (up) log.info(fields, 'near cache in use');
        else if (why !== undefined) log.warn({ ...fields, reason: why }, 'near cache out of use');
      },
    },
    onAnswer: (command, seconds) => observer.onAnswer?.(command, seconds),
  });
  return made;
}

function addressOf(shard: string, endpoint: Endpoint): string {
  try {
    return describeEndpoint(endpoint);
  } catch (error) {
    throw new SetupError([{ code: 'config-invalid', where: `rings: shard ${shard}`, message: messageOf(error) }], {
      cause: error,
    });
  }
}
