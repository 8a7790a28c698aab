/** What tests of the broker and of apply share: a configuration, batches that follow each other, and a look at what became of them. */
import type { Replies } from 'amqplib';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type Logger, pino } from 'pino';
import { BrokerUnavailable } from '../../shared/broker/broker-errors.ts';
import { BrokerConnection } from '../../shared/broker/connection.ts';
import { PublishSession, type PublishSessionOptions } from '../../shared/broker/publisher.ts';
import { type Topology, topologyOf } from '../../shared/broker/topology.ts';
import { encodeBatch } from '../../shared/change/change-batch.ts';
import type { VersionedChange } from '../../shared/change/change.ts';
import type { Endpoint } from '../../shared/shard/endpoint.ts';
import { parseConfig } from '../../shared/config/load.ts';
import type { Config, SyncConfig } from '../../shared/config/schema.ts';
import { encodeEntry } from '../../shared/entry/entry.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import { decodeStamp, type Stamp } from '../../shared/stamp/stamp.ts';
import { versionOf } from '../../shared/version/version.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { type RabbitmqServer, startRabbitmq } from '../../stack/rabbitmq.ts';
import { needServer } from '../../stack/server-binaries.ts';
import { ApplyService } from '../../sync-worker/apply/apply-service.ts';
import type { ShardApplyStatus } from '../../sync-worker/apply/status.ts';
import { redisUrl } from './least-privilege.ts';

export const RING_HASH = 'hash-of-ring';
export const TABLE = 'test.users(uid)';
const SHAPE = 'shape--8';
const EPOCH = 1_795_000_000;

export type SyncedConfig = Config & { sync: SyncConfig };

export interface BrokerSettings {
  readonly url: string;
  /** The shards by name: URLs, or ports on this machine. */
  readonly shards?: Readonly<Record<string, number | Endpoint>>;
  readonly queueType?: 'quorum' | 'classic';
  readonly backlogMebibytesMax?: number;
  /** The same for two that share queues and shards. */
  readonly name?: string;
}

/** Of one ring, with a name and a key prefix of its own. */
export function brokerConfig({ url, shards = { r1: 1 }, ...settings }: BrokerSettings): SyncedConfig {
  const name = settings.name ?? `t${randomBytes(4).toString('hex')}`;
  const { queueType = 'classic', backlogMebibytesMax = 64 } = settings;
  const endpoints = Object.entries(shards).map(([shard, at]) => [shard, typeof at === 'number' ? redisUrl(at) : at]);
  const config = {
    origin: { url: 'mysql://nobody@127.0.0.1' },
    rings: [{ name: 'primary', shards: Object.fromEntries(endpoints) as Record<string, Endpoint> }],
    keyPrefix: `${name}:`,
    tables: { 'test.users': {} },
    sync: { name, broker: { url, queueType, backlogMebibytesMax } },
  };
  return parseConfig(JSON.stringify(config), 'test') as SyncedConfig;
}

export interface OwnBroker {
  readonly server: RabbitmqServer;
  /** rabbitmqctl, on this broker. */
  readonly control: (...args: string[]) => Promise<void>;
}

/** A RabbitMQ of the test's own, to do harm to. Gone when the test file ends. */
export async function startOwnBroker(folder: string): Promise<OwnBroker> {
  const epmdPort = await chooseFreePort();
  const server = await startRabbitmq({ folder, epmdPort });
  after(() => server.stop());
  const program = join(dirname(await needServer('rabbitmq')), 'rabbitmqctl');
  const env = { ...process.env, HOME: join(server.folder, 'home'), ERL_EPMD_PORT: String(epmdPort) };
  return {
    server,
    control: async (...args) => {
      await promisify(execFile)(program, ['-n', 'ringfill@localhost', ...args], { env });
    },
  };
}

export interface OpenBroker {
  readonly connection: BrokerConnection;
  readonly topology: Topology;
  /** A session to publish with. */
  open(options?: Partial<PublishSessionOptions>): Promise<PublishSession>;
}

/** A connection as capture would have; when the test file ends, its queues go. */
export async function openBroker(config: SyncedConfig): Promise<OpenBroker> {
  const topology = topologyOf(config, config.sync);
  const connection = new BrokerConnection({ url: config.sync.broker.url, name: `test ${config.sync.name}` });
  after(async () => {
    if (connection.state !== 'down') await removeQueues(connection, topology).catch(() => undefined);
    await connection.stop();
  });
  await connection.start();
  return {
    connection,
    topology,
    open: (options = {}) => PublishSession.open({ connection, topology, ...options }),
  };
}

async function removeQueues(connection: BrokerConnection, { shards, deadLetters }: Topology): Promise<void> {
  const { channel, close } = await connection.openChannel();
  for (const queue of [deadLetters, ...shards.map((one) => one.queue)]) await channel.deleteQueue(queue);
  await close();
}

/** Positions of a binlog: the n-th is before the (n+1)-th. */
export function version(n: number, ordinal?: number): string {
  return versionOf(EPOCH, { file: 'mysql-bin.000001', position: n * 100 }, ordinal);
}

