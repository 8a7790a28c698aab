/**
 * How fast changes travel: `npm run bench:sync -- [delay] [backlog] [transaction]`, on servers of its own.
 *
 *     delay         2,000 changes/s for a minute: from before the statement to the entry's being overwritten
 *     backlog       a million rows of about 1 KB that were written while nobody followed: rows/s to the last stamp,
 *                   beside the bare reader's rate over the same binlog
 *     transaction   one transaction of a million rows: the worker's peak memory
 *
 * --changes N, --seconds N make it smaller or larger.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { Redis } from 'ioredis';
import { createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { decodeStamp } from '../shared/stamp/stamp.ts';
import { fileNumber, type LogPosition } from '../shared/version/version.ts';
import { demoAccount } from '../stack/demo-data/load.ts';
import { chooseFreePort } from '../stack/ports.ts';
import { type RingfillProcess, startGateway, startSyncWorker } from '../stack/ringfill-process.ts';
import { startStack, type Stack } from '../stack/stack.ts';
import { BinlogReader } from '../sync-worker/capture/binlog/binlog-reader.ts';

const ROWS_A_STATEMENT = 1_000;
const TABLE = 'bench.rows_';
const NAMES = ['delay', 'backlog', 'transaction'] as const;
type Name = (typeof NAMES)[number];

interface Bench {
  readonly stack: Stack;
  readonly mysql: Pool;
  readonly redis: readonly Redis[];
  readonly configFile: string;
  readonly folder: string;
  readonly workerPort: number;
  readonly gatewayPort: number;
}

interface Options {
  readonly changes: number;
  readonly seconds: number;
  readonly queue: string;
  readonly rate: number;
}

const program = new Command('bench:sync')
  .argument('[what...]', `of ${NAMES.join(', ')}; all of them if nothing is said`)
  .option('--changes <number>', 'rows of the backlog, and of the one transaction', Number, 1_000_000)
  .option('--seconds <number>', 'how long changes are written, for the delay', Number, 60)
  .option('--queue <type>', 'quorum or classic', 'quorum')
  .option('--rate <number>', 'changes a second, for the delay', Number, 2_000)
  .parse();
const wanted = program.args.length === 0 ? NAMES : NAMES.filter((name) => program.args.includes(name));
const options = program.opts<Options>();

const runs: Readonly<Record<Name, (bench: Bench, given: Options) => Promise<string>>> = {
  delay: measureDelay,
  backlog: measureBacklog,
  transaction: measureTransaction,
};

for (const name of wanted) {
  // Servers of its own for each: what one leaves in the binlog is not the next one's backlog.
  const bench = await start();
  try {
    process.stdout.write(`${name.padEnd(12)} ${await runs[name](bench, options)}\n`);
  } finally {
    await stop(bench);
  }
}

async function start(): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'ringfill-'));
  const stack = await startStack({ folder, ports: 'free', redis: { primary: 3, fallback: 2 } });
  const { host, port } = stack.mysql;
  const mysql = createPool({ host, port, user: 'root', connectionLimit: 16 });
  await mysql.query('CREATE DATABASE bench');
  await mysql.query(
    `CREATE TABLE ${TABLE} (id INT PRIMARY KEY, counter INT NOT NULL, filler VARCHAR(1000) NOT NULL) ENGINE = InnoDB`,
  );
  for (const from of ['127.0.0.1', 'localhost']) {
    await mysql.query(`CREATE USER '${demoAccount.user}'@'${from}' IDENTIFIED BY '${demoAccount.password}'`);
    await mysql.query(`GRANT SELECT, LOCK TABLES ON bench.* TO '${demoAccount.user}'@'${from}'`);
    await mysql.query(`GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '${demoAccount.user}'@'${from}'`);
  }
  const [workerPort, gatewayPort] = [await chooseFreePort(), await chooseFreePort()];
  const configFile = join(folder, 'ringfill.yml');
  const ringOf = (ring: string) => ({
    name: ring,
    shards: Object.fromEntries(
      stack.shards.filter((shard) => shard.ring === ring).map(({ name, server }) => [name, server.url]),
    ),
  });
  const config = {
    http: { port: gatewayPort },
    origin: { url: `mysql://${demoAccount.user}:${demoAccount.password}@${host}:${port}` },
    rings: [ringOf('primary'), ringOf('fallback')],
    sync: {
      broker: { url: stack.rabbitmq?.url, queueType: options.queue },
      stateFolder: join(folder, 'state'),
      port: workerPort,
    },
    tables: { [TABLE]: {} },
    log: { level: 'warn' },
  };
  writeFileSync(configFile, JSON.stringify(config));
  const redis = stack.shards.map(({ server }) => new Redis({ port: server.port }));
  return { stack, mysql, redis, configFile, folder, workerPort, gatewayPort };
}

async function stop({ stack, mysql, redis, folder }: Bench): Promise<void> {
  await mysql.end();
  for (const one of redis) one.disconnect();
  await stack.stop();
  rmSync(folder, { recursive: true, force: true });
}

function startWorker({ folder, configFile, workerPort }: Bench): Promise<RingfillProcess> {
  return startSyncWorker({ folder, configFile, port: workerPort });
}

async function insert(mysql: Pool, first: number, count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, index) => `(${first + index}, 0, REPEAT('x', 900))`);
  await mysql.query(`INSERT INTO ${TABLE} VALUES ${rows.join(', ')}`);
}

async function binlogEnd(mysql: Pool): Promise<LogPosition> {
  const [[row]] = await mysql.query<RowDataPacket[]>('SHOW MASTER STATUS');
  return { file: String(row?.['File']), position: Number(row?.['Position']) };
}

/** Settles when every shard's stamp says that all up to there has been applied. */
async function applied({ redis }: Bench, { file, position }: LogPosition): Promise<void> {
  const place = String(fileNumber(file)).padStart(10, '0') + String(position).padStart(15, '0');
  for (const shard of redis) {
    for (;;) {
      const stored = await shard.getBuffer('ringfill:stamp');
      const stamp = stored === null ? undefined : decodeStamp(stored);
      if (stamp !== undefined && stamp.to.slice(10, 35) >= place) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function measureDelay(bench: Bench, { seconds, rate }: Options): Promise<string> {
  const { mysql, redis } = bench;
  const ROWS = 20_000;
  for (let first = 0; first < ROWS; first += ROWS_A_STATEMENT) await insert(mysql, first, ROWS_A_STATEMENT);
  const worker = await startWorker(bench);
  const gateway = await startGateway({ folder: bench.folder, configFile: bench.configFile, port: bench.gatewayPort });
  await applied(bench, await binlogEnd(mysql));
  for (let first = 0; first < ROWS; first += ROWS_A_STATEMENT) {
    const ids = Array.from({ length: ROWS_A_STATEMENT }, (_, index) => first + index);
    await (await fetch(`${gateway.url}/bench/rows_?ids=${ids.join(',')}`)).arrayBuffer();
  }
  const sent = new Map<string, number>();
  const delaysMs: number[] = [];
  const listeners = await Promise.all(
    redis.map(async (shard) => {
      await shard.config('SET', 'notify-keyspace-events', 'E$');
      const listener = shard.duplicate();
      listener.on('message', (_channel: string, key: string) => {
        const at = sent.get(key);
        // The fallback has no entry, so each change overwrites one.
        if (at !== undefined) delaysMs.push(performance.now() - at);
        sent.delete(key);
      });
      await listener.subscribe('__keyevent@0__:set');
      return listener;
    }),
  );
  let written = 0;
  const until = performance.now() + seconds * 1000;
  const cpuBefore = cpuSeconds(worker);
  const startedAt = performance.now();
  const writers = Array.from({ length: 8 }, async () => {
    while (performance.now() < until) {
      const due = ((performance.now() - startedAt) / 1000) * rate;
      if (written >= due) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      const id = written % ROWS;
      written += 1;
      sent.set(`bench_rows__${id}`, performance.now());
      await mysql.query(`UPDATE ${TABLE} SET counter = counter + 1 WHERE id = ${id}`);
    }
  });
  await Promise.all(writers);
  const took = (performance.now() - startedAt) / 1000;
  await applied(bench, await binlogEnd(mysql));
  const cpu = (cpuSeconds(worker) - cpuBefore) / took;
  for (const listener of listeners) listener.disconnect();
  await gateway.stop();
  await worker.stop();
  const sorted = delaysMs.toSorted((a, b) => a - b);
  const at = (share: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
  return (
    `${(written / took).toFixed(0)} changes/s for ${took.toFixed(0)} s, ${delaysMs.length} seen: ` +
    `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, p99.9 ${at(0.999)} ms, max ${at(1)} ms; ` +
    `the worker's CPU ${(100 * cpu).toFixed(0)} %`
  );
}

async function measureBacklog(bench: Bench, { changes }: Options): Promise<string> {
  const { mysql } = bench;
  let worker = await startWorker(bench);
  const from = await binlogEnd(mysql);
  await applied(bench, from);
  await worker.stop();
  for (let first = 0; first < changes; first += ROWS_A_STATEMENT) await insert(mysql, first, ROWS_A_STATEMENT);
  const to = await binlogEnd(mysql);
  const bare = await readBare(bench, from, to);
  const started = performance.now();
  worker = await startWorker(bench);
  await applied(bench, to);
  const seconds = (performance.now() - started) / 1000;
  await worker.stop();
  return (
    `${changes} rows in ${seconds.toFixed(1)} s, the start included: ${(changes / seconds).toFixed(0)} rows/s; ` +
    `the bare reader ${bare.toFixed(0)} rows/s: ratio ${(changes / seconds / bare).toFixed(2)}`
  );
}

/** Rows a second of the reader with nothing behind it. */
async function readBare({ stack }: Bench, from: LogPosition, to: LogPosition): Promise<number> {
  const reader = new BinlogReader({
    url: `mysql://${demoAccount.user}:${demoAccount.password}@${stack.mysql.host}:${stack.mysql.port}`,
    serverId: 4_000_000_000,
    from,
    follows: () => true,
    bufferBytesMax: 16 * 1_048_576,
    heartbeatMs: 500,
    silenceMs: 10_000,
  });
  const started = performance.now();
  let rows = 0;
  for await (const event of reader.events()) {
    if (event.kind === 'rows') rows += event.rows.length;
    if (event.kind === 'commit' && event.end.file === to.file && event.end.position >= to.position) break;
  }
  const seconds = (performance.now() - started) / 1000;
  await reader.stop();
  return rows / seconds;
}

async function measureTransaction(bench: Bench, { changes }: Options): Promise<string> {
  const { mysql } = bench;
  const worker = await startWorker(bench);
  await applied(bench, await binlogEnd(mysql));
  const before = peakMebibytes(worker);
  const connection = await mysql.getConnection();
  await connection.query('BEGIN');
  for (let first = 0; first < changes; first += ROWS_A_STATEMENT) {
    const rows = Array.from({ length: ROWS_A_STATEMENT }, (_, index) => `(${first + index}, 0, REPEAT('x', 900))`);
    await connection.query(`INSERT INTO ${TABLE} VALUES ${rows.join(', ')}`);
  }
  const started = performance.now();
  await connection.query('COMMIT');
  connection.release();
  await applied(bench, await binlogEnd(mysql));
  const seconds = (performance.now() - started) / 1000;
  const peak = peakMebibytes(worker);
  await worker.stop();
  return `one transaction of ${changes} rows: applied ${seconds.toFixed(1)} s after its COMMIT; the worker's peak ${peak} MiB (before: ${before})`;
}

/** User and system time, of all its threads. */
function cpuSeconds({ pid }: RingfillProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  // proc_pid_stat(5): fields 14 and 15, in ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function peakMebibytes({ pid }: RingfillProcess): number {
  const kibibytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kibibytes) / 1024);
}
