/**
 * The gateway as a service: the application, and the generation of servers and tables that it serves by. A reload of the
 * configuration puts another generation in its place while requests go on; what was begun with the old one ends with it.
 *
 * Weather is waited for: a Redis that is away is gone round, a MySQL that is away leaves the gateway alive and not
 * ready until it answers. A wrong set-up stops it, with all that is wrong in one message.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { refuseOpening } from '../shared/access/open-to-everybody.ts';
import { type Afterwards, ConfigReloads, NotInTime } from '../shared/config/config-reloads.ts';
import type { LoadedConfig } from '../shared/config/load.ts';
import type { Config } from '../shared/config/schema.ts';
import { codeOf, messageOf, SetupError } from '../shared/errors/errors.ts';
import { unlessAborted } from '../shared/lifecycle/unless-aborted.ts';
import { Listener } from '../shared/listener/listener.ts';
import type { ReloadOutcome } from '../shared/telemetry/config-metrics.ts';
import type { Log } from '../shared/telemetry/log.ts';
import { buildApp, HEADER_BYTES_MAX } from './app.ts';
import { GatewayMemory, Generation } from './generation.ts';
import { OneOfMany } from './processes/one-of-many.ts';
import { GatewayTelemetry } from './telemetry.ts';

export interface GatewayOptions {
  readonly config: Config;
  /** Of the configuration's file, for whoever compares. */
  readonly configSha256?: string;
  readonly version: string;
  readonly log: Log;
  /** How long a new configuration may take until it can be served by. */
  readonly reloadTimeoutMs?: number;
}

const RELOAD_TIMEOUT_MS = 30_000;

export class Gateway {
  readonly #log: Log;
  readonly #version: string;
  readonly #telemetry: GatewayTelemetry;
  readonly #memory = new GatewayMemory();
  readonly #oneOfMany: OneOfMany | undefined;
  readonly #reloads: ConfigReloads;
  readonly #reloadTimeoutMs: number;
  readonly #listener: Listener;
  /** Where it listens cannot be changed while it runs. */
  readonly #address: Pick<Config['http'], 'host' | 'port'>;
  readonly #stopping = new AbortController();
  /** That new requests are served by. */
  #generation: Generation;
  /** And others, that are on their way in or out. */
  readonly #generations = new Set<Generation>();
  #app: FastifyInstance | undefined;
  #starting: Promise<string> | undefined;
  #stopped: Promise<void> | undefined;

