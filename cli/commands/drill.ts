/**
 * `ringfill drill --against URL`: the load and the checker of the drills, over gateways that are there. Whoever wants to see
 * what happens pulls the plugs; this does no harm itself.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { htmlReport } from '../../bench/watch/html-report.ts';
import { explainFailures, resultTable, type Reported } from '../../bench/watch/text-report.ts';
import { type Seen, Watch } from '../../bench/watch/watch.ts';
import { settingsOf } from '../../client/options.ts';
import { messageOf } from '../../shared/errors/errors.ts';
import { stopSignal } from '../../shared/lifecycle/stop-signal.ts';
import { mysqlOptions } from '../../shared/origin/mysql-url.ts';
import { wholeNumber } from '../whole-number.ts';

interface Options {
  readonly against: readonly string[];
  readonly table: string;
  readonly rows: number;
  readonly origin?: string;
  readonly writes: number;
  readonly rate?: number;
  readonly connections: number;
  readonly seconds: number;
  readonly bound: number;
  readonly seed?: number;
  readonly json?: string;
  readonly html?: string;
}

const ZIPF = 1;
const WARM_AT_ONCE = 500;
const WARM_WITHIN_MS = 30_000;
const TELL_EVERY_MS = 1_000;

export function drillCommand(): Command {
  return new Command('drill')
    .description('Load running gateways and check every answer, while you pull plugs. Does no harm itself.')
    .requiredOption('--against <url...>', 'where the gateways listen; several are asked in turn', gatewayUrls)
    .option('-t, --table <db.table>', 'the exposed table of the drill; see below', tableName, 'test.ringfill_drill')
    .option('-r, --rows <n>', 'its rows 1 to n are read', wholeNumber(1, 1_000_000), 1_000)
    .option('--origin <url>', 'mysql://user:password@host:port, to write by; without it, ages are not judged')
    .option('-w, --writes <n>', 'with --origin: writes a second', wholeNumber(1, 10_000), 50)
    .option('--rate <n>', 'requests a second, whatever becomes of those before (an open loop)', wholeNumber(1, 100_000))
    .option('-c, --connections <n>', 'without --rate: requests under way at any time', wholeNumber(1, 1_000), 16)
    .option('-d, --seconds <n>', 'how long', wholeNumber(1, 86_400), 60)
    .option('--bound <ms>', 'answers may be so old', wholeNumber(1, 3_600_000), 3_000)
    .option('--seed <n>', 'the same seed wants the same rows in the same order', wholeNumber(0, 2 ** 32 - 1))
    .option('--json <file>', 'write all that was seen to a file, too')
    .option('--html <file>', 'write a report with timelines')
    .addHelpText(
      'after',
      `
The table is one for this purpose alone; expose it in the configuration as any other:

  CREATE TABLE test.ringfill_drill (id INT PRIMARY KEY, n INT NOT NULL DEFAULT 0);
  INSERT INTO test.ringfill_drill (id) SELECT seq FROM seq_1_to_1000;         (MariaDB; on MySQL by WITH RECURSIVE)

With --origin its rows are changed all the time, each write giving a row a counter one higher, and every answer is held
against what was committed when it was asked for. That account needs SELECT and UPDATE on this table, and nothing else.
Flagged are errors (anything but 200), answers that are older than --bound, and answers that go back: lower than what the
same gateway had answered from the same shard. A 503 with Retry-After is counted apart.
Ctrl-C ends it early, with a report. The exit code is 1 if anything was flagged.`,
    )
    .action(async (options: Options) => {
      process.exitCode = await drill(options);
    });
}

/** @returns the exit code. */
async function drill(options: Options): Promise<number> {
  const { against, table, rows, origin, rate, connections, seconds, bound } = options;
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 32);
  const startedAt = new Date();
  const watch = new Watch({
    gateways: against.map((url, index) => ({ name: against.length === 1 ? 'gateway' : `gateway-${index + 1}`, url })),
    table,
    origin: origin === undefined ? undefined : { ...mysqlOptions(origin), connectTimeout: 5_000 },
    isOldTable: true,
    load: rate === undefined ? { kind: 'closed', connections } : { kind: 'open', perSecond: rate },
    warmRows: rows,
    mayShed: true,
    zipf: ZIPF,
    writesPerSecond: options.writes,
    boundMs: bound,
    seed,
  });
  try {
    await watch.prepare();
    for (const url of against) await readAll(url, table, rows);
  } catch (error) {
    // fetch says why only behind its own words.
    const why = error instanceof TypeError && error.cause !== undefined ? error.cause : error;
    process.stderr.write(`${messageOf(why)}\n`);
    await watch.abandon();
    return 1;
  }
  tell(`seed ${seed}; ${against.join(', ')}; every row read once. Now pull a plug.`);
  watch.start();
  const seen = await untilOver(watch, seconds);
  const reported = reportOf(options, seen);
  tell(`\n${resultTable([reported])}`);
  if (!reported.passed) tell(explainFailures(reported));
  if (options.html !== undefined) writeFileSync(options.html, htmlReport({ results: [reported], seed, startedAt }));
  if (options.json !== undefined)
    writeFileSync(options.json, `${JSON.stringify({ seed, startedAt, ...reported }, undefined, 1)}\n`);
  return reported.passed ? 0 : 1;
}

