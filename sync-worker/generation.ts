/**
 * All of the sync worker's work that follows from one configuration: apply and the outlets, so that the queues are drained;
 * then capture, which fills them; then snapshots and the audit. Stopped in reverse.
 *
 *     prepare   the shards are tried, MySQL shows the tables: another generation beside it does not notice
 *     work      the queues are consumed, the binlog is followed: one generation at a time
 *     stop
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config, SyncConfig } from '../shared/config/schema.ts';
import { awaitTables } from '../shared/origin/await-tables.ts';
import type { ExposedTables } from '../shared/origin/exposed-tables.ts';
import { OriginPool } from '../shared/origin/origin-pool.ts';
import { leaseTtlMs, primaryReader } from '../shared/origin/bounded-reads.ts';
import type { Layers } from '../shared/ring/layers.ts';
import { shardLayers } from '../shared/shard/shard-layers.ts';
import type { Shard } from '../shared/shard/shard.ts';
import type { Log } from '../shared/telemetry/log.ts';
import type { Unreadable } from '../shared/telemetry/unreadable.ts';
import { ApplyService } from './apply/apply-service.ts';
import { ReadBack } from './apply/read-back.ts';
import type { ShardApplyStatus } from './apply/status.ts';
import type { AuditMetrics } from './audit/audit-metrics.ts';
import { SamplingAudit, type SamplingStatus } from './audit/sampling-audit.ts';
import { type CaptureStatus, STANDS_BY } from './capture/capture.ts';
import type { Station } from './capture/capture-run.ts';
import { CaptureService } from './capture/capture-service.ts';
import { askHighest } from './capture/continuity/plan.ts';
import { type OutletStatus, OutletsService } from './outlets/outlets-service.ts';
import { SnapshotService, type SnapshotStatus } from './snapshot/snapshot-service.ts';
import type { SyncWorkerTelemetry } from './telemetry.ts';

export interface GenerationOptions {
  readonly config: Config & { readonly sync: SyncConfig };
  readonly telemetry: SyncWorkerTelemetry;
  readonly auditMetrics: AuditMetrics;
  readonly unreadable: Unreadable;
  readonly log: Log;
  readonly onStation: (station: Station | 'applied') => void;
}

/** Capture that has been started may still find that it is not let: no grant, no binlog, another account. */
const LOOK_EVERY_MS = 50;

