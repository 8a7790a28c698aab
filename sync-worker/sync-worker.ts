/**
 * The sync worker as a service: what operators ask it by, and the generation of connections that does the work. A reload of
 * the configuration stops one generation and starts the next, which reads on from the checkpoint; capture and apply pause
 * meanwhile, and `/-/…` goes on.
 *
 * Weather is waited for: MySQL, RabbitMQ or a Redis that is away leaves it alive and not ready, or behind. A wrong set-up
 * stops it, with all that is wrong in one message.
 */
import type { FastifyInstance } from 'fastify';
import { AccessMetrics } from '../shared/access/access-metrics.ts';
import { type Admission, admissionOf } from '../shared/access/admission.ts';
import { refuseOpening } from '../shared/access/open-to-everybody.ts';
import { type Afterwards, ConfigReloads, NotInTime } from '../shared/config/config-reloads.ts';
import type { LoadedConfig } from '../shared/config/load.ts';
import type { Config, SyncConfig } from '../shared/config/schema.ts';
import { codeOf, messageOf, SetupError } from '../shared/errors/errors.ts';
import { Listener } from '../shared/listener/listener.ts';
import { ListenerMetrics } from '../shared/listener/listener-metrics.ts';
import { unlessAborted } from '../shared/lifecycle/unless-aborted.ts';
import type { ReloadOutcome } from '../shared/telemetry/config-metrics.ts';
import type { Log } from '../shared/telemetry/log.ts';
import { Unreadable } from '../shared/telemetry/unreadable.ts';
import { AuditMetrics } from './audit/audit-metrics.ts';
import type { Station } from './capture/capture-run.ts';
import { Generation } from './generation.ts';
import { buildOperations, HEADER_BYTES_MAX } from './operations.ts';
import { SyncWorkerTelemetry } from './telemetry.ts';

export interface SyncWorkerOptions {
  readonly config: Config;
  /** Of the configuration's file, for whoever compares. */
  readonly configSha256?: string;
  readonly version: string;
  readonly log: Log;
  /** Hears, beside the metrics, of every station of a change's way. `applied`: it is in a shard, and not acked yet. */
  readonly onStation?: (station: Station | 'applied') => void;
  /** How long a new configuration may take to show the tables, and then to do its work. */
  readonly reloadTimeoutMs?: number;
}

const RELOAD_TIMEOUT_MS = 30_000;
/** Then: until it follows. What capture would wait for at a start may be a mistake in the new file here. */
const SHOWN_WITHIN_MS = 10_000;

export class SyncWorker {
  readonly #log: Log;
  readonly #onStation: (station: Station | 'applied') => void;
  readonly #telemetry: SyncWorkerTelemetry;
  readonly #auditMetrics: AuditMetrics;
  readonly #unreadable: Unreadable;
  readonly #accessMetrics: AccessMetrics;
  readonly #operations: FastifyInstance;
  readonly #listener: Listener;
  readonly #reloads: ConfigReloads;
  readonly #reloadTimeoutMs: number;
  /** Where it listens cannot be changed while it runs. */
  readonly #address: { readonly host: string; readonly port: number };
  readonly #stopping = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  /** That works, or is about to. */
  #generation: Generation;
  /** Nothing where everybody may ask it. */
  #admission: Admission | undefined;
  #configSha256: string | undefined;
  #starting: Promise<string> | undefined;
  #stopped: Promise<void> | undefined;

