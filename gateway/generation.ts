/**
 * What requests are served by, all made of one configuration: the shards, the connections to MySQL, the exposed tables. A
 * reload makes another one beside it, and stops this one when the last of its requests has been answered.
 *
 *     connect ─▶ learn ─▶ (takes over)   serve, serve, …   settled ─▶ stop
 */
import type { Config } from '../shared/config/schema.ts';
import { UnderWay } from '../shared/lifecycle/under-way.ts';
import { awaitTables } from '../shared/origin/await-tables.ts';
import { boundedReader, leaseTtlMs, primaryReader } from '../shared/origin/bounded-reads.ts';
import type { ExposedTable } from '../shared/origin/exposed-table.ts';
import type { ExposedTables } from '../shared/origin/exposed-tables.ts';
import { OriginPool } from '../shared/origin/origin-pool.ts';
import { OriginReads } from '../shared/origin/origin-reads.ts';
import { replicaRead } from '../shared/origin/replica-read.ts';
import type { Layers } from '../shared/ring/layers.ts';
import { type NearCounts, NearStore } from '../shared/shard/near/near-store.ts';
import { shardLayers } from '../shared/shard/shard-layers.ts';
import type { Shard, ShardCondition } from '../shared/shard/shard.ts';
import { HighestStamps } from '../shared/stamp/stamp-reader.ts';
import type { Log } from '../shared/telemetry/log.ts';
import { type Admission, admissionOf } from '../shared/access/admission.ts';
import { RowTargets } from './http/row-targets.ts';
import { Flights } from './journey/flights.ts';
import type { Ports } from './journey/ports.ts';
import { AnsweredAhead } from './journey/answered-ahead.ts';
import { Copies } from './journey/copies.ts';
import type { GatewayTelemetry } from './telemetry.ts';

/** A table's schema is read again for requests no more often than this. */
const LOOK_AGAIN_EVERY_MS = 1_000;
/** Three failures take MySQL out of use: an outage is known after some six seconds, though nobody misses a row. */
const WATCH_ORIGIN_MS = 2_000;

/** What a gateway remembers for as long as it runs, so that time only runs forward over a reload too. */
export class GatewayMemory {
  readonly highestStamps = new HighestStamps();
  readonly answeredAhead = new AnsweredAhead();
}

export interface GenerationOptions {
  readonly config: Config;
  readonly memory: GatewayMemory;
  readonly telemetry: GatewayTelemetry;
  readonly log: Log;
}

const MEBIBYTE = 1_048_576;

export class Generation {
  readonly config: Config;
  readonly ports: Ports;
  /** Nothing where everybody may read as much as he likes. */
  readonly admission: Admission | undefined;
  readonly #log: Log;
  readonly #telemetry: GatewayTelemetry;
  readonly #pool: OriginPool;
  readonly #replicas: readonly OriginPool[];
  readonly #reads: OriginReads;
  readonly #layers: Layers<Shard>;
  /** Of this generation alone: it begins empty, and what it holds goes when another takes over. */
  readonly #near: NearStore | undefined;
  readonly #underWay = new UnderWay();
  readonly #stopping = new AbortController();
  /** When a table's schema was read again for the sake of a request. */
  readonly #lookedAt = new Map<ExposedTable, number>();
  /** The metrics of servers are those that are in use; two generations have the same ones for a while. */
  #isMeasured = false;
  #tables: ExposedTables | undefined;
  #targets: RowTargets | undefined;
  #stopped: Promise<void> | undefined;

