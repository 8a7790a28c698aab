import { SingleBar } from 'cli-progress';
import { Command } from 'commander';
import { pino } from 'pino';
import { loadConfig } from '../../shared/config/load.ts';
import type { Config, SyncConfig } from '../../shared/config/schema.ts';
import { messageOf, OriginUnavailable, type Problem, SetupError } from '../../shared/errors/errors.ts';
import { stopSignal } from '../../shared/lifecycle/stop-signal.ts';
import { cellNumber } from '../../shared/origin/cells.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { quoteText } from '../../shared/origin/table-name.ts';
import { LockLost } from '../../sync-worker/capture/continuity/lock.ts';
import { KeysUnspeakable } from '../../sync-worker/snapshot/key-walk.ts';
import { type SnapshotFailure, type SnapshotReport, TableChanged } from '../../sync-worker/snapshot/snapshot-run.ts';
import { SnapshotService } from '../../sync-worker/snapshot/snapshot-service.ts';
import { alignedTable } from '../aligned-table.ts';

interface Options {
  readonly config: string;
  readonly anew?: true;
  readonly json?: true;
}

type SyncedConfig = Config & { readonly sync: SyncConfig };

/** What became of one table. */
type Outcome =
  | { readonly table: string; readonly seconds: number; readonly report: SnapshotReport }
  | { readonly table: string; readonly seconds: number; readonly interrupted: string };

export function snapshotCommand(): Command {
  return new Command('snapshot')
    .description(
      'Read every row of mirrored tables from MySQL into their shards, beside the running stream of changes.',
    )
    .argument('[db.table...]', 'mirrors; all of them if none is named')
    .option('-c, --config <file>', 'the configuration file, the same as the sync worker’s', 'ringfill.yml')
    .option('--anew', 'from the first row on, also where an earlier one was interrupted')
    .option('--json', 'what became of each table as JSON, for scripts')
    .addHelpText(
      'after',
      `
The sync worker makes snapshots by itself, whenever a mirror is new or a shard has lost something; this is for when it is
to be made now, such as after rows were changed past the binlog. Nobody is locked out, readers have their answers
meanwhile, and what the shards hold stays until it is replaced. One process makes snapshots at a time; this one waits for
its turn. Interrupted, it goes on from where it was the next time, in whichever process.
Ends with 0 if every shard holds all rows that belong there, else with 1.`,
    )
    .action(async (labels: string[], { config: path, ...options }: Options) => {
      const config = withSync(loadConfig(path));
      const outcomes = await snapshotAll(config, labels, options);
      if (options.json === true) print(outcomes);
      process.exitCode = outcomes.every(isWhole) ? 0 : 1;
    });
}

async function snapshotAll(
  config: SyncedConfig,
  labels: readonly string[],
  { anew = false, json = false }: { readonly anew?: boolean; readonly json?: boolean },
): Promise<Outcome[]> {
  const wanted = choose(config, labels);
  const { url, connections, timeoutMs, schemaReloadSeconds } = config.origin;
  const origin = new OriginPool({ url, connections, timeoutMs, packets: true, onChange: () => undefined });
  const log = pino({ enabled: false });
  let tables: ExposedTables | undefined;
  let service: SnapshotService | undefined;
  let isStopped = false;
  void stopSignal().then(async () => {
    isStopped = true;
    await service?.stop();
  });
  try {
    tables = await ExposedTables.load(origin, config, log);
    tables.reloadEvery(schemaReloadSeconds);
    const shown = new Shown(json);
    const { server } = tables;
    service = new SnapshotService({
      config,
      mirrors: () => [],
      origin,
      server: () => tables?.server ?? server,
      log,
      onProgress: (_, { rows }) => shown.progress(rows),
    });
    await service.connect();
    const outcomes: Outcome[] = [];
    for (const label of wanted) {
      const table = [...tables.all()].find((one) => one.label === label) as ExposedTable;
      shown.begin(label, await estimatedRows(origin, table));
      const outcome = await snapshotOne(service, table, anew, (what) => shown.say(what));
      shown.end(outcome);
      outcomes.push(outcome);
      if (isStopped) break;
    }
    return outcomes;
  } catch (error) {
    if (!(error instanceof OriginUnavailable)) throw error;
    throw new SetupError([{ code: error.code, where: 'origin.url', message: error.message }], { cause: error });
  } finally {
    await service?.stop();
    tables?.stop();
    await origin.stop();
  }
}

async function snapshotOne(
  service: SnapshotService,
  table: ExposedTable,
  anew: boolean,
  say: (what: string) => void,
): Promise<Outcome> {
  const startedAt = performance.now();
  const seconds = () => Math.round((performance.now() - startedAt) / 100) / 10;
  const onWaiting = () => say('another process makes snapshots just now; waiting for it');
  try {
    const report = await service.snapshot(table, anew, onWaiting);
    return { table: table.label, seconds: seconds(), report };
  } catch (error) {
    const isStopped = error instanceof Error && error.name === 'AbortError';
    const isWeather =
      error instanceof OriginUnavailable ||
      error instanceof TableChanged ||
      error instanceof LockLost ||
      error instanceof KeysUnspeakable;
    if (!isStopped && !isWeather) throw error;
    const interrupted = isStopped ? 'stopped; the next one goes on from here' : messageOf(error);
    return { table: table.label, seconds: seconds(), interrupted };
  }
}

/** A bar on a terminal, lines elsewhere; on standard error, since what came of it may be read by a script. */
class Shown {
  readonly #quiet: boolean;
  readonly #bar: SingleBar | undefined;
  #estimate = 0;
  #startedAt = 0;
  #toldAt = 0;
  /** Where this run took it up, for the rate. */
  #from: number | undefined;

