/** One of the four, up and warm: a table of its own, and what answers for it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchWorld } from '../harness/bench-world.ts';
import { allBelieved } from '../harness/gateways-believe.ts';
import { Installation } from '../harness/installation.ts';
import { numbersSql } from '../harness/numbers.ts';
import { withChildren } from '../harness/processor.ts';
import { readRows } from '../harness/read-rows.ts';
import { startNodePeer } from '../peers/start-peer.ts';
import type { RunningServer } from '../../stack/server-process.ts';
import { loopback } from '../../stack/ports.ts';
import type { ArchitectureName, ComparisonSettings } from './figures.ts';
import type { RedisShards } from '../harness/redis-shards.ts';

export interface ArchitectureOptions {
  readonly world: BenchWorld;
  readonly shards: RedisShards;
  readonly name: ArchitectureName;
  readonly settings: ComparisonSettings;
  /** Rows behind those that are read by load. */
  readonly probeRows: number;
}

const FILLER_BYTES = 150;
const READY_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 50;
const REDIS_COUNTS_EVERY_MS = 1_200;

export class Architecture {
  readonly name: ArchitectureName;
  /** `db.table`: id, n, filler. Rows are about 180 B of JSON. */
  readonly table: string;
  readonly #options: ArchitectureOptions;
  readonly #installation: Installation;
  #gateway: RunningServer | undefined;
  #worker: RunningServer | undefined;
  #redisBytesARow: number | undefined;

  private constructor(options: ArchitectureOptions) {
    const { world, name, settings } = options;
    this.#options = options;
    this.name = name;
    this.table = `${world.db}.${name}_items`;
    const own = { mirror: { mode: 'mirror' }, synced: {}, ttl: { ttlSeconds: settings.ttlSeconds }, none: {} }[name];
    const isSynced = name === 'mirror' || name === 'synced';
    this.#installation = new Installation({ world, name, tables: { [this.table]: own }, isSynced });
  }

  /** Every shard is empty but for what it has put there, it is believed, and the rows read most are cached. */
  static async start(options: ArchitectureOptions): Promise<Architecture> {
    const architecture = new Architecture(options);
    await architecture.#createTable();
    await options.shards.flush();
    await architecture.#startProcesses();
    return architecture;
  }

  get url(): string {
    return `http://${loopback}:${this.#running.port}`;
  }

  get gatewayPid(): number {
    return this.#running.pid;
  }

  /** Whose CPU it costs to answer. */
  get gatewayPids(): number[] {
    return withChildren(this.gatewayPid);
  }

  /** Nothing without sync. */
  get workerPid(): number | undefined {
    return this.#worker?.pid;
  }

  get redisBytesARow(): number | undefined {
    return this.#redisBytesARow;
  }

  /** As after its start, whatever became of the shards meanwhile. Rejects where that takes too long. */
  async warm(): Promise<void> {
    const { world, settings, shards } = this.#options;
    if (this.name === 'none') return;
    const { signal } = world;
    const deadline = performance.now() + READY_WITHIN_MS;
    while (this.name === 'mirror' && !(await shards.areComplete(this.#installation.keyPrefix))) {
      if (performance.now() > deadline) throw new Error('the mirror was not complete in time');
      await sleep(LOOK_EVERY_MS, undefined, { signal });
    }
    await allBelieved([{ name: this.name, url: this.url }], READY_WITHIN_MS, signal);
    await readRows({ url: this.url, table: this.table, first: 1, count: settings.warmRows, signal });
  }

  async stop(): Promise<void> {
    await this.#gateway?.stop();
    await this.#worker?.stop();
    await this.#options.world.admin.query(`DROP TABLE ${this.table}`);
  }

  get #running(): RunningServer {
    if (this.#gateway === undefined) throw new Error(`${this.name} has not been started`);
    return this.#gateway;
  }

  async #createTable(): Promise<void> {
    const { world, settings, probeRows } = this.#options;
    await world.admin.query(
      `CREATE TABLE ${this.table} (id INT PRIMARY KEY, n INT NOT NULL, filler VARCHAR(200) NOT NULL) ENGINE = InnoDB`,
    );
    await world.admin.query(
      `INSERT INTO ${this.table} SELECT id, 0, REPEAT('x', ${FILLER_BYTES}) FROM ${numbersSql(1, settings.rows + probeRows)} ORDER BY id`,
    );
  }

  async #startProcesses(): Promise<void> {
    const { world, shards, settings, probeRows } = this.#options;
    if (this.name === 'none') {
      const { originUrl, config } = this.#installation;
      const { connections } = config.origin;
      this.#gateway = await startNodePeer(world, 'one-select', 'one-select.ts', { originUrl, connections });
      return;
    }
    // A mirror begins to fill as soon as the worker is there.
    const emptyBytes = await shards.usedBytes();
    [this.#gateway, this.#worker] = await Promise.all([
      this.#installation.startGateway('gateway'),
      this.name === 'ttl' ? undefined : this.#installation.startWorker(),
    ]);
    await this.warm();
    // What clients take is left out, and Redis counts that once a second.
    await sleep(REDIS_COUNTS_EVERY_MS, undefined, { signal: world.signal });
    const cachedRows = this.name === 'mirror' ? settings.rows + probeRows : settings.warmRows;
    this.#redisBytesARow = Math.max(0, (await shards.usedBytes()) - emptyBytes) / cachedRows;
  }
}
