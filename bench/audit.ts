/**
 * How fast an audit is, and whether it misses anything: `npm run bench:audit`, on servers of its own. A mirror of a million
 * rows in two copies and a cache of as many as are asked for, a fault of each kind planted, one audit, one repair, and one
 * more. Prints rows a second, and the peak memory of the process that audits.
 *
 * --rows N, --cached N make it smaller or larger.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { Redis } from 'ioredis';
import { createPool, type Pool } from 'mysql2/promise';
import { MIRROR_FIELD, mirrorField } from '../shared/entry/mirror-entry.ts';
import { decodeStamp } from '../shared/stamp/stamp.ts';
import { demoAccount } from '../stack/demo-data/load.ts';
import { chooseFreePort } from '../stack/ports.ts';
import { startGateway, startSyncWorker } from '../stack/ringfill-process.ts';
import { startStack } from '../stack/stack.ts';
import { runAudit } from './run-audit.ts';

interface Options {
  readonly rows: number;
  readonly cached: number;
}

const ROWS_A_STATEMENT = 1_000;
const { rows, cached } = new Command('bench:audit')
  .option('--rows <number>', 'of the mirror', Number, 1_000_000)
  .option('--cached <number>', 'of the cached table', Number, 100_000)
  .parse()
  .opts<Options>();

const folder = mkdtempSync(join(tmpdir(), 'ringfill-'));
const stack = await startStack({ folder, ports: 'free', redis: { primary: 3, fallback: 2 } });
const mysql = createPool({ host: stack.mysql.host, port: stack.mysql.port, user: 'root', connectionLimit: 8 });
const redis = new Map(stack.shards.map(({ name, server }) => [name, new Redis({ port: server.port })]));
try {
  await fill(mysql);
  const { configFile, workerPort, gatewayPort } = await configure();
  const worker = await startSyncWorker({ folder, configFile, port: workerPort });
  const gateway = await startGateway({ folder, configFile, port: gatewayPort });
  try {
    const snapshotSeconds = await complete();
    say('snapshot', `${rows} rows in ${snapshotSeconds.toFixed(1)} s`);
    await warm(gateway.url);
    say('clean', await runAudit(configFile, rows + cached));
    const planted = await plant();
    say('planted', planted.join(', '));
    say('found', await runAudit(configFile, rows + cached));
    say('repaired', await runAudit(configFile, rows + cached, '--repair'));
    say('after it', await runAudit(configFile, rows + cached));
  } finally {
    await gateway.stop();
    await worker.stop();
  }
} finally {
  await mysql.end();
  for (const one of redis.values()) one.disconnect();
  await stack.stop();
  rmSync(folder, { recursive: true, force: true });
}

function say(what: string, text: string): void {
  process.stdout.write(`${what.padEnd(10)} ${text}\n`);
}

async function fill(pool: Pool): Promise<void> {
  await pool.query('CREATE DATABASE bench');
  for (const [table, count] of [
    ['mirrored', rows],
    ['cached', cached],
  ] as const) {
    await pool.query(
      `CREATE TABLE bench.${table} (id INT PRIMARY KEY, name VARCHAR(60) NOT NULL, price DECIMAL(10,2) NOT NULL,` +
        ' stock INT NOT NULL, note VARCHAR(200), changed DATETIME NOT NULL) ENGINE = InnoDB',
    );
    for (let first = 1; first <= count; first += ROWS_A_STATEMENT) {
      const values = Array.from({ length: Math.min(ROWS_A_STATEMENT, count - first + 1) }, (_, index) => {
        const id = first + index;
        const note = id % 3 === 0 ? 'NULL' : `'a note on what number ${id} is about, of some length'`;
        return `(${id}, 'number ${id}', ${id % 1000}.50, ${id % 77}, ${note}, '2026-01-02 03:04:05')`;
      });
      await pool.query(`INSERT INTO bench.${table} VALUES ${values.join(', ')}`);
    }
  }
  for (const from of ['127.0.0.1', 'localhost']) {
    await pool.query(`CREATE USER '${demoAccount.user}'@'${from}' IDENTIFIED BY '${demoAccount.password}'`);
    await pool.query(`GRANT SELECT, LOCK TABLES ON bench.* TO '${demoAccount.user}'@'${from}'`);
    await pool.query(`GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '${demoAccount.user}'@'${from}'`);
  }
}

async function configure() {
  const [workerPort, gatewayPort] = [await chooseFreePort(), await chooseFreePort()];
  const configFile = join(folder, 'ringfill.yml');
  const ringOf = (ring: string) => ({
    name: ring,
    shards: Object.fromEntries(
      stack.shards.filter((shard) => shard.ring === ring).map(({ name, server }) => [name, server.url]),
    ),
  });
  const { host, port } = stack.mysql;
  const config = {
    http: { port: gatewayPort },
    origin: { url: `mysql://${demoAccount.user}:${demoAccount.password}@${host}:${port}` },
    rings: [ringOf('primary'), ringOf('fallback')],
    sync: {
      broker: { url: stack.rabbitmq?.url },
      stateFolder: join(folder, 'state'),
      port: workerPort,
      snapshot: { rowsPerSecond: 1_000_000 },
      audit: { rowsPerSecond: 0 },
    },
    tables: { 'bench.mirrored': { mode: 'mirror' }, 'bench.cached': {} },
    log: { level: 'warn' },
  };
  writeFileSync(configFile, JSON.stringify(config));
  return { configFile, workerPort, gatewayPort };
}

/** @returns seconds until every shard calls the mirror complete. */
async function complete(): Promise<number> {
  const startedAt = performance.now();
  for (const shard of redis.values()) {
    for (;;) {
      const stored = await shard.getBuffer('ringfill:stamp');
      const stamp = stored === null ? undefined : decodeStamp(stored);
      if (Object.keys(stamp?.complete ?? {}).length > 0) break;
      await new Promise((wake) => setTimeout(wake, 100));
    }
  }
  return (performance.now() - startedAt) / 1000;
}