  /** Throws SetupError where the certificate or the API keys cannot be used. */
  constructor({ config, configSha256, version, log, reloadTimeoutMs = RELOAD_TIMEOUT_MS }: GatewayOptions) {
    this.#version = version;
    this.#log = log;
    this.#telemetry = new GatewayTelemetry(log, () => this.#generation.waitingForOrigin);
    this.#oneOfMany = OneOfMany.join(this.#telemetry.registry);
    this.#address = config.http;
    this.#reloadTimeoutMs = reloadTimeoutMs;
    this.#listener = new Listener({
      settings: config.http,
      headerBytesMax: HEADER_BYTES_MAX,
      metrics: this.#telemetry.listener,
      log,
    });
    this.#generation = this.#generationOf(config);
    this.#generation.measure();
    const { config: metrics } = this.#telemetry;
    metrics.inUse(configSha256);
    this.#reloads = new ConfigReloads({ adopt: (loaded, signal) => this.#adopt(loaded, signal), metrics, log });
  }

  /**
   * Settles when rows can be read. Listens before that, so that liveness and metrics can be asked meanwhile.
   * @returns the URL that it listens on.
   * Throws SetupError; and an AbortError if it is stopped meanwhile.
   */
  start(): Promise<string> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  /**
   * Puts the configuration in the old one's place, if it can be used; else the old one stays. No request fails for it.
   * Settles when requests are served by the new one, or it is clear that they will not be.
   * @param load reads and checks it. Throws SetupError.
   */
  reload(load: () => LoadedConfig): Promise<ReloadOutcome> {
    return this.#reloads.ask(load);
  }

  /**
   * Readiness falls; then, after `http.drainMs`, the listener closes, requests under way are answered, for at most
   * `http.stopTimeoutMs`; then go the connections behind it. Whoever asks again waits for the same end.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #start(): Promise<string> {
    const { signal } = this.#stopping;
    const generation = this.#generation;
    await generation.connect();
    signal.throwIfAborted();
    const app = await this.#buildApp();
    this.#app = app;
    signal.throwIfAborted();
    const listensWhenReady = this.#oneOfMany?.listensWhenReady === true;
    if (listensWhenReady) await this.#learn(generation);
    const url = await this.#listen(app);
    if (!listensWhenReady) await this.#learn(generation);
    const tables = [...(this.#generation.tables?.all() ?? [])].map((table) => table.label);
    this.#log.info({ tables }, 'ready');
    this.#oneOfMany?.ready();
    return url;
  }

  async #listen(app: FastifyInstance): Promise<string> {
    try {
      const heardAt = await app.listen({ host: this.#address.host, port: this.#address.port });
      // Fastify does not know how the server that it was given is spoken to.
      const url = this.#listener.isSecure ? heardAt.replace(/^http:/, 'https:') : heardAt;
      this.#log.info({ url }, 'listening');
      return url;
    } catch (error) {
      throw listenFailed(error, this.#address);
    }
  }

  async #learn(generation: Generation): Promise<void> {
    const { signal } = this.#stopping;
    try {
      await generation.learn(signal);
    } catch (error) {
      signal.throwIfAborted();
      // A reload was ready before: what was wrong with the first configuration does not matter any more.
      if (generation === this.#generation) throw error;
    }
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    const reloaded = this.#reloads.stop();
    // What is being started is not left behind: it ends at its next step, and its own caller hears of it.
    await this.#starting?.catch(() => undefined);
    const { drainMs } = this.#generation.config.http;
    if (this.#generation.tables !== undefined && drainMs > 0) await sleep(drainMs);
    await this.#closeListener();
    this.#listener.stop();
    await Promise.all([...this.#generations].map((generation) => generation.stop()));
    await reloaded;
    this.#log.info('stopped');
  }

  /** A connection that has sent nothing yet, or half a request, counts as busy; it may not hold us up for ever. */
  async #closeListener(): Promise<void> {
    const app = this.#app;
    if (app === undefined) return;
    const { stopTimeoutMs } = this.#generation.config.http;
    const enough = setTimeout(() => this.#listener.closeAll(), stopTimeoutMs);
    await app.close();
    clearTimeout(enough);
  }

  #generationOf(config: Config): Generation {
    const generation = new Generation({
      config,
      memory: this.#memory,
      telemetry: this.#telemetry,
      log: this.#log,
    });
    this.#generations.add(generation);
    return generation;
  }

  /** Throws SetupError; NotInTime; the signal's reason. Then nothing has changed. */
  async #adopt({ config }: LoadedConfig, signal: AbortSignal): Promise<Afterwards> {
    refuseOpening(this.#address.host, config);
    const useListenerSettings = this.#listener.prepare(config.http);
    const next = this.#generationOf(config);
    const late = AbortSignal.timeout(this.#reloadTimeoutMs);
    const inTime = AbortSignal.any([signal, late]);
    try {
      await unlessAborted(next.connect(), inTime);
      await unlessAborted(next.learn(inTime), inTime);
    } catch (error) {
      const why = late.aborted ? new NotInTime(notAnswered(next), this.#reloadTimeoutMs) : error;
      await this.#end(next);
      throw why;
    }
    const old = this.#generation;
    old.measureNoMore();
    this.#generation = next;
    next.measure();
    useListenerSettings();
    if (config.log.level !== old.config.log.level) this.#log.level = config.log.level;
    this.#tellWhatStays(config.http);
    return () => this.#retire(old);
  }

  /** No request comes to it any more. */
  async #retire(old: Generation): Promise<void> {
    // Waiting costs connections, being cut short an answer: at least for as long as MySQL may take.
    const timeoutMs = Math.max(old.config.http.stopTimeoutMs, old.ports.leaseTtlMs);
    await old.settled(timeoutMs);
    const left = old.underWay;
    if (left > 0) this.#log.warn({ left, timeoutMs }, 'requests of the configuration before were cut short');
    await this.#end(old);
  }

  async #end(generation: Generation): Promise<void> {
    await generation.stop();
    this.#generations.delete(generation);
  }

  #tellWhatStays(http: Config['http']): void {
    const changed: string[] = (['host', 'port'] as const).filter((setting) => http[setting] !== this.#address[setting]);
    if ((http.tls !== undefined) !== this.#listener.isSecure) changed.push('tls');
    if (changed.length === 0) return;
    this.#log.warn({ settings: changed.map((setting) => `http.${setting}`) }, 'settings changed that need a restart');
  }

  #buildApp(): Promise<FastifyInstance> {
    return buildApp({
      version: this.#version,
      generation: () => this.#generation,
      telemetry: this.#telemetry,
      log: this.#log,
      metrics: this.#oneOfMany?.metrics,
      listener: this.#listener,
      whyNotReady: () => {
        if (this.#stopping.signal.aborted) return 'stopping';
        return this.#generation.tables === undefined ? notAnswered(this.#generation) : undefined;
      },
    });
  }
}

function notAnswered({ originAddress }: Generation): string {
  return `MySQL at ${originAddress} has not answered yet`;
}

function listenFailed(error: unknown, { host, port }: Pick<Config['http'], 'host' | 'port'>): SetupError {
  const taken = codeOf(error) === 'EADDRINUSE';
  const message = taken ? `port ${port} on ${host} is taken by another process` : messageOf(error);
  const mend = taken
    ? `set http.port to a free one; ss -ltnp 'sport = :${port}' shows who has it`
    : 'set http.host to an address of this machine';
  return new SetupError([{ code: 'listen-failed', where: 'http', message, mend }], { cause: error });
}
