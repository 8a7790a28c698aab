/** `npm run drill [name…]`: pulls the plugs on real servers under load, and reports. On servers of its own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command } from 'commander';
import { alignedTable } from '../cli/aligned-table.ts';
import { wholeNumber } from '../cli/whole-number.ts';
import { stopSignal } from '../shared/lifecycle/stop-signal.ts';
import { messageOf } from '../shared/errors/errors.ts';
import { ensureServers } from '../stack/install-servers.ts';
import { printTo } from '../stack/progress.ts';
import * as ringfill from '../stack/ringfill-process.ts';
import { ALL_DRILLS } from './drills/harness/all-drills.ts';
import type { Drill } from './drills/harness/drill.ts';
import { Ground } from './drills/harness/ground.ts';
import { type DrillResult, runDrill } from './drills/harness/run-drill.ts';
import type { Product } from './drills/harness/world.ts';
import { htmlReport } from './watch/html-report.ts';
import { explainFailures, resultTable } from './watch/text-report.ts';

interface Options {
  readonly list?: true;
  readonly seconds?: number;
  readonly rate?: number;
  readonly seed: number;
  readonly json?: string;
  readonly html?: string;
  readonly product?: string;
}

const command = new Command('npm run drill --')
  .description(
    'Pulls the plugs on real servers under load, and checks every answer. Does no harm but to servers of its own.',
  )
  .argument('[name...]', 'drills, as --list names them; all of them if nothing is said')
  .option('--list', 'what there is, and what is done')
  .option(
    '--seconds <n>',
    'how long each drill is loaded after its quiet beginning (default: its own)',
    wholeNumber(5, 7_200),
  )
  .option(
    '--rate <n>',
    'load each with so many requests a second, whatever becomes of those before (default: its own shape)',
    wholeNumber(1, 100_000),
  )
  .option(
    '--seed <n>',
    'the same seed wants the same rows in the same order',
    wholeNumber(0, 2 ** 32 - 1),
    Math.floor(Math.random() * 2 ** 32),
  )
  .option('--json <file>', 'write all that was seen to a file, too')
  .option('--html <file>', 'where the report goes (default: below .ringfill/drills)')
  .option('--product <folder>', 'drill a copy of the project instead, such as one with a part of it taken out')
  .addHelpText(
    'after',
    `
The exit code is 1 if anything that had to hold did not. Ctrl-C stops everything that was started.

  npm run drill
  npm run drill -- kill-one-of-three --seconds 60
  npm run drill -- --list`,
  );
command.parse();
const options = command.opts<Options>();
const unknown = command.args.filter((name) => ALL_DRILLS.every((drill) => drill.name !== name));
if (unknown.length > 0) command.error(`error: there is no drill ${unknown.join(', ')}; --list shows them`);

if (options.list === true) {
  say(alignedTable(ALL_DRILLS.map(({ name, title, seconds }) => [name, `${seconds} s`, title])).trimEnd());
} else {
  const wanted = ALL_DRILLS.filter(({ name }) => command.args.length === 0 || command.args.includes(name));
  process.exitCode = await drillAll(wanted);
}

/** @returns the exit code. */
async function drillAll(drills: readonly Drill[]): Promise<number> {
  const { seed } = options;
  const onProgress = printTo(process.stderr);
  const startedAt = new Date();
  const keepIn = resolve('.ringfill', 'drills', startedAt.toISOString().replaceAll(/[:.]/g, '-'));
  const folder = mkdtempSync(join(tmpdir(), 'ringfill-'));
  const asked = new AbortController();
  void stopSignal().then(() => asked.abort());
  const results: DrillResult[] = [];
  let notDone = 0;
  let ground: Ground | undefined;
  try {
    await ensureServers(onProgress);
    const product = await productOf(options.product);
    const shards = {
      primary: Math.max(...drills.map(({ world }) => world.primary)),
      fallback: Math.max(...drills.map(({ world }) => world.fallback)),
    };
    ground = await Ground.start({ folder, shards, onProgress: () => undefined, signal: asked.signal });
    say(`${drills.length} drills, seed ${seed}; ${ground.mysql.version}`);
    for (const drill of drills) {
      say(`\n${drill.name}: ${drill.done}`);
      try {
        const result = await runDrill({
          ground,
          product,
          drill: options.rate === undefined ? drill : { ...drill, load: { kind: 'open', perSecond: options.rate } },
          seed,
          seconds: options.seconds ?? drill.seconds,
          folder: join(folder, drill.name),
          keepLogsIn: keepIn,
          signal: asked.signal,
        });
        results.push(result);
        for (const { holds, isAim, words, seen } of result.claims) {
          say(`  ${holds ? 'ok    ' : isAim ? 'missed' : 'FAILED'}  ${words}: ${seen}`);
        }
        if (!result.passed) say(explainFailures(result));
      } catch (error) {
        asked.signal.throwIfAborted();
        notDone += 1;
        say(`  NOT DONE  ${messageOf(error)}`);
      }
    }
  } catch (error) {
    if (!asked.signal.aborted) throw error;
    say('\nStopped before the end.');
  } finally {
    await ground?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  report(results, startedAt, join(keepIn, 'report.html'));
  const failed = results.filter(({ passed }) => !passed).length + notDone;
  return failed > 0 || results.length < drills.length ? 1 : 0;
}

async function productOf(folder: string | undefined): Promise<Product> {
  return folder === undefined
    ? ringfill
    : ((await import(pathToFileURL(resolve(folder, 'stack/ringfill-process.ts')).href)) as Product);
}

function report(results: readonly DrillResult[], startedAt: Date, defaultFile: string): void {
  if (results.length === 0) return;
  say(`\n${resultTable(results)}`);
  const requests = results.reduce((sum, { seen }) => sum + seen.answers.requests, 0);
  say(`${requests.toLocaleString('en-US')} requests in ${results.length} drills`);
  const { json, seed } = options;
  const file = resolve(options.html ?? defaultFile);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, htmlReport({ results, seed, startedAt }));
  say(`report: ${file}`);
  if (json !== undefined) {
    writeFileSync(json, `${JSON.stringify({ seed, startedAt, requests, drills: results }, undefined, 1)}\n`);
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
