/**
 * The gateway as a service: shards, origin, application, in that order; stopped in reverse.
 *
 * Weather is waited for: a Redis that is away is gone round, a MySQL that is away leaves the gateway alive and not
 * ready until it answers. A wrong set-up stops it, with all that is wrong in one message.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Config } from '../shared/config/schema.ts';
import { codeOf, messageOf, SetupError } from '../shared/errors/errors.ts';
import { awaitTables } from '../shared/origin/await-tables.ts';
import type { ExposedTables } from '../shared/origin/exposed-tables.ts';
import { OriginPool } from '../shared/origin/origin-pool.ts';
import { boundedReader, leaseTtlMs, primaryReader } from '../shared/origin/bounded-reads.ts';
import { OriginReads } from '../shared/origin/origin-reads.ts';
import type { ExposedTable } from '../shared/origin/exposed-table.ts';
import { replicaRead } from '../shared/origin/replica-read.ts';
import type { Layers } from '../shared/ring/layers.ts';
import { ringHashOf, shardLayers } from '../shared/shard/shard-layers.ts';
import type { Shard } from '../shared/shard/shard.ts';
import type { Log } from '../shared/telemetry/log.ts';
import { buildApp } from './app.ts';
import { Flights } from './journey/flights.ts';
import type { Ports } from './journey/ports.ts';
import { SeenVersions } from './journey/seen-versions.ts';
import type { TrustRules } from './journey/trust.ts';
import { GatewayTelemetry } from './telemetry.ts';

/** A table's schema is read again for requests no more often than this. */
const LOOK_AGAIN_EVERY_MS = 1_000;
/** Three failures take MySQL out of use: an outage is known after some six seconds, though nobody misses a row. */
const WATCH_ORIGIN_MS = 2_000;

export interface GatewayOptions {
  readonly config: Config;
  readonly version: string;
  readonly log: Log;
}

export class Gateway {
  readonly #config: Config;
  readonly #log: Log;
  readonly #version: string;
  readonly #telemetry: GatewayTelemetry;
  readonly #pool: OriginPool;
  readonly #replicas: readonly OriginPool[];
  readonly #reads: OriginReads;
  readonly #layers: Layers<Shard>;
  readonly #stopping = new AbortController();
  #tables: ExposedTables | undefined;
  /** When a table's schema was read again for the sake of a request. */
  readonly #lookedAt = new Map<ExposedTable, number>();
  #app: FastifyInstance | undefined;
  #starting: Promise<string> | undefined;
  #stopped: Promise<void> | undefined;

