/**
 * A mirror from scratch beside its writers: `npm run bench:mirror`, on servers of its own.
 *
 *     while the snapshot runs     rows/s, what MySQL is asked for besides, how long the writers' statements take
 *     after it                    the same writers for as long, so that there is something to compare with
 *     at the end                  every hash of every shard against MySQL, here and by `ringfill audit`: 0 differences,
 *                                 or the run has failed
 *
 * --rows N, --rate N (writes a second), --rows-per-second N make it smaller or larger.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { Redis } from 'ioredis';
import { createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { MIRROR_FIELD } from '../shared/entry/mirror-entry.ts';
import { decodeStamp } from '../shared/stamp/stamp.ts';
import { demoAccount } from '../stack/demo-data/load.ts';
import { chooseFreePort } from '../stack/ports.ts';
import { startSyncWorker } from '../stack/ringfill-process.ts';
import { startStack } from '../stack/stack.ts';
import { cpuSeconds as cpuSecondsOf } from './harness/processor.ts';
import { runAudit } from './run-audit.ts';

const TABLE = 'bench.items';
const ROWS_A_STATEMENT = 1_000;
const WRITERS = 8;
const WARM_UP_MS = 3_000;
const COPIES = 2;

const program = new Command('bench:mirror')
  .option('--rows <number>', 'of the table', Number, 300_000)
  .option('--rate <number>', 'writes a second', Number, 500)
  .option('--rows-per-second <number>', 'sync.snapshot.rowsPerSecond', Number, 100_000)
  .parse();
const { rows: rowCount, rate, rowsPerSecond } = program.opts<{ rows: number; rate: number; rowsPerSecond: number }>();

/** What the server counts, since it was started. */
type Counters = Readonly<Record<string, number>>;

interface Phase {
  readonly seconds: number;
  readonly writes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly counted: Counters;
}

const COUNTED = ['Questions', 'Handler_read', 'Innodb_row_lock_waits', 'Innodb_row_lock_time'];

const folder = mkdtempSync(join(tmpdir(), 'ringfill-'));
const stack = await startStack({ folder, ports: 'free', redis: { primary: 3, fallback: 2 } });
const configFile = join(folder, 'ringfill.yml');
const { host, port } = stack.mysql;
const mysql = createPool({ host, port, user: 'root', connectionLimit: 16, dateStrings: true, supportBigNumbers: true });
const shards = stack.shards.map(({ server }) => new Redis({ port: server.port }));

async function run(): Promise<number> {
  await fill();
  const writers = new Writers(mysql);
  await sleep(WARM_UP_MS);
  const worker = await startWorker();
  await until(async () => (await isRunning(worker.url)) || (await completeShards()) > 0);
  const before = cpuSeconds(worker.pid);
  const started = await writers.mark();
  await until(async () => (await completeShards()) === shards.length);
  const during = await writers.since(started);
  const after = cpuSeconds(worker.pid);
  const again = await writers.mark();
  await sleep(during.seconds * 1000);
  const afterwards = await writers.since(again);
  await writers.stop();
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${worker.pid}/status`, 'utf8'))?.[1];
  say(
    `${rowCount} rows into ${COPIES} layers in ${during.seconds.toFixed(1)} s: ${(rowCount / during.seconds).toFixed(0)} rows/s`,
  );
  say(
    `CPU meanwhile: MySQL ${share(after.mysql - before.mysql, during)}, the worker ${share(after.worker - before.worker, during)}, ` +
      `all shards ${share(after.shards - before.shards, during)}; the worker's peak ${Math.round(Number(peak) / 1024)} MiB`,
  );
  tell('beside the snapshot', during);
  tell('without it', afterwards);
  for (const name of COUNTED) {
    say(`  ${name}/s: ratio ${ratio(perSecond(during, name), perSecond(afterwards, name))}`);
  }
  say(
    `  a write: p50 ${ratio(during.p50Ms, afterwards.p50Ms)}, p99 ${ratio(during.p99Ms, afterwards.p99Ms)} times as long`,
  );
  await applied();
  const differences = await compare();
  say(`${differences} differences`);
  const audit = await runAudit(configFile, rowCount);
  say(`audit: ${audit}`);
  await worker.stop();
  return differences === 0 && audit.startsWith('right (0)') ? 0 : 1;
}

