/**
 * One drill's world on the ground: a table of its own, a sync worker and gateways as processes, and, where the drill cuts
 * lines, a link of its own for each of them.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, RowDataPacket } from 'mysql2/promise';
import type { Config } from '../../../shared/config/schema.ts';
import { demoAccount } from '../../../stack/demo-data/load.ts';
import { type Link, openLink } from '../../../stack/faults.ts';
import { loopback, onPort } from '../../../stack/ports.ts';
import { type RedisServer, startRedis } from '../../../stack/redis.ts';
import type * as RingfillProcesses from '../../../stack/ringfill-process.ts';
import type { RingfillProcess } from '../../../stack/ringfill-process.ts';
import { startSentinel } from '../../../stack/sentinel.ts';
import type { ServerProcess } from '../../../stack/server-process.ts';
import { createDatabase, dropQueues } from '../../harness/database.ts';
import { allBelieved } from '../../harness/gateways-believe.ts';
import { type ReadRow, readRows } from '../../harness/read-rows.ts';
import { clientOf } from './dumps.ts';
import type { Ground, GroundShard, RingName } from './ground.ts';
import { ShiftedClock } from './shifted-clock.ts';

export const WARM_ROWS = 5_000;
export const COLD_ROWS = 10_000;
/** As configured by default. ms. */
export const STALENESS_BOUND_MS = 2_000;
export const HEARTBEAT_MS = 500;

/** `worker`, `gateway-1`, `gateway-2` */
export type From = string;
/** `mysql`, `rabbitmq`, or a shard's name. */
export type To = string;

export interface WorldShape {
  readonly primary: number;
  readonly fallback: number;
  readonly gateways: number;
  readonly onSyncLost: 'serve' | 'origin';
  /** How many layers hold each row; 1 if it is missing. */
  readonly copies?: number;
  /** Which lines can be cut; none if it is missing. */
  readonly isLinked?: (from: From, to: To) => boolean;
  /** Every process' clock can be shifted. */
  readonly hasShiftedClocks?: boolean;
  readonly http?: Partial<Config['http']>;
  /** A shard that is a group of two: the server of the ground, and a replica, watched over by a Sentinel. */
  readonly sentinelOf?: string;
}

/** What starts the processes: the project's own, or those of a copy of it. */
export type Product = Pick<typeof RingfillProcesses, 'startGateway' | 'startSyncWorker'>;

export interface WorldOptions {
  readonly ground: Ground;
  readonly product: Product;
  readonly shape: WorldShape;
  /** Of its database, its keys and its queues. */
  readonly name: string;
  readonly folder: string;
  readonly signal: AbortSignal;
}

const ROWS_A_STATEMENT = 1_000;
const GROUP = 'g';
/** Sentinel's patience. ms. */
const DOWN_AFTER_MS = 500;
const READY_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 50;

export class World {
  readonly ground: Ground;
  readonly shape: WorldShape;
  /** Those of the ground that this drill uses. */
  readonly shards: readonly GroundShard[];
  /** `db.items`: id, n, filler. */
  readonly table: string;
  readonly #db: string;
  readonly #admin: Pool;
  readonly #product: Product;
  readonly #folder: string;
  readonly #signal: AbortSignal;
  readonly #links = new Map<string, Link>();
  readonly #clocks = new Map<string, ShiftedClock>();
  #sentinel: ServerProcess | undefined;
  #replica: RedisServer | undefined;
  #gateways: readonly RingfillProcess[] = [];
  #worker: RingfillProcess | undefined;

  private constructor({ ground, product, shape, name, folder, signal }: WorldOptions) {
    this.ground = ground;
    this.shape = shape;
    this.#product = product;
    this.#folder = folder;
    this.#signal = signal;
    this.#db = name;
    this.table = `${name}.items`;
    this.#admin = ground.admin();
    const wanted = { primary: shape.primary, fallback: shape.fallback };
    this.shards = (['primary', 'fallback'] as const).flatMap((ring) =>
      ground.shards.filter((shard) => shard.ring === ring).slice(0, wanted[ring]),
    );
  }