async function warm(url: string): Promise<void> {
  for (let first = 1; first <= cached; first += ROWS_A_STATEMENT) {
    const ids = Array.from({ length: ROWS_A_STATEMENT }, (_, index) => first + index);
    await (await fetch(`${url}/bench/cached?ids=${ids.join(',')}`)).arrayBuffer();
  }
}

async function holderOf(key: string): Promise<Redis> {
  for (const shard of redis.values()) if ((await shard.exists(key)) === 1) return shard;
  throw new Error(`no shard holds ${key}`);
}

/** One of each kind in both tables. @returns what was planted. */
async function plant(): Promise<string[]> {
  const key = (share: number) => `bench_mirrored_${Math.ceil(rows * share)}`;
  const [changed, missing, copied, list, ahead] = [0.1, 0.3, 0.5, 0.7, 0.9].map(key) as [
    string,
    string,
    string,
    string,
    string,
  ];
  await (await holderOf(changed)).hset(changed, 'name', 'changed by hand');
  await (await holderOf(missing)).del(missing);
  const orphan = `bench_mirrored_${rows + 7}`;
  const copy = await (await holderOf(copied)).hgetall(copied);
  for (const shard of redis.values()) await shard.hset(orphan, copy);
  const listed = await holderOf(list);
  await listed.del(list);
  await listed.lpush(list, 'x');
  const aheadIn = await holderOf(ahead);
  const field = (await aheadIn.hget(ahead, MIRROR_FIELD)) as string;
  const version = `${field.slice(1, 11)}${'9'.repeat(10)}${field.slice(21, 46)}`;
  await aheadIn.hset(ahead, MIRROR_FIELD, mirrorField('row', version, field.slice(46)));
  const entry = 'bench_cached_5';
  const entryIn = await holderOf(entry);
  await entryIn.set(entry, ((await entryIn.get(entry)) as string).replace('number 5', 'number 6'), 'KEEPTTL');
  return ['stale 2', 'missing 1', 'orphan 5 (one in each shard)', 'wrong type 1', 'ahead 1'];
}
