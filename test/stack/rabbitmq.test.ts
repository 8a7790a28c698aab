import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kill } from '../../stack/faults.ts';
import { startRabbitmq } from '../../stack/rabbitmq.ts';
import { leftIn } from './processes.ts';
import { temporaryFolder } from './temporary-folder.ts';

test('RabbitMQ restarts after being killed, and takes its epmd along when it stops', async (t) => {
  const folder = await temporaryFolder(t);
  const server = await startRabbitmq({ folder });
  t.after(async () => await server.stop());
  const { pid, port } = server;
  await kill(server);
  await server.restart();
  assert.equal(server.port, port);
  assert.notEqual(server.pid, pid);
  await server.stop();
  assert.deepEqual(await leftIn(folder), []);
});
