/**
 * The sync worker as a service: apply and the outlets, so that the queues are drained; then capture, which fills them.
 * Stopped in reverse.
 *
 * Weather is waited for: MySQL, RabbitMQ or a Redis that is away leaves it alive and not ready, or behind. A wrong set-up
 * stops it, with all that is wrong in one message.
 */
import type { FastifyInstance } from 'fastify';
import type { Config, SyncConfig } from '../shared/config/schema.ts';
import { codeOf, messageOf, SetupError } from '../shared/errors/errors.ts';
import { awaitTables } from '../shared/origin/await-tables.ts';
import type { ExposedTables } from '../shared/origin/exposed-tables.ts';
import { OriginPool } from '../shared/origin/origin-pool.ts';
import { leaseTtlMs, primaryReader } from '../shared/origin/bounded-reads.ts';
import type { Layers } from '../shared/ring/layers.ts';
import { shardLayers } from '../shared/shard/shard-layers.ts';
import type { Shard } from '../shared/shard/shard.ts';
import type { Log } from '../shared/telemetry/log.ts';
import { ApplyService } from './apply/apply-service.ts';
import { ReadBack } from './apply/read-back.ts';
import { AuditMetrics } from './audit/audit-metrics.ts';
import { SamplingAudit } from './audit/sampling-audit.ts';
import type { Station } from './capture/capture-run.ts';
import { CaptureService } from './capture/capture-service.ts';
import { askHighest } from './capture/continuity/plan.ts';
import { buildOperations } from './operations.ts';
import { OutletsService } from './outlets/outlets-service.ts';
import { SnapshotService } from './snapshot/snapshot-service.ts';
import { SyncWorkerTelemetry } from './telemetry.ts';

export interface SyncWorkerOptions {
  readonly config: Config;
  readonly version: string;
  readonly log: Log;
  /** Hears, beside the metrics, of every station of a change's way. `applied`: it is in a shard, and not acked yet. */
  readonly onStation?: (station: Station | 'applied') => void;
}

export class SyncWorker {
  readonly #config: Config & { readonly sync: SyncConfig };
  readonly #log: Log;
  readonly #onStation: (station: Station | 'applied') => void;
  readonly #pool: OriginPool;
  /** For stamps and for reading back; apply has connections of its own. */
  readonly #layers: Layers<Shard>;
  readonly #telemetry: SyncWorkerTelemetry;
  readonly #operations: FastifyInstance;
  readonly #stopping = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  #tables: ExposedTables | undefined;
  #apply: ApplyService | undefined;
  #outlets: OutletsService | undefined;
  #capture: CaptureService | undefined;
  #snapshots: SnapshotService | undefined;
  #audit: SamplingAudit | undefined;
  #isStarted = false;
  #starting: Promise<string> | undefined;
  #stopped: Promise<void> | undefined;

