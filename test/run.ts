/**
 * `npm test`: types, lint and format at once, then every test file under node:test, over servers started once.
 *
 *     npm test                         everything
 *     npm test -- test/unit            the files below a folder, without the static checks
 *     npm test -- test/fault/x.test.ts one file
 */
import { spawn } from 'node:child_process';
import { globSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ensureServers, installIfAllowed } from '../stack/install-servers.ts';
import { printTo } from '../stack/progress.ts';
import { seedPython } from './support/seed-python.ts';
import { STACK_VARIABLE, startTestStack } from './support/stack.ts';
import { isTwemproxyInstalled } from './support/twemproxy.ts';

const root = resolve(import.meta.dirname, '..');
const wanted = process.argv.slice(2);
const needsServers = (file: string) => /^test\/(?:integration|fault|client|stack)\//.test(file);

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<boolean> {
  const child = spawn(command, args, { cwd: root, stdio: 'inherit', env });
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  process.on('SIGTERM', pass);
  process.on('SIGINT', pass);
  return new Promise((settle) => {
    child.on('close', (code) => {
      process.off('SIGTERM', pass);
      process.off('SIGINT', pass);
      settle(code === 0);
    });
  });
}

async function staticChecks(): Promise<boolean> {
  const checks: [name: string, command: string, ...args: string[]][] = [
    ['types', 'tsc', '-p', '.'],
    ['lint', 'oxlint', '--type-aware', '--deny-warnings'],
    ['format', 'oxfmt', '--check'],
  ];
  let passed = true;
  for (const [name, command, ...args] of checks) {
    const good = await run(join(root, 'node_modules/.bin', command), args);
    process.stdout.write(`${good ? 'ok  ' : 'FAIL'} ${name}\n`);
    passed &&= good;
  }
  return passed;
}

async function tests(files: readonly string[]): Promise<boolean> {
  // Fault tests hang and kill servers, and count seconds: one file at a time, on a machine that does nothing else.
  const args = ['--test', '--test-concurrency=1', '--test-timeout=300000', ...files];
  if (!files.some(needsServers)) return run(process.execPath, args);
  const onProgress = printTo(process.stdout);
  await ensureServers(onProgress);
  if (files.some((file) => file.endsWith('twemproxy.test.ts')) && !isTwemproxyInstalled()) {
    await installIfAllowed(['nutcracker'], onProgress);
  }
  if (files.some((file) => file.endsWith('seed-consumer.test.ts')) && seedPython() === undefined) {
    await installIfAllowed(['python3-pika', 'python3-redis'], onProgress);
  }
  const folder = join(root, '.ringfill', `test-${process.pid}`);
  const stack = await startTestStack(folder);
  try {
    return await run(process.execPath, args, { ...process.env, [STACK_VARIABLE]: JSON.stringify(stack.whereabouts) });
  } finally {
    await stack.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const files = (wanted.length === 0 ? ['test'] : wanted)
  .flatMap((path) =>
    path.endsWith('.ts') ? [path] : globSync(`${path.replace(/\/$/, '')}/**/*.test.ts`, { cwd: root }),
  )
  .toSorted();
const checked = wanted.length > 0 || (await staticChecks());
const passed = await tests(files);
process.exitCode = checked && passed ? 0 : 1;
