/**
 * Snapshots of a mirror while everything breaks beside them: the worker is killed, rows are locked, a shard loses what it
 * has, changes are lost, a server begins to evict. Writers go on all the time; at the end every shard holds what MySQL does.
 *
 *     RINGFILL_SNAPSHOT_KILLS=20   how often the worker is killed amid one snapshot; 4 if it is missing
 *     RINGFILL_SNAPSHOT_SEED=…     for the same writers and places once more
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { hang, kill, resume } from '../../stack/faults.ts';
import { seededRandom } from '../../stack/demo-data/seeded-random.ts';
import { openBroker, stateOf, until } from '../support/broker.ts';
import { MirrorWorld, type SnapshotState } from '../support/mirror-world.ts';
import { RandomWriters } from '../support/random-writers.ts';
import { startOwnServers } from '../support/sync-world.ts';

const KILLS = Number(process.env['RINGFILL_SNAPSHOT_KILLS'] ?? 4);
const SEED = Number(process.env['RINGFILL_SNAPSHOT_SEED'] ?? randomInt(1_000_000));
const ROWS = 8_000 + 1_000 * Math.max(0, 2 * (KILLS - 4));
/** So that there is time for the kills. */
const ROWS_PER_SECOND = 3_000;
const ID_MAX = ROWS + 4_000;
/** Readers look for these: they are always there. */
const KEPT = 2_000;
const COPIES = 2;

const servers = await startOwnServers();
const world = await MirrorWorld.open({
  stack: servers.stack,
  columns: 'id INT PRIMARY KEY, v VARCHAR(200), n INT NOT NULL',
  filledBy: [
    `INSERT INTO items SELECT 1 + a.n * 1000 + b.n, CONCAT('as it was ', b.n), 0 FROM
       (WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < ${ROWS / 1_000 - 1}) SELECT n FROM s) AS a,
       (WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 999) SELECT n FROM s) AS b`,
  ],
  table: { copies: COPIES },
  sync: { snapshot: { rowsPerSecond: ROWS_PER_SECOND } },
});
const broker = await openBroker(world.config);

function writeOn(writers = 3): RandomWriters {
  const started = new RandomWriters({
    mysql: world.mysql,
    table: world.label,
    writers,
    seed: SEED,
    idMax: ID_MAX,
    keptUpTo: KEPT,
  });
  after(() => started.stop());
  return started;
}

/** Every shard says that it is complete, and it is. */
async function assertComplete(): Promise<void> {
  await world.complete();
  await world.applied();
  assert.deepEqual(await world.wrong(COPIES), []);
}

function rowsOf(states: Readonly<Record<string, SnapshotState>>): number {
  return Math.min(...Object.values(states).map(({ rows }) => rows));
}

test(`the worker is killed at ${KILLS} random places of a snapshot: it goes on from where it was`, async (t) => {
  t.diagnostic(`seed ${SEED}`);
  const random = seededRandom(SEED);
  const writers = writeOn();
  let kills = 0;
  await until('the snapshot runs', async () => Object.keys(await world.snapshots()).length === 3);
  const from = rowsOf(await world.snapshots());
  for (let n = 1; n <= KILLS; n += 1) {
    const at = from + Math.round(((n - random.below(100) / 100) * (0.75 * ROWS - from)) / KILLS);
    await until(`${at} rows have been read`, async () => {
      const seen = await world.snapshots();
      return Object.keys(seen).length === 3 && rowsOf(seen) >= at;
    });
    await sleep(random.below(60));
    await kill(world.worker);
    kills += 1;
    const before = await world.snapshots();
    const worker = await world.startWorker();
    await until('the snapshot goes on', () => world.logged('snapshot', worker).length > 0);
    const [first] = world.logged('snapshot', worker);
    assert.equal(first?.['event'], 'snapshot goes on');
    assert.equal(first?.['rows'], rowsOf(before), 'from where it was');
    const now = await world.snapshots();
    for (const [shard, { walk, chunk }] of Object.entries(now)) {
      assert.equal(walk, before[shard]?.walk, `${shard} has not begun anew`);
      assert.ok(chunk >= Math.min(...Object.values(before).map((state) => state.chunk)), shard);
    }
    t.diagnostic(
      `killed at ${rowsOf(before)} rows, chunks ${Object.values(before)
        .map((state) => state.chunk)
        .join(', ')}`,
    );
  }
  await world.complete();
  const { commits, rollbacks } = await writers.stop();
  t.diagnostic(`${kills} kills beside ${commits} transactions, ${rollbacks} more were rolled back`);
  assert.ok(commits > 100, String(commits));
  await assertComplete();
});

/** Asks for all that are always there, again and again; and for some that never are. */
class Walker {
  readonly statuses: Record<number, number> = {};
  readonly wrong: string[] = [];
  #isOver = false;
  readonly #running: Promise<void>;

  constructor() {
    this.#running = this.#walk();
    this.#running.catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #walk(): Promise<void> {
    for (let id = 1; !this.#isOver; id = (id % KEPT) + 1) {
      const answer = await world.get(id);
      await answer.arrayBuffer();
      this.statuses[answer.status] = (this.statuses[answer.status] ?? 0) + 1;
      if (answer.status !== 200) this.wrong.push(`${id}: ${answer.status}`);
    }
  }
}

