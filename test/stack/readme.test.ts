/**
 * README.md as a newcomer tries it: every block of it, in order, in a folder that holds what a clone holds, with nothing in the
 * environment. The ports are others than the page's, so that it can be tried beside a demo that runs; and node_modules is there
 * already, or this would be about `npm ci`.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { parseConfig } from '../../shared/config/load.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { demoPorts, portsFrom } from '../../stack/stack.ts';
import { temporaryFolder } from '../support/stack.ts';
import { blocksOf, type PageBlock, scriptOf } from '../support/readme.ts';

const root = path.join(import.meta.dirname, '..', '..');
const blocks = blocksOf(readFileSync(path.join(root, 'README.md'), 'utf8'));
const folder = temporaryFolder();
const clone = path.join(folder, 'ringfill');
const LEFT_OUT = ['.git', '.ringfill', 'node_modules', 'dist'];
const READY_WITHIN_MS = 120_000;
const BLOCK_WITHIN_MS = 120_000;

const [port, basePort, ownPort] = [await chooseFreePort(), await chooseFreePort(), await chooseFreePort()];
const ports = portsFrom(basePort);
/** What the page says, and what is meant here. */
const MEANT: ReadonlyMap<string, string> = new Map([
  ['127.0.0.1:8080', `127.0.0.1:${port}`],
  ['port: 8082', `port: ${ownPort}`],
  ['127.0.0.1:8082', `127.0.0.1:${ownPort}`],
  [String(demoPorts.mysql), String(ports.mysql)],
  ...demoPorts.primary.map((from, index) => [String(from), String(ports.primary[index])] as const),
  ['/tmp/ringfill.yml', path.join(folder, 'own.yml')],
]);
const SAID = new RegExp([...MEANT.keys()].map((said) => said.replaceAll('.', String.raw`\.`)).join('|'), 'g');

const asNewcomer = {
  HOME: folder,
  LANG: 'C.UTF-8',
  PATH: (process.env['PATH'] ?? '')
    .split(':')
    .filter((entry) => !entry.includes('node_modules'))
    .join(':'),
};

interface Run {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
}

const running = new Set<ChildProcess>();

function bash(script: string): Run {
  const child = spawn('bash', ['-c', script], { cwd: clone, env: asNewcomer, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      child.emit('said');
    });
  }
  running.add(child);
  return { child, output: () => output, ended: once(child, 'close').then(([code]) => code as number | null) };
}

/** Whatever went wrong: what the page has put into the background goes as well. */
after(() => {
  for (const child of running) child.kill('SIGKILL');
  spawnSync('redis-cli', ['-p', String(ports.primary[1]), 'shutdown', 'nosave']);
});

/** What comes after a block that failed would fail for that. */
let isBroken = false;
let demo: Run | undefined;

async function start({ text }: PageBlock): Promise<void> {
  demo = bash(`exec ${text.trim()} -- --port ${port} --base-port ${basePort}`);
  const late = AbortSignal.timeout(READY_WITHIN_MS);
  while (!demo.output().includes('Ready in')) {
    const said = await Promise.race([once(demo.child, 'said', { signal: late }), demo.ended.then(() => undefined)]);
    assert.ok(said !== undefined, `it ended: ${demo.output()}`);
  }
}

async function type({ text }: PageBlock): Promise<void> {
  const run = bash(scriptOf(text.replaceAll(SAID, (said) => MEANT.get(said) ?? said)));
  const timer = setTimeout(() => run.child.kill('SIGKILL'), BLOCK_WITHIN_MS);
  const code = await run.ended;
  clearTimeout(timer);
  assert.equal(code, 0, run.output());
}

function configure({ text }: PageBlock): void {
  const secrets = { MYSQL_PASSWORD: 'a', AMQP_PASSWORD: 'b' };
  const { tables } = parseConfig(text, 'README.md', secrets);
  assert.ok(Object.keys(tables).length > 0);
}

/** As the published package has it; that a package has it so is package.test.ts's. */
async function compute({ text }: PageBlock): Promise<void> {
  const written = text
    .replace("'ringfill/client'", "'./client/index.ts'")
    .replace('127.0.0.1:8080', `127.0.0.1:${port}`);
  writeFileSync(path.join(clone, 'from-an-application.ts'), written);
  const run = bash('node stack/bootstrap.mjs from-an-application.ts');
  assert.equal(await run.ended, 0, run.output());
  assert.equal(run.output(), 'duobao153713223\n');
}

test('the page has blocks, each in a language that is run here', () => {
  assert.ok(blocks.length >= 10, `${blocks.length} blocks`);
  assert.deepEqual([...new Set(blocks.map(({ language }) => language))].toSorted(), ['sh', 'ts', 'yaml']);
  cpSync(root, clone, { recursive: true, filter: (file) => !LEFT_OUT.includes(path.relative(root, file)) });
  symlinkSync(path.join(root, 'node_modules'), path.join(clone, 'node_modules'));
});

for (const block of blocks) {
  const [first = ''] = block.text.split('\n');
  const title = `README.md:${block.line}  ${first}`;
  if (block.remark.startsWith('not run')) {
    test(title, { skip: block.remark }, () => undefined);
    continue;
  }
  test(title, async () => {
    assert.ok(!isBroken, 'a block before this one failed');
    isBroken = true;
    if (block.remark.startsWith('runs until')) await start(block);
    else if (block.language === 'sh') await type(block);
    else if (block.language === 'yaml') configure(block);
    else await compute(block);
    isBroken = false;
  });
}

test('Ctrl-C stops everything, as the page says', async () => {
  assert.ok(demo !== undefined);
  demo.child.kill('SIGINT');
  assert.equal(await demo.ended, 0, demo.output());
  assert.match(demo.output(), /Stopped\.\n$/);
  assert.equal(existsSync(path.join(clone, '.ringfill', 'stack.json')), false);
});
