/** `npm run load`: how many rows a second, how fast, and from where. Loads this machine only, unless --url says otherwise. */
import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { askGateway, urlOption } from '../cli/ask-gateway.ts';
import { wholeNumber } from '../cli/whole-number.ts';
import { stopSignal } from '../shared/lifecycle/stop-signal.ts';
import { seededRandom } from './load/random.ts';
import { failuresOf, hitRatio, reportText } from './load/report.ts';
import { runLoad } from './load/run-load.ts';
import { zipfSampler } from './load/zipf.ts';

interface LoadOptions {
  readonly url: string;
  readonly table: string;
  readonly keys: number;
  readonly zipf?: number;
  readonly batch: number;
  readonly connections: number;
  readonly pipelining: number;
  readonly duration: number;
  readonly timeout: number;
  readonly seed: number;
  readonly json?: string;
}

const command = new Command('npm run load --')
  .description('Reads random rows through a running gateway as fast as it answers, and reports what it saw.')
  .addOption(urlOption())
  .option('-t, --table <db.table>', 'an exposed table with one whole number for a key', tableName, 'test.users')
  .option('-k, --keys <n>', 'read the keys 1 to n', wholeNumber(1, 1_000_000_000), 10_000)
  .option('-z, --zipf <exponent>', 'key k is wanted as often as k^-exponent says, instead of all alike', exponent)
  .option('-b, --batch <n>', 'n ids in a request (?ids=…); 1: single rows', wholeNumber(1, 1_000), 1)
  .option('-c, --connections <n>', 'connections, each with a request under way', wholeNumber(1, 1_000), 64)
  .option('-p, --pipelining <n>', 'requests under way on each connection', wholeNumber(1, 100), 1)
  .option('-d, --duration <seconds>', 'how long', wholeNumber(1, 600), 10)
  .option('--timeout <seconds>', 'an answer later than this is an error', wholeNumber(1, 60), 10)
  .option(
    '--seed <n>',
    'the same seed wants the same keys (default: a new one, which is printed)',
    wholeNumber(0, 2 ** 32 - 1),
  )
  .option('--json <file>', 'write all figures to a file, too')
  .addHelpText(
    'after',
    `
A closed loop: each connection asks again as soon as it is answered. So the latencies are those at the throughput shown,
and the load takes a processor core for itself. Hit ratio, outcomes and layers are read from every answer's Cache-Status.
The exit code is 1 after any answer but 2xx and 404, and any failed connection. Ctrl-C ends it early, with a report.

  npm run load
  npm run load -- --zipf 1.1 --connections 128 --duration 30
  npm run load -- --table shop.orders --keys 5000 --batch 50 --json load.json`,
  )
  .action((options: LoadOptions) => load({ ...options, seed: options.seed ?? Math.floor(Math.random() * 2 ** 32) }));

await command.parseAsync();

async function load(options: LoadOptions): Promise<void> {
  const { url, table: label, keys, zipf, batch, connections, pipelining, duration, timeout, seed } = options;
  const [db, table] = label.split('.') as [string, string];
  // Says what is wrong in words, where autocannon would count errors.
  await askGateway(url, async (client) => void (await client.get(db, table, 1)));
  if (process.exitCode !== undefined) return;

  const random = seededRandom(seed);
  const stop = new AbortController();
  void stopSignal().then(() => stop.abort());
  const distribution = zipf === undefined ? 'uniform' : `Zipf ${zipf}`;
  say(`${url}  ${label} 1..${keys}, ${distribution}, seed ${seed}`);
  say(
    `${connections} connections x ${pipelining}, ${batch === 1 ? 'single rows' : `${batch} ids a request`}, ${duration} s\n`,
  );
  const result = await runLoad({
    url,
    db,
    table,
    connections,
    pipelining,
    durationSeconds: duration,
    timeoutSeconds: timeout,
    batch,
    nextKey: zipf === undefined ? () => 1 + Math.floor(random() * keys) : zipfSampler(keys, zipf, random),
    signal: stop.signal,
  });

  say(reportText(result).trimEnd());
  say(`hit ratio    ${(100 * hitRatio(result)).toFixed(2)} %`);
  const failures = failuresOf(result);
  say(`errors       ${failures.length === 0 ? 'none' : failures.join('; ')}`);
  if (options.json !== undefined) {
    const figures = {
      ...options,
      ...result,
      hitRatio: hitRatio(result),
      failures,
      finishedAt: new Date().toISOString(),
    };
    writeFileSync(options.json, `${JSON.stringify(figures, undefined, 2)}\n`);
  }
  // A connection that is being torn down may keep the process for its timeout.
  process.exitCode = failures.length === 0 ? 0 : 1;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function tableName(text: string): string {
  if (/^[^.]+\.[^.]+$/.test(text)) return text;
  throw new InvalidArgumentError('A table is named as db.table, such as test.users.');
}

function exponent(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 10) return value;
  throw new InvalidArgumentError('A number from 0 to 10; 1.1 is usual.');
}
