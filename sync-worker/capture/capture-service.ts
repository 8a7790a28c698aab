/**
 * Capture with its real parts, made of the configuration: the origin's binlog, the broker, the checkpoint on disk.
 *
 * It has a connection to the broker of its own: one that is out of memory stops reading from whoever publishes.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { BrokerConnection } from '../../shared/broker/connection.ts';
import { loggedConnection } from '../../shared/broker/logged-connection.ts';
import { declareOutlets, outletTopologyOf } from '../../shared/broker/outlet-topology.ts';
import { PublishSession } from '../../shared/broker/publisher.ts';
import { type ShardQueue, topologyOf } from '../../shared/broker/topology.ts';
import type { Config, SyncConfig } from '../../shared/config/schema.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import { unlessAborted } from '../../shared/lifecycle/unless-aborted.ts';
import { layersOf, ringHashesOf } from '../../shared/shard/shard-layers.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import type { LogPosition } from '../../shared/version/version.ts';
import { Assembler } from './assembler/assembler.ts';
import { BinlogReader } from './binlog/binlog-reader.ts';
import { Capture, type CaptureStatus } from './capture.ts';
import type { BatchSession, CapturedTables, ShardLane, Station } from './capture-run.ts';
import { CheckpointWriter } from './continuity/checkpoint.ts';
import { viewOf } from './binlog/event-table.ts';
import type { Highest } from './continuity/plan.ts';
import { deleteLeftovers } from './assembler/spill.ts';

export interface CaptureServiceOptions {
  readonly config: Config & { readonly sync: SyncConfig };
  readonly tables: ExposedTables;
  /** Of the shards that can be asked; `askHighest` asks them. */
  readonly highestStamps: () => Promise<Highest>;
  readonly log: Log;
  /** For whoever counts. */
  readonly onStation?: (station: Station) => void;
}

const MEBIBYTE = 1_048_576;
/** Events that have come and wait to be taken. */
const READER_BYTES_MAX = 16 * MEBIBYTE;
/** Without an event or a heartbeat for so long, the connection is taken for dead. */
const SILENCE_MS_LEAST = 5_000;
const SILENCE_HEARTBEATS = 5;

export class CaptureService {
  readonly #broker: BrokerConnection;
  readonly #capture: Capture;
  #running: Promise<void> | undefined;

  /** Throws SetupError where the configuration cannot be. */
  constructor({ config, tables: exposed, highestStamps, log, onStation }: CaptureServiceOptions) {
    const { sync, origin } = config;
    const topology = topologyOf(config, sync);
    const tables = followedOf(exposed);
    const url = sync.originUrl ?? origin.url;
    const broker = loggedConnection(sync, 'capture', log);
    const outlets = outletTopologyOf(config, sync);
    const tells = outlets && ((table: ExposedTable) => outlets.tables.has(table.label));
    const spillFolder = join(sync.stateFolder, `${sync.name}.spilled`);
    this.#broker = broker;
    this.#capture = new Capture({
      name: sync.name,
      origin: { url, timeoutMs: origin.timeoutMs },
      heartbeatMs: sync.heartbeatMs,
      layers: layersOf(config, (ring, name): ShardLane => {
        const isIt = (one: ShardQueue) => one.ring === ring.name && one.shard === name;
        return { queue: topology.shards.find(isIt)?.queue as string };
      }),
      rings: config.rings.flatMap(ringHashesOf),
      tables,
      tells,
      checkpoints: (hooks) => new CheckpointWriter({ stateFolder: sync.stateFolder, name: sync.name, ...hooks }),
      ports: {
        openBinlog: (from) =>
          new BinlogReader({
            url,
            serverId: sync.serverId ?? serverIdOf(sync.name),
            from: from.kind === 'gtid' ? { gtidSet: from.gtid } : from.position,
            // Unusable ones too: it reads ahead, and they may be followed again by the time that their rows are taken.
            follows: (db, table) => exposed.find(db, table)?.settings.follow === true,
            bufferBytesMax: READER_BYTES_MAX,
            heartbeatMs: sync.heartbeatMs,
            silenceMs: Math.max(SILENCE_MS_LEAST, SILENCE_HEARTBEATS * sync.heartbeatMs),
          }),
        newAssembler: (from: LogPosition) =>
          new Assembler({
            from,
            tables,
            viewOf: (event, schema) => viewOf(event, schema, config.tables[`${event.db}.${event.table}`]?.columns),
            spill: { folder: spillFolder },
            events: tells && { tells, nulls: sync.outlets?.nulls ?? 'null' },
            log,
          }),
        openSession: async (signal): Promise<BatchSession> => {
          await unlessAborted(broker.up(), signal);
          if (outlets !== undefined) await declareOutlets(broker, outlets, log);
          const session = await PublishSession.open({ connection: broker, topology });
          return {
            ended: session.ended,
            ready: () => session.ready(),
            publish: (queue, message) => session.publish(queue, message),
            publishEvent: (event) => session.publishEvent(outlets?.exchange ?? '', event),
            close: () => session.close(),
          };
        },
        deleteSpilled: () => deleteLeftovers(spillFolder),
        highestStamps,
      },
      log,
      ...(onStation !== undefined && { onStation }),
    });
  }

  get status(): CaptureStatus {
    return this.#capture.status;
  }

  /**
   * Settles when the broker has been reached; from then on it runs by itself.
   * Throws SetupError where the broker refuses us, and BrokerUnavailable if it is stopped meanwhile.
   */
  async start(): Promise<void> {
    await this.#broker.start();
    this.#running ??= this.#capture.run();
    this.#running.catch(() => undefined);
  }

  /** Settles when it has been stopped. Throws SetupError: what no waiting will mend. To be asked for after `start`. */
  get ended(): Promise<void> {
    return this.#running ?? Promise.resolve();
  }

  async stop(): Promise<void> {
    await this.#capture.stop();
    await this.#broker.stop();
  }
}

/** Made of the installation's name, so that a standby is known by the same id, and another installation by another. */
export function serverIdOf(name: string): number {
  // Never 0, and above what people give their servers.
  return (createHash('sha256').update(`ringfill:${name}`).digest().readUInt32BE(0) | 0x8000_0000) >>> 0;
}

/** Tables that do not take part, or have become unusable, are passed over like those that are not exposed. */
function followedOf(exposed: ExposedTables): CapturedTables {
  const isFollowed = (table: ExposedTable) => table.settings.follow && table.unusable === undefined;
  return {
    find: (db, table) => {
      const found = exposed.find(db, table);
      return found !== undefined && isFollowed(found) ? found : undefined;
    },
    all: () => [...exposed.all()].filter(isFollowed),
    reload: (table) => exposed.reload(table),
  };
}