  constructor(quiet: boolean) {
    this.#quiet = quiet;
    if (!quiet && process.stderr.isTTY) {
      this.#bar = new SingleBar({
        format: '{bar} {percentage} %  {rows} rows, {rate} rows/s, {left} left',
        stream: process.stderr,
        barsize: 30,
        hideCursor: true,
        clearOnComplete: true,
      });
    }
  }

  begin(table: string, estimate: number): void {
    this.#estimate = Math.max(1, estimate);
    this.#startedAt = performance.now();
    this.#toldAt = this.#startedAt;
    this.#from = undefined;
    this.say(`${table}: about ${estimate} rows`);
    this.#bar?.start(this.#estimate, 0, { rows: 0, rate: 0, left: '?' });
  }

  progress(rows: number): void {
    const now = performance.now();
    this.#from ??= rows;
    const rate = ((rows - this.#from) / Math.max(1, now - this.#startedAt)) * 1000;
    const left = timeOf((this.#estimate - rows) / rate);
    if (this.#bar !== undefined) {
      // MySQL's count is a guess.
      if (rows > this.#estimate) this.#bar.setTotal(rows);
      this.#bar.update(rows, { rows, rate: rate.toFixed(0), left });
    } else if (now - this.#toldAt >= TELL_EVERY_MS) {
      this.#toldAt = now;
      const percent = Math.min(100, (100 * rows) / this.#estimate).toFixed(0);
      this.say(`${rows} rows, about ${percent} %, ${rate.toFixed(0)} rows/s, ${left} left`);
    }
  }

  say(line: string): void {
    if (!this.#quiet) process.stderr.write(`${line}\n`);
  }

  end(outcome: Outcome): void {
    this.#bar?.stop();
    if (this.#quiet) return;
    process.stdout.write(describe(outcome));
  }
}

const TELL_EVERY_MS = 2_000;

function timeOf(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.max(0, Math.round(seconds));
  return whole < 120 ? `${whole} s` : `${Math.round(whole / 60)} min`;
}

function describe(outcome: Outcome): string {
  const { table, seconds } = outcome;
  if ('interrupted' in outcome) return `${table}: interrupted after ${seconds} s: ${outcome.interrupted}\n`;
  const { complete, failed, rows, removed } = outcome.report;
  const head = `${table}: ${rows} rows read in ${seconds} s, ${removed} keys removed; complete in ${complete.join(', ') || 'no shard'}\n`;
  if (failed.size === 0) return head;
  return head + alignedTable([...failed].map(([shard, failure]) => ['', shard, failure.why, adviceOn(failure, shard)]));
}

function adviceOn({ kind }: SnapshotFailure, shard: string): string {
  switch (kind) {
    case 'not-followed':
      return '-> start a sync worker with this configuration: ringfill sync-worker';
    case 'behind':
      return '-> see that a sync worker runs and keeps up; it goes on by itself';
    case 'evicts':
      return `-> on ${shard}: CONFIG SET maxmemory-policy volatile-lru, and in redis.conf`;
    case 'down':
      return '-> once it is back, the sync worker goes on by itself';
    case 'interrupted':
    case 'waits-its-turn':
    case 'locked':
      return '-> the sync worker goes on by itself; or run this again';
  }
}

function isWhole(outcome: Outcome): boolean {
  return 'report' in outcome && outcome.report.failed.size === 0;
}

function print(outcomes: readonly Outcome[]): void {
  const tables = outcomes.map((outcome) => {
    const { table, seconds } = outcome;
    if ('interrupted' in outcome) return { table, seconds, interrupted: outcome.interrupted };
    const { complete, failed, rows, removed } = outcome.report;
    return { table, seconds, rows, removed, complete, failed: Object.fromEntries(failed) };
  });
  process.stdout.write(`${JSON.stringify({ ok: outcomes.every(isWhole), tables })}\n`);
}

/** Throws SetupError with all that are wrong, before anything is done to any. */
function choose({ tables, defaults }: Config, labels: readonly string[]): readonly string[] {
  const mirrors = Object.entries(tables).flatMap(([label, { mode }]) =>
    (mode ?? defaults.mode) === 'mirror' ? [label] : [],
  );
  const mend = mirrors.length === 0 ? 'mode: mirror, under the table' : `mirrors are ${mirrors.join(', ')}`;
  const wrong = labels
    .filter((label) => !mirrors.includes(label))
    .map((label): Problem => {
      return tables[label] === undefined
        ? { code: 'table-not-exposed', where: '', message: `${label} is not among the exposed tables`, mend }
        : { code: 'not-a-mirror', where: `tables.${label}`, message: 'is cached (mode: read-through)', mend };
    });
  if (labels.length === 0 && mirrors.length === 0) {
    wrong.push({ code: 'not-a-mirror', where: 'tables', message: 'no table is a mirror', mend });
  }
  const [first, ...more] = wrong;
  if (first !== undefined) throw new SetupError([first, ...more]);
  return labels.length === 0 ? mirrors : [...new Set(labels)];
}

/** InnoDB's guess, from a few pages. */
async function estimatedRows(origin: OriginPool, { name: { db, table } }: ExposedTable): Promise<number> {
  const { rows } = await origin.query(
    `SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteText(db)} AND TABLE_NAME = ${quoteText(table)}`,
  );
  return cellNumber(rows[0]?.[0]) ?? 0;
}

function withSync(config: Config): SyncedConfig {
  const { sync } = config;
  if (sync !== undefined) return { ...config, sync };
  const message = 'there are mirrors only where changes are followed, and this configuration has no sync';
  throw new SetupError([{ code: 'config-invalid', where: 'sync', message }]);
}