async function walking<T>(during: () => Promise<T>): Promise<Walker> {
  const walker = new Walker();
  try {
    await during();
  } finally {
    await walker.stop();
  }
  return walker;
}

describe('a Redis is flushed', () => {
  test('while rows are locked: all others are brought, those are waited for, and nobody hears of a false 404', async (t) => {
    const holder = await world.mysql.getConnection();
    t.after(() => holder.release());
    await holder.query('BEGIN');
    await holder.query(`UPDATE ${world.label} SET v = 'never seen' WHERE id IN (5, 700)`);
    await holder.query(`DELETE FROM ${world.label} WHERE id = 1500`);
    await holder.query(`UPDATE ${world.label} SET id = ${ID_MAX + 1} WHERE id = 1501`);
    const walker = await walking(async () => {
      await world.redis('r1').flushall();
      await until('all others have been brought', async () => {
        const { r1 } = await world.snapshots();
        return r1?.isAtEnd === true && r1.leftOver.length > 0;
      });
      const { leftOver = [] } = (await world.snapshots())['r1'] ?? {};
      t.diagnostic(`waits for ${leftOver.join(', ')} alone`);
      assert.ok(
        leftOver.every((id) => ['5', '700', '1500', '1501', String(ID_MAX + 1)].includes(id)),
        leftOver.join(),
      );
      assert.equal((await world.states())['r1'], false);
      await holder.query('ROLLBACK');
      await world.complete();
    });
    assert.deepEqual(walker.wrong.slice(0, 5), []);
    t.diagnostic(JSON.stringify(walker.statuses));
    await assertComplete();
  });

  test('beside writers, twice, the second time amid the first one’s snapshot', async (t) => {
    const writers = writeOn();
    const walker = await walking(async () => {
      await world.redis('r2').flushall();
      await until('some rows are back', async () => ((await world.snapshots())['r2']?.rows ?? 0) > 1_000);
      await world.redis('r2').flushall();
      await world.complete();
    });
    await writers.stop();
    assert.deepEqual(walker.wrong.slice(0, 5), []);
    t.diagnostic(JSON.stringify(walker.statuses));
    await assertComplete();
  });
});

test('a queue is purged: what the shard held does not count, and it is made again', async () => {
  const { queue } = broker.topology.shards.find(({ shard }) => shard === 'r1') as { queue: string };
  hang(servers.redis.r1);
  // What a consumer holds would not be purged; and what it has sent already, r1 finds in its socket when it goes on.
  await until('nobody consumes for r1', async () => (await stateOf(broker, queue)).consumerCount === 0, 30_000);
  const before = (await stateOf(broker, queue)).messageCount;
  await world.run(
    `UPDATE items SET v = 'lost on the way', n = n + 1 WHERE id <= 50`,
    'DELETE FROM items WHERE id > 2000 AND id < 2050',
  );
  await until('changes wait for r1', async () => (await stateOf(broker, queue)).messageCount > before + 3, 30_000);
  const { channel, close } = await broker.connection.openChannel();
  await channel.purgeQueue(queue);
  await close();
  resume(servers.redis.r1);
  await until('r1 is not held for complete', async () => (await world.states())['r1'] === false);
  await assertComplete();
  assert.deepEqual(
    world.logged('changes were lost').map(({ shard }) => shard),
    ['r1'],
  );
});

test('the table’s floor rises amid a snapshot: what was written so far does not count, and it begins anew', async () => {
  await world.redis('r1').flushall();
  const walkOf = async () => (await world.snapshots())['r1']?.walk;
  await until('some rows are back', async () => ((await world.snapshots())['r1']?.rows ?? 0) > 1_000);
  const first = await walkOf();
  // The same columns as before: nothing but the floor says that there was something.
  await world.run(`ALTER TABLE items FORCE`);
  await until('it has begun anew', async () => ![undefined, first].includes(await walkOf()), 30_000);
  await assertComplete();
});

test('a server that evicts rows is never complete: 503, not 404; it is by itself once it evicts no more', async () => {
  const shards = Object.keys(await world.states());
  await Promise.all(shards.map((shard) => world.redis(shard).config('SET', 'maxmemory-policy', 'allkeys-lru')));
  await until('no shard is held for complete', async () => Object.values(await world.states()).every((is) => !is));
  const absent = await world.get(ID_MAX + 500);
  assert.equal(absent.status, 503);
  assert.equal(((await absent.json()) as { code: string }).code, 'mirror-unavailable');
  assert.equal((await world.get(1)).status, 200, 'what is there is there');
  const { mirrors } = await world.status();
  assert.deepEqual(new Set(mirrors.map(({ state }) => state)), new Set(['evicts']));
  // Amid a snapshot, too: it does not go on from where it was.
  await Promise.all(shards.map((shard) => world.redis(shard).config('SET', 'maxmemory-policy', 'noeviction')));
  await until('some rows are back', async () => ((await world.snapshots())['f1']?.rows ?? 0) > 1_000);
  await world.redis('f1').config('SET', 'maxmemory-policy', 'allkeys-random');
  await until('its snapshot is dropped', async () => (await world.snapshots())['f1'] === undefined);
  await world.redis('f1').config('SET', 'maxmemory-policy', 'volatile-lru');
  await assertComplete();
  assert.equal((await world.get(ID_MAX + 500)).status, 404);
});
