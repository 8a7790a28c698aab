/** `npm run bench`: how fast, beside what else there is; measured on servers of its own, and reported. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { alignedTable } from '../cli/aligned-table.ts';
import { wholeNumber } from '../cli/whole-number.ts';
import { stopSignal } from '../shared/lifecycle/stop-signal.ts';
import { ensureServers } from '../stack/install-servers.ts';
import { printTo } from '../stack/progress.ts';
import { benchHtml, benchText } from './harness/bench-report.ts';
import { benchJson, type BenchResult, runBench } from './harness/run-bench.ts';
import { ALL_SECTIONS } from './sections/all-sections.ts';

interface Options {
  readonly quick?: true;
  readonly only: readonly string[];
  readonly list?: true;
  readonly seed: number;
  readonly json?: string;
  readonly html?: string;
}

const command = new Command('npm run bench --')
  .description('Measures ringfill beside what else there is, on real servers of its own, and reports.')
  .option('--quick', 'fewer and shorter rounds: minutes instead of half an hour')
  .option(
    '--only <name>',
    'a section, as --list names them; again for more',
    (name: string, before: readonly string[]) => [...before, name],
    [] as readonly string[],
  )
  .option('--list', 'what there is')
  .option(
    '--seed <n>',
    'the same seed wants the same rows in the same order',
    wholeNumber(0, 2 ** 31 - 1),
    Math.floor(Math.random() * 2 ** 31),
  )
  .option('--json <file>', 'write the ratios, and all figures of each round, to a file, too')
  .option('--html <file>', 'where the report goes (default: below .ringfill/bench)')
  .addHelpText(
    'after',
    `
A goal that is missed is told. The exit code is 1 after any wrong answer, and where a section could not be done. Ctrl-C stops
everything that was started.

  npm run bench -- --quick
  npm run bench -- --only peers --json bench.json`,
  );
command.parse();
const options = command.opts<Options>();
const unknown = options.only.filter((name) => ALL_SECTIONS.every((section) => section.name !== name));
if (unknown.length > 0) command.error(`error: there is no section ${unknown.join(', ')}; --list shows them`);

if (options.list === true) say(alignedTable(ALL_SECTIONS.map(({ name, title }) => [name, title])).trimEnd());
else await bench(options);

async function bench({ quick, only, seed, html, json }: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ringfill-'));
  const asked = new AbortController();
  void stopSignal().then(() => asked.abort());
  try {
    await ensureServers(printTo(process.stderr));
    say(`seed ${seed}`);
    const result = await runBench({
      sections: ALL_SECTIONS.filter(({ name }) => only.length === 0 || only.includes(name)),
      scale: quick === true ? 'quick' : 'full',
      seed,
      folder,
      onProgress: () => undefined,
      say,
      signal: asked.signal,
    });
    report(result, html, json);
    process.exitCode = result.notDone.length > 0 || result.sections.some(({ wrong }) => wrong.length > 0) ? 1 : 0;
  } catch (error) {
    if (!asked.signal.aborted) throw error;
    say('\nStopped before the end.');
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function report(result: BenchResult, html: string | undefined, json: string | undefined): void {
  say(`\n${benchText(result)}`);
  for (const { name, wrong } of result.sections) for (const words of wrong) say(`WRONG  ${name}: ${words}`);
  const startedAt = result.startedAt.toISOString().replaceAll(/[:.]/g, '-');
  const file = resolve(html ?? join('.ringfill', 'bench', startedAt, 'report.html'));
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, benchHtml(result));
  say(`report: ${file}`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(benchJson(result), undefined, 1)}\n`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
