/**
 * A consumer that was written from the seed's description, in its language and with its libraries, and knows nothing of
 * ringfill: after any workload its Redis holds what MySQL holds.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { type RedisServer, startRedis } from '../../stack/redis.ts';
import { redisAt, until } from '../support/broker.ts';
import { OutletsWorld } from '../support/outlets.ts';
import { seedPython, startSeedConsumer } from '../support/seed-python.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const python = seedPython();
const skip =
  python === undefined && 'there is no Python with pika and redis: apt-get install python3-pika python3-redis';
const seed = Number(process.env['RINGFILL_SEED'] ?? Date.now() % 1_000_000);
const STEPS = 400;

const stack = await testStack();
const started: RedisServer[] = [];
after(() => Promise.all(started.map((server) => server.stop())));

for (const [claim, nulls] of [
  ['NULL as null', 'null'],
  ['NULL as canal tells it', 'empty'],
] as const) {
  test(`its Redis holds what MySQL holds: ${claim}`, { skip }, async (t) => {
    t.diagnostic(`RINGFILL_SEED=${seed}`);
    const redis = await startRedis({ folder: temporaryFolder(), name: nulls });
    started.push(redis);
    const queue = 'canal_binlog_data';
    const world = await OutletsWorld.open({ stack, outlets: { nulls, subscribers: { [queue]: {} } } });
    await world.startWorker();
    const keyColumns = { [world.db]: { items: 'id' } };
    const settings = {
      python: python as string,
      amqpUrl: stack.rabbitmq.url,
      queue,
      redisPort: redis.port,
      keyColumns,
    };
    const consumer = await startSeedConsumer(settings);
    const count = await world.workload(seed, STEPS);
    await world.told();

    const wanted = Object.fromEntries(
      Object.entries(await world.rows()).map(([id, row]) => {
        const told = Object.entries(row).map(
          ([name, value]) => [name, value ?? (nulls === 'empty' ? '' : null)] as const,
        );
        return [`${world.db}_items_${id}`, Object.fromEntries(told.filter(([, value]) => value !== null))];
      }),
    );
    const client = redisAt(redis.port);
    const held = async () => {
      const keys = await client.keys('*');
      return Object.fromEntries(await Promise.all(keys.map(async (key) => [key, await client.hgetall(key)] as const)));
    };
    await until('every event is consumed', async () => {
      assert.equal(consumer.ended(), undefined);
      return (await world.status()).outlets[0]?.behind === 0 && isDeepStrictEqual(sorted(await held()), sorted(wanted));
    }).catch(() => undefined);
    assert.deepEqual(sorted(await held()), sorted(wanted));
    assert.ok(Object.keys(wanted).length > 20, 'there is something to compare');
    t.diagnostic(`${count} events, ${Object.keys(wanted).length} rows`);
    await world.worker?.stop();
  });
}

function sorted<T>(record: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