  /** Throws SetupError where a server's URL is not one, or the API keys cannot be read. */
  constructor({ config, memory, telemetry, log }: GenerationOptions) {
    this.config = config;
    this.#log = log;
    this.#telemetry = telemetry;
    this.admission = admissionOf({ config, metrics: telemetry.access, log });
    this.#pool = new OriginPool({
      url: config.origin.url,
      connections: config.origin.connections,
      timeoutMs: config.origin.timeoutMs,
      packets: config.sync !== undefined,
      onChange: (state, why) => {
        this.#measureOrigin();
        if (state === 'open') log.error({ origin: this.#pool.address, reason: why }, 'origin out of use');
        else log.info({ origin: this.#pool.address }, 'origin back in use');
      },
    });
    this.#replicas = config.sync === undefined ? [] : config.origin.replicas.map((url) => this.#replicaPool(url));
    this.#reads = this.#originReads();
    const observer = {
      onChange: (ring: string, shard: string, state: 'ok' | 'down') => {
        if (this.#isMeasured) telemetry.shardChanged(ring, shard, state);
      },
      onCondition: (ring: string, shard: string, condition: ShardCondition) => {
        if (this.#isMeasured) telemetry.shardConditionIs(ring, shard, condition);
      },
      onUnreadable: (kind: 'stamp' | 'lease', shard: string, key: string) =>
        telemetry.unreadable.found(kind, shard, key),
      onAnswer: telemetry.shardCommand.bind(telemetry),
      onFeed: (ring: string, shard: string, up: boolean) => {
        if (this.#isMeasured) telemetry.near.feedIs(ring, shard, up);
      },
    };
    this.#near = nearStoreOf(config, telemetry.near.counts);
    this.#layers = shardLayers(config, log, observer, memory.highestStamps, this.#near);
    this.ports = this.#portsWith(memory);
  }

  /** Nothing while MySQL has not been reached yet. */
  get tables(): ExposedTables | undefined {
    return this.#tables;
  }

  /** What its rows are called in requests' targets; nothing while MySQL has not been reached yet. */
  get targets(): RowTargets | undefined {
    return this.#targets;
  }

  /** Where MySQL is. */
  get originAddress(): string {
    return this.#pool.address;
  }

  /** How many rows wait for a connection to MySQL. */
  get waitingForOrigin(): number {
    return this.#reads.waiting;
  }

  /** How many requests are under way, background refreshes included. */
  get underWay(): number {
    return this.#underWay.count;
  }

  /** Settles when each shard has been tried; one that is down is tried again in the background. */
  async connect(): Promise<void> {
    await Promise.all(this.#layers.shards.map((shard) => shard.start()));
  }

  /** Settles when MySQL has shown the tables. Throws SetupError; the signal's reason; an AbortError when it is stopped. */
  async learn(signal: AbortSignal): Promise<void> {
    const ended = AbortSignal.any([signal, this.#stopping.signal]);
    const tables = await awaitTables(this.#pool, this.config, this.#log, ended);
    ended.throwIfAborted();
    this.#tables = tables;
    this.#targets = new RowTargets(tables, this.#layers);
    tables.reloadEvery(this.config.origin.schemaReloadSeconds);
    this.#measureOrigin();
    for (const pool of [this.#pool, ...this.#replicas]) pool.watch(WATCH_ORIGIN_MS);
  }

  /** The metrics tell of its servers from now on, and of no others. */
  measure(): void {
    this.#isMeasured = true;
    this.#telemetry.shardsAre(this.#layers.shards);
    this.#telemetry.access.keysAre(0);
    this.admission?.measure();
    this.#telemetry.near.storeIs(this.#near, this.#layers.shards);
    this.#measureOrigin();
  }

  /** Another has taken over. Its requests go on, and what it has in memory goes: two would take twice the room. */
  measureNoMore(): void {
    this.#isMeasured = false;
    for (const shard of this.#layers.shards) shard.leaveNear();
    this.#near?.clear();
  }

  /** A request: under way until this has settled. */
  serve<T>(request: () => Promise<T>): Promise<T> {
    return this.#underWay.during(request);
  }

  /** The same without a promise: it is under way until `ended`. */
  began(): void {
    this.#underWay.began();
  }

  ended(): void {
    this.#underWay.ended();
  }

  /** Settles when no request is under way, or after `timeoutMs`, or when it is stopped. */
  settled(timeoutMs: number): Promise<void> {
    return this.#underWay.none(timeoutMs, this.#stopping.signal);
  }

  /** What is under way still goes on without its servers. Whoever asks again waits for the same end. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    this.#tables?.stop();
    this.admission?.stop();
    for (const shard of this.#layers.shards) shard.stop();
    await Promise.all([this.#pool, ...this.#replicas].map((pool) => pool.stop()));
  }

  #measureOrigin(): void {
    if (this.#isMeasured) {
      this.#telemetry.originChanged(this.#tables !== undefined && this.#pool.state === 'closed');
    }
  }

  #portsWith({ answeredAhead }: GatewayMemory): Ports {
    const { config } = this;
    return {
      layers: this.#layers,
      origin: this.#reads,
      flights: new CountedFlights(this.#underWay),
      answeredAhead,
      copies: new Copies((copying) => this.#underWay.during(copying)),
      trustRules: config.sync && { stalenessBoundMs: config.sync.stalenessBoundMs },
      writeWaitMs: config.sync?.writeWaitMs ?? 0,
      leaseTtlMs: leaseTtlMs(config.origin),
      refillMs: config.shards.refillSeconds * 1_000,
      now: Date.now,
      random: Math.random,
      lookAgain: (table) => this.#lookAgain(table),
      isOriginUp: () => this.#pool.state === 'closed',
      onUnreadable: (kind, shard, key) => this.#telemetry.unreadable.found(kind, shard, key),
      onCopy: (table, outcome) => this.#telemetry.copied(table.label, outcome),
      onRefresh: (table, outcome) => this.#telemetry.refreshed(table.label, outcome),
    };
  }

  #originReads(): OriginReads {
    const { origin } = this.config;
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
    const { connections, timeoutMs } = this.config.origin;
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

function nearStoreOf({ nearCache }: Config, counts: NearCounts): NearStore | undefined {
  return nearCache && new NearStore(nearCache.mebibytes * MEBIBYTE, counts);
}

/** A refresh in the background is a flight that no request waits for. */
class CountedFlights extends Flights {
  readonly #underWay: UnderWay;

  constructor(underWay: UnderWay) {
    super();
    this.#underWay = underWay;
  }

  override join(...flight: Parameters<Flights['join']>): ReturnType<Flights['join']> {
    return this.#underWay.during(() => super.join(...flight));
  }
}
