/** Clients that do not read what is sent to them: who is cut off, and who is not. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, test } from 'node:test';
import type { CutReason } from '../../shared/listener/listener-metrics.ts';
import { type SlowClientBounds, SlowClients } from '../../shared/listener/slow-clients.ts';
import { until } from '../support/broker.ts';

const MIB = 2 ** 20;

interface Pair {
  readonly server: Socket;
  readonly client: Socket;
}

interface World {
  readonly cut: Map<Socket, CutReason>;
  readonly pair: () => Promise<Pair>;
}

async function world(bounds: SlowClientBounds): Promise<World> {
  const cut = new Map<Socket, CutReason>();
  const slowClients = new SlowClients({
    bounds: () => bounds,
    onCut: (reason, socket) => void cut.set(socket, reason),
    lookEveryMs: 10,
  });
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  after(() => {
    slowClients.stop();
    listener.close();
  });
  const { port } = listener.address() as AddressInfo;
  return {
    cut,
    async pair() {
      const accepted = once(listener, 'connection') as Promise<[Socket]>;
      const client = connect(port, '127.0.0.1').pause();
      client.on('error', () => undefined);
      after(() => client.destroy());
      const [server] = await accepted;
      server.on('error', () => undefined);
      slowClients.watch(server);
      return { server, client };
    },
  };
}

test('one that reads nothing for the time is cut off; one that reads, or has nothing to read, is not', async () => {
  const { cut, pair } = await world({ sendTimeoutMs: 100, unsentMebibytesMax: 1_000 });
  const [silent, reading, idle] = [await pair(), await pair(), await pair()];
  reading.client.resume();
  silent.server.write(Buffer.alloc(32 * MIB));
  // Answers one after another, each taken.
  const answers = setInterval(() => reading.server.write(Buffer.alloc(MIB / 4)), 5);
  await until('the silent one is cut off', () => cut.has(silent.server));
  clearInterval(answers);
  assert.deepEqual([...cut.values()], ['sending-late']);
  assert.ok(silent.server.destroyed);
  assert.ok(!reading.server.destroyed && !idle.server.destroyed);
});

test('when too much waits for all together, those for which most waits are cut off, and no more of them', async () => {
  const { cut, pair } = await world({ sendTimeoutMs: 60_000, unsentMebibytesMax: 40 });
  const [small, large] = [await pair(), await pair()];
  small.server.write(Buffer.alloc(24 * MIB));
  large.server.write(Buffer.alloc(32 * MIB));
  await until('one is cut off', () => cut.size > 0);
  assert.deepEqual([...cut], [[large.server, 'too-much-unsent']]);
  const further = await pair();
  further.server.write(Buffer.alloc(12 * MIB));
  further.client.resume();
  await until('the third has read its own', () => further.server.writableLength === 0);
  assert.equal(cut.size, 1);
  assert.ok(!small.server.destroyed);
});
