import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { chooseFreePort } from '../../stack/ports.ts';
import { isAlive, leftIn } from './processes.ts';
import { spawnTalking, type TalkingProcess } from './talking-process.ts';
import { temporaryFolder } from './temporary-folder.ts';

const root = path.join(import.meta.dirname, '..', '..');

function demoIn(folder: string, args: readonly string[], t: TestContext): TalkingProcess {
  return spawnTalking(t, [path.join(root, 'cli', 'main.ts'), 'demo', ...args], { cwd: folder });
}

interface StackDescription {
  readonly gateway: { readonly url: string; readonly pid: number };
  readonly mysql: { readonly pid: number };
  readonly redis: readonly { readonly shard: string; readonly ring: string; readonly pid: number }[];
  readonly rabbitmq: { readonly pid: number };
}

async function describedIn(folder: string): Promise<StackDescription> {
  return JSON.parse(await readFile(path.join(folder, '.ringfill', 'stack.json'), 'utf8')) as StackDescription;
}

test('the demo serves rows, describes its stack, stops everything when asked, and finds its data again', async (t) => {
  const folder = await temporaryFolder(t);
  const args = ['--port', String(await chooseFreePort()), '--base-port', String(await chooseFreePort())];

  const first = demoIn(folder, args, t);
  await first.says('Ready in');
  assert.match(first.output(), /demo data {2}loaded/);
  const described = await describedIn(folder);
  assert.deepEqual(
    described.redis.map(({ shard, ring }) => `${ring} ${shard}`),
    ['primary r1', 'primary r2', 'primary r3', 'fallback f1', 'fallback f2'],
  );
  const row = await fetch(`${described.gateway.url}/test/users/8`);
  assert.equal(((await row.json()) as { username: string }).username, 'duobao153713223');
  const pids = [described.gateway, described.mysql, described.rabbitmq, ...described.redis].map(({ pid }) => pid);
  assert.ok(pids.every(isAlive));

  first.child.kill('SIGINT');
  assert.deepEqual(await first.ended, [0, null]);
  assert.deepEqual(pids.filter(isAlive), []);
  assert.deepEqual(await leftIn(path.join(folder, '.ringfill')), []);
  assert.equal(existsSync(path.join(folder, '.ringfill', 'stack.json')), false);

  const second = demoIn(folder, args, t);
  await second.says('Ready in');
  assert.match(second.output(), /demo data {2}found/);
  const { gateway } = await describedIn(folder);
  process.kill(gateway.pid, 'SIGKILL');
  assert.deepEqual(await second.ended, [1, null], 'without its gateway the demo is over');
  assert.match(second.output(), /The gateway has ended \(SIGKILL\)\. The last lines of its log/);
  assert.deepEqual(await leftIn(path.join(folder, '.ringfill')), []);
});
