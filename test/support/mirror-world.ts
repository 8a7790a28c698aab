/**
 * A mirrored table end to end: a sync worker and a gateway as processes over real servers, and what its shards hold beside
 * what MySQL holds. All rows of the table are asked for by the gateway; what lies in Redis is read with a plain client.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, type TestContext } from 'node:test';
import type { Redis } from 'ioredis';
import { createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { parseConfig } from '../../shared/config/load.ts';
import { MIRROR_FIELD } from '../../shared/entry/mirror-entry.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import { ringHashOf } from '../../shared/shard/shard-layers.ts';
import { floorOf, isComplete } from '../../shared/stamp/stamp.ts';
import * as ringfill from '../../stack/ringfill-process.ts';
import { redisAt, stampOf, type SyncedConfig, until } from './broker.ts';
import { gatewayConfig, type GatewaySettings } from './gateway.ts';
import { startGatewayProcesses } from './gateway-processes.ts';
import { temporaryFolder, type TestStack } from './stack.ts';
import { SyncWorkerProcesses } from './sync-worker-processes.ts';
import { tellOnFailure } from './tell-on-failure.ts';
import { mysqlUrl } from './least-privilege.ts';

export interface MirrorOptions {
  readonly stack: TestStack;
  /** Of `items`, its columns first of all: `id INT PRIMARY KEY, …`. */
  readonly columns: string;
  /** Statements that fill it, before anything follows it. */
  readonly filledBy?: readonly string[];
  readonly table?: Partial<SyncedConfig['tables'][string]>;
  readonly sync?: GatewaySettings['sync'];
  /** By which the worker and the gateway reach MySQL, where not straight. */
  readonly mysqlPort?: number;
  readonly gateways?: number;
}

const COMPLETE_WITHIN_MS = 60_000;

const atEnd: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const end of atEnd.toReversed()) await end();
});

export interface MirrorStatus {
  readonly mirrors: readonly { readonly table: string; readonly shard: string; readonly state: string }[];
  readonly running: { readonly rows: number } | null;
}

/** What lies in a shard beside the stamp. */
export interface SnapshotState {
  /** The same for as long as it is not begun anew. */
  readonly walk: string;
  readonly chunk: number;
  readonly rows: number;
  readonly isAtEnd: boolean;
  /** Rows that were locked. */
  readonly leftOver: readonly string[];
}

export class MirrorWorld {
  readonly db: string;
  readonly label: string;
  readonly config: SyncedConfig;
  readonly configText: string;
  readonly folder: string;
  readonly mysql: Pool;
  readonly gateways: readonly ringfill.RingfillProcess[];
  worker: ringfill.RingfillProcess;
  readonly #workers: SyncWorkerProcesses;
  readonly #shards: ReadonlyMap<string, Redis>;

  private constructor(
    world: Pick<MirrorWorld, 'db' | 'label' | 'config' | 'configText' | 'folder' | 'mysql' | 'gateways' | 'worker'>,
    workers: SyncWorkerProcesses,
    shards: ReadonlyMap<string, Redis>,
  ) {
    this.db = world.db;
    this.label = world.label;
    this.config = world.config;
    this.configText = world.configText;
    this.folder = world.folder;
    this.mysql = world.mysql;
    this.gateways = world.gateways;
    this.worker = world.worker;
    this.#workers = workers;
    this.#shards = shards;
  }