export class Generation {
  readonly config: Config & { readonly sync: SyncConfig };
  readonly #telemetry: SyncWorkerTelemetry;
  readonly #auditMetrics: AuditMetrics;
  readonly #log: Log;
  readonly #onStation: (station: Station | 'applied') => void;
  readonly #pool: OriginPool;
  /** For stamps and for reading back; apply has connections of its own. */
  readonly #layers: Layers<Shard>;
  readonly #stopping = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  #tables: ExposedTables | undefined;
  #apply: ApplyService | undefined;
  #outlets: OutletsService | undefined;
  #capture: CaptureService | undefined;
  #snapshots: SnapshotService | undefined;
  #audit: SamplingAudit | undefined;
  #isWorking = false;
  #preparing: Promise<void> | undefined;
  #starting: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  /** Throws SetupError where a server's URL is not one. */
  constructor({ config, telemetry, auditMetrics, unreadable, log, onStation }: GenerationOptions) {
    this.config = config;
    this.#telemetry = telemetry;
    this.#auditMetrics = auditMetrics;
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
    this.#layers = shardLayers(config, log.child({ purpose: 'stamps' }), {
      onUnreadable: (kind, shard, key) => unreadable.found(kind, shard, key),
    });
  }

  get captureStatus(): CaptureStatus | undefined {
    return this.#capture?.status;
  }

  get shardStatuses(): readonly ShardApplyStatus[] {
    return this.#apply?.status ?? [];
  }

  get outletStatuses(): readonly OutletStatus[] {
    return this.#outlets?.status ?? [];
  }

  get snapshotStatus(): SnapshotStatus | undefined {
    return this.#snapshots?.status;
  }

  get auditStatus(): SamplingStatus | undefined {
    return this.#audit?.status;
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Why it does not do its work; nothing while it does, or stands by. */
  get whyNotReady(): string | undefined {
    if (this.#tables === undefined) return `MySQL at ${this.#pool.address} has not answered yet`;
    if (this.#starting === undefined) return 'it is being reloaded';
    if (!this.#isWorking) return 'RabbitMQ has not answered yet';
    const { state, reason } = this.#capture?.status ?? {};
    return state === 'retrying' ? reason : undefined;
  }

  /** Rejects with a SetupError if the work ends because of one; settles when it has been stopped. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Waits for MySQL. Throws SetupError; an AbortError when it is stopped. */
  prepare(): Promise<void> {
    this.#preparing ??= this.#prepare();
    return this.#preparing;
  }

  /**
   * To be called when it is prepared. Waits for RabbitMQ; settles when it follows the binlog, or stands by for another that
   * does. Throws SetupError; an AbortError when it is stopped.
   */
  work(): Promise<void> {
    this.#starting ??= this.#work();
    return this.#starting;
  }

  /** Settles when capture has got so far that it follows, or stands by. Throws what ended it; an AbortError when stopped. */
  async shownToWork(): Promise<void> {
    const { signal } = this.#stopping;
    const isShown = () => {
      const { state, reason } = this.#capture?.status ?? {};
      return state === 'following' || reason === STANDS_BY;
    };
    while (!isShown()) await Promise.race([this.ended, sleep(LOOK_EVERY_MS, undefined, { signal })]);
  }

  /** What has been read is published and written down; then go the connections. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #prepare(): Promise<void> {
    const { signal } = this.#stopping;
    await Promise.all(this.#layers.shards.map((shard) => shard.start()));
    signal.throwIfAborted();
    const tables = await awaitTables(this.#pool, this.config, this.#log, signal);
    signal.throwIfAborted();
    this.#tables = tables;
    tables.reloadEvery(this.config.origin.schemaReloadSeconds);
  }

  async #work(): Promise<void> {
    const { signal } = this.#stopping;
    const tables = this.#tables;
    if (tables === undefined) throw new Error('it works only once it is prepared');
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
    this.#isWorking = true;
    this.#log.info({ tables: followed(tables).map((table) => table.followedName) }, 'started');
  }

  async #startApply(tables: ExposedTables): Promise<void> {
    const readBack = this.#readBack(tables);
    this.#apply = new ApplyService({
      config: this.config,
      log: this.#log,
      onReadBack: (queue, keys) => readBack.read(queue, keys),
      onApplied: (queue, batch) => {
        this.#telemetry.applied(queue, batch);
        this.#onStation('applied');
      },
    });
    await this.#apply.start();
  }

  async #startOutlets(): Promise<void> {
    this.#outlets = OutletsService.of({
      config: this.config,
      isFollowing: () => this.#capture?.status.state === 'following',
      log: this.#log,
    });
    await this.#outlets?.start();
  }

  async #startCapture(tables: ExposedTables): Promise<void> {
    this.#capture = new CaptureService({
      config: this.config,
      tables,
      highestStamps: () => askHighest(this.#layers.shards),
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
      config: this.config,
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
      config: this.config,
      tables: () => followed(tables),
      origin: this.#pool,
      server: () => tables.server,
      metrics: this.#auditMetrics,
      log: this.#log,
    });
    await this.#audit.start();
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    // What is being started is not left behind: it ends at its next step, and its own caller hears of it.
    const starting = Promise.allSettled([this.#preparing, this.#starting]);
    await this.#stopWork();
    await starting;
    // What that last step has made came after it was looked for.
    await this.#stopWork();
    this.#tables?.stop();
    for (const shard of this.#layers.shards) shard.stop();
    await this.#pool.stop();
    this.#ended.resolve();
  }

  async #stopWork(): Promise<void> {
    await this.#audit?.stop();
    await this.#snapshots?.stop();
    await this.#capture?.stop();
    await this.#outlets?.stop();
    await this.#apply?.stop();
  }

  #readBack(tables: ExposedTables): ReadBack {
    const { origin } = this.config;
    const reader = primaryReader(this.#pool, origin, () => tables.server, { reload: (table) => tables.reload(table) });
    return new ReadBack({
      tables: followed(tables),
      layers: this.#layers,
      reader,
      leaseTtlMs: leaseTtlMs(origin),
      log: this.#log,
      onOutcome: (outcome) => this.#telemetry.readBack(outcome),
    });
  }
}

function followed(tables: ExposedTables) {
  return [...tables.all()].filter((table) => table.settings.follow);
}
