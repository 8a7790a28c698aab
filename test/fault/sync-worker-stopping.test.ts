/** Told to stop while it starts, the sync worker stops: whatever its servers do meanwhile. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { withinDeadline } from '../../shared/lifecycle/deadline.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { openLink } from '../../stack/faults.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { SyncWorker } from '../../sync-worker/sync-worker.ts';
import { memoryLog, until } from '../support/broker.ts';
import { gatewayConfig } from '../support/gateway.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { mysqlUrl } from '../support/least-privilege.ts';

const stack = await testStack();

test('stopped while it reads the schemas, with the broker away, it does not begin to wait for the broker', async () => {
  const link = await openLink({ to: stack.mysql });
  after(() => link.stop());
  const { text } = gatewayConfig(stack, {
    tables: { 'test.users': {} },
    origin: { url: mysqlUrl(stack.mysql, link.port), timeoutMs: 5_000 },
  });
  const broker = { url: `amqp://127.0.0.1:${await chooseFreePort()}` };
  const sync = { broker, port: 0, stateFolder: temporaryFolder() };
  const config = parseConfig(JSON.stringify({ ...(JSON.parse(text) as object), sync }), 'test');
  const worker = new SyncWorker({ config, version: 'test', log: memoryLog().log });
  link.cut();
  const starting = worker.start();
  const failed = assert.rejects(starting, { name: 'AbortError' });
  await until('it asks MySQL', () => link.connections > 0);
  const stopped = worker.stop();
  link.heal();
  await withinDeadline(stopped, 5_000, () => new Error('it did not stop within 5 s'));
  await failed;
});
