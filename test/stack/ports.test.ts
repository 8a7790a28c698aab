import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test, type TestContext } from 'node:test';
import { chooseFreePort, loopback, PortTaken } from '../../stack/ports.ts';
import { startRedis } from '../../stack/redis.ts';
import { temporaryFolder } from './temporary-folder.ts';

async function takenPort(t: TestContext): Promise<number> {
  const port = await chooseFreePort();
  const listener = createServer().listen(port, loopback);
  await once(listener, 'listening');
  t.after(() => listener.close());
  return port;
}

test('a taken port is named, with who wanted it, which process holds it, and what to do', async (t) => {
  const port = await takenPort(t);
  const folder = await temporaryFolder(t);
  const starting = startRedis({ folder, name: 'r1', port, portAdvice: 'Choose others with --base-port.' });
  await assert.rejects(starting, (error: unknown) => {
    assert.ok(error instanceof PortTaken);
    assert.equal(error.port, port);
    assert.equal(error.holder?.pid, process.pid);
    assert.match(error.message, new RegExp(`^Port ${String(port)}, wanted by Redis r1, is taken: `));
    assert.match(
      error.message,
      new RegExp(`\\(pid ${String(process.pid)}\\) listens there\\. Choose others with --base-port\\.$`),
    );
    return true;
  });
});

test('a server without a port gets a free one outside the range of outgoing connections', async (t) => {
  const folder = await temporaryFolder(t);
  const redis = await startRedis({ folder, name: 'r1' });
  t.after(async () => await redis.stop());
  assert.ok(redis.port < 32_768, String(redis.port));
  assert.equal(redis.url, `redis://127.0.0.1:${String(redis.port)}`);
});