export function write(n: number, key: string, row: object): VersionedChange {
  const body = Buffer.from(JSON.stringify(row));
  return { op: 'write', table: TABLE, key, shape: SHAPE, body, version: version(n, 0) };
}

/** The messages of one shard, each beginning where the last one ended. */
export class Chain {
  readonly #plan: number;
  #at: number;

  constructor(at = 0, plan = 1) {
    this.#at = at;
    this.#plan = plan;
  }

  /** The number of the last message's `to`. */
  get at(): number {
    return this.#at;
  }

  /** The next message: to the next position, with these changes in it. */
  next(changes: (n: number) => readonly VersionedChange[] = () => []): Buffer {
    const from = version(this.#at);
    this.#at += 1;
    return encodeBatch({
      plan: this.#plan,
      from,
      to: version(this.#at),
      asOf: Date.now(),
      origin: 'origin',
      gtid: '',
      rings: [RING_HASH],
      tables: [TABLE],
      changes: changes(this.#at),
    });
  }

  /** Messages that are never sent. */
  skip(count = 1): void {
    this.#at += count;
  }
}

/** An entry as a gateway that saw the `n`-th position would have filled it. */
export function entryAt(n: number, row: object): Buffer {
  return encodeEntry({
    kind: 'row',
    exactness: 'exact',
    isSecondHand: false,
    version: version(n),
    shape: SHAPE,
    body: Buffer.from(JSON.stringify(row)),
    readAtMs: Date.now(),
    ttlSeconds: 300,
  });
}

/** Ready messages, those that no consumer holds. */
export async function readyIn(broker: OpenBroker, queue: string): Promise<number> {
  return (await stateOf(broker, queue)).messageCount;
}

/** Messages that are ready, and consumers: without any, no message is with one of them. */
export async function stateOf({ connection }: OpenBroker, queue: string): Promise<Replies.AssertQueue> {
  const { channel, close } = await connection.openChannel();
  const state = await channel.checkQueue(queue);
  await close();
  return state;
}

/**
 * As capture does it: in order, and after a loss again from the first that is not confirmed, in a new session.
 * @param onConfirmed how many are.
 */
export async function publishAll(
  broker: OpenBroker,
  queue: string,
  messages: readonly Buffer[],
  onConfirmed: (count: number) => void = () => undefined,
): Promise<{ readonly sessions: number }> {
  let confirmed = 0;
  for (let sessions = 1; ; sessions += 1) {
    try {
      await broker.connection.up();
      const session = await broker.open();
      const published: Promise<void>[] = [];
      for (const message of messages.slice(confirmed)) {
        await session.ready();
        const confirm = session.publish(queue, message).then(() => onConfirmed((confirmed += 1)));
        confirm.catch(() => undefined);
        published.push(confirm);
      }
      await Promise.all(published);
      await session.close();
      return { sessions };
    } catch (error) {
      if (!(error instanceof BrokerUnavailable)) throw error;
      await sleep(50);
    }
  }
}

export interface TestApply {
  readonly service: ApplyService;
  readonly readBack: string[];
  /** The messages of its log, with their fields. */
  readonly events: Record<string, unknown>[];
  /** Of the first shard. */
  status(): ShardApplyStatus;
  stop(): Promise<void>;
}

export async function startApply(config: SyncedConfig): Promise<TestApply> {
  const { log, events } = memoryLog();
  const readBack: string[] = [];
  const service = new ApplyService({ config, log, onReadBack: (_, keys) => readBack.push(...keys) });
  const stop = () => service.stop();
  after(stop);
  await service.start();
  return { service, readBack, events, stop, status: () => service.status[0] as ShardApplyStatus };
}

export function memoryLog(): { log: Logger; events: Record<string, unknown>[] } {
  const events: Record<string, unknown>[] = [];
  const write = (line: string) => void events.push(JSON.parse(line) as Record<string, unknown>);
  return { log: pino({ level: 'debug', base: null, messageKey: 'event' }, { write }), events };
}

/** A plain client of a shard; gone when the test file ends. */
export function redisAt(port: number): Redis {
  const redis = new Redis({ host: '127.0.0.1', port, retryStrategy: () => 100 });
  redis.on('error', () => undefined);
  after(() => redis.disconnect());
  return redis;
}

export async function stampOf(redis: Redis, { keyPrefix }: Pick<Config, 'keyPrefix'>): Promise<Stamp | undefined> {
  const stored = await redis.getBuffer(stampKey(keyPrefix));
  return stored === null ? undefined : decodeStamp(stored);
}

/** Asks until it is so, or throws. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, withinMs = 15_000): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  while (!(await isSo())) {
    if (performance.now() > giveUpAt) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(5);
  }
}

export async function stampReaches(redis: Redis, config: SyncedConfig, n: number, withinMs?: number): Promise<Stamp> {
  let stamp: Stamp | undefined;
  const isThere = async () => {
    stamp = await stampOf(redis, config).catch(() => undefined);
    return stamp !== undefined && stamp.to >= version(n);
  };
  await until(`the stamp is at ${n}`, isThere, withinMs);
  return stamp as Stamp;
}