async function fill(): Promise<void> {
  await mysql.query('CREATE DATABASE bench');
  await mysql.query(
    `CREATE TABLE ${TABLE} (id INT PRIMARY KEY, name VARCHAR(60) NOT NULL, note VARCHAR(200), price DECIMAL(10,2) NOT NULL,
       changed DATETIME NOT NULL, counter INT NOT NULL) ENGINE = InnoDB`,
  );
  for (const from of ['127.0.0.1', 'localhost']) {
    await mysql.query(`CREATE USER '${demoAccount.user}'@'${from}' IDENTIFIED BY '${demoAccount.password}'`);
    await mysql.query(`GRANT SELECT ON bench.* TO '${demoAccount.user}'@'${from}'`);
    await mysql.query(`GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '${demoAccount.user}'@'${from}'`);
  }
  for (let first = 1; first <= rowCount; first += ROWS_A_STATEMENT) {
    const count = Math.min(ROWS_A_STATEMENT, rowCount - first + 1);
    const values = Array.from({ length: count }, (_, index) => valuesOf(first + index));
    await mysql.query(`INSERT INTO ${TABLE} VALUES ${values.join(', ')}`);
  }
}

function valuesOf(id: number): string {
  const note = id % 5 === 0 ? 'NULL' : `'${'a note of some words, '.repeat(1 + (id % 4))}'`;
  return `(${id}, 'item ${id}', ${note}, ${id % 1000}.95, '2024-01-01 00:00:00', 0)`;
}

async function startWorker() {
  const ringOf = (ring: string) => ({
    name: ring,
    shards: Object.fromEntries(
      stack.shards.filter((shard) => shard.ring === ring).map(({ name, server }) => [name, server.url]),
    ),
  });
  const workerPort = await chooseFreePort();
  const config = {
    origin: { url: `mysql://${demoAccount.user}:${demoAccount.password}@${host}:${port}` },
    rings: [ringOf('primary'), ringOf('fallback')],
    sync: {
      broker: { url: stack.rabbitmq?.url },
      stateFolder: join(folder, 'state'),
      port: workerPort,
      snapshot: { rowsPerSecond },
    },
    tables: { [TABLE]: { mode: 'mirror', copies: COPIES } },
    log: { level: 'warn' },
  };
  writeFileSync(configFile, JSON.stringify(config));
  return await startSyncWorker({ folder, configFile, port: workerPort });
}

/** So many statements a second over the whole table, mostly updates. */
class Writers {
  readonly #mysql: Pool;
  readonly #running: Promise<unknown>;
  #tookMs: number[] = [];
  #written = 0;
  #isOver = false;

  constructor(pool: Pool) {
    this.#mysql = pool;
    const startedAt = performance.now();
    const write = async () => {
      while (!this.#isOver) {
        if (this.#written >= ((performance.now() - startedAt) / 1000) * rate) {
          await sleep(1);
          continue;
        }
        this.#written += 1;
        await this.#write(this.#written);
      }
    };
    this.#running = Promise.all(Array.from({ length: WRITERS }, write));
  }

  async mark(): Promise<{ readonly at: number; readonly counters: Counters }> {
    this.#tookMs = [];
    return { at: performance.now(), counters: await readCounters() };
  }

  async since(mark: Awaited<ReturnType<Writers['mark']>>): Promise<Phase> {
    const seconds = (performance.now() - mark.at) / 1000;
    const sorted = this.#tookMs.toSorted((a, b) => a - b);
    const now = await readCounters();
    const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
    const counted = Object.fromEntries(COUNTED.map((name) => [name, (now[name] ?? 0) - (mark.counters[name] ?? 0)]));
    return { seconds, writes: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), counted };
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #write(n: number): Promise<void> {
    // A stride that is prime to nearly every size: all over the table, in no neighbourly order.
    const id = 1 + ((n * 7_919) % rowCount);
    const kind = n % 10;
    const statement =
      kind === 0
        ? `DELETE FROM ${TABLE} WHERE id = ${id}`
        : kind === 1
          ? `REPLACE INTO ${TABLE} VALUES ${valuesOf(id)}`
          : `UPDATE ${TABLE} SET counter = counter + 1, note = IF(counter % 2, NULL, 'another') WHERE id = ${id}`;
    const startedAt = performance.now();
    await this.#mysql.query(statement);
    this.#tookMs.push(performance.now() - startedAt);
  }
}

