/** A mirror as the seed document's picture shows it, read with Redis' own client, in a database of its own. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { until } from '../support/broker.ts';
import { gatewayConfig } from '../support/gateway.ts';
import { startGatewayProcesses } from '../support/gateway-processes.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { SyncWorkerProcesses } from '../support/sync-worker-processes.ts';

/** Nobody else's here: the keys stand without a prefix, as in the picture. */
const DATABASE = 9;

const stack = await testStack();
const rings = (['primary', 'fallback'] as const).map((ring) => ({
  name: ring,
  shards: Object.fromEntries(
    stack.redis
      .filter((shard) => shard.ring === ring)
      .map(({ shard, port }) => [shard, `redis://127.0.0.1:${port}/${DATABASE}`]),
  ),
}));
const folder = temporaryFolder();
const settings = {
  rings,
  keyPrefix: '',
  tables: { 'test.users': { mode: 'mirror' as const, shard: 'r2' } },
  sync: { name: `picture-${randomBytes(4).toString('hex')}`, stateFolder: join(folder, 'state') },
};
const port = stack.redis.find(({ shard }) => shard === 'r2')?.port as number;
const redis = new Redis({ port, db: DATABASE });
after(async () => {
  await redis.flushdb();
  redis.disconnect();
});
const mysql = new MysqlClient(stack);
const worker = await new SyncWorkerProcesses(folder, gatewayConfig(stack, settings).text).start();
const { gateways } = await startGatewayProcesses(stack, settings, 1);
const url = gateways[0]?.url;

before(() =>
  until('the mirror is complete', async () => {
    const status = (await (await fetch(`${worker.url}/-/status`)).json()) as { mirrors?: { state: string }[] };
    return status.mirrors?.[0]?.state === 'complete';
  }),
);

async function redisCli(...command: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)('redis-cli', ['-p', String(port), '-n', String(DATABASE), ...command]);
  return stdout.trimEnd().split('\n');
}

test('HGETALL test_users_8, as in the seed’s picture', async () => {
  const lines = await redisCli('HGETALL', 'test_users_8');
  const columns = Object.fromEntries(
    Array.from({ length: lines.length / 2 }, (_, at) => [lines[2 * at], lines[2 * at + 1]]),
  );
  assert.equal(columns['uid'], '8');
  assert.equal(columns['username'], 'duobao153713223');
  assert.match(columns[':row'] ?? '', /^R[0-9]{45}[A-Za-z0-9_-]{8}$/);
  const answer = (await (await fetch(`${url}/test/users/8`)).json()) as Record<string, string | number | null>;
  for (const [column, value] of Object.entries(answer)) {
    assert.equal(columns[column], value === null ? undefined : String(value), column);
  }
});

test('HMGET, and HGET of what is NULL', async () => {
  assert.deepEqual(await redisCli('HMGET', 'test_users_8', 'username', 'uid'), ['duobao153713223', '8']);
  const uid = (await mysql.run('SELECT MIN(uid) FROM test.users WHERE city IS NULL')).trim();
  assert.deepEqual(await redisCli('HEXISTS', `test_users_${uid}`, 'city'), ['0']);
});

test('every row, and nothing beside them but ringfill’s own', async () => {
  const keys = await redis.keys('*');
  assert.deepEqual(
    keys.filter((key) => !key.startsWith('test_users_')),
    ['ringfill:stamp'],
  );
  assert.equal(keys.length - 1, Number(await mysql.run('SELECT COUNT(*) FROM test.users')));
});
