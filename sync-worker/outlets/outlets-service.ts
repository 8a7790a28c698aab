/**
 * The outlets: what others are told by. Capture publishes every event once, to the exchange; from there each outlet has a
 * queue of its own. Those for consumers of others are looked after here (backlogs.ts); files and Redis are consumed here.
 *
 * So an outlet that is slow or broken holds up neither capture nor another outlet: its queue grows, to its bound.
 */
import type { BrokerConnection } from '../../shared/broker/connection.ts';
import { loggedConnection } from '../../shared/broker/logged-connection.ts';
import { type OutletQueue, type OutletTopology, outletTopologyOf } from '../../shared/broker/outlet-topology.ts';
import { MEBIBYTE } from '../../shared/broker/topology.ts';
import type { Config, OutletsConfig, SyncConfig } from '../../shared/config/schema.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { Backlogs } from './backlogs.ts';
import { BinlogFiles } from './binlog-files.ts';
import { OutletConsumer, type Sink } from './outlet-consumer.ts';
import { RedisQueue } from './redis-queue.ts';

export interface OutletsServiceOptions {
  readonly config: Config & { readonly sync: SyncConfig };
  /** Whether this process follows the binlog. */
  readonly isFollowing: () => boolean;
  readonly log: Log;
}

export interface OutletStatus {
  readonly kind: OutletQueue['kind'];
  readonly queue: string;
  /** Of files and Redis: this process has a channel open; of several, one is the active consumer. */
  readonly connected: boolean | undefined;
  /** Of files and Redis: events, since this process started; repeats count. */
  readonly written: number | undefined;
  /** Of files and Redis: messages that were no events. */
  readonly refused: number | undefined;
  /** Events that wait in the queue or are being written; nothing while it is not known. */
  readonly behind: number | undefined;
  /** Events that this process dropped, as there were too many. */
  readonly dropped: number;
  /** Why it does not work just now. */
  readonly lastError: string | undefined;
}

export class OutletsService {
  readonly #connection: BrokerConnection;
  readonly #topology: OutletTopology;
  readonly #consumers: ReadonlyMap<OutletQueue, OutletConsumer>;
  readonly #backlogs: Backlogs;
  #stopped: Promise<void> | undefined;

  /** Nothing where the configuration has no outlets. */
  static of(options: OutletsServiceOptions): OutletsService | undefined {
    const { sync } = options.config;
    const topology = outletTopologyOf(options.config, sync);
    return sync.outlets && topology && new OutletsService(options, sync.outlets, topology);
  }

  private constructor(
    { config, isFollowing, log }: OutletsServiceOptions,
    outlets: OutletsConfig,
    topology: OutletTopology,
  ) {
    const connection = loggedConnection(config.sync, 'outlets', log);
    const { exchange } = topology;
    this.#connection = connection;
    this.#topology = topology;
    this.#backlogs = new Backlogs({ connection, topology, mayDrop: isFollowing, log });
    this.#consumers = new Map(
      topology.queues.flatMap((outlet) => {
        const sink = sinkOf(outlet, outlets, log);
        if (sink === undefined) return [];
        // What a file holds came from an outlet such as this one.
        const takesReplayed = outlet.kind !== 'files';
        return [[outlet, new OutletConsumer({ connection, exchange, outlet, sink, takesReplayed, log })] as const];
      }),
    );
  }

  get status(): OutletStatus[] {
    return this.#topology.queues.map((outlet) => {
      const consumer = this.#consumers.get(outlet);
      const { waiting, dropped, lastError } = this.#backlogs.of(outlet.queue);
      return {
        kind: outlet.kind,
        queue: outlet.queue,
        connected: consumer?.connected,
        written: consumer?.written,
        refused: consumer?.refused,
        behind: waiting === undefined ? undefined : waiting + (consumer?.held ?? 0),
        dropped,
        lastError: consumer?.lastError ?? lastError,
      };
    });
  }

  /** Settles when the broker has been reached. Throws SetupError, and BrokerUnavailable if it is stopped meanwhile. */
  async start(): Promise<void> {
    await this.#connection.start();
    for (const consumer of this.#consumers.values()) consumer.start();
    this.#backlogs.start();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    await Promise.all([this.#backlogs.stop(), ...[...this.#consumers.values()].map((consumer) => consumer.stop())]);
    await this.#connection.stop();
  }
}

function sinkOf({ kind }: OutletQueue, { files, redis }: OutletsConfig, log: Log): Sink | undefined {
  switch (kind) {
    case 'subscriber':
      return undefined;
    case 'files': {
      if (files === undefined) return undefined;
      const { folder, period, fileMebibytesMax, keepDays, keepFiles, keepMebibytes } = files;
      return new BinlogFiles({
        folder,
        period,
        fileBytesMax: fileMebibytesMax * MEBIBYTE,
        keep: { days: keepDays, files: keepFiles ?? Infinity, bytes: keepMebibytes * MEBIBYTE },
        log,
      });
    }
    case 'redis':
      return redis && new RedisQueue(redis);
  }
}
