/** The drill's own installation, to be harmed: servers, gateways, sync workers, and the configuration that they share. */
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createConnection } from 'mysql2/promise';
import { parseConfig } from '../../../shared/config/load.ts';
import type { Config, SyncConfig } from '../../../shared/config/schema.ts';
import { seededRandom } from '../../../stack/demo-data/seeded-random.ts';
import { type MysqlServer, startMysql } from '../../../stack/mysql.ts';
import type { RabbitmqServer } from '../../../stack/rabbitmq.ts';
import type { RedisServer } from '../../../stack/redis.ts';
import { startOwnBroker } from '../broker.ts';
import { gatewayConfig, startGateway } from '../gateway.ts';
import { startGatewayProcesses } from '../gateway-processes.ts';
import type { TestStack } from '../stack.ts';
import { type DrillShard, SHARDS } from './schedule.ts';
import { creation, DRILL_DB, DRILL_TABLES } from './tables.ts';
import { DrillWorkers } from './workers.ts';
import { allowOnMysql, mysqlUrl, startOwnRedis } from '../least-privilege.ts';

export interface InstalledShard {
  readonly name: DrillShard;
  readonly ring: 'primary' | 'fallback';
  readonly server: RedisServer;
  /** The drill's own, to look with. */
  readonly redis: Redis;
}

export interface Installation {
  readonly mysql: MysqlServer;
  readonly broker: RabbitmqServer;
  readonly shards: readonly InstalledShard[];
  readonly workers: DrillWorkers;
  readonly config: Config & { readonly sync: SyncConfig };
  /** What the application asks. */
  readonly gateway: string;
  /** It knows the fallback ring alone, so as to fill that one too. */
  readonly fallbackGateway: string;
}

const WRITES_ALL_IT_ANSWERS = { appendonly: true, args: ['--appendfsync', 'always'] };

/** It ends with the test file. */
export async function install(
  folder: string,
  seed: number,
  atEnd: (stop: () => unknown) => void,
  workerScript: string,
): Promise<Installation> {
  const stops: (() => unknown)[] = [];
  // Registered first, so that the workers end before what they need does.
  atEnd(async () => {
    for (const stop of stops.toReversed()) await stop();
  });
  const started = async <Server extends { stop(): Promise<void> }>(starting: Promise<Server>): Promise<Server> => {
    const server = await starting;
    stops.push(() => server.stop());
    return server;
  };
  const [mysql, { server: broker }, ...servers] = await Promise.all([
    started(startMysql({ folder })),
    startOwnBroker(folder),
    ...SHARDS.map((name) => started(startOwnRedis({ folder, name, ...(name === 'kept' && WRITES_ALL_IT_ANSWERS) }))),
  ]);
  const shards = SHARDS.map((name, index): InstalledShard => {
    const server = servers[index] as RedisServer;
    const redis = new Redis({ port: server.port, retryStrategy: () => 50 });
    // It is killed now and then.
    redis.on('error', () => undefined);
    stops.push(() => redis.disconnect());
    return { name, ring: name === 'reserve' ? 'fallback' : 'primary', server, redis };
  });
  const root = await createConnection({ host: mysql.host, port: mysql.port, user: 'root' });
  for (const statement of creation(seededRandom(seed))) await root.query(statement);
  await root.end();
  await allowOnMysql(mysql, mysql.flavour);

  const stack: TestStack = {
    mysql,
    rabbitmq: broker,
    redis: shards.map(({ name, ring, server }) => ({ shard: name, ring, port: server.port })),
  };
  const settings = {
    origin: { url: mysqlUrl(mysql), timeoutMs: 5_000 },
    shards: { timeoutMs: 1_000 },
    keyPrefix: 'drill:',
    tables: Object.fromEntries(DRILL_TABLES.map(({ name, strategy }) => [`${DRILL_DB}.${name}`, { strategy }])),
    defaults: { warmOneIn: 3 },
    sync: { name: 'drill', stateFolder: join(folder, 'state') },
  };
  const { text } = gatewayConfig(stack, settings);
  const logged = { ...(JSON.parse(text) as object), log: { level: 'info' } };
  const workers = new DrillWorkers(folder, JSON.stringify(logged), workerScript);
  stops.push(() => workers.stop());
  await workers.atLeast(1);
  const config = parseConfig(text, 'drill') as Installation['config'];
  const { gateways } = await startGatewayProcesses(stack, settings, 1);
  const fallbackGateway = await startGateway(stack, { ...settings, rings: config.rings.slice(1) });
  return {
    mysql,
    broker,
    shards,
    workers,
    config,
    gateway: gateways[0]?.url as string,
    fallbackGateway: fallbackGateway.url,
  };
}
