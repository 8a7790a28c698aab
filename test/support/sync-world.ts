/**
 * The whole of sync over real servers: a sync worker and a gateway as processes, one table of 200 rows, and the audit that
 * says whether what the gateways answer, and what the shards hold and would be believed for, is what MySQL says.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import type { Redis } from 'ioredis';
import { createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { parseConfig } from '../../shared/config/load.ts';
import { decodeEntry } from '../../shared/entry/entry.ts';
import { leaseKey } from '../../shared/key/cache-key.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { ringHashOf } from '../../shared/shard/shard-layers.ts';
import { floorOf, isTrusted, type Stamp } from '../../shared/stamp/stamp.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { epochOf, type LogPosition, versionOf } from '../../shared/version/version.ts';
import { type MysqlServer, startMysql } from '../../stack/mysql.ts';
import type { RedisServer } from '../../stack/redis.ts';
import * as ringfill from '../../stack/ringfill-process.ts';
import { type OwnBroker, redisAt, startOwnBroker, stampOf, type SyncedConfig, until } from './broker.ts';
import { type Patch, patchedCopy } from './patched-copy.ts';
import { gatewayConfig, type GatewaySettings, startGateway } from './gateway.ts';
import { startGatewayProcesses } from './gateway-processes.ts';
import { accountFor, allowOnMysql, startOwnRedis } from './least-privilege.ts';
import { temporaryFolder, type TestStack } from './stack.ts';
import { SyncWorkerProcesses } from './sync-worker-processes.ts';

export const ROWS = 200;
/** As configured by default. ms. */
export const STALENESS_BOUND_MS = 2_000;
export const HEARTBEAT_MS = 500;
/** Those that there are at first, and some that may come. */
const IDS = Array.from({ length: ROWS + 20 }, (_, index) => String(index + 1));
const CAUGHT_UP_WITHIN_MS = 60_000;

export interface OwnServers {
  readonly stack: TestStack;
  readonly mysql: MysqlServer;
  readonly broker: OwnBroker;
  readonly redis: Readonly<Record<ShardName, RedisServer>>;
}

export type ShardName = 'r1' | 'r2' | 'f1';

/** What is taken out of a copy of the product, to see the audit turn red: RINGFILL_SYNC_MISTAKE. */
const MISTAKES: Readonly<Record<string, Patch>> = {
  'gaps-papered-over': {
    file: 'shared/shard/scripts/apply.lua',
    part: '  stamp.floor = batch.from\n',
    instead: '',
  },
  'dumps-believed': {
    file: 'shared/stamp/stamp-reader.ts',
    part: 'stamp.to < highestBefore',
    instead: 'false',
  },
  'late-stamps-believed': {
    file: 'gateway/journey/trust.ts',
    part: "if (now - stamp.asOf > stalenessBoundMs || performance.now() - since > stalenessBoundMs) return 'behind';",
    instead: '',
  },
  'plain-select': {
    file: 'shared/origin/proved-read.ts',
    part: "return lock === 'WAIT' ? share : `${share} ${lock}`;",
    instead: "return share === '' ? lock : '';",
  },
  'no-floor-for-ddl': {
    file: 'shared/shard/scripts/apply.lua',
    part: '    stamp.tables[followed] = floor\n',
    instead: '',
  },
};

const atEnd: (() => Promise<unknown>)[] = [];
// The last one started goes first; hooks by themselves run in the order in which they were registered.
after(async () => {
  for (const end of atEnd.toReversed()) await end();
});

/** To be harmed: MySQL, RabbitMQ, two shards and one to fall back to. Gone when the test file ends. */
export async function startOwnServers(): Promise<OwnServers> {
  const folder = temporaryFolder();
  const started = async <Server extends { stop(): Promise<void> }>(starting: Promise<Server>): Promise<Server> => {
    const server = await starting;
    atEnd.push(() => server.stop());
    return server;
  };
  const [mysql, broker, r1, r2, f1] = await Promise.all([
    started(startMysql({ folder })),
    startOwnBroker(folder),
    started(startOwnRedis({ folder, name: 'r1' })),
    started(startOwnRedis({ folder, name: 'r2' })),
    started(startOwnRedis({ folder, name: 'f1' })),
  ]);
  await allowOnMysql(mysql, mysql.flavour);
  const stack: TestStack = {
    mysql,
    rabbitmq: broker.server,
    redis: [
      { shard: 'r1', ring: 'primary', port: r1.port },
      { shard: 'r2', ring: 'primary', port: r2.port },
      { shard: 'f1', ring: 'fallback', port: f1.port },
    ],
  };
  return { stack, mysql, broker, redis: { r1, r2, f1 } };
}

