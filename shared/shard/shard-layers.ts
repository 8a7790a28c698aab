/** The shards of the configuration, ring by ring, each with its own connection; none is started yet. */
import type { Config, RingConfig } from '../config/schema.ts';
import { messageOf, SetupError } from '../errors/errors.ts';
import { stampKey } from '../key/cache-key.ts';
import { Layers } from '../ring/layers.ts';
import { ringHash } from '../stamp/followed.ts';
import type { Log } from '../telemetry/log.ts';
import { describeEndpoint } from './endpoint.ts';
import { Shard, type ShardCommand, type ShardState } from './shard.ts';

/** For whoever counts. */
export interface ShardObserver {
  readonly onChange?: (ring: string, shard: string, state: ShardState) => void;
  readonly onAnswer?: (command: ShardCommand, seconds: number) => void;
}

/** Throws SetupError where a shard's URL is not one. */
export function shardLayers(config: Config, log: Log, observer: ShardObserver = {}): Layers<Shard> {
  return new Layers(
    config.rings.map((ring) => ({
      name: ring.name,
      placement: ring.placement ?? 'balanced',
      shards: new Map(Object.keys(ring.shards).map((name) => [name, shardOf(config, ring, name, log, observer)])),
    })),
  );
}

export function ringHashOf({ shards, placement }: RingConfig): string {
  return ringHash(Object.keys(shards), placement ?? 'balanced');
}

function shardOf(config: Config, ring: RingConfig, name: string, log: Log, observer: ShardObserver): Shard {
  const { timeoutMs, failuresToOpen } = config.shards;
  const endpoint = ring.shards[name] as RingConfig['shards'][string];
  const fields = { shard: name, ring: ring.name, address: addressOf(name, endpoint) };
  return new Shard({
    name,
    ring: ring.name,
    endpoint,
    followed: config.sync && { stampKey: stampKey(config.keyPrefix), ringHash: ringHashOf(ring) },
    timeoutMs,
    failuresToOpen,
    onChange: (_, state, why) => {
      observer.onChange?.(ring.name, name, state);
      if (state === 'down') log.warn({ ...fields, reason: why }, 'shard out of use');
      else log.info(fields, 'shard in use');
    },
    onStillDown: (reason) => log.warn({ ...fields, reason }, 'shard still out of use'),
    onAnswer: (command, seconds) => observer.onAnswer?.(command, seconds),
  });
}

function addressOf(shard: string, endpoint: RingConfig['shards'][string]): string {
  try {
    return describeEndpoint(endpoint);
  } catch (error) {
    throw new SetupError([{ code: 'config-invalid', where: `rings: shard ${shard}`, message: messageOf(error) }], {
      cause: error,
    });
  }
}
