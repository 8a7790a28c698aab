/**
 * What tests of capture share: an origin of their own to do harm to, a capture with its real parts, and shards that take
 * its messages as the script does, in memory, and say what they found.
 */
import { after } from 'node:test';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Connection, createConnection } from 'mysql2/promise';
import { decodeBatch, type DecodedBatch } from '../../shared/change/change-batch.ts';
import { BrokerConnection } from '../../shared/broker/connection.ts';
import { declareTopology, topologyOf } from '../../shared/broker/topology.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { type MysqlOptions, type MysqlServer, startMysql } from '../../stack/mysql.ts';
import { CaptureService } from '../../sync-worker/capture/capture-service.ts';
import type { Station } from '../../sync-worker/capture/capture-run.ts';
import { type Checkpoint, checkpointPath, readCheckpoint } from '../../sync-worker/capture/continuity/checkpoint.ts';
import { type Highest, highestOf } from '../../sync-worker/capture/continuity/plan.ts';
import { memoryLog, type SyncedConfig, until } from './broker.ts';
import { temporaryFolder } from './stack.ts';

export const TABLE = 'shop.items';
export const FOLLOWED = 'shop.items(id)';

export interface OwnOrigin {
  readonly server: MysqlServer;
  readonly url: string;
  run(...statements: string[]): Promise<void>;
  /** Of one statement. */
  rows(statement: string): Promise<Record<string, unknown>[]>;
  session(): Promise<Connection>;
}

/** MariaDB always has GTIDs; it passes over what it does not know, if told so. */
const WITH_GTIDS = ['--loose-gtid-mode=ON', '--loose-enforce-gtid-consistency=ON', '--log-slave-updates'];

/** Gone when the test file ends. It has one empty table. */
export async function startOwnOrigin(options: Partial<MysqlOptions> = {}): Promise<OwnOrigin> {
  const folder = temporaryFolder();
  const args = [...WITH_GTIDS, ...(options.args ?? [])];
  const server = await startMysql({ folder, ...options, args });
  after(() => server.stop());
  const session = () =>
    createConnection({ host: server.host, port: server.port, user: server.user, multipleStatements: true });
  const origin: OwnOrigin = {
    server,
    url: `mysql://${server.user}@${server.host}:${server.port}`,
    session,
    async run(...statements) {
      const connection = await session();
      try {
        for (const statement of statements) await connection.query(statement);
      } finally {
        connection.destroy();
      }
    },
    async rows(statement) {
      const connection = await session();
      try {
        return (await connection.query(statement))[0] as Record<string, unknown>[];
      } finally {
        connection.destroy();
      }
    },
  };
  await origin.run(
    'CREATE DATABASE IF NOT EXISTS shop',
    'CREATE TABLE IF NOT EXISTS shop.items (id INT PRIMARY KEY, v VARCHAR(40))',
  );
  return origin;
}

/** A shard in memory: what apply.lua does, as far as capture can be wrong about it. */
export class ShadowShard {
  stamp: { plan: number; to: string; floor: string; asOf: number; origin: string; gtid: string } | undefined;
  readonly messages: DecodedBatch[] = [];
  readonly entries = new Map<string, { op: string; version: string; body: string }>();
  readonly floors = new Map<string, string>();
  readonly holes: (readonly [string, string])[] = [];
  tables: readonly string[] = [];
  gaps = 0;
  fenced = 0;
  disordered = 0;

  take(message: DecodedBatch): void {
    const { head, changes } = message;
    this.messages.push(message);
    const stamp = (this.stamp ??= { ...head, plan: 0, to: head.from, floor: head.from, asOf: 0 });
    if (head.plan < stamp.plan) {
      this.fenced += 1;
      return;
    }
    if (head.from > stamp.to) {
      this.gaps += 1;
      stamp.to = stamp.floor = head.from;
    }
    stamp.plan = head.plan;
    if (head.tables !== undefined) this.tables = head.tables;
    for (const [table, floor] of Object.entries(head.floors ?? {})) this.floors.set(table, floor);
    if (head.hole !== undefined) this.holes.push(head.hole);
    let last = '';
    for (const change of changes) {
      const text = change.head.toString('latin1');
      const version = text.slice(1, 46);
      if (version <= last || version > head.to) this.disordered += 1;
      last = version;
      if (version <= stamp.to) continue;
      this.entries.set(change.key.toString(), { op: text.charAt(0), version, body: change.body.toString() });
    }
    if (head.to >= stamp.to) Object.assign(stamp, { to: head.to, origin: head.origin, gtid: head.gtid });
    stamp.asOf = Math.max(stamp.asOf, head.asOf);
  }

