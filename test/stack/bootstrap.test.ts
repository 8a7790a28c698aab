import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { spawnTalking } from './talking-process.ts';
import { temporaryFolder } from './temporary-folder.ts';

const bootstrap = path.join(import.meta.dirname, '..', '..', 'stack', 'bootstrap.mjs');
const fixture = path.join(import.meta.dirname, 'fixtures', 'say-signal-and-exit.ts');

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} is passed on, and the exit code comes back`, async (t) => {
    const started = spawnTalking(t, [bootstrap, fixture, 'one', 'two']);
    await started.says('started one two');
    started.child.kill(signal);
    assert.deepEqual(await started.ended, [7, null]);
    assert.match(started.output(), new RegExp(`got ${signal}`));
  });
}

/** A clone without node_modules, and an npm that counts its runs and installs nothing. */
async function bareClone(t: TestContext): Promise<{ root: string; env: NodeJS.ProcessEnv }> {
  const root = await temporaryFolder(t);
  const tools = path.join(root, 'tools');
  await mkdir(path.join(root, 'stack'));
  await mkdir(tools);
  await copyFile(bootstrap, path.join(root, 'stack', 'bootstrap.mjs'));
  await writeFile(
    path.join(root, 'package-lock.json'),
    '{"packages": {"node_modules/something": {"version": "1.0.0"}}}',
  );
  await writeFile(path.join(root, 'hello.ts'), "const word: string = 'hello';\nprocess.stdout.write(word);\n");
  // It takes as long as the test wants: until the file `go` is there.
  await writeFile(
    path.join(tools, 'npm'),
    `#!/bin/sh\necho "$@" >> '${root}/npm-runs'\nmkdir -p '${root}/node_modules'\nwhile [ ! -e '${root}/go' ]; do sleep 0.02; done\n`,
  );
  await chmod(path.join(tools, 'npm'), 0o755);
  const { npm_execpath: _, ...env } = process.env;
  return { root, env: { ...env, PATH: `${tools}:${String(env['PATH'])}` } };
}

test('two runs at once on a bare clone install the dependencies once; a third one finds them', async (t) => {
  const { root, env } = await bareClone(t);
  const args = [path.join(root, 'stack', 'bootstrap.mjs'), 'hello.ts'];
  const first = spawnTalking(t, args, { env });
  await first.says('installing the dependencies once (npm ci)');
  const second = spawnTalking(t, args, { env });
  await second.says(`waiting for process ${String(first.child.pid)}`);
  await writeFile(path.join(root, 'go'), '');
  assert.deepEqual(await first.ended, [0, null]);
  assert.deepEqual(await second.ended, [0, null]);
  assert.match(second.output(), /hello$/);

  const third = spawnTalking(t, args, { env });
  assert.deepEqual(await third.ended, [0, null]);
  assert.equal(third.output(), 'hello');
  const npmRuns = (await readFile(path.join(root, 'npm-runs'), 'utf8')).trim().split('\n');
  assert.equal(npmRuns.length, 1);
  assert.match(npmRuns[0] ?? '', /^ci /);
});

test('the lock of a run that was killed while installing is taken over', async (t) => {
  const { root, env } = await bareClone(t);
  const args = [path.join(root, 'stack', 'bootstrap.mjs'), 'hello.ts'];
  const first = spawnTalking(t, args, { env });
  await first.says('installing');
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  await writeFile(path.join(root, 'go'), '');
  const second = spawnTalking(t, args, { env });
  assert.deepEqual(await second.ended, [0, null]);
  assert.match(second.output(), /hello$/);
  assert.equal(existsSync(path.join(root, '.ringfill', 'npm-ci.lock')), false);
});