export interface WorldOptions {
  readonly stack: TestStack;
  /** Ways by which the sync worker reaches them; the gateway goes straight. */
  readonly workerReaches?: { readonly mysqlPort: number; readonly brokerPort: number };
}

export interface Inventory {
  /** What MySQL contradicts. */
  readonly wrong: readonly string[];
  /** Entries that count, of all shards. */
  readonly trusted: number;
  /** Entries that are there and do not count, by shard. */
  readonly dropped: Readonly<Record<string, number>>;
}

interface WorldShard {
  readonly name: string;
  readonly ring: string;
  readonly redis: Redis;
}

interface World {
  readonly db: string;
  readonly mysql: Pool;
  readonly config: SyncedConfig;
  readonly shards: readonly WorldShard[];
  readonly workers: SyncWorkerProcesses;
  readonly worker: ringfill.RingfillProcess;
  readonly gateways: readonly string[];
}

export class SyncWorld {
  /** `items (id INT PRIMARY KEY, v VARCHAR, n INT)` lies here. */
  readonly db: string;
  readonly config: SyncedConfig;
  /** The gateway, as its clients reach it; then one that knows the fallback ring alone, so as to fill that one too. */
  readonly gateways: readonly string[];
  /** The last one that was started. */
  worker: ringfill.RingfillProcess;
  /** By which the rows are asked for; a test that gives the table another key says so here. */
  keyColumn = 'id';
  readonly #mysql: Pool;
  readonly #shards: readonly WorldShard[];
  readonly #workers: SyncWorkerProcesses;

  private constructor(world: World) {
    this.db = world.db;
    this.config = world.config;
    this.gateways = world.gateways;
    this.worker = world.worker;
    this.#mysql = world.mysql;
    this.#shards = world.shards;
    this.#workers = world.workers;
  }

  /** Everything runs, and no row has been read. It ends with the test file. */
  static async open({ stack, workerReaches }: WorldOptions): Promise<SyncWorld> {
    const { host, port } = stack.mysql;
    const name = `w${randomBytes(4).toString('hex')}`;
    const mysql = createPool({ host, port, user: 'root', supportBigNumbers: true, bigNumberStrings: true });
    atEnd.push(() => mysql.end());
    await mysql.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
    atEnd.push(() => mysql.query(`DROP DATABASE ${name}`));
    await mysql.query(createItems(name));
    await mysql.query(insertItems(name));
    const { login, end } = await accountFor(mysql, name);
    atEnd.push(end);
    const folder = temporaryFolder();
    const mistake = process.env['RINGFILL_SYNC_MISTAKE'];
    const { startGateway: startGatewayProcess, startSyncWorker } =
      mistake === undefined ? ringfill : await patchedCopy(temporaryFolder(), [MISTAKES[mistake] as Patch]);
    const settings: GatewaySettings = {
      origin: { url: `mysql://${login}@${host}:${port}`, schemaReloadSeconds: 1 },
      // Nothing that a shard does not vouch for is answered.
      tables: { [`${name}.items`]: { onSyncLost: 'origin' } },
      defaults: { warmOneIn: 3 },
      keyPrefix: `${name}:`,
      sync: { name, stateFolder: join(folder, 'state') },
    };
    const config = parseConfig(gatewayConfig(stack, settings).text, 'test') as SyncedConfig;
    const { mysqlPort = port, brokerPort } = workerReaches ?? {};
    const brokerUrl = new URL(stack.rabbitmq.url);
    if (brokerPort !== undefined) brokerUrl.port = String(brokerPort);
    const ofWorker = {
      ...config,
      origin: { ...config.origin, url: `mysql://${login}@${host}:${mysqlPort}` },
      sync: { ...config.sync, broker: { ...config.sync.broker, url: brokerUrl.href } },
      log: { level: 'info' },
    };
    const workers = new SyncWorkerProcesses(folder, JSON.stringify(ofWorker), startSyncWorker);
    const worker = await workers.start();
    atEnd.push(() => worker.stop());
    const { gateways } = await startGatewayProcesses(stack, settings, 1, startGatewayProcess);
    const fallback = await startGateway(stack, { ...settings, rings: config.rings.slice(1) });
    atEnd.push(() => Promise.all([...gateways, fallback].map((gateway) => gateway.stop())));
    const shards = stack.redis.map(({ shard, ring, port: at }) => ({ name: shard, ring, redis: redisAt(at) }));
    const urls = [...gateways.map(({ url }) => url), fallback.url];
    return new SyncWorld({ db: name, mysql, config, shards, workers, worker, gateways: urls });
  }

