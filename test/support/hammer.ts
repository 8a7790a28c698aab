/**
 * The visibility hammer: writers and readers at full speed on a few rows, while entries are deleted and workers killed.
 *
 * Every write gives its row a counter that is drawn while the row is locked, from one sequence of the server's
 * (UUID_SHORT), so a row's counters grow in the order of its commits. A reader that has seen a counter must not see a
 * lower one in a request that it sends afterwards, by the same gateway and shard.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createPool, type Pool as MysqlPool } from 'mysql2/promise';
import { Pool } from 'undici';
import { seededRandom, type SeededRandom } from '../../stack/demo-data/seeded-random.ts';
import { hang, resume } from '../../stack/faults.ts';
import type { RingfillProcess } from '../../stack/ringfill-process.ts';
import { codeOf } from '../../shared/errors/errors.ts';
import type { TestStack } from './stack.ts';

export const HAMMER_ROWS = 500;

export interface HammerOptions {
  readonly stack: TestStack;
  readonly db: string;
  readonly gateways: readonly string[];
  readonly writers: number;
  readonly readers: number;
  readonly runMs: number;
  readonly seed: number;
  /** Deletes a row's entries, wherever they are. */
  readonly forget: (id: number) => Promise<void>;
}

export interface HammerReport {
  readonly commits: number;
  readonly reads: number;
  readonly statuses: Readonly<Record<number, number>>;
  /** By the story's first words: `hit`, `near`, `stored`, `collapsed`, or why it was not stored. */
  readonly stories: Readonly<Record<string, number>>;
  /** Answers that went back. */
  readonly backward: readonly string[];
  readonly seconds: number;
}

interface Tally {
  commits: number;
  reads: number;
  readonly statuses: Record<number, number>;
  readonly stories: Record<string, number>;
  readonly backward: string[];
}

export async function createHammerTable(admin: MysqlPool, db: string): Promise<void> {
  await admin.query(
    `CREATE TABLE ${db}.counters (id INT PRIMARY KEY, counter BIGINT UNSIGNED NOT NULL, filler VARCHAR(200)) ENGINE = InnoDB`,
  );
  const rows = Array.from({ length: HAMMER_ROWS }, (_, index) => `(${index + 1}, UUID_SHORT(), REPEAT('x', 100))`);
  await admin.query(`INSERT INTO ${db}.counters VALUES ${rows.join(', ')}`);
}

/** One write in so many is met by a read of its row, which has just been forgotten: the fill and the change race. */
const MET_ONE_IN = 4;
const MET_WITHIN_MS = 4;

export async function hammer(options: HammerOptions): Promise<HammerReport> {
  const { stack, writers, readers, runMs, seed, gateways, forget } = options;
  const until = performance.now() + runMs;
  const tally: Tally = { commits: 0, reads: 0, statuses: {}, stories: {}, backward: [] };
  const mysql = createPool({ host: stack.mysql.host, port: stack.mysql.port, user: 'root', connectionLimit: writers });
  const pools = gateways.map((url) => new Pool(url, { connections: Math.ceil(readers / gateways.length) }));
  const loop = async (step: () => Promise<void>) => {
    while (performance.now() < until) await step();
  };
  const highest = new Map<string, bigint>();
  const started = performance.now();
  try {
    await Promise.all([
      ...Array.from({ length: writers }, (_, index) => {
        const random = seededRandom(seed + index);
        return loop(async () => {
          const id = idBy(random);
          const writing = write(mysql, options.db, id, random, tally);
          if (random.below(MET_ONE_IN) === 0) {
            await forget(id);
            await sleep(random.below(MET_WITHIN_MS));
            const gateway = random.below(pools.length);
            await read(pools[gateway] as Pool, gateway, options.db, id, highest, tally);
          }
          await writing;
        });
      }),
      ...Array.from({ length: readers }, (_, index) => {
        const random = seededRandom(seed - 1 - index);
        const gateway = index % pools.length;
        return loop(() => read(pools[gateway] as Pool, gateway, options.db, idBy(random), highest, tally));
      }),
    ]);
  } finally {
    await Promise.all([mysql.end(), ...pools.map((pool) => pool.close())]);
  }
  return { ...tally, seconds: (performance.now() - started) / 1000 };
}

/** How many rows are raced at once, and after which waits each is read. ms. */
const RACED_AT_ONCE = 4;
const RACES_MS = [0, 1, 2, 4];
/** The change comes amid the reads. */
const WRITES_AFTER_MS = 3;

/**
 * The last word on each row, while its change is becoming visible: every row is changed once more, and as it is, it is
 * forgotten and read again and again. A fill that gets in with what was before the change stays, for no other change
 * comes to mend it.
 */
export async function raceVisibility({ stack, db, gateways, forget }: HammerOptions): Promise<void> {
  const mysql = createPool({
    host: stack.mysql.host,
    port: stack.mysql.port,
    user: 'root',
    connectionLimit: RACED_AT_ONCE,
  });
  const pools = gateways.map((url) => new Pool(url, { connections: RACED_AT_ONCE * RACES_MS.length }));
  let next = 1;
  const race = async () => {
    for (let id = next++; id <= HAMMER_ROWS; id = next++) {
      await forget(id);
      const reads = RACES_MS.map(async (ms, index) => {
        await sleep(ms);
        const pool = pools[(id + index) % pools.length] as Pool;
        await (await pool.request({ path: `/${db}/counters/${id}`, method: 'GET' })).body.dump();
      });
      await sleep(Math.random() * WRITES_AFTER_MS);
      await mysql.query(`UPDATE ${db}.counters SET counter = UUID_SHORT() WHERE id = ${id}`);
      await Promise.all(reads);
    }
  };
  try {
    await Promise.all(Array.from({ length: RACED_AT_ONCE }, race));
  } finally {
    await Promise.all([mysql.end(), ...pools.map((pool) => pool.close())]);
  }
}