/** On a terminal, what has been seen so far is told every second. */
async function untilOver(watch: Watch, seconds: number): Promise<Seen> {
  const asked = stopSignal().then(() => true);
  const endAt = performance.now() + seconds * 1_000;
  for (let isAsked = false; !isAsked && performance.now() < endAt;) {
    isAsked = await Promise.race([asked, sleep(Math.min(TELL_EVERY_MS, endAt - performance.now()), false)]);
    const { requests, faults, shed, oldestMs } = watch.answers;
    if (!process.stderr.isTTY) continue;
    const flagged = Object.entries(faults).map(([fault, count]) => `${fault} ${count}`);
    process.stderr.write(
      `\r\u001B[K${requests} requests; ${flagged.join(', ')}; shed ${shed}; oldest ${oldestMs.toFixed(0)} ms`,
    );
  }
  if (process.stderr.isTTY) process.stderr.write('\n');
  return await watch.stop();
}

function reportOf({ table, rows, origin, writes, bound }: Options, seen: Seen): Reported {
  const { faults, shed, oldestMs } = seen.answers;
  const judged = (words: string, count: number, more = '') => ({
    words,
    isAim: false,
    holds: count === 0,
    seen: `${count}${more}`,
  });
  const claims = [
    judged(
      'no answer is an error',
      faults.error + faults.wrong + seen.overruns,
      `; ${shed} times 503 with Retry-After`,
    ),
    ...(origin === undefined
      ? []
      : [judged(`no answer is older than ${bound} ms`, faults.stale, `; the oldest ${oldestMs.toFixed(0)} ms`)]),
    judged('no answer goes back', faults.backward),
  ];
  return {
    name: 'drill',
    title: `rows 1 to ${rows} of ${table}${origin === undefined ? '' : `, ${writes} writes a second`}`,
    done: 'whatever was done meanwhile',
    passed: claims.every(({ holds }) => holds),
    seen,
    claims,
  };
}

/** So that a row that is not there, or a table that is not exposed, is told before anything is judged. */
async function readAll(url: string, label: string, rows: number): Promise<void> {
  const path = `${url.replace(/\/$/, '')}/${label.replace('.', '/')}`;
  for (let first = 1; first <= rows; first += WARM_AT_ONCE) {
    const ids = Array.from({ length: Math.min(WARM_AT_ONCE, rows - first + 1) }, (_, index) => first + index);
    const answer = await fetch(`${path}?ids=${ids.join(',')}`, { signal: AbortSignal.timeout(WARM_WITHIN_MS) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text.slice(0, 300)}`);
    const found = (JSON.parse(text) as { rows: (object | null)[] }).rows;
    const missing = ids[found.indexOf(null)];
    if (missing !== undefined)
      throw new Error(`${label} has no row ${missing}; --help has the statements that make it`);
  }
}

function gatewayUrls(text: string, before: readonly string[] = []): readonly string[] {
  try {
    settingsOf({ url: text });
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}.`);
  }
  return [...before, text];
}

function tableName(text: string): string {
  // It goes into statements as it is.
  if (!/^[A-Za-z0-9_$]+\.[A-Za-z0-9_$]+$/.test(text)) throw new InvalidArgumentError('Write it as db.table.');
  return text;
}

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}