  /** It restarted empty. */
  flush(): void {
    this.stamp = undefined;
    this.entries.clear();
  }
}

export interface TestCapture {
  readonly config: SyncedConfig;
  readonly service: CaptureService;
  readonly shards: ReadonlyMap<string, ShadowShard>;
  readonly stations: Station[];
  readonly events: Record<string, unknown>[];
  checkpoint(): Promise<Checkpoint>;
  /** Every shard has everything that was committed before now. */
  caughtUp(withinMs?: number): Promise<void>;
  /** The decisions logged, in order: `begin no-checkpoint`. */
  decisions(): string[];
  stop(): Promise<void>;
}

export interface CaptureSettings {
  readonly origin: OwnOrigin;
  readonly broker: string;
  readonly name?: string;
  readonly stateFolder?: string;
  /** Of another capture of the same name: its shards, and their consumers, go on. */
  readonly shards?: ReadonlyMap<string, ShadowShard>;
  readonly originUrl?: string;
}

export function captureConfig({ origin, broker, name, stateFolder, originUrl }: CaptureSettings): SyncedConfig {
  const config = {
    origin: { url: originUrl ?? origin.url },
    rings: [
      { name: 'primary', shards: { r1: 'redis://127.0.0.1:1', r2: 'redis://127.0.0.1:2' } },
      { name: 'fallback', shards: { f1: 'redis://127.0.0.1:3' } },
    ],
    tables: { [TABLE]: {} },
    sync: {
      name: name ?? `t${randomBytes(4).toString('hex')}`,
      broker: { url: broker, queueType: 'classic' },
      stateFolder: stateFolder ?? join(temporaryFolder(), 'state'),
      heartbeatMs: 100,
    },
  };
  return parseConfig(JSON.stringify(config), 'test') as SyncedConfig;
}

/** Its queues are emptied into shadow shards. Stopped when the test file ends. */
export async function startCapture(settings: CaptureSettings): Promise<TestCapture> {
  const config = captureConfig(settings);
  const { log, events } = memoryLog();
  const shards = settings.shards ?? (await consume(config));
  const pool = new OriginPool({ url: config.origin.url, connections: 2, timeoutMs: 2_000, onChange: () => undefined });
  const stations: Station[] = [];
  const tables = await ExposedTables.load(pool, config, log);
  const service = new CaptureService({
    config,
    tables,
    highestStamps: async () => highestOf([...shards.values()].map(({ stamp }) => stamp)),
    log,
    onStation: (station) => void stations.push(station),
  });
  const stop = async () => {
    await service.stop();
    await pool.stop();
  };
  after(stop);
  await service.start();
  return {
    config,
    service,
    shards,
    stations,
    events,
    stop,
    async checkpoint() {
      const found = await readCheckpoint(checkpointPath(config.sync.stateFolder, config.sync.name));
      if (found.kind !== 'found') throw new Error(`checkpoint: ${JSON.stringify(found)}`);
      return found.checkpoint;
    },
    async caughtUp(withinMs) {
      const now = Date.now();
      const isThere = () => [...shards.values()].every(({ stamp }) => stamp !== undefined && stamp.asOf >= now);
      await until('every shard has heard of everything up to now', isThere, withinMs).catch((error: unknown) => {
        const stamps = [...shards].map(([name, { stamp }]) => `${name} ${JSON.stringify(stamp)}`);
        const told = events.filter(({ level }) => Number(level) >= 40).map((event) => JSON.stringify(event));
        throw new Error([String(error), JSON.stringify(service.status), ...stamps, ...told].join('\n'));
      });
    },
    decisions: () =>
      events
        .filter(({ decision }) => decision !== undefined)
        .map(({ decision, reason }) => `${String(decision)} ${String(reason)}`),
  };
}

