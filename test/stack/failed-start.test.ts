import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { startMysql } from '../../stack/mysql.ts';
import { chooseFreePort, loopback, PortTaken } from '../../stack/ports.ts';
import type { Progress } from '../../stack/progress.ts';
import { startRedis } from '../../stack/redis.ts';
import { ServerStartFailed } from '../../stack/server-process.ts';
import { startStack } from '../../stack/stack.ts';
import { leftIn } from './processes.ts';
import { temporaryFolder } from './temporary-folder.ts';

test('a stack of which one server cannot start leaves nothing running', async (t) => {
  const folder = await temporaryFolder(t);
  const seen: Progress[] = [];
  const starting = startStack({
    folder,
    ports: 'free',
    redis: { primary: 2, fallback: 1 },
    mysqlArgs: ['--no-such-variable=1'],
    onProgress: (progress) => seen.push(progress),
  });
  await assert.rejects(starting, ServerStartFailed);
  // RabbitMQ may have been ready too: MySQL 8 takes longer than it to find out.
  const ready = seen.flatMap((progress) => (progress.kind === 'ready' ? [progress.server] : []));
  assert.deepEqual(ready.filter((server) => server !== 'rabbitmq').toSorted(), ['f1', 'r1', 'r2']);
  assert.deepEqual(await leftIn(folder), []);
});

test('a taken port is heard of without waiting for the other servers', async (t) => {
  const folder = await temporaryFolder(t);
  const port = await chooseFreePort();
  const listener = createServer().listen(port, loopback);
  await once(listener, 'listening');
  t.after(() => listener.close());
  const seen: Progress[] = [];
  const starting = startStack({
    folder,
    ports: { primary: [port] },
    redis: { primary: 1, fallback: 0 },
    onProgress: (progress) => seen.push(progress),
  });
  await assert.rejects(starting, PortTaken);
  assert.ok(!seen.some((progress) => progress.kind === 'ready' && progress.server === 'rabbitmq'));
  assert.deepEqual(await leftIn(folder), []);
});

test('a server that ends while starting is reported with the last lines of its log', async (t) => {
  const folder = await temporaryFolder(t);
  await assert.rejects(startRedis({ folder, name: 'r1', args: ['--no-such-setting', 'yes'] }), (error: unknown) => {
    assert.ok(error instanceof ServerStartFailed);
    assert.match(error.message, /^r1 did not start: it ended with exit code 1\./);
    assert.match(error.message, /no-such-setting/);
    assert.ok(error.message.includes(error.logFile));
    return true;
  });
  await assert.rejects(startMysql({ folder, args: ['--no-such-variable=1'] }), (error: unknown) => {
    assert.ok(error instanceof ServerStartFailed);
    assert.match(error.message, /unknown variable 'no-such-variable=1'/);
    return true;
  });
  assert.deepEqual(await leftIn(folder), []);
});

test('a start that is called off stops what had been started', async (t) => {
  const folder = await temporaryFolder(t);
  const aborter = new AbortController();
  const starting = startStack({
    folder,
    ports: 'free',
    redis: { primary: 1, fallback: 0 },
    signal: aborter.signal,
    onProgress: (progress) => {
      if (progress.kind === 'ready' && progress.server === 'r1') aborter.abort(new Error('called off'));
    },
  });
  await assert.rejects(starting, /called off/);
  assert.deepEqual(await leftIn(folder), []);
});
