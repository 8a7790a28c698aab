/** `ringfill snapshot` as operators run it: what it says, what it ends with, and what it has mended; and the worker's metrics. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createConnection } from 'mysql2/promise';
import { stampKey } from '../../shared/key/cache-key.ts';
import type { Completeness, Stamp } from '../../shared/stamp/stamp.ts';
import { lockName } from '../../sync-worker/capture/continuity/lock.ts';
import { stampOf, until } from '../support/broker.ts';
import { type CommandOutcome, runCommand, startCommand, writeConfig } from '../support/cli.ts';
import { MirrorWorld } from '../support/mirror-world.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const stack = await testStack();
const folder = temporaryFolder();
const world = await MirrorWorld.open({
  stack,
  columns: 'id INT PRIMARY KEY, v TEXT',
  filledBy: [
    `INSERT INTO items WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 900) SELECT n, 'v' FROM s`,
  ],
});
const configFile = writeConfig(folder, 'ringfill.yml', world.configText);
const shards = Object.keys(world.config.rings.reduce((all, ring) => ({ ...all, ...ring.shards }), {}));

before(() => world.complete());

interface Told {
  readonly ok: boolean;
  readonly tables: readonly {
    readonly table: string;
    readonly rows: number;
    readonly removed: number;
    readonly complete: readonly string[];
    readonly failed: Readonly<Record<string, { readonly kind: string; readonly why: string }>>;
  }[];
}

const snapshot = (...args: string[]): Promise<CommandOutcome> =>
  runCommand(['snapshot', '--config', configFile, ...args]);

async function told(...args: string[]): Promise<Told & { readonly code: number | null }> {
  const { code, stdout, stderr } = await snapshot('--json', ...args);
  assert.equal(stderr, '');
  return { ...(JSON.parse(stdout) as Told), code };
}

test('what was changed past the binlog is right again: rows that differ, that are missing, that are no more', async () => {
  const connection = await world.mysql.getConnection();
  await connection.query('SET sql_log_bin = 0');
  await connection.query(`UPDATE ${world.label} SET v = 'past the binlog' WHERE id = 5`);
  await connection.query(`DELETE FROM ${world.label} WHERE id = 6`);
  await connection.query(`INSERT INTO ${world.label} VALUES (5001, 'past the binlog')`);
  await connection.query('SET sql_log_bin = 1');
  connection.release();
  assert.equal((await world.wrong(2)).length, 5);
  const { code, stdout, stderr } = await snapshot();
  assert.equal(code, 0, stderr);
  assert.match(stderr, new RegExp(`^${world.label}: about \\d+ rows\n`));
  assert.match(
    stdout,
    new RegExp(`^${world.label}: 900 rows read in [\\d.]+ s, 2 keys removed; complete in ${shards.join(', ')}\n$`),
  );
  assert.deepEqual(await world.wrong(2), []);
});

test('as JSON, of one table, from the first row on', async () => {
  const { code, ok, tables } = await told(world.label, '--anew');
  assert.equal(code, 0);
  assert.equal(ok, true);
  assert.deepEqual(
    tables.map(({ table, rows, complete }) => [table, rows, complete.length]),
    [[world.label, 900, 5]],
  );
});

test('shards of one walk that different runs have brought on, in chunks of other sizes, all get every row', async () => {
  const cameTo = async (shard: string, by: string, chunk: number, upTo: number) => {
    const redis = world.redis(shard);
    const { to, complete } = (await stampOf(redis, world.config)) as Stamp;
    const [[table, { rings, shape }]] = Object.entries(complete) as [[string, Completeness]];
    const cursor = JSON.stringify({ by, rows: upTo, upTo: String(upTo), isAtEnd: false, leftOver: [] });
    const state = { since: to, rings, shape, walk: 'one', token: by, turn: 9, chunk, cursor };
    await redis.hset(`${stampKey(world.config.keyPrefix)}:snapshot:${table}`, state);
    const beyond = (await world.keysIn(shard)).filter((key) => Number(key.split('_').at(-1)) > upTo);
    await redis.del(beyond);
  };
  await cameTo('r1', 'one', 3, 600);
  await cameTo('r2', 'another', 5, 400);
  const { code, stderr } = await snapshot();
  assert.equal(code, 0, stderr);
  assert.deepEqual(await world.wrong(2), []);
});

test('another process makes snapshots: it says so, and waits; told to stop, it goes', async () => {
  const holder = await createConnection({ socketPath: stack.mysql.socket, user: 'root' });
  after(() => holder.end());
  await holder.query('SELECT GET_LOCK(?, 10)', [lockName(`${world.config.sync.name}:snapshot`)]);
  const waiting = startCommand(['snapshot', '--config', configFile]);
  await waiting.says(/another process makes snapshots just now; waiting for it\n/);
  const stopped = startCommand(['snapshot', '--config', configFile]);
  await stopped.says(/another process/);
  const { code, stdout } = await stopped.stop();
  assert.equal(code, 1);
  assert.match(stdout, /: interrupted after [\d.]+ s: stopped; the next one goes on from here\n$/);
  await holder.query('SELECT RELEASE_ALL_LOCKS()').catch(() => holder.end());
  const outcome = await waiting.ended;
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.match(outcome.stdout, /: 900 rows read in .* complete in/);
});

describe('what cannot be is said, with what mends it', () => {
  test('tables that are not exposed, or no mirrors', async () => {
    const text = JSON.parse(world.configText) as { tables: object };
    const file = writeConfig(
      folder,
      'two.yml',
      JSON.stringify({ ...text, tables: { ...text.tables, 'test.users': {} } }),
    );
    const { code, stderr } = await runCommand(['snapshot', '--config', file, 'test.users', 'test.unknown']);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /tables\.test\.users: is cached \(mode: read-through\) \[not-a-mirror\]\n {4}mend: mirrors are m/,
    );
    assert.match(stderr, /test\.unknown is not among the exposed tables \[table-not-exposed\]/);
    const none = writeConfig(folder, 'none.yml', JSON.stringify({ ...text, tables: { 'test.users': {} } }));
    const outcome = await runCommand(['snapshot', '--config', none]);
    assert.equal(outcome.code, 1);
    assert.match(outcome.stderr, /no table is a mirror \[not-a-mirror\]/);
  });

  test('no sync in the configuration, and a MySQL that is not there', async () => {
    const { sync: _, ...without } = JSON.parse(world.configText) as { sync: object; tables: object };
    const file = writeConfig(folder, 'unsynced.yml', JSON.stringify({ ...without, tables: { 'test.users': {} } }));
    const unsynced = await runCommand(['snapshot', '--config', file]);
    assert.equal(unsynced.code, 1);
    assert.match(unsynced.stderr, /this configuration has no sync \[config-invalid\]/);
    const text = JSON.parse(world.configText) as { origin: object };
    const away = writeConfig(
      folder,
      'away.yml',
      JSON.stringify({ ...text, origin: { ...text.origin, url: 'mysql://ringfill@127.0.0.1:1' } }),
    );
    const unreachable = await runCommand(['snapshot', '--config', away]);
    assert.equal(unreachable.code, 1);
    assert.match(unreachable.stderr, /origin\.url: MySQL at 127\.0\.0\.1:1: .*ECONNREFUSED.*\[origin-unreachable\]/);
  });

  test('no sync worker has told the shards of the table', async () => {
    const text = JSON.parse(world.configText) as object;
    const file = writeConfig(folder, 'unfollowed.yml', JSON.stringify({ ...text, keyPrefix: `${world.db}-other:` }));
    const { code, stdout } = await runCommand(['snapshot', '--config', file]);
    assert.equal(code, 1);
    assert.match(stdout, /complete in no shard\n/);
    for (const shard of shards) {
      assert.match(
        stdout,
        new RegExp(`${shard} {2}no sync worker has told it about the table +-> start a sync worker`),
      );
    }
  });

  test('a shard that evicts, and one that is down: the others are complete', async () => {
    await world.redis('f2').config('SET', 'maxmemory-policy', 'allkeys-lfu');
    const text = JSON.parse(world.configText) as { rings: { name: string; shards: Record<string, string> }[] };
    try {
      const { code, ok, tables } = await told();
      assert.equal(code, 1);
      assert.equal(ok, false);
      assert.equal(tables[0]?.failed['f2']?.kind, 'evicts');
      assert.equal(tables[0]?.complete.length, shards.length - 1);
      const { stdout } = await snapshot();
      assert.match(stdout, /f2 {2}its server may evict rows .* -> on f2: CONFIG SET maxmemory-policy volatile-lru/);
    } finally {
      await world.redis('f2').config('SET', 'maxmemory-policy', 'noeviction');
    }
    const rings = text.rings.map((ring) => ({ ...ring, shards: { ...ring.shards } }));
    (rings[0] as { shards: Record<string, string> }).shards['r1'] = 'redis://127.0.0.1:1';
    const file = writeConfig(folder, 'down.yml', JSON.stringify({ ...text, rings }));
    await world.complete();
    const { code, stdout } = await runCommand(['snapshot', '--config', file, '--json']);
    assert.equal(code, 1);
    const [table] = (JSON.parse(stdout) as Told).tables;
    assert.equal(table?.failed['r1']?.kind, 'down');
    assert.match(String(table?.failed['r1']?.why), /ECONNREFUSED/);
    assert.deepEqual(
      table?.complete,
      shards.filter((shard) => shard !== 'r1'),
    );
  });
});

test('the sync worker’s metrics and status tell what is complete, and how many rows were read', async () => {
  await world.redis('r1').del(`${world.config.keyPrefix}ringfill:stamp`);
  const metric = async (name: string) => {
    const text = await (await fetch(`${world.worker.url}/-/metrics`)).text();
    return Object.fromEntries(
      [...text.matchAll(new RegExp(`^${name}(?:{([^}]*)})? (\\S+)$`, 'gm'))].map(([, labels = '', value]) => [
        labels,
        Number(value),
      ]),
    );
  };
  const r1 = `table="${world.label}",shard="r1"`;
  await until('r1 is told not to be complete', async () => (await metric('ringfill_mirror_complete'))[r1] === 0);
  await world.complete();
  await until('r1 is told to be complete', async () => (await metric('ringfill_mirror_complete'))[r1] === 1);
  assert.equal(Object.keys(await metric('ringfill_mirror_complete')).length, shards.length);
  assert.ok(((await metric('ringfill_snapshot_rows_total'))[''] ?? 0) >= 900);
  assert.deepEqual(await metric('ringfill_snapshot_running_rows'), {}, 'none is under way');
  const { mirrors, running } = await world.status();
  assert.equal(running, null);
  assert.deepEqual(new Set(mirrors.map(({ state }) => state)), new Set(['complete']));
});

test('the sync worker has stopped, and changes came since: it says so, and does not wait for ever', async () => {
  await world.complete();
  await world.worker.stop();
  await world.run("UPDATE items SET v = 'unheard of' WHERE id = 1");
  const { code, stdout } = await snapshot();
  assert.equal(code, 1);
  assert.match(stdout, /complete in no shard\n/);
  assert.match(stdout, /r1 {2}the shard has not heard yet of changes .* -> see that a sync worker runs and keeps up/);
  await world.startWorker();
  await world.complete();
  await world.applied();
  assert.deepEqual(await world.wrong(2), []);
});