  /** Everything runs, every gateway believes every shard, and the warm rows are cached. */
  static async open(options: WorldOptions): Promise<World> {
    const world = new World(options);
    try {
      await world.#createTable();
      await world.#openLinks();
      await world.#startSentinel();
      await world.#startProcesses();
      await world.allBelieved(READY_WITHIN_MS);
      await world.#warm();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  get gateways(): readonly RingfillProcess[] {
    return this.#gateways;
  }

  get worker(): RingfillProcess {
    if (this.#worker === undefined) throw new Error('the sync worker has not been started');
    return this.#worker;
  }

  get origin(): { readonly host: string; readonly port: number; readonly user: string } {
    const { host, port } = this.ground.mysql;
    return { host, port, user: 'root' };
  }

  shard(name: string): GroundShard {
    const shard = this.shards.find((one) => one.name === name);
    if (shard === undefined) throw new Error(`this drill has no shard ${name}`);
    return shard;
  }

  /** As the timeline calls them: `primary r2`. */
  labels(names: readonly string[]): string[] {
    return names.map((name) => `${this.shard(name).ring} ${name}`);
  }

  link(from: From, to: To): Link {
    const link = this.#links.get(`${from} ${to}`);
    if (link === undefined) throw new Error(`this drill has no link from ${from} to ${to}`);
    return link;
  }

  /** Of `worker` or a gateway. */
  clock(name: From): ShiftedClock {
    const clock = this.#clocks.get(name);
    if (clock === undefined) throw new Error(`the clock of ${name} cannot be shifted in this drill`);
    return clock;
  }

  /** Settles when every gateway believes every shard; rejects with what they think, past the time. */
  async allBelieved(withinMs: number): Promise<void> {
    await allBelieved(this.#gateways, withinMs, this.#signal);
  }

  /** What the gateways answer of every row, where MySQL says otherwise; the first few of each gateway. */
  async wrongAnswers(): Promise<string[]> {
    const [rows] = await this.#admin.query<RowDataPacket[]>(`SELECT id, n FROM ${this.table} ORDER BY id`);
    const wrong = await Promise.all(
      this.#gateways.map(async ({ name, url }) => {
        const answered = await this.#readFirst(url, rows.length);
        return rows.flatMap(({ id, n }, index) => {
          const answer = answered[index];
          return answer?.['id'] === id && answer?.['n'] === n
            ? []
            : [`${name}, row ${String(id)}: ${JSON.stringify(answer)}, and MySQL has n ${String(n)}`];
        });
      }),
    );
    return wrong.flat();
  }

  /** Everything of it goes; again and again is fine. */
  async close(): Promise<void> {
    await Promise.all([...this.#gateways.map((gateway) => gateway.stop()), this.#worker?.stop()]);
    await Promise.all([this.#sentinel?.stop(), this.#replica?.stop()]);
    await Promise.all([...this.#links.values()].map((link) => link.stop()));
    await this.#admin.end();
  }

  /** What it has left in servers that are well. */
  async clean(): Promise<void> {
    const admin = this.ground.admin();
    await admin.query(`DROP DATABASE IF EXISTS ${this.#db}`);
    await admin.end();
    await dropQueues(this.#configFor('gateway-1', 0));
  }

  async #createTable(): Promise<void> {
    const admin = this.#admin;
    await createDatabase(admin, this.#db);
    await admin.query(
      `CREATE TABLE ${this.table} (id INT PRIMARY KEY, n INT NOT NULL, filler VARCHAR(200) NOT NULL) ENGINE = InnoDB`,
    );
    for (let first = 1; first <= WARM_ROWS + COLD_ROWS; first += ROWS_A_STATEMENT) {
      const rows = Array.from({ length: ROWS_A_STATEMENT }, (_, index) => `(${first + index}, 0, REPEAT('x', 150))`);
      await admin.query(`INSERT INTO ${this.table} VALUES ${rows.join(', ')}`);
    }
  }

  async #openLinks(): Promise<void> {
    const { ground, shape } = this;
    const { isLinked } = shape;
    if (isLinked === undefined) return;
    const ends: [To, { readonly host: string; readonly port: number }][] = [
      ['mysql', ground.mysql],
      ['rabbitmq', ground.rabbitmq],
      ...this.shards.map(({ name, server }): [To, RedisServerAt] => [name, server]),
    ];
    for (const from of this.#processNames()) {
      for (const [to, { host, port }] of ends) {
        if (isLinked(from, to)) this.#links.set(`${from} ${to}`, await openLink({ to: { host, port } }));
      }
    }
  }

  async #startSentinel(): Promise<void> {
    const { sentinelOf } = this.shape;
    if (sentinelOf === undefined) return;
    const { port } = this.shard(sentinelOf).server;
    const common = { folder: this.#folder, signal: this.#signal };
    const name = `${sentinelOf}-replica`;
    this.#replica = await startRedis({ ...common, name, args: ['--replicaof', loopback, String(port)] });
    // A Sentinel asks a master for its replicas when it first sees it, and then only every 10 s.
    const redis = clientOf(this.#replica);
    try {
      while (!(await redis.info('replication')).includes('master_link_status:up')) {
        await sleep(LOOK_EVERY_MS, undefined, { signal: this.#signal });
      }
    } finally {
      redis.disconnect();
    }
    this.#sentinel = await startSentinel({
      ...common,
      group: GROUP,
      primaryPort: port,
      downAfterMs: DOWN_AFTER_MS,
    });
  }

  #processNames(): string[] {
    return ['worker', ...Array.from({ length: this.shape.gateways }, (_, index) => `gateway-${index + 1}`)];
  }

  async #startProcesses(): Promise<void> {
    const [worker, ...gateways] = await Promise.all(this.#processNames().map((name) => this.#startProcess(name)));
    this.#worker = worker;
    this.#gateways = gateways;
  }

  async #startProcess(name: From): Promise<RingfillProcess> {
    mkdirSync(join(this.#folder, name), { recursive: true });
    const configFile = join(this.#folder, name, 'ringfill.yml');
    let env: Readonly<Record<string, string>> | undefined;
    if (this.shape.hasShiftedClocks === true) {
      const clock = new ShiftedClock(join(this.#folder, name, 'clock'));
      this.#clocks.set(name, clock);
      env = clock.env;
    }
    const { startGateway, startSyncWorker } = this.#product;
    const start = name === 'worker' ? startSyncWorker : startGateway;
    return await onPort(undefined, async (port) => {
      writeFileSync(configFile, JSON.stringify(this.#configFor(name, port)));
      return await start({ folder: this.#folder, name, port, configFile, env, signal: this.#signal });
    });
  }

  #configFor(name: From, port: number): object {
    const { ground, shape } = this;
    const login = `${demoAccount.user}:${demoAccount.password}`;
    const at = (to: To, server: { readonly port: number }) =>
      `${loopback}:${this.#links.get(`${name} ${to}`)?.port ?? server.port}`;
    const ringOf = (ring: RingName) => ({
      name: ring,
      shards: Object.fromEntries(
        this.shards
          .filter((shard) => shard.ring === ring)
          .map(({ name: shard, server }) => [
            shard,
            shard === shape.sentinelOf
              ? { sentinel: { group: GROUP, sentinels: [`${loopback}:${this.#sentinel?.port ?? 1}`] } }
              : `redis://${at(shard, server)}`,
          ]),
      ),
    });
    const rings = (['primary', 'fallback'] as const).filter((ring) => shape[ring] > 0).map(ringOf);
    return {
      http: { ...shape.http, port: name === 'worker' ? 0 : port },
      origin: { url: `mysql://${login}@${at('mysql', ground.mysql)}` },
      rings,
      keyPrefix: `${this.#db}:`,
      tables: { [this.table]: { onSyncLost: shape.onSyncLost, copies: shape.copies ?? 1 } },
      sync: {
        name: this.#db,
        broker: { url: `amqp://guest:guest@${at('rabbitmq', ground.rabbitmq)}` },
        stateFolder: join(this.#folder, 'state'),
        heartbeatMs: HEARTBEAT_MS,
        stalenessBoundMs: STALENESS_BOUND_MS,
        port: name === 'worker' ? port : 0,
      },
      log: { level: 'info' },
    };
  }

  async #warm(): Promise<void> {
    for (const { url } of this.#gateways) await this.#readFirst(url, WARM_ROWS);
  }

  #readFirst(url: string, count: number): Promise<readonly (ReadRow | null)[]> {
    return readRows({ url, table: this.table, first: 1, count, signal: this.#signal });
  }
}

interface RedisServerAt {
  readonly host: string;
  readonly port: number;
}