  /** One more; the earlier ones are left alone. Settles when it follows the binlog, or stands by. */
  async startWorker(): Promise<ringfill.RingfillProcess> {
    const worker = await this.#workers.start();
    atEnd.push(() => worker.stop());
    this.worker = worker;
    return worker;
  }

  /** In the table's database, one after another. */
  async run(...statements: string[]): Promise<void> {
    const connection = await this.#mysql.getConnection();
    try {
      await connection.query(`USE ${this.db}`);
      for (const statement of statements) await connection.query(statement);
    } finally {
      connection.release();
    }
  }

  async rows(statement: string): Promise<Record<string, unknown>[]> {
    return (await this.#mysql.query<RowDataPacket[]>(statement))[0];
  }

  /** Rows in the table's database, with a text that they did not have before. */
  async change(text: string, ...ids: number[]): Promise<void> {
    await this.run(`UPDATE items SET v = '${text}', n = n + 1 WHERE id IN (${ids.join(', ')})`);
  }

  async binlogEnd(): Promise<LogPosition> {
    const [end] = await this.rows('SHOW MASTER STATUS');
    return { file: String(end?.['File']), position: Number(end?.['Position']) };
  }

  redis(shard: string): Redis {
    return (this.#shards.find(({ name }) => name === shard) as WorldShard).redis;
  }

  get shardNames(): string[] {
    return this.#shards.map(({ name }) => name);
  }

  /** Undefined where there is none, or where the shard does not answer. */
  async stamp(shard: string): Promise<Stamp | undefined> {
    return await stampOf(this.redis(shard), this.config).catch(() => undefined);
  }

  /** Settles when these shards, or all, have applied everything up to now. */
  async applied(shards = this.shardNames, withinMs = CAUGHT_UP_WITHIN_MS): Promise<void> {
    const since = Date.now();
    const end = await this.binlogEnd();
    await Promise.all(
      shards.map((shard) =>
        until(
          `${shard} has applied everything up to ${end.file}:${end.position}`,
          async () => {
            const stamp = await this.stamp(shard);
            return stamp !== undefined && stamp.asOf >= since && versionOf(epochOf(stamp.to), end) <= stamp.to;
          },
          withinMs,
        ),
      ),
    );
  }

  /** And the gateways believe all shards. */
  async caughtUp(withinMs?: number): Promise<void> {
    await this.applied(this.shardNames, withinMs);
    for (const url of this.gateways) {
      await until(`${url} believes all shards`, async () => {
        const states = await this.states(url);
        return Object.values(states).every((state) => state === 'ok');
      });
    }
  }

  /** What the gateway thinks of each shard. */
  async states(url = this.gateways[0] as string): Promise<Record<string, string>> {
    const answer = await fetch(`${url}/-/ring`);
    const { layers } = (await answer.json()) as { layers: { shards: { shard: string; state: string }[] }[] };
    return Object.fromEntries(layers.flatMap(({ shards }) => shards.map(({ shard, state }) => [shard, state])));
  }

  /** Reads every key through both gateways, so that every shard holds what it owns. */
  async warm(ids: readonly string[] = IDS): Promise<void> {
    for (const url of this.gateways) await this.read(url, ids);
  }

  async read(url: string, ids: readonly string[]): Promise<(object | null)[]> {
    const answer = await fetch(`${url}/${this.db}/items?ids=${ids.join(',')}`);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${answer.status} ${url}: ${text}`);
    return (JSON.parse(text) as { rows: (object | null)[] }).rows;
  }

  entryKey(id: string | number): string {
    return `${this.config.keyPrefix}${this.db}_items_${id}`;
  }

  /** Deletes entries, as eviction would. */
  async forget(...ids: (string | number)[]): Promise<void> {
    await Promise.all(this.#shards.map(({ redis }) => redis.del(ids.map((id) => this.entryKey(id)))));
  }

  /** Ids of those rows whose entries lie in that shard now. */
  async owned(shard: string): Promise<number[]> {
    const ids = Array.from({ length: ROWS }, (_, index) => index + 1);
    const values = await this.redis(shard).mget(ids.map((id) => this.entryKey(id)));
    return ids.filter((_, index) => values[index] !== null);
  }

  /** Settles when both shards that own the row hold it with this text. */
  async seen(text: string, id: number, withinMs = CAUGHT_UP_WITHIN_MS): Promise<void> {
    const isSo = async () => {
      const held = await this.held(id).catch(() => []);
      return held.length === 2 && held.every((body) => body.includes(`"${text}"`));
    };
    await until(`row ${id} is "${text}" in both shards`, isSo, withinMs);
  }

  /** What the shards hold under the key, counted or not. */
  async held(id: string | number): Promise<string[]> {
    const values = await Promise.all(this.#shards.map(({ redis }) => redis.getBuffer(this.entryKey(id))));
    return values.flatMap((bytes) => {
      const entry = bytes === null ? undefined : decodeEntry(bytes);
      return entry === undefined ? [] : [entry.kind === 'row' ? entry.body.toString() : 'absent'];
    });
  }

  /** Every key by every gateway, and then every entry that counts in any shard, against MySQL. */
  async audit(ids: readonly string[] = IDS): Promise<Inventory> {
    const answers = await this.wrongAnswers(ids);
    const entries = await this.entries();
    return { ...entries, wrong: [...answers, ...entries.wrong] };
  }

  /** What the gateways say of every key, where MySQL says otherwise. */
  async wrongAnswers(ids: readonly string[] = IDS): Promise<string[]> {
    const truth = await this.#truth();
    return (await Promise.all(this.gateways.map((url) => this.#wrongAnswers(url, ids, truth)))).flat();
  }

  /** Every entry of every shard, as they lie there. */
  async entries(): Promise<Inventory> {
    const truth = await this.#truth();
    const table = await this.#exposed();
    const wrong: string[] = [];
    const dropped: Record<string, number> = {};
    let trusted = 0;
    for (const shard of this.#shards) {
      const found = await this.#wrongEntries(shard, table, truth);
      wrong.push(...found.wrong);
      trusted += found.trusted;
      dropped[shard.name] = found.dropped;
    }
    return { wrong, trusted, dropped };
  }

  /** Those floors that make entries absent: of the shard, its rings and its table; and holes. */
  async floors(): Promise<Record<string, string>> {
    const floors: Record<string, string> = {};
    for (const { name } of this.#shards) {
      const stamp = await this.stamp(name);
      floors[name] = stamp === undefined ? 'no stamp' : floorsIn(stamp);
    }
    return floors;
  }

  /** What a worker has logged since it was started, with its fields; lines of all levels. */
  logged(worker: ringfill.RingfillProcess, event: string): Record<string, unknown>[] {
    return readFileSync(worker.logFile, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => String(line['event']).startsWith(event));
  }

  /** `begin purged`: how the worker went on, each time that it had to. */
  decisions(worker = this.worker): string[] {
    return this.logged(worker, '')
      .filter(({ decision }) => decision !== undefined)
      .map(({ decision, reason }) => `${String(decision)} ${String(reason)}`);
  }

  /** Shards whose worker says that changes were lost. */
  gaps(worker = this.worker): string[] {
    return this.logged(worker, 'changes were lost').map(({ shard }) => String(shard));
  }

  async status(worker = this.worker): Promise<WorkerStatus> {
    return (await (await fetch(`${worker.url}/-/status`)).json()) as WorkerStatus;
  }

  /** By id: the row as JSON, made by the driver and JSON.stringify alone. */
  async #truth(): Promise<ReadonlyMap<string, string>> {
    const rows = await this.rows(`SELECT * FROM ${this.db}.items`);
    return new Map(rows.map((row) => [String(row[this.keyColumn]), JSON.stringify(row)]));
  }

  async #wrongAnswers(url: string, ids: readonly string[], truth: ReadonlyMap<string, string>): Promise<string[]> {
    const answers = await this.read(url, ids);
    return ids.flatMap((id, index) => {
      const [said, wanted] = [JSON.stringify(answers[index]), truth.get(id) ?? 'null'];
      return said === wanted ? [] : [`${url} says of ${id} ${said}, and MySQL ${wanted}`];
    });
  }

  async #wrongEntries({ name, ring, redis }: WorldShard, table: ExposedTable, truth: ReadonlyMap<string, string>) {
    const stamp = await this.stamp(name);
    const ringConfig = this.config.rings.find((one) => one.name === ring) as SyncedConfig['rings'][number];
    const floor = stamp && floorOf(stamp, table.followedName, ringHashOf(ringConfig));
    const wrong: string[] = [];
    let [trusted, dropped] = [0, 0];
    const prefix = this.entryKey('');
    const keys = (await redis.keys(`${prefix}*`)).filter((key) => !key.endsWith(leaseKey('')));
    const values = keys.length === 0 ? [] : await redis.mgetBuffer(keys);
    for (const [index, key] of keys.entries()) {
      const entry = decodeEntry(values[index] ?? Buffer.alloc(0));
      if (entry === undefined) wrong.push(`${name} holds no entry under ${key}`);
      else if (
        stamp === undefined ||
        floor === undefined ||
        entry.shape !== table.schema.shape ||
        !isTrusted(entry, stamp, floor)
      )
        dropped += 1;
      else {
        trusted += 1;
        const says = entry.kind === 'row' ? entry.body.toString() : 'null';
        const wanted = truth.get(decodeURIComponent(key.slice(prefix.length))) ?? 'null';
        if (says !== wanted) wrong.push(`${name} holds under ${key} ${says} at ${entry.version}, and MySQL ${wanted}`);
      }
    }
    return { wrong, trusted, dropped };
  }

  /** As a gateway that starts now would see it. */
  async #exposed(): Promise<ExposedTable> {
    const { url, timeoutMs } = this.config.origin;
    const pool = new OriginPool({ url, connections: 1, timeoutMs, onChange: () => undefined });
    try {
      const tables = await ExposedTables.load(pool, this.config, createLog('error'));
      return tables.find(this.db, 'items') as ExposedTable;
    } finally {
      await pool.stop();
    }
  }
}

export interface WorkerStatus {
  readonly capture: {
    readonly state: string;
    readonly reason?: string;
    readonly continuity?: { readonly kind: string; readonly reason: string };
    readonly epoch?: number;
  };
  readonly shards: readonly {
    readonly shard: string;
    readonly connected: boolean;
    readonly gaps: number;
    readonly fenced: number;
    readonly deadLetters: number;
    readonly lastError?: string;
  }[];
}

export function createItems(
  db: string,
  columns = 'id INT PRIMARY KEY, v VARCHAR(60) NOT NULL, n INT NOT NULL',
): string {
  return `CREATE TABLE ${db}.items (${columns}) ENGINE = InnoDB`;
}

export function insertItems(db: string, text = 'first'): string {
  const rows = Array.from({ length: ROWS }, (_, index) => `(${index + 1}, '${text}', 0)`);
  return `INSERT INTO ${db}.items VALUES ${rows.join(', ')}`;
}

function floorsIn({ floor, rings, tables, holes }: Stamp): string {
  return JSON.stringify({ floor, rings, tables, holes });
}

/** Names of shards whose floors are not what they were. */
export function raised(before: Readonly<Record<string, string>>, now: Readonly<Record<string, string>>): string[] {
  return Object.keys(now).filter((shard) => before[shard] !== now[shard]);
}
