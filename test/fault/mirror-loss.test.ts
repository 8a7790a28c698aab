/**
 * A mirror's readers while a Redis or MySQL is gone: every row has two copies, so nobody hears of a row that is there that
 * it is not, and nearly nobody has to ask again; and MySQL is needed for no read at all.
 *
 *     RINGFILL_STOPPED_MS=60000   how long MySQL is gone; 3,000 if it is missing
 */
import assert from 'node:assert/strict';
import { after, describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { hang, kill } from '../../stack/faults.ts';
import { until } from '../support/broker.ts';
import { MirrorWorld } from '../support/mirror-world.ts';
import { RandomWriters } from '../support/random-writers.ts';
import { startOwnServers } from '../support/sync-world.ts';

const STOPPED_MS = Number(process.env['RINGFILL_STOPPED_MS'] ?? 3_000);
const ROWS = 3_000;
/** Are always there; the others come and go. */
const KEPT = 2_000;
/** Are never there. */
const ABSENT_FROM = 50_000;
const READERS = 16;
const SEED = 4;

const servers = await startOwnServers();
const world = await MirrorWorld.open({
  stack: servers.stack,
  columns: 'id INT PRIMARY KEY, v VARCHAR(200), n INT NOT NULL',
  filledBy: [
    `INSERT INTO items SELECT 1 + a.n * 1000 + b.n, 'as it was', 0 FROM
       (SELECT 0 AS n UNION SELECT 1 UNION SELECT 2) AS a,
       (WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 999) SELECT n FROM s) AS b`,
  ],
  table: { copies: 2, onSyncLost: 'serve' },
  // So that a shard is not complete again before all keys have been asked for.
  sync: { snapshot: { rowsPerSecond: 1_000 } },
});

interface Walked {
  readonly statuses: Readonly<Record<string, number>>;
  /** Of rows that are there, or are not. */
  readonly wrong: readonly string[];
  readonly slowestMs: number;
}

/** Every key again and again, until it is over; each tenth request is for one that is not there. */
async function walking(during: () => Promise<void>): Promise<Walked> {
  const pool = new Pool(world.gateways[0]?.url as string, { connections: READERS, pipelining: 1 });
  const statuses: Record<string, number> = {};
  const wrong: string[] = [];
  let [next, slowestMs, isOver] = [0, 0, false];
  const read = async () => {
    while (!isOver) {
      const n = (next += 1);
      const isThere = n % 10 !== 0;
      const id = isThere ? 1 + (n % KEPT) : ABSENT_FROM + n;
      const askedAt = performance.now();
      const { statusCode, body } = await pool.request({ path: `/${world.db}/items/${id}`, method: 'GET' });
      const text = await body.text();
      slowestMs = Math.max(slowestMs, performance.now() - askedAt);
      const outcome = `${statusCode}${isThere ? '' : ' of none'}`;
      statuses[outcome] = (statuses[outcome] ?? 0) + 1;
      if (statusCode === 503) continue;
      if (statusCode !== (isThere ? 200 : 404) || (isThere && !text.startsWith(`{"id":${id},`))) {
        wrong.push(`${id}: ${statusCode} ${text.slice(0, 200)}`);
      }
    }
  };
  const readers = Promise.all(Array.from({ length: READERS }, read));
  readers.catch(() => undefined);
  try {
    await during();
    await until('all keys have been asked for', () => next > 2 * KEPT, 60_000);
  } finally {
    isOver = true;
    await readers;
    await pool.close();
  }
  return { statuses, wrong, slowestMs };
}

function assertFound(t: TestContext, { statuses, wrong, slowestMs }: Walked, shareLeast: number): void {
  const all = Object.values(statuses).reduce((a, b) => a + b, 0);
  const unknown = (statuses['503'] ?? 0) + (statuses['503 of none'] ?? 0);
  t.diagnostic(`${JSON.stringify(statuses)}, the slowest ${slowestMs.toFixed(0)} ms`);
  assert.deepEqual(wrong.slice(0, 5), []);
  assert.ok(all > 500, `${all} answers`);
  assert.ok((all - unknown) / all >= shareLeast, `${unknown} of ${all} answers were 503`);
}

describe('a Redis is killed, and comes back empty, under writers and readers', () => {
  for (const shard of ['r1', 'f1'] as const) {
    test(`${shard}: it is complete again by itself; no false 404, and 99 % of the answers are no 503`, async (t) => {
      await world.complete();
      const writers = new RandomWriters({
        mysql: world.mysql,
        table: world.label,
        writers: 2,
        seed: SEED,
        idMax: ROWS + 500,
        keptUpTo: KEPT,
      });
      after(() => writers.stop());
      const walked = await walking(async () => {
        const server = servers.redis[shard];
        await kill(server);
        await server.restart();
        await until(`${shard} is not held for complete`, async () => (await world.states())[shard] !== true);
        await world.complete();
      });
      await writers.stop();
      assertFound(t, walked, 0.99);
      await world.applied();
      assert.deepEqual(await world.wrong(2), []);
    });
  }
});

test('a row changes twice while its owner is away: the other copy has it at once, and the owner when it is back', async () => {
  await world.complete();
  const { redis } = servers;
  await kill(redis.r2);
  await world.run(`UPDATE items SET v = 'while it was away' WHERE id <= 50`, 'DELETE FROM items WHERE id = 2500');
  await until('the gateway says so', async () => {
    const rows = await world.rows([1, 25, 50]);
    return rows.every((row) => row?.['v'] === 'while it was away');
  });
  await until('the row is gone', async () => (await world.get(2500)).status === 404);
  await redis.r2.restart();
  await world.complete();
  await world.applied();
  assert.deepEqual(await world.wrong(2), []);
});

test(`MySQL hangs, then is killed, for ${STOPPED_MS} ms in all: every read is answered, and right; then all goes on`, async (t) => {
  await world.complete();
  await world.applied();
  t.after(async () => {
    if (!servers.mysql.running) await servers.mysql.restart();
  });
  const walked = await walking(async () => {
    hang(servers.mysql);
    await sleep(STOPPED_MS / 2);
    await kill(servers.mysql);
    await sleep(STOPPED_MS / 2);
  });
  assert.equal(walked.statuses['503'], undefined);
  assertFound(t, walked, 1);
  await servers.mysql.restart();
  await world.run(`UPDATE items SET v = 'after it' WHERE id = 7`);
  await until('the change has arrived', async () => (await world.rows([7]))[0]?.['v'] === 'after it', 60_000);
  await world.complete();
  await world.applied();
  assert.deepEqual(await world.wrong(2), []);
});
