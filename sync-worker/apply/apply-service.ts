/**
 * Apply, for all shards of the configuration: each has its queue, its channel and its pace, so that one that is away
 * holds up no other. Several processes may run it: of those who consume a queue, the broker makes one active.
 *
 * Weather is waited for. A broker that refuses us, or that has a queue of other properties, ends the start.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BrokerConnection } from '../../shared/broker/connection.ts';
import { loggedConnection } from '../../shared/broker/logged-connection.ts';
import { Undertaker } from '../../shared/broker/dead-letters.ts';
import { BrokerUnavailable } from '../../shared/broker/broker-errors.ts';
import { declareTopology, type ShardQueue, type Topology, topologyOf } from '../../shared/broker/topology.ts';
import type { DecodedBatch } from '../../shared/change/change-batch.ts';
import type { Config, SyncConfig } from '../../shared/config/schema.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import { Backoff } from '../../shared/lifecycle/backoff.ts';
import { type Endpoint, endpointsOf } from '../../shared/shard/endpoint.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { ShardApply } from './shard-apply.ts';
import type { ShardApplyStatus } from './status.ts';

export interface ApplyServiceOptions {
  readonly config: Pick<Config, 'rings' | 'keyPrefix'> & { readonly sync: SyncConfig };
  readonly log: Log;
  /** Entries that were removed and want to be read again. */
  readonly onReadBack?: (queue: ShardQueue, keys: readonly string[]) => void;
  /** A message's changes are in a shard, and it is not acked yet. */
  readonly onApplied?: (queue: ShardQueue, batch: DecodedBatch) => void;
}

export class ApplyService {
  readonly #topology: Topology;
  /** One that consumes and one that publishes; see connection.ts. */
  readonly #consuming: BrokerConnection;
  readonly #burying: BrokerConnection;
  readonly #shards: readonly ShardApply[];
  #stopped: Promise<void> | undefined;

  /** Throws SetupError where the configuration cannot be. */
  constructor({ config, log, onReadBack = () => undefined, onApplied = () => undefined }: ApplyServiceOptions) {
    const { sync } = config;
    this.#topology = topologyOf(config, sync);
    this.#consuming = loggedConnection(sync, 'apply', log);
    this.#burying = loggedConnection(sync, 'apply, dead letters', log);
    const undertaker = new Undertaker(this.#burying, this.#topology);
    const endpoints = new Map(config.rings.map((ring) => [ring.name, endpointsOf(ring)]));
    this.#shards = this.#topology.shards.map((queue) => {
      return new ShardApply({
        connection: this.#consuming,
        topology: this.#topology,
        queue,
        keyPrefix: config.keyPrefix,
        shard: {
          endpoint: endpoints.get(queue.ring)?.get(queue.shard) as Endpoint,
          followed: { stampKey: stampKey(config.keyPrefix) },
        },
        bury: (from, why, message) => undertaker.bury(from, why, message),
        onReadBack,
        onApplied,
        log,
      });
    });
  }

  /** Of every shard, in the configuration's order. */
  get status(): ShardApplyStatus[] {
    return this.#shards.map((shard) => shard.status);
  }

  /**
   * Settles when the queues are there and every shard has been tried once.
   * Throws SetupError, and BrokerUnavailable if it is stopped meanwhile.
   */
  async start(): Promise<void> {
    await Promise.all([this.#consuming.start(), this.#burying.start()]);
    await this.#declare();
    await Promise.all(this.#shards.map((shard) => shard.start()));
  }

  /** Intake ends, what is under way is finished, then go the connections. Whoever asks again waits for the same end. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #declare(): Promise<void> {
    const backoff = new Backoff(100, 3_000);
    for (;;) {
      try {
        return await declareTopology(this.#consuming, this.#topology);
      } catch (error) {
        // It went away between the two.
        if (!(error instanceof BrokerUnavailable)) throw error;
        await sleep(backoff.nextMs());
        await this.#consuming.up();
      }
    }
  }

  async #stop(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.stop()));
    await Promise.all([this.#consuming.stop(), this.#burying.stop()]);
  }
}