  constructor({ config, version, log }: GatewayOptions) {
    this.#config = config;
    this.#version = version;
    this.#log = log;
    this.#telemetry = new GatewayTelemetry(() => this.#reads.waiting);
    this.#pool = new OriginPool({
      url: config.origin.url,
      connections: config.origin.connections,
      timeoutMs: config.origin.timeoutMs,
      packets: config.sync !== undefined,
      onChange: (state, why) => {
        this.#telemetry.originChanged(state === 'closed');
        if (state === 'open') log.error({ origin: this.#pool.address, reason: why }, 'origin out of use');
        else log.info({ origin: this.#pool.address }, 'origin back in use');
      },
    });
    this.#replicas = config.sync === undefined ? [] : config.origin.replicas.map((url) => this.#replicaPool(url));
    this.#reads = this.#originReads();
    this.#layers = shardLayers(config, log, {
      onChange: (ring, shard, state) => this.#telemetry.shardChanged(ring, shard, state),
      onAnswer: (command, seconds) => this.#telemetry.shardCommand(command, seconds),
    });
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
   * Readiness falls; then, after `http.drainMs`, the listener closes, requests under way are answered, for at most
   * `http.stopTimeoutMs`; then go the connections behind it. Whoever asks again waits for the same end.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #start(): Promise<string> {
    const { http, origin } = this.#config;
    const { signal } = this.#stopping;
    await Promise.all(this.#shards().map((shard) => shard.start()));
    signal.throwIfAborted();
    this.#app = await this.#buildApp();
    signal.throwIfAborted();
    let url: string;
    try {
      url = await this.#app.listen({ host: http.host, port: http.port });
    } catch (error) {
      throw listenFailed(error, http);
    }
    this.#log.info({ url }, 'listening');
    const tables = await awaitTables(this.#pool, this.#config, this.#log, signal);
    signal.throwIfAborted();
    this.#tables = tables;
    tables.reloadEvery(origin.schemaReloadSeconds);
    this.#telemetry.originChanged(true);
    for (const pool of [this.#pool, ...this.#replicas]) pool.watch(WATCH_ORIGIN_MS);
    this.#log.info({ tables: [...tables.all()].map((table) => table.label) }, 'ready');
    return url;
  }

  async #stop(): Promise<void> {
    const { drainMs } = this.#config.http;
    this.#stopping.abort();
    // What is being started is not left behind: it ends at its next step, and its own caller hears of it.
    await this.#starting?.catch(() => undefined);
    if (this.#tables !== undefined && drainMs > 0) await sleep(drainMs);
    this.#tables?.stop();
    await this.#closeListener();
    for (const shard of this.#shards()) shard.stop();
    await Promise.all([this.#pool, ...this.#replicas].map((pool) => pool.stop()));
    this.#log.info('stopped');
  }

  /** A connection that has sent nothing yet, or half a request, counts as busy; it may not hold us up for ever. */
  async #closeListener(): Promise<void> {
    const app = this.#app;
    if (app === undefined) return;
    const enough = setTimeout(() => app.server.closeAllConnections(), this.#config.http.stopTimeoutMs);
    await app.close();
    clearTimeout(enough);
  }

  #originReads(): OriginReads {
    const { origin } = this.#config;
    const server = () => this.#knownTables().server;
    const hooks = (from: 'primary' | 'replica') => ({
      reload: async (table: ExposedTable) => this.#tables?.reload(table),
      onRead: (table: ExposedTable, rowsAsked: number, seconds: number) =>
        this.#telemetry.originRead(table.label, from, rowsAsked, seconds),
    });
    const primary = primaryReader(this.#pool, origin, server, hooks('primary'));
    if (this.#replicas.length === 0) return new OriginReads(primary);
    const read = replicaRead(this.#replicas, server, origin.replicaWaitMs);
    return new OriginReads(primary, boundedReader({ readPlain: read, readProved: read }, origin, hooks('replica')));
  }

  #replicaPool(url: string): OriginPool {
    const { connections, timeoutMs } = this.#config.origin;
    const pool: OriginPool = new OriginPool({
      url,
      connections,
      timeoutMs,
      packets: true,
      onChange: (state, why) => {
        if (state === 'open') this.#log.warn({ replica: pool.address, reason: why }, 'replica out of use');
        else this.#log.info({ replica: pool.address }, 'replica back in use');
      },
    });
    return pool;
  }

  #shards(): Shard[] {
    return this.#layers.layers.flatMap((layer) => [...layer.shards.values()]);
  }

  #buildApp(): Promise<FastifyInstance> {
    const ports: Ports = {
      layers: this.#layers,
      origin: this.#reads,
      flights: new Flights(),
      seenVersions: this.#replicas.length === 0 ? undefined : new SeenVersions(),
      trustRules: trustRulesOf(this.#config),
      writeWaitMs: this.#config.sync?.writeWaitMs ?? 0,
      leaseTtlMs: leaseTtlMs(this.#config.origin),
      now: Date.now,
      random: Math.random,
      lookAgain: (table) => this.#lookAgain(table),
      isOriginUp: () => this.#pool.state === 'closed',
      onRefresh: (table, outcome) => this.#telemetry.refreshed(table.label, outcome),
    };
    return buildApp({
      version: this.#version,
      ports,
      tables: () => this.#tables,
      telemetry: this.#telemetry,
      log: this.#log,
      whyNotReady: () => {
        if (this.#stopping.signal.aborted) return 'stopping';
        return this.#tables === undefined ? `MySQL at ${this.#pool.address} has not answered yet` : undefined;
      },
    });
  }

  async #lookAgain(table: ExposedTable): Promise<boolean> {
    const { shape } = table.schema;
    const { followedName } = table;
    const now = performance.now();
    if (now - (this.#lookedAt.get(table) ?? -Infinity) < LOOK_AGAIN_EVERY_MS) return false;
    this.#lookedAt.set(table, now);
    await this.#tables?.reload(table);
    return table.schema.shape !== shape || table.followedName !== followedName;
  }

  #knownTables(): ExposedTables {
    if (this.#tables === undefined) throw new Error('rows are read only once the tables are known');
    return this.#tables;
  }
}

function trustRulesOf({ rings, sync }: Config): TrustRules[] | undefined {
  return sync && rings.map((ring) => ({ ringHash: ringHashOf(ring), stalenessBoundMs: sync.stalenessBoundMs }));
}

function listenFailed(error: unknown, { host, port }: Config['http']): SetupError {
  const taken = codeOf(error) === 'EADDRINUSE';
  const message = taken ? `port ${port} on ${host} is taken by another process` : messageOf(error);
  const mend = taken
    ? `set http.port to a free one; ss -ltnp 'sport = :${port}' shows who has it`
    : 'set http.host to an address of this machine';
  return new SetupError([{ code: 'listen-failed', where: 'http', message, mend }], { cause: error });
}