  /** Everything runs; a snapshot may be under way. It ends with the test file. */
  static async open(options: MirrorOptions): Promise<MirrorWorld> {
    const { stack, columns, filledBy = [], table = {}, sync = {}, mysqlPort = stack.mysql.port } = options;
    const { host, port } = stack.mysql;
    const db = `m${randomBytes(4).toString('hex')}`;
    const mysql = createPool({
      host,
      port,
      user: 'root',
      supportBigNumbers: true,
      bigNumberStrings: true,
      dateStrings: true,
    });
    atEnd.push(() => mysql.end());
    await mysql.query(`CREATE DATABASE ${db} CHARACTER SET utf8mb4`);
    atEnd.push(() => mysql.query(`DROP DATABASE ${db}`));
    await mysql.query(`CREATE TABLE ${db}.items (${columns}) ENGINE = InnoDB`);
    for (const statement of filledBy) await mysql.query(statement.replaceAll('items', `${db}.items`));
    const folder = temporaryFolder();
    // Rows are read with as little as that; the binlog is followed by another account.
    for (const from of ['127.0.0.1', 'localhost']) {
      await mysql.query(`CREATE USER '${db}'@'${from}' IDENTIFIED BY 'reader'`);
      atEnd.push(() => mysql.query(`DROP USER '${db}'@'${from}'`));
      await mysql.query(`GRANT SELECT ON ${db}.* TO '${db}'@'${from}'`);
      await mysql.query(`GRANT REPLICATION CLIENT ON *.* TO '${db}'@'${from}'`);
      // Until 8.0.22 a share-locking read needs more than SELECT there.
      if (stack.mysql.flavour === 'mysql') await mysql.query(`GRANT LOCK TABLES ON ${db}.* TO '${db}'@'${from}'`);
    }
    const settings: GatewaySettings = {
      origin: { url: `mysql://${db}:reader@${host}:${mysqlPort}`, schemaReloadSeconds: 1 },
      tables: { [`${db}.items`]: { mode: 'mirror', ...table } },
      keyPrefix: `${db}:`,
      sync: { name: db, stateFolder: join(folder, 'state'), originUrl: mysqlUrl(stack.mysql, mysqlPort), ...sync },
    };
    const { text } = gatewayConfig(stack, settings);
    const config = parseConfig(text, 'test') as SyncedConfig;
    const configText = JSON.stringify({ ...config, log: { level: 'info' } });
    const workers = new SyncWorkerProcesses(folder, configText, ringfill.startSyncWorker);
    // At once: by the time that a test can look, the first snapshot is not over yet.
    const [worker, { gateways }] = await Promise.all([
      workers.start(),
      startGatewayProcesses(stack, settings, options.gateways ?? 1, ringfill.startGateway),
    ]);
    atEnd.push(() => worker.stop());
    atEnd.push(() => Promise.all(gateways.map((gateway) => gateway.stop())));
    const shards = new Map(stack.redis.map(({ shard, port: at }) => [shard, redisAt(at)]));
    const label = `${db}.items`;
    const world = new MirrorWorld({ db, label, config, configText, folder, mysql, gateways, worker }, workers, shards);
    afterEach((t) => tellOnFailure(t as TestContext, () => world.#logLines()));
    return world;
  }

  redis(shard: string): Redis {
    return this.#shards.get(shard) as Redis;
  }

  get shardNames(): string[] {
    return [...this.#shards.keys()];
  }

  /** One more; the earlier ones are left alone. */
  async startWorker(): Promise<ringfill.RingfillProcess> {
    const worker = await this.#workers.start();
    atEnd.push(() => worker.stop());
    this.worker = worker;
    return worker;
  }

  async run(...statements: string[]): Promise<void> {
    const connection = await this.mysql.getConnection();
    try {
      await connection.query(`USE ${this.db}`);
      for (const statement of statements) await connection.query(statement);
    } finally {
      connection.release();
    }
  }

  async status(): Promise<MirrorStatus> {
    return (await (await fetch(`${this.worker.url}/-/status`)).json()) as MirrorStatus;
  }

  /** Settles when the stamps of these shards, or of all that the mirror lies in, call it complete. */
  async complete(shards?: readonly string[], withinMs = COMPLETE_WITHIN_MS): Promise<void> {
    let states: Record<string, boolean> = {};
    const isSo = async () => {
      states = await this.states();
      return (shards ?? this.shardNames.filter((shard) => this.#isReached(shard))).every((shard) => states[shard]);
    };
    await until('the mirror is complete', isSo, withinMs).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(states)}`);
    });
  }

  /** By shard that follows the mirror: whether its stamp calls it complete. */
  async states(): Promise<Record<string, boolean>> {
    const states: Record<string, boolean> = {};
    for (const ring of this.config.rings) {
      for (const shard of Object.keys(ring.shards)) {
        const stamp = await stampOf(this.redis(shard), this.config).catch(() => undefined);
        const table = Object.keys(stamp?.tables ?? {}).find((name) => name.startsWith(`${this.label}(`));
        if (stamp === undefined || table === undefined || !this.#isReached(shard)) continue;
        const floor = floorOf(stamp, table, ringHashOf(ring));
        const shape = stamp.complete[table]?.shape ?? '';
        states[shard] = floor !== undefined && isComplete(stamp, table, ringHashOf(ring), shape, floor);
      }
    }
    return states;
  }

  #isReached(shard: string): boolean {
    const { shard: pinned, copies = 2 } = this.config.tables[this.label] ?? {};
    if (pinned !== undefined) return shard === pinned;
    return this.config.rings.slice(0, copies).some((ring) => Object.hasOwn(ring.shards, shard));
  }

  /** Settles when all shards have applied everything up to now. */
  async applied(shards = this.shardNames): Promise<void> {
    const since = Date.now();
    for (const shard of shards) {
      await until(`${shard} is up to date`, async () => {
        const stamp = await stampOf(this.redis(shard), this.config).catch(() => undefined);
        return stamp !== undefined && stamp.asOf >= since;
      });
    }
  }

  get(id: string | number, init?: RequestInit): Promise<Response> {
    return fetch(`${(this.gateways[0] as ringfill.RingfillProcess).url}/${this.db}/items/${id}`, init);
  }

  async rows(ids: readonly (string | number)[]): Promise<(Record<string, unknown> | null)[]> {
    const { url } = this.gateways[0] as ringfill.RingfillProcess;
    const answer = await fetch(`${url}/${this.db}/items?ids=${ids.join(',')}`);
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
    return ((await answer.json()) as { rows: (Record<string, unknown> | null)[] }).rows;
  }

  key(id: string | number): string {
    return `${this.config.keyPrefix}${this.db}_items_${id}`;
  }

  /** As any Redis client sees it, without our field; by shard, those that have it. */
  async hashes(id: string | number): Promise<Record<string, Record<string, string>>> {
    const found: Record<string, Record<string, string>> = {};
    for (const [shard, redis] of this.#shards) {
      const { [MIRROR_FIELD]: ours, ...columns } = await redis.hgetall(this.key(id));
      if (ours !== undefined) found[shard] = columns;
    }
    return found;
  }

  /** The keys of the table's rows in this shard. */
  async keysIn(shard: string): Promise<string[]> {
    const prefix = this.key('');
    return (await this.redis(shard).keys(`${prefix}*`)).toSorted();
  }

  /** How far the snapshot has come that is under way, or was interrupted, by shard. */
  async snapshots(): Promise<Record<string, SnapshotState>> {
    const found: Record<string, SnapshotState> = {};
    for (const [shard, redis] of this.#shards) {
      const [key] = await redis.keys(`${stampKey(this.config.keyPrefix)}:snapshot:${this.label}(*`);
      const { walk, chunk, cursor } = key === undefined ? {} : await redis.hgetall(key);
      if (walk === undefined || !cursor) continue;
      const { rows, isAtEnd, leftOver } = JSON.parse(cursor) as SnapshotState;
      found[shard] = { walk, chunk: Number(chunk), rows, isAtEnd, leftOver };
    }
    return found;
  }

  /** Every row of MySQL, and every key of every shard: what MySQL contradicts. */
  async wrong(copies: number): Promise<string[]> {
    const [rows] = await this.mysql.query<RowDataPacket[]>(`SELECT * FROM ${this.label}`);
    const truth = new Map(rows.map((row) => [this.key(String(row['id'])), textsOf(row)]));
    const seen = new Map<string, number>();
    const wrong: string[] = [];
    for (const [shard, redis] of this.#shards) {
      for (const [key, { [MIRROR_FIELD]: _, ...columns }] of await hashesOf(redis, await this.keysIn(shard))) {
        const expected = truth.get(key);
        if (JSON.stringify(sorted(columns)) !== JSON.stringify(sorted(expected ?? {})) || expected === undefined) {
          wrong.push(`${shard} holds under ${key} ${JSON.stringify(columns)}, and MySQL ${JSON.stringify(expected)}`);
        }
        seen.set(key, (seen.get(key) ?? 0) + 1);
      }
    }
    for (const key of truth.keys()) {
      if (seen.get(key) !== copies) wrong.push(`${key} lies in ${seen.get(key) ?? 0} shards`);
    }
    return wrong.length <= 5 ? wrong : [...wrong.slice(0, 5), `and ${wrong.length - 5} more`];
  }

  /** What a worker has logged since it was started. */
  logged(event: string, worker = this.worker): Record<string, unknown>[] {
    return this.#logLines(worker)
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => String(line['event']).startsWith(event));
  }

  #logLines(worker = this.worker): string[] {
    return readFileSync(worker.logFile, 'utf8').split('\n');
  }
}

async function hashesOf(redis: Redis, keys: readonly string[]): Promise<[string, Record<string, string>][]> {
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.hgetall(key);
  const replies = (await pipeline.exec()) ?? [];
  return keys.map((key, index) => [key, (replies[index]?.[1] ?? {}) as Record<string, string>]);
}

/** Numbers and texts as they are; NULL left out. */
function textsOf(row: RowDataPacket): Record<string, string> {
  return Object.fromEntries(
    Object.entries(row).flatMap(([column, value]) => (value === null ? [] : [[column, String(value)]])),
  );
}

function sorted(columns: Record<string, string>): [string, string][] {
  return Object.entries(columns).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
