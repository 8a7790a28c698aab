/**
 * `npm test`: types, lint and format at once, then every test file under node:test, over servers started once a lane.
 *
 *     npm test                         everything
 *     npm test -- test/unit            the files below a folder, without the static checks
 *     npm test -- test/fault/x.test.ts one file
 */
import { spawn } from 'node:child_process';
import { globSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isTwemproxyInstalled } from '../bench/peers/twemproxy.ts';
import { ensureServers, installIfAllowed } from '../stack/install-servers.ts';
import { type OnProgress, printTo } from '../stack/progress.ts';
import { TestReport } from './support/lanes.ts';
import { seedPython } from './support/seed-python.ts';
import { STACK_VARIABLE, type StartedStack, startTestStack } from './support/stack.ts';

const root = resolve(import.meta.dirname, '..');
const wanted = process.argv.slice(2);
const needsServers = (file: string) => /^test\/(?:integration|fault|client|stack)\//.test(file);
/** They use the ports and the folder of the demo; or count what a crowd does, which is a matter of the time it is given. */
const isAlone = (file: string) => file.startsWith('test/stack/') || file === 'test/integration/one-read.test.ts';
/** Each has servers of its own. */
const LANES = 2;
const folder = join(root, '.ringfill', `test-${process.pid}`);

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
  const onProgress = printTo(process.stdout);
  const stopping = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopping.abort());
  const report = new TestReport(process.stdout, stopping.signal);
  const alone = files.filter(isAlone);
  // The model, which takes longest, comes early that way.
  const together = files.filter((file) => !isAlone(file)).toReversed();
  const stacks: StartedStack[] = [];
  try {
    if (files.some(needsServers)) {
      await ensureAll(files, onProgress);
      const count = together.filter(needsServers).length > 1 ? LANES : 1;
      const folders = Array.from({ length: count }, (_, lane) => join(folder, String(lane)));
      const starts = await Promise.allSettled(folders.map(startTestStack));
      stacks.push(...starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : [])));
      for (const start of starts) if (start.status === 'rejected') throw start.reason;
    }
    const [first = process.env, ...others] = stacks.map(({ whereabouts }) => ({
      ...process.env,
      [STACK_VARIABLE]: JSON.stringify(whereabouts),
    }));
    await report.run(together, [first, ...others]);
    await Promise.all(stacks.splice(1).map((stack) => stack.stop()));
    await report.run(alone, [first]);
  } finally {
    await Promise.all(stacks.map((stack) => stack.stop()));
    rmSync(folder, { recursive: true, force: true });
  }
  return await report.close();
}

async function ensureAll(files: readonly string[], onProgress: OnProgress): Promise<void> {
  await ensureServers(onProgress);
  if (files.some((file) => file.endsWith('twemproxy.test.ts')) && !isTwemproxyInstalled()) {
    await installIfAllowed(['nutcracker'], onProgress);
  }
  if (files.some((file) => file.endsWith('seed-consumer.test.ts')) && seedPython() === undefined) {
    await installIfAllowed(['python3-pika', 'python3-redis'], onProgress);
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
