/** Told to stop, the gateway stops: whatever its clients and its servers do meanwhile. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Gateway } from '../../gateway/gateway.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { gatewayConfig, type GatewaySettings } from '../support/gateway.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();

function gatewayWith(settings: Partial<GatewaySettings>, http: object = {}): Gateway {
  const { text } = gatewayConfig(stack, { tables: { 'test.users': {} }, ...settings });
  const config = parseConfig(JSON.stringify({ ...(JSON.parse(text) as object), http: { port: 0, ...http } }), 'test');
  const gateway = new Gateway({ config, version: 'test', log: createLog('error') });
  after(() => gateway.stop());
  return gateway;
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = new AbortController();
  const deadline = sleep(ms, undefined, { signal: late.signal }).then(() => assert.fail(`not within ${ms} ms`));
  try {
    return await Promise.race([work, deadline]);
  } finally {
    late.abort();
    await deadline.catch(() => undefined);
  }
}

/** A server that takes connections and says nothing. */
async function silentServer(): Promise<number> {
  const server = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => server.close());
  return (server.address() as AddressInfo).port;
}

test('a client that holds a connection and says nothing does not hold the gateway', async () => {
  const gateway = gatewayWith({}, { stopTimeoutMs: 200 });
  const { port } = new URL(await gateway.start());
  const socket = connect(Number(port), '127.0.0.1');
  await once(socket, 'connect');
  const halfRequest = connect(Number(port), '127.0.0.1');
  await once(halfRequest, 'connect');
  halfRequest.write('GET /test/users/8 HTTP/1.1\r\nhost: x');
  await within(3_000, gateway.stop());
  socket.destroy();
  halfRequest.destroy();
});

test('stopped while it starts, it leaves no listener behind', async () => {
  const silent = await silentServer();
  const rings = [{ name: 'primary', shards: { r1: `redis://127.0.0.1:${silent}` } }];
  const gateway = gatewayWith({ rings });
  const starting = gateway.start();
  await Promise.all([assert.rejects(starting, { name: 'AbortError' }), within(5_000, gateway.stop())]);
});

test('a MySQL that says nothing does not hold it; nor is it an error', async () => {
  const silent = await silentServer();
  const gateway = gatewayWith({ origin: { url: `mysql://u:p@127.0.0.1:${silent}`, timeoutMs: 500 } });
  const starting = gateway.start();
  const refused = assert.rejects(starting, { name: 'AbortError' });
  await sleep(700);
  await within(5_000, gateway.stop());
  await refused;
});

test('while it drains it serves, and is not ready', async () => {
  const gateway = gatewayWith({}, { drainMs: 400 });
  const url = await gateway.start();
  const stopping = gateway.stop();
  assert.equal((await fetch(`${url}/-/ready`)).status, 503);
  assert.equal((await fetch(`${url}/test/users/8`)).status, 200);
  await within(5_000, stopping);
  await assert.rejects(fetch(`${url}/-/ready`));
});
