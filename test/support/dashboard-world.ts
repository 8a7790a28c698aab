/**
 * An installation to be looked at: the shared MySQL and RabbitMQ, five Redis of its own to be harmed, a sync worker and a
 * gateway as processes, and requests that go on until they are told to stop.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after } from 'node:test';
import type { RedisServer } from '../../stack/redis.ts';
import type { RingfillProcess } from '../../stack/ringfill-process.ts';
import { until } from './broker.ts';
import { gatewayConfig, type GatewaySettings } from './gateway.ts';
import { startGatewayProcesses } from './gateway-processes.ts';
import { temporaryFolder, type TestStack } from './stack.ts';
import { SyncWorkerProcesses } from './sync-worker-processes.ts';
import { mysqlUrl, redisUrl, startOwnRedis } from './least-privilege.ts';

const SHARDS = { primary: ['r1', 'r2', 'r3'], fallback: ['f1', 'f2'] } as const;
const CAUGHT_UP_WITHIN_MS = 60_000;

export interface DashboardWorld {
  readonly url: string;
  readonly gateway: RingfillProcess;
  readonly shards: Readonly<Record<string, RedisServer>>;
}

/** Settles when every shard vouches for what it holds. It ends with the test file. */
export async function openDashboardWorld(stack: TestStack): Promise<DashboardWorld> {
  const folder = temporaryFolder();
  const servers = await Promise.all(
    Object.values(SHARDS)
      .flat()
      .map((name) => startOwnRedis({ folder, name })),
  );
  after(() => Promise.all(servers.map((server) => server.stop())));
  const shards = Object.fromEntries(servers.map((server) => [server.name, server]));
  const name = `ui${randomBytes(4).toString('hex')}`;
  const settings: GatewaySettings = {
    // The shards are its own.
    keyPrefix: '',
    origin: { url: mysqlUrl(stack.mysql) },
    tables: {
      'test.users': { columns: { deny: ['email'] } },
      'shop.orders': { mode: 'mirror' },
    },
    rings: Object.entries(SHARDS).map(([ring, names]) => ({
      name: ring,
      shards: Object.fromEntries(names.map((shard) => [shard, redisUrl(shards[shard]?.port ?? 0)])),
    })),
    defaults: { warmOneIn: 10 },
    sync: { name, stateFolder: join(folder, 'state') },
  };
  const workers = new SyncWorkerProcesses(folder, gatewayConfig(stack, settings).text);
  const worker = await workers.start();
  const ofGateway = { ...settings, sync: { ...settings.sync, port: worker.port } };
  const { gateways } = await startGatewayProcesses(stack, ofGateway, 1);
  const gateway = gateways[0] as RingfillProcess;
  await until(
    'all shards vouch for what they hold',
    async () => Object.values(await states(gateway.url)).every((state) => state === 'ok'),
    CAUGHT_UP_WITHIN_MS,
  );
  return { url: gateway.url, gateway, shards };
}

export async function states(url: string): Promise<Readonly<Record<string, string>>> {
  const { layers } = (await (await fetch(`${url}/-/ring`)).json()) as {
    layers: { shards: { shard: string; state: string }[] }[];
  };
  return Object.fromEntries(layers.flatMap(({ shards }) => shards.map(({ shard, state }) => [shard, state])));
}

/** Readers of users and orders, a few of them often; each waits a moment after its answer. @returns how to end it. */
export function startReaders(url: string, readers = 6): () => Promise<void> {
  const ending = new AbortController();
  const { signal } = ending;
  const pick = (count: number) => 1 + Math.floor(Math.random() ** 2.2 * count);
  const running = Array.from({ length: readers }, async () => {
    while (!signal.aborted) {
      const path = Math.random() < 0.3 ? `/shop/orders/${pick(2_000)}` : `/test/users/${pick(10_000)}`;
      await fetch(url + path).then(
        (answer) => answer.arrayBuffer(),
        () => undefined,
      );
      await new Promise((settle) => setTimeout(settle, 5 + Math.random() * 20));
    }
  });
  return async () => {
    ending.abort();
    await Promise.all(running);
  };
}
