import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { startRedis } from '../../stack/redis.ts';
import { FolderInUse } from '../../stack/server-record.ts';
import { guardOf, hasEnded, isAlive } from './processes.ts';
import { temporaryFolder } from './temporary-folder.ts';

interface OtherRun {
  readonly run: ChildProcess;
  readonly redis: { readonly pid: number; readonly port: number };
}

/** Another process that has started a Redis in the folder. */
async function otherRunIn(folder: string, t: TestContext): Promise<OtherRun> {
  const fixture = path.join(import.meta.dirname, 'fixtures', 'start-redis-and-wait.ts');
  const run = spawn(process.execPath, [fixture, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => run.kill('SIGKILL'));
  const [line] = (await once(run.stdout, 'data')) as [Buffer];
  return { run, redis: JSON.parse(line.toString()) as OtherRun['redis'] };
}

async function killed(run: ChildProcess): Promise<void> {
  const exited = once(run, 'exit');
  run.kill('SIGKILL');
  await exited;
}

test('a server does not outlive a run that is killed', async (t) => {
  const { run, redis } = await otherRunIn(await temporaryFolder(t), t);
  await killed(run);
  assert.ok(await hasEnded(redis.pid, 10_000));
});

test('a server that a killed run left behind is stopped before the next one starts', async (t) => {
  const folder = await temporaryFolder(t);
  const { run, redis } = await otherRunIn(folder, t);
  // With its guard gone too, nobody is there to stop it.
  const guard = guardOf(redis.pid);
  assert.ok(guard !== undefined);
  process.kill(guard, 'SIGKILL');
  assert.ok(await hasEnded(guard, 5_000));
  await killed(run);
  assert.ok(isAlive(redis.pid));

  const next = await startRedis({ folder, name: 'r1', port: redis.port });
  t.after(async () => await next.stop());
  assert.equal(isAlive(redis.pid), false);
  assert.notEqual(next.pid, redis.pid);
});

test('a folder in which another run has its server is refused, and that server is left alone', async (t) => {
  const folder = await temporaryFolder(t);
  const { run, redis } = await otherRunIn(folder, t);
  await assert.rejects(startRedis({ folder, name: 'r1' }), (error: unknown) => {
    assert.ok(error instanceof FolderInUse);
    assert.ok(error.message.includes(`pid ${String(redis.pid)}`));
    assert.ok(error.message.includes(`process ${String(run.pid)}`));
    return true;
  });
  assert.ok(isAlive(redis.pid));
});