async function readCounters(): Promise<Counters> {
  const [rows] = await mysql.query<RowDataPacket[]>('SHOW GLOBAL STATUS');
  const counters: Record<string, number> = {};
  for (const { Variable_name: name, Value: value } of rows as { Variable_name: string; Value: string }[]) {
    const counted = name.startsWith('Handler_read_') ? 'Handler_read' : name;
    counters[counted] = (counters[counted] ?? 0) + Number(value);
  }
  return counters;
}

/** User and system time since they were started. */
function cpuSeconds(worker: number): { readonly mysql: number; readonly worker: number; readonly shards: number } {
  const read = (pid: number) => cpuSecondsOf([pid]);
  const ofShards = stack.shards.reduce((sum, { server }) => sum + read(server.pid), 0);
  return { mysql: read(stack.mysql.pid), worker: read(worker), shards: ofShards };
}

async function isRunning(url: string): Promise<boolean> {
  const status = (await (await fetch(`${url}/-/status`)).json()) as { running: unknown };
  return status.running !== null;
}

async function completeShards(): Promise<number> {
  let complete = 0;
  for (const shard of shards) {
    const stored = await shard.getBuffer('ringfill:stamp');
    const stamp = stored === null ? undefined : decodeStamp(stored);
    if (Object.keys(stamp?.complete ?? {}).length > 0) complete += 1;
  }
  return complete;
}

/** Settles when every shard has heard of everything up to now. */
async function applied(): Promise<void> {
  const since = Date.now();
  for (const shard of shards) {
    await until(async () => {
      const stored = await shard.getBuffer('ringfill:stamp');
      return stored !== null && (decodeStamp(stored)?.asOf ?? 0) >= since;
    });
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(20);
}

/** How many keys of any shard are not what MySQL has, and rows of MySQL's that do not lie in as many shards as they should. */
async function compare(): Promise<number> {
  const [rows] = await mysql.query<RowDataPacket[]>(`SELECT * FROM ${TABLE}`);
  const truth = new Map(rows.map((row) => [`bench_items_${String(row['id'])}`, textOf(row)]));
  const seen = new Map<string, number>();
  let differences = 0;
  for (const shard of shards) {
    for await (const keys of shard.scanStream({ match: 'bench_items_*', count: 1_000 }) as AsyncIterable<string[]>) {
      const pipeline = shard.pipeline();
      for (const key of new Set(keys)) pipeline.hgetall(key);
      const replies = (await pipeline.exec()) ?? [];
      for (const [index, key] of [...new Set(keys)].entries()) {
        const { [MIRROR_FIELD]: _, ...columns } = (replies[index]?.[1] ?? {}) as Record<string, string>;
        if (textOf(columns) !== truth.get(key)) differences += 1;
        seen.set(`${key}@${shard.options.port}`, 1);
      }
    }
  }
  const copies = new Map<string, number>();
  for (const place of seen.keys()) {
    const key = place.slice(0, place.indexOf('@'));
    copies.set(key, (copies.get(key) ?? 0) + 1);
  }
  for (const key of truth.keys()) if (copies.get(key) !== COPIES) differences += 1;
  return differences;
}

function textOf(row: Record<string, unknown>): string {
  return Object.entries(row)
    .filter(([, value]) => value !== null)
    .map(([column, value]) => `${column}=${String(value)}`)
    .toSorted()
    .join('\n');
}

function tell(name: string, phase: Phase): void {
  const { seconds, writes, p50Ms, p99Ms, maxMs } = phase;
  const counted = COUNTED.map((counter) => `${counter} ${perSecond(phase, counter).toFixed(1)}/s`).join(', ');
  say(
    `${name}: ${(writes / seconds).toFixed(0)} writes/s, p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(1)} ms, max ${maxMs.toFixed(0)} ms; ${counted}`,
  );
}

function perSecond({ counted, seconds }: Phase, name: string): number {
  return (counted[name] ?? 0) / seconds;
}

function ratio(a: number, b: number): string {
  return b === 0 ? `${a.toFixed(1)} to 0` : (a / b).toFixed(2);
}

function share(cpu: number, { seconds }: Phase): string {
  return `${((100 * cpu) / seconds).toFixed(0)} %`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  process.exitCode = await run();
} finally {
  await mysql.end();
  for (const shard of shards) shard.disconnect();
  await stack.stop();
  rmSync(folder, { recursive: true, force: true });
}