export interface CaptureProcessSettings {
  readonly config: SyncedConfig;
  /** It kills itself at the n-th time that it comes to a station. */
  readonly dieAt?: { readonly station: Station; readonly count: number };
  /** Of the shards' stamps. */
  readonly highest: Highest;
}

/** A capture in a process of its own, to be stopped and killed. Gone when the test file ends. */
export function spawnCapture(settings: CaptureProcessSettings): ChildProcess {
  const program = join(import.meta.dirname, 'capture-process.ts');
  const child = spawn(process.execPath, [program, JSON.stringify(settings)], {
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  after(() => child.kill('SIGKILL'));
  return child;
}

/** Shards of a capture, whoever publishes to them. */
export async function consume(config: SyncedConfig): Promise<ReadonlyMap<string, ShadowShard>> {
  const topology = topologyOf(config, config.sync);
  const connection = new BrokerConnection({ url: config.sync.broker.url, name: `test ${config.sync.name}` });
  await connection.start();
  await declareTopology(connection, topology);
  const { channel } = await connection.openChannel();
  after(async () => {
    await connection.up();
    const again = await connection.openChannel();
    for (const { queue } of topology.shards) await again.channel.deleteQueue(queue);
    await again.channel.deleteQueue(topology.deadLetters);
    await connection.stop();
  });
  const shards = new Map<string, ShadowShard>();
  for (const { shard, queue } of topology.shards) {
    const shadow = new ShadowShard();
    shards.set(shard, shadow);
    await channel.consume(queue, (message) => message && shadow.take(decodeBatch(message.content)), { noAck: true });
  }
  return shards;
}

/** What the shards of the primary ring were told last of each row, against what the origin has. */
export async function differences(capture: TestCapture, origin: OwnOrigin): Promise<string[]> {
  const wrong: string[] = [];
  const rows = (await origin.rows('SELECT id, v FROM shop.items ORDER BY id')) as { id: number; v: string }[];
  const known = new Map(
    [...capture.shards].filter(([name]) => name !== 'f1').flatMap(([, { entries }]) => [...entries]),
  );
  const fallback = capture.shards.get('f1')?.entries;
  for (const { id, v } of rows) {
    const key = `shop_items_${id}`;
    const [first, second] = [known.get(key), fallback?.get(key)];
    const wanted = JSON.stringify({ id, v });
    if (first?.body !== wanted) wrong.push(`${key}: ${first?.body} instead of ${wanted}`);
    if (second?.body !== wanted || second.version !== first?.version) wrong.push(`${key} in f1: ${second?.body}`);
  }
  const ids = new Set(rows.map(({ id }) => `shop_items_${id}`));
  for (const [key, { op, body }] of known) if (!ids.has(key) && op === 'W') wrong.push(`${key}: ${body} is gone`);
  return wrong;
}

/** By GTIDs; `to` loses what it had. */
export async function replicate(from: OwnOrigin, to: OwnOrigin): Promise<void> {
  const { host, port, user } = from.server;
  const how = to.server.flavour === 'mariadb' ? 'MASTER_USE_GTID=slave_pos' : 'MASTER_AUTO_POSITION=1';
  await to.run(
    // Its own set-up is not the history.
    'RESET MASTER',
    'DROP DATABASE shop',
    ...(to.server.flavour === 'mariadb' ? ['RESET MASTER', "SET GLOBAL gtid_slave_pos = ''"] : ['RESET MASTER']),
    `CHANGE MASTER TO MASTER_HOST='${host}', MASTER_PORT=${port}, MASTER_USER='${user}', ${how}`,
    'START SLAVE',
  );
  await until('it replicates', async () => {
    const databases = await to.rows("SHOW DATABASES LIKE 'shop'");
    return databases.length === 1;
  });
}