  /** Throws SetupError where the configuration has no `sync`, or its certificate or API keys cannot be used. */
  constructor(options: SyncWorkerOptions) {
    const { config, configSha256, version, log, onStation = () => undefined } = options;
    this.#log = log;
    this.#onStation = onStation;
    this.#reloadTimeoutMs = options.reloadTimeoutMs ?? RELOAD_TIMEOUT_MS;
    this.#ended.promise.catch(() => undefined);
    this.#telemetry = new SyncWorkerTelemetry({
      capture: () => this.#generation.captureStatus,
      shards: () => this.#generation.shardStatuses,
      outlets: () => this.#generation.outletStatuses,
      snapshots: () => this.#generation.snapshotStatus,
    });
    this.#auditMetrics = new AuditMetrics(this.#telemetry.registry);
    this.#unreadable = new Unreadable(this.#telemetry.registry, log);
    const { config: metrics } = this.#telemetry;
    metrics.inUse(configSha256);
    this.#configSha256 = configSha256;
    this.#generation = this.#generationOf(config);
    const { http, sync } = this.#generation.config;
    const metricsOfListener = new ListenerMetrics(this.#telemetry.registry);
    this.#listener = new Listener({
      settings: http,
      headerBytesMax: HEADER_BYTES_MAX,
      metrics: metricsOfListener,
      log,
    });
    this.#accessMetrics = new AccessMetrics(this.#telemetry.registry);
    this.#admission = this.#admissionOf(config);
    this.#admission?.measure();
    this.#address = { host: http.host, port: sync.port };
    this.#reloads = new ConfigReloads({ adopt: (loaded, signal) => this.#adopt(loaded, signal), metrics, log });
    this.#operations = buildOperations({
      telemetry: this.#telemetry,
      listener: this.#listener,
      admission: () => this.#admission,
      whyNotReady: () => (this.#stopping.signal.aborted ? 'stopping' : this.#generation.whyNotReady),
      status: () => ({
        version,
        configSha256: this.#configSha256 ?? null,
        capture: this.#generation.captureStatus ?? null,
        shards: this.#generation.shardStatuses,
        outlets: this.#generation.outletStatuses,
        ...this.#generation.snapshotStatus,
        audit: this.#generation.auditStatus ?? null,
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

  /**
   * Goes on by this configuration, if that can be; else by the one before. Settles when it works by the one or the other,
   * or begins to again.
   * @param load reads and checks it. Throws SetupError.
   */
  reload(load: () => LoadedConfig): Promise<ReloadOutcome> {
    return this.#reloads.ask(load);
  }

  /** What has been read is published and written down; then go the connections. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #start(): Promise<string> {
    const url = await this.#listen();
    this.#log.info({ url }, 'listening');
    await this.#run(this.#generation);
    this.#stopping.signal.throwIfAborted();
    return url;
  }

  /** Settles when it works, or a reload has taken its place meanwhile. Throws SetupError. */
  async #run(generation: Generation): Promise<void> {
    try {
      await generation.prepare();
      await generation.work();
      this.#watch(generation);
    } catch (error) {
      if (!generation.isStopping) throw error;
    }
  }

  /** If it ends because of a wrong set-up, so do we. */
  #watch(generation: Generation): void {
    generation.ended.catch((error: unknown) => this.#ended.reject(error));
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    await this.#reloads.stop();
    await this.#generation.stop();
    await this.#starting?.catch(() => undefined);
    await this.#operations.close();
    this.#listener.stop();
    this.#admission?.stop();
    this.#ended.resolve();
    this.#log.info('stopped');
  }

  #generationOf(config: Config): Generation {
    return new Generation({
      config: withSync(config),
      telemetry: this.#telemetry,
      auditMetrics: this.#auditMetrics,
      unreadable: this.#unreadable,
      log: this.#log,
      onStation: this.#onStation,
    });
  }

  /** Throws SetupError. */
  #admissionOf(config: Config): Admission | undefined {
    return admissionOf({ config, metrics: this.#accessMetrics, log: this.#log });
  }

  #admit(admission: Admission | undefined): void {
    this.#admission?.stop();
    this.#admission = admission;
    this.#accessMetrics.keysAre(0);
    admission?.measure();
  }

  /** Throws SetupError; NotInTime; the signal's reason. Then it is as it was before, or begins to be. */
  async #adopt({ config, sha256 }: LoadedConfig, signal: AbortSignal): Promise<Afterwards> {
    refuseOpening(this.#address.host, config);
    const useListenerSettings = this.#listener.prepare(config.http);
    const admission = this.#admissionOf(config);
    try {
      await this.#adoptGeneration(config, signal);
    } catch (error) {
      admission?.stop();
      throw error;
    }
    useListenerSettings();
    this.#admit(admission);
    this.#configSha256 = sha256;
    this.#tellWhatStays(this.#generation.config);
    return async () => undefined;
  }

  async #adoptGeneration(config: Config, signal: AbortSignal): Promise<void> {
    const next = this.#generationOf(config);
    await this.#inTime(next, signal, this.#reloadTimeoutMs, () => next.prepare());
    const old = this.#generation;
    if (config.log.level !== old.config.log.level) this.#log.level = config.log.level;
    this.#generation = next;
    await old.stop();
    try {
      await this.#inTime(next, signal, this.#reloadTimeoutMs, () => next.work());
      await this.#inTime(next, signal, SHOWN_WITHIN_MS, () => next.shownToWork());
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#goBackTo(old.config);
      throw error;
    }
    this.#watch(next);
  }

  /** Where that fails or takes too long, the generation is stopped. */
  async #inTime(
    generation: Generation,
    signal: AbortSignal,
    timeoutMs: number,
    step: () => Promise<void>,
  ): Promise<void> {
    const late = AbortSignal.timeout(timeoutMs);
    const inTime = AbortSignal.any([signal, late]);
    try {
      inTime.throwIfAborted();
      await unlessAborted(step(), inTime);
    } catch (error) {
      const why = late.aborted ? new NotInTime(generation.whyNotReady ?? 'it stands still', timeoutMs) : error;
      await generation.stop();
      throw why;
    }
  }

  #goBackTo(config: Config): void {
    this.#log.warn('starts again by the configuration before');
    if (config.log.level !== this.#generation.config.log.level) this.#log.level = config.log.level;
    this.#generation = this.#generationOf(config);
    // It has worked before; its weather is waited for, as at any start.
    this.#run(this.#generation).catch((error: unknown) => this.#ended.reject(error));
  }

  #tellWhatStays({ http, sync }: Generation['config']): void {
    const settings = [
      ...(http.host === this.#address.host ? [] : ['http.host']),
      ...(sync.port === this.#address.port ? [] : ['sync.port']),
      ...((http.tls !== undefined) === this.#listener.isSecure ? [] : ['http.tls']),
    ];
    if (settings.length > 0) this.#log.warn({ settings }, 'settings changed that need a restart');
  }

  async #listen(): Promise<string> {
    const { host, port } = this.#address;
    try {
      const heardAt = await this.#operations.listen({ host, port });
      return this.#listener.isSecure ? heardAt.replace(/^http:/, 'https:') : heardAt;
    } catch (error) {
      const isTaken = codeOf(error) === 'EADDRINUSE';
      const message = isTaken ? `port ${port} on ${host} is taken by another process` : messageOf(error);
      const mend = 'set sync.port to a free one, or to 0';
      throw new SetupError([{ code: 'listen-failed', where: 'sync.port', message, mend }], { cause: error });
    }
  }
}

function withSync(config: Config): Config & { readonly sync: SyncConfig } {
  const { sync } = config;
  if (sync !== undefined) return { ...config, sync };
  const message = 'there is no sync section: nothing says by which broker changes travel';
  const mend = 'sync: { broker: { url: amqp://user:password@host:5672 } }';
  throw new SetupError([{ code: 'config-invalid', where: 'sync', message, mend }]);
}
