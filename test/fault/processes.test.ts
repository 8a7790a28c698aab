/** Several gateway processes behind one port: they answer as one, and one that dies takes no other along. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type RingfillProcess, startGateway } from '../../stack/ringfill-process.ts';
import { until } from '../support/broker.ts';
import { runCommand, writeConfig } from '../support/cli.ts';
import { closedLoop, type LoopReport } from '../support/closed-loop.ts';
import { gatewayConfig } from '../support/gateway.ts';
import { startGatewayProcesses } from '../support/gateway-processes.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const PROCESSES = 2;
const USERS = 500;
const CONNECTIONS = 16;

const stack = await testStack();
const tables = { 'test.users': {} };

async function startTwo(): Promise<RingfillProcess> {
  const { gateways } = await startGatewayProcesses(stack, { tables }, 1, (options) =>
    startGateway({ ...options, args: ['--processes', String(PROCESSES)] }),
  );
  const gateway = gateways[0] as RingfillProcess;
  // The port answers as soon as the first one does.
  await until('all have started', async () => (await metric(gateway, 'ringfill_gateway_processes')) === PROCESSES);
  return gateway;
}

/** The pids that share the port. */
function processesOf({ pid }: RingfillProcess): number[] {
  const children = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8');
  return children.trim().split(' ').filter(Boolean).map(Number);
}

async function metric({ url }: RingfillProcess, name: string): Promise<number> {
  const text = await (await fetch(`${url}/-/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

async function readUsers({ url }: RingfillProcess, requests: number): Promise<LoopReport> {
  const path = (n: number) => `/test/users/${(n % USERS) + 1}`;
  return await closedLoop({ url, connections: CONNECTIONS, requests, path });
}

test('they share the requests of one port, and its metrics are those of all', async () => {
  const gateway = await startTwo();
  const requests = 2_000;
  const { statuses } = await readUsers(gateway, requests);
  assert.deepEqual(statuses, { 200: requests });
  assert.equal(await metric(gateway, 'ringfill_request_seconds_count{route="row"}'), requests);
  assert.equal(await metric(gateway, 'ringfill_shard_up{ring="primary",shard="r1"}'), 1);
  assert.equal(processesOf(gateway).length, PROCESSES);
});

test('one that is killed is started again; the others go on', async () => {
  const gateway = await startTwo();
  const [killed] = processesOf(gateway);
  let isKilled = false;
  const reading = closedLoop({
    url: gateway.url,
    connections: CONNECTIONS,
    requests: 6_000,
    path: (n) => `/test/users/${(n % USERS) + 1}`,
    onRequest: (n) => {
      if (n < 2_000 || isKilled) return;
      isKilled = true;
      process.kill(killed as number, 'SIGKILL');
    },
  });
  const { statuses, socketErrors } = await reading;
  assert.deepEqual(Object.keys(statuses), ['200']);
  // Each of its connections can have lost one request, and one more may have been on its way to it, which nobody answers.
  assert.ok(socketErrors.length <= 2 * CONNECTIONS, socketErrors.join('\n'));
  await until('it is back', async () => (await metric(gateway, 'ringfill_gateway_processes')) === PROCESSES);
  assert.ok(!processesOf(gateway).includes(killed as number));
  assert.match(gateway.lastLines(1_000), /"signal":"SIGKILL".*"event":"process ended"/);
});

test('SIGHUP reaches all of them; SIGTERM ends all, and no request is lost', async () => {
  const gateway = await startTwo();
  gateway.kill('SIGHUP');
  const loaded = 'ringfill_config_reloads_total{outcome="loaded"}';
  await until('both have reloaded', async () => (await metric(gateway, loaded)) === PROCESSES);
  const before = processesOf(gateway);
  assert.equal(before.length, PROCESSES);
  await readUsers(gateway, 200);
  await gateway.stop();
  for (const pid of before) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});

test('what is wrong with the set-up is said once, and ends the command', async () => {
  const { text } = gatewayConfig(stack, { tables: { 'test.no_such_table': {} } });
  const config = { ...(JSON.parse(text) as object), http: { port: 0 } };
  const file = writeConfig(temporaryFolder(), 'wrong.yml', JSON.stringify(config));
  const { code, stderr } = await runCommand(['gateway', '--config', file, '--processes', '3']);
  assert.equal(code, 1);
  assert.equal(stderr.match(/\[table-missing\]/g)?.length, 1, stderr);
});