/** A read that misses takes about so long; somewhere amid it the gateway is stopped. */
const STOPPED_WITHIN_MS = 3;
/** By then a change is applied in every shard. */
const APPLIED_WITHIN_MS = 12;

/**
 * The last word on each row, while its fill is late: it is forgotten and read, and amid the read the gateway stops for
 * long enough that a change of the row is applied meanwhile.
 */
export async function raceLateFill(
  { stack, db, forget }: Pick<HammerOptions, 'stack' | 'db' | 'forget'>,
  gateways: readonly RingfillProcess[],
): Promise<void> {
  const mysql = createPool({ host: stack.mysql.host, port: stack.mysql.port, user: 'root' });
  let next = 1;
  const race = async (gateway: RingfillProcess) => {
    const pool = new Pool(gateway.url, { connections: 1 });
    for (let id = next++; id <= HAMMER_ROWS; id = next++) {
      await forget(id);
      const reading = pool.request({ path: `/${db}/counters/${id}`, method: 'GET' });
      await sleep(Math.random() * STOPPED_WITHIN_MS);
      hang(gateway);
      try {
        await mysql.query(`UPDATE ${db}.counters SET counter = UUID_SHORT() WHERE id = ${id}`);
        await sleep(APPLIED_WITHIN_MS);
      } finally {
        resume(gateway);
      }
      await (await reading).body.dump();
    }
    await pool.close();
  };
  try {
    await Promise.all(gateways.map(race));
  } finally {
    await mysql.end();
  }
}

function idBy(random: SeededRandom): number {
  return 1 + random.below(HAMMER_ROWS);
}

async function write(mysql: MysqlPool, db: string, id: number, random: SeededRandom, tally: Tally): Promise<void> {
  const kind = random.below(20);
  if (kind < 16) {
    try {
      await mysql.query(`UPDATE ${db}.counters SET counter = UUID_SHORT() WHERE id = ${id}`);
      tally.commits += 1;
    } catch (error) {
      if (codeOf(error) !== 'ER_LOCK_DEADLOCK') throw error;
    }
    return;
  }
  const connection = await mysql.getConnection();
  try {
    await connection.query('BEGIN');
    const target = idBy(random);
    if (kind === 16) await connection.query(`DELETE FROM ${db}.counters WHERE id = ${target}`);
    else if (kind < 19)
      await connection.query(`INSERT IGNORE INTO ${db}.counters VALUES (${target}, 0, REPEAT('y', 100))`);
    else await connection.query(`UPDATE IGNORE ${db}.counters SET id = ${target} WHERE id = ${id}`);
    // Drawn only now that the row is ours: it may have had other counters until then.
    if (kind > 16) await connection.query(`UPDATE ${db}.counters SET counter = UUID_SHORT() WHERE id = ${target}`);
    await connection.query(random.below(10) === 0 ? 'ROLLBACK' : 'COMMIT');
    tally.commits += 1;
  } catch {
    // A deadlock among the writers: the server has rolled back.
    await connection.query('ROLLBACK');
  } finally {
    connection.release();
  }
}

async function read(
  pool: Pool,
  gateway: number,
  db: string,
  id: number,
  highest: Map<string, bigint>,
  tally: Tally,
): Promise<void> {
  // Whatever any earlier request was answered with; requests that overlap this one may still raise it.
  const seenBefore = new Map(
    [...SHARDS].map((shard) => [shard, highest.get(`${gateway} ${shard} ${id}`) ?? 0n] as const),
  );
  const { statusCode, headers, body } = await pool.request({ path: `/${db}/counters/${id}`, method: 'GET' });
  const text = await body.text();
  tally.reads += 1;
  tally.statuses[statusCode] = (tally.statuses[statusCode] ?? 0) + 1;
  const story = String(headers['cache-status']);
  const told = storyOf(story);
  tally.stories[told] = (tally.stories[told] ?? 0) + 1;
  const shard = /detail="(\w+)\/\d/.exec(story)?.[1];
  if (statusCode !== 200 || shard === undefined || told.startsWith('unstored=')) return;
  SHARDS.add(shard);
  const counter = BigInt((JSON.parse(text) as { counter: string }).counter);
  const before = seenBefore.get(shard) ?? 0n;
  if (counter < before) tally.backward.push(`${shard} row ${id}: ${counter} after ${before} (${story})`);
  const place = `${gateway} ${shard} ${id}`;
  if (counter > (highest.get(place) ?? 0n)) highest.set(place, counter);
}

const SHARDS = new Set<string>();

function storyOf(status: string): string {
  const unstored = /unstored=[a-z-]+/.exec(status)?.[0];
  if (unstored !== undefined) return unstored;
  const lost = /sync-lost=[a-z-]+/.exec(status)?.[0];
  if (lost !== undefined) return lost;
  if (/ near\b/.test(status)) return 'near';
  return /; (hit|stored|collapsed)/.exec(status)?.[1] ?? status;
}