  /** Throws SetupError where the configuration has no `sync`, or cannot be. */
  constructor({ config, version, log, onStation = () => undefined }: SyncWorkerOptions) {
    this.#config = withSync(config);
    this.#log = log;
    this.#onStation = onStation;
    this.#ended.promise.catch(() => undefined);
    this.#pool = new OriginPool({
      url: config.origin.url,
      connections: config.origin.connections,
      timeoutMs: config.origin.timeoutMs,
      packets: true,
      onChange: (state, why) => {
        if (state === 'open') log.error({ origin: this.#pool.address, reason: why }, 'origin out of use');
        else log.info({ origin: this.#pool.address }, 'origin back in use');
      },
    });
    this.#layers = shardLayers(config, log.child({ purpose: 'stamps' }));
    this.#telemetry = new SyncWorkerTelemetry({
      capture: () => this.#capture?.status,
      shards: () => this.#apply?.status ?? [],
      outlets: () => this.#outlets?.status ?? [],
      snapshots: () => this.#snapshots?.status,
    });
    this.#operations = buildOperations({
      telemetry: this.#telemetry,
      whyNotReady: () => this.#whyNotReady(),
      status: () => ({
        version,
        capture: this.#capture?.status ?? null,
        shards: this.#apply?.status ?? [],
        outlets: this.#outlets?.status ?? [],
        ...this.#snapshots?.status,
        audit: this.#audit?.status ?? null,
      }),
    });
  }

  /**
   * Settles when it follows the binlog, or stands by for another that does; /-/live and metrics can be asked before.
   * @returns the URL that it listens on. Throws SetupError; and an AbortError if it is stopped meanwhile.
   */
  start(): Promise<string> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  /** Rejects with a SetupError if the work ends because of one; settles when it has been stopped. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** What has been read is published and written down; then go the connections. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #start(): Promise<string> {
    const { signal } = this.#stopping;
    const url = await this.#listen();
    this.#log.info({ url }, 'listening');
    await Promise.all(this.#shards().map((shard) => shard.start()));
    signal.throwIfAborted();
    const tables = await awaitTables(this.#pool, this.#config, this.#log, signal);
    signal.throwIfAborted();
    this.#tables = tables;
    tables.reloadEvery(this.#config.origin.schemaReloadSeconds);
    await this.#startApply(tables);
    signal.throwIfAborted();
    await this.#startOutlets();
    signal.throwIfAborted();
    await this.#startCapture(tables);
    signal.throwIfAborted();
    await this.#startSnapshots(tables);
    signal.throwIfAborted();
    await this.#startAudit(tables);
    signal.throwIfAborted();
    this.#isStarted = true;
    this.#log.info({ tables: followed(tables).map((table) => table.followedName) }, 'started');
    return url;
  }

  async #startApply(tables: ExposedTables): Promise<void> {
    const readBack = this.#readBack(tables);
    this.#apply = new ApplyService({
      config: this.#config,
      log: this.#log,
      onReadBack: ({ ring, shard }, keys) => readBack.read(this.#shardOf(ring, shard), keys),
      onApplied: (queue, batch) => {
        this.#telemetry.applied(queue, batch);
        this.#onStation('applied');
      },
    });
    await this.#apply.start();
  }

  async #startOutlets(): Promise<void> {
    this.#outlets = OutletsService.of({
      config: this.#config,
      isFollowing: () => this.#capture?.status.state === 'following',
      log: this.#log,
    });
    await this.#outlets?.start();
  }

  async #startCapture(tables: ExposedTables): Promise<void> {
    this.#capture = new CaptureService({
      config: this.#config,
      tables,
      highestStamps: () => askHighest(this.#shards()),
      log: this.#log,
      onStation: (station) => {
        this.#telemetry.passed(station);
        this.#onStation(station);
      },
    });
    await this.#capture.start();
    this.#capture.ended.then(
      () => this.#ended.resolve(),
      (error: unknown) => this.#ended.reject(error),
    );
  }

  async #startSnapshots(tables: ExposedTables): Promise<void> {
    this.#snapshots = new SnapshotService({
      config: this.#config,
      mirrors: () =>
        followed(tables).filter((table) => table.settings.mode === 'mirror' && table.unusable === undefined),
      origin: this.#pool,
      server: () => tables.server,
      log: this.#log,
    });
    await this.#snapshots.start();
  }

  async #startAudit(tables: ExposedTables): Promise<void> {
    this.#audit = new SamplingAudit({
      config: this.#config,
      tables: () => followed(tables),
      origin: this.#pool,
      server: () => tables.server,
      metrics: new AuditMetrics(this.#telemetry.registry),
      log: this.#log,
    });
    await this.#audit.start();
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    // What is being started is not left behind: it ends at its next step, and its own caller hears of it.
    const starting = this.#starting?.catch(() => undefined);
    await this.#audit?.stop();
    await this.#snapshots?.stop();
    await this.#capture?.stop();
    await this.#outlets?.stop();
    await this.#apply?.stop();
    await starting;
    // What that last step has made came after it was looked for.
    await this.#audit?.stop();
    await this.#snapshots?.stop();
    await this.#capture?.stop();
    await this.#outlets?.stop();
    await this.#apply?.stop();
    this.#tables?.stop();
    await this.#operations.close();
    for (const shard of this.#shards()) shard.stop();
    await this.#pool.stop();
    this.#ended.resolve();
    this.#log.info('stopped');
  }

  #whyNotReady(): string | undefined {
    if (this.#stopping.signal.aborted) return 'stopping';
    if (this.#tables === undefined) return `MySQL at ${this.#pool.address} has not answered yet`;
    if (!this.#isStarted) return 'RabbitMQ has not answered yet';
    const { state, reason } = this.#capture?.status ?? {};
    return state === 'retrying' ? reason : undefined;
  }

  #readBack(tables: ExposedTables): ReadBack {
    const { origin } = this.#config;
    const reader = primaryReader(this.#pool, origin, () => tables.server, { reload: (table) => tables.reload(table) });
    return new ReadBack({
      tables: followed(tables),
      reader,
      leaseTtlMs: leaseTtlMs(origin),
      log: this.#log,
      onOutcome: (outcome) => this.#telemetry.readBack(outcome),
    });
  }

  #shards(): Shard[] {
    return this.#layers.layers.flatMap((layer) => [...layer.shards.values()]);
  }

  #shardOf(ring: string, name: string): Shard {
    return this.#layers.layers.find((layer) => layer.name === ring)?.shards.get(name) as Shard;
  }

  async #listen(): Promise<string> {
    const { http, sync } = this.#config;
    try {
      return await this.#operations.listen({ host: http.host, port: sync.port });
    } catch (error) {
      const isTaken = codeOf(error) === 'EADDRINUSE';
      const message = isTaken ? `port ${sync.port} on ${http.host} is taken by another process` : messageOf(error);
      const mend = 'set sync.port to a free one, or to 0';
      throw new SetupError([{ code: 'listen-failed', where: 'sync.port', message, mend }], { cause: error });
    }
  }
}

function followed(tables: ExposedTables) {
  return [...tables.all()].filter((table) => table.settings.follow);
}

function withSync(config: Config): Config & { readonly sync: SyncConfig } {
  const { sync } = config;
  if (sync !== undefined) return { ...config, sync };
  const message = 'there is no sync section: nothing says by which broker changes travel';
  const mend = 'sync: { broker: { url: amqp://user:password@host:5672 } }';
  throw new SetupError([{ code: 'config-invalid', where: 'sync', message, mend }]);
}
