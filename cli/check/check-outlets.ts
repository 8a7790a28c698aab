/** The outlets: their queues are as configured, the folder takes files, Redis takes events. Nothing is declared or written. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import type { BrokerConnection } from '../../shared/broker/connection.ts';
import type { OutletQueue, OutletTopology } from '../../shared/broker/outlet-topology.ts';
import type { OutletsConfig } from '../../shared/config/schema.ts';
import { codeOf, messageOf } from '../../shared/errors/errors.ts';
import { withinDeadline } from '../../shared/lifecycle/deadline.ts';
import { describeEndpoint, redisOptions } from '../../shared/shard/endpoint.ts';
import type { Finding } from './finding.ts';
import { redisCli } from './redis-cli.ts';

const GROUP = 'outlets';
const ANSWERS_WITHIN_MS = 5_000;

export async function checkOutletQueues(connection: BrokerConnection, outlets: OutletTopology): Promise<Finding[]> {
  return [
    await checkExchange(connection, outlets.exchange),
    ...(await Promise.all(outlets.queues.map((outlet) => checkQueue(connection, outlet)))),
  ];
}

export async function checkOutlets({ files, redis }: OutletsConfig): Promise<Finding[]> {
  const findings = [
    ...(files === undefined ? [] : [checkFolder(files.folder)]),
    ...(redis === undefined ? [] : [checkRedis(redis)]),
  ];
  return (await Promise.all(findings)).flat();
}

async function checkExchange(connection: BrokerConnection, exchange: string): Promise<Finding> {
  const finding = { group: GROUP, requirement: `exchange ${exchange}` };
  // What is not there is not made; what is there is asked for as it has to be, which changes nothing.
  if ((await refusalOf(connection, (channel) => channel.checkExchange(exchange))) !== undefined) {
    return { ...finding, verdict: 'note', found: 'not there yet: the sync worker makes it' };
  }
  const refused = await refusalOf(connection, (channel) =>
    channel.assertExchange(exchange, 'topic', { durable: true }),
  );
  if (refused === undefined) return { ...finding, verdict: 'met', found: 'a durable topic exchange' };
  return {
    ...finding,
    verdict: 'unmet',
    found: `${refused} [broker-topology-differs]`,
    why: 'The sync worker does not start without it.',
    mend: ['# choose another name: sync.outlets.exchange'],
  };
}

async function checkQueue(connection: BrokerConnection, outlet: OutletQueue): Promise<Finding> {
  const { queue, arguments: properties } = outlet;
  const finding = { group: GROUP, requirement: `queue ${queue}` };
  let waiting = 0;
  const absent = await refusalOf(connection, async (channel) => {
    waiting = (await channel.checkQueue(queue)).messageCount;
  });
  if (absent !== undefined) {
    const isMissing = absent.includes('NOT-FOUND') || absent.includes('NOT_FOUND');
    if (isMissing) return { ...finding, verdict: 'note', found: 'not there yet: the sync worker makes it' };
    return { ...finding, verdict: 'unmet', found: absent, why: 'Its subscriber gets nothing.' };
  }
  const options = { durable: true, arguments: { ...properties } };
  const differs = await refusalOf(connection, (channel) => channel.assertQueue(queue, options));
  if (differs === undefined) return { ...finding, verdict: 'met', found: `${waiting} events wait` };
  return {
    ...finding,
    verdict: 'warning',
    found: `it exists with other properties: ${differs}`,
    why: 'It gets events all the same, and is bounded, kept and given to consumers in its own way.',
    mend: ['# delete it, and what it holds; the sync worker makes it anew', `rabbitmqctl delete_queue ${queue}`],
  };
}

type Ask = (channel: Awaited<ReturnType<BrokerConnection['openChannel']>>['channel']) => Promise<unknown>;

/** A refusal closes the channel, so each question has its own. */
async function refusalOf(connection: BrokerConnection, ask: Ask): Promise<string | undefined> {
  const { channel, close } = await connection.openChannel();
  try {
    await ask(channel);
    return undefined;
  } catch (error) {
    return messageOf(error);
  } finally {
    await close();
  }
}

async function checkFolder(folder: string): Promise<Finding> {
  const finding = { group: GROUP, requirement: 'files' };
  const path = resolve(folder);
  const { at, isThere } = await nearest(path);
  try {
    const isFolder = (await stat(at)).isDirectory();
    if (!isFolder) throw new Error(`${at} is no folder`);
    await access(at, constants.W_OK | constants.X_OK);
    const found = isThere ? `${path} can be written by this user` : `${path} can be made by this user`;
    return { ...finding, verdict: 'met', found };
  } catch (error) {
    return {
      ...finding,
      verdict: 'unmet',
      found: messageOf(error),
      why: 'Events wait in the outlet’s queue, until it is full and the oldest are dropped.',
      mend: [`# as the user that the sync worker runs as`, `mkdir -p '${path}' && chmod u+rwx '${path}'`],
    };
  }
}

/** The folder, or the one above it that is there. */
async function nearest(path: string): Promise<{ at: string; isThere: boolean }> {
  for (let at = path; ; at = dirname(at)) {
    try {
      await stat(at);
      return { at, isThere: at === path };
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || at === dirname(at)) return { at, isThere: at === path };
    }
  }
}

async function checkRedis({ url, key, kind }: NonNullable<OutletsConfig['redis']>): Promise<Finding[]> {
  const finding = { group: GROUP, requirement: 'Redis' };
  const address = describeEndpoint(url);
  const cli = redisCli(url);
  const options: RedisOptions = {
    ...redisOptions(url),
    protocol: 2,
    lazyConnect: true,
    connectTimeout: ANSWERS_WITHIN_MS,
    retryStrategy: () => null,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
  };
  const redis = new Redis(options as RedisOptions & { replyMapping: 'legacy' });
  let reported: Error | undefined;
  redis.on('error', (error: Error) => {
    reported = error;
  });
  try {
    const asked = redis.connect().then(() => redis.type(key));
    const type = await withinDeadline(asked, ANSWERS_WITHIN_MS, () => new Error('no answer'));
    if (reported !== undefined) throw reported;
    if (type !== 'none' && type !== kind) {
      const why = 'No event can be written; they wait in the outlet’s queue.';
      const mend = ['# choose another key: sync.outlets.redis.key', `${cli} TYPE '${key}'`];
      return [{ ...finding, verdict: 'unmet', found: `${address}: ${key} is a ${type}, and no ${kind}`, why, mend }];
    }
    const found = `${address}: ${key} is ${type === 'none' ? `free for a ${kind}` : `a ${kind}`}`;
    return [{ ...finding, verdict: 'met', found }, ...(await checkEviction(redis, cli))];
  } catch (error) {
    const why = 'Events wait in the outlet’s queue, until it is full and the oldest are dropped.';
    const found = `${address}: ${messageOf(reported ?? error)}`;
    return [{ ...finding, verdict: 'unmet', found, why, mend: [`${cli} PING`] }];
  } finally {
    redis.disconnect();
  }
}

async function checkEviction(redis: Redis, cli: string): Promise<Finding[]> {
  // An account may not be allowed to ask; then nothing is said.
  const info = await redis.info('memory').catch(() => '');
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? '';
  const isBounded = /^maxmemory:[1-9]/m.test(info);
  if (!isBounded || !policy.startsWith('allkeys')) return [];
  return [
    {
      group: GROUP,
      requirement: 'Redis eviction',
      verdict: 'warning',
      found: `maxmemory-policy is ${policy}`,
      why: 'When it is full it may evict the list or stream, with every event that was not read yet.',
      mend: [
        '# a Redis of its own; or, where nothing else relies on it',
        `${cli} CONFIG SET maxmemory-policy noeviction`,
      ],
    },
  ];
}
