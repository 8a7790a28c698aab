/** The audit finds what was put wrong, names it, and finds nothing else, whatever is written meanwhile; and mends it. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeEntry, encodeEntry, type Entry } from '../../shared/entry/entry.ts';
import { MIRROR_FIELD, mirrorField } from '../../shared/entry/mirror-entry.ts';
import { parseConfig } from '../../shared/config/load.ts';
import type { Config } from '../../shared/config/schema.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { auditJson, auditText, outcomeOf } from '../../cli/audit/audit-report.ts';
import { type AuditReport, type AuditRunOptions, runAudit } from '../../sync-worker/audit/audit-run.ts';
import type { Redis } from 'ioredis';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { ringHashOf, shardLayers } from '../../shared/shard/shard-layers.ts';
import type { AuditedOrigin } from '../../sync-worker/audit/origin-word.ts';
import { TableAudit, type TableAuditOptions } from '../../sync-worker/audit/table-audit.ts';
import { TableRepair } from '../../sync-worker/audit/table-repair.ts';
import type { TableTally } from '../../sync-worker/audit/tally.ts';
import { Pace } from '../../sync-worker/snapshot/pace.ts';
import { until } from '../support/broker.ts';
import { runCommand, writeConfig } from '../support/cli.ts';
import { MirrorWorld } from '../support/mirror-world.ts';
import { testStack } from '../support/stack.ts';

const ROWS = 3_000;
/** Ids after those that are asked for as well. */
const ABSENT = 500;
const stack = await testStack();
/** Of as many columns and as long texts as it takes for every way in which Redis packs them. */
const columns =
  'id INT PRIMARY KEY, name VARCHAR(60), note MEDIUMTEXT, secret VARCHAR(20), n BIGINT NOT NULL DEFAULT 0,' +
  " c1 CHAR(1) DEFAULT 'c', c2 CHAR(1) DEFAULT 'c', c3 CHAR(1) DEFAULT 'c', c4 CHAR(1) DEFAULT 'c'";
const LENGTHS = [31, 32, 255, 256, 65_535, 65_536];
const longNotes = LENGTHS.map((length, index) => `(${index + 11}, REPEAT('ü', ${length / 2} + 0.5))`);

const filledBy = [0, 1, 2].map((part) => {
  const rows = Array.from({ length: ROWS / 3 }, (_, index) => {
    const id = (part * ROWS) / 3 + index + 1;
    return `(${id}, 'name ${id}', ${id % 3 === 0 ? 'NULL' : "'note'"}, NULL, ${id})`;
  });
  return `INSERT INTO items (id, name, note, secret, n) VALUES ${rows.join(', ')}`;
});
filledBy.push(`REPLACE INTO items (id, note) VALUES ${longNotes.join(', ')}`);
const table = { columns: { deny: ['secret'] } };
const mirror = await MirrorWorld.open({
  stack,
  columns,
  filledBy,
  table,
  sync: { audit: { rowsPerSecond: 0 } },
});
const cached = await MirrorWorld.open({
  stack,
  columns,
  filledBy,
  table: { ...table, mode: 'read-through' },
  sync: { audit: { rowsPerSecond: 5_000 } },
});

before(async () => {
  await mirror.complete();
  await cached.applied();
  await warm();
});

function audit(world: MirrorWorld, options: Partial<AuditRunOptions> = {}): Promise<AuditReport> {
  return runAudit({
    config: parseConfig(world.configText, 'test'),
    tables: [],
    repair: false,
    showRows: false,
    rowsPerSecondMax: 10_000_000,
    log: createLog('error'),
    signal: new AbortController().signal,
    ...options,
  });
}

/** By kind, how many in all shards; kinds of which there are none are left out. */
function counted(report: AuditReport): Record<string, number> {
  const sums: Record<string, number> = {};
  const add = (name: string, count: number) => {
    if (count > 0) sums[name] = (sums[name] ?? 0) + count;
  };
  for (const { faults, leftOver, repaired, notCompared, notScanned } of report.tables.flatMap(({ shards }) => shards)) {
    for (const [fault, count] of Object.entries(faults)) add(fault, count);
    for (const [because, count] of Object.entries(notCompared)) add(`not compared: ${because}`, count);
    if (notScanned !== undefined) add(`not scanned: ${notScanned.split(' ')[0]}`, 1);
    add('left over', leftOver);
    add('repaired', repaired);
  }
  return sums;
}

/** `stale 7 in r1`, as the examples tell it. */
function named(world: MirrorWorld, report: AuditReport): string[] {
  const examples = report.tables.flatMap((one) => one.examples);
  return examples
    .map(({ finding: { fault, key, shard } }) => `${fault} ${key.slice(world.key('').length)} in ${shard.name}`)
    .toSorted();
}

function compared(report: AuditReport): number {
  return report.tables.flatMap(({ shards }) => shards).reduce((sum, shard) => sum + shard.compared, 0);
}

async function warm(): Promise<void> {
  for (let first = 1; first <= ROWS + ABSENT; first += 500) {
    await cached.rows(Array.from({ length: 500 }, (_, index) => first + index));
  }
}

/** The shards that hold the row, those of the primary ring first. */
async function holders(world: MirrorWorld, id: number): Promise<string[]> {
  const found: string[] = [];
  for (const shard of world.shardNames) if ((await world.redis(shard).exists(world.key(id))) === 1) found.push(shard);
  return found.toSorted((a) => (a.startsWith('r') ? -1 : 1));
}

async function holder(world: MirrorWorld, id: number): Promise<string> {
  const [first] = await holders(world, id);
  assert.ok(first !== undefined, `no shard holds ${id}`);
  return first;
}

/** Another of the same ring, where the key does not belong. */
async function stranger(world: MirrorWorld, id: number): Promise<string> {
  const owner = await holder(world, id);
  return world.shardNames.find((shard) => shard !== owner && shard.startsWith('r')) as string;
}

async function fieldOf(world: MirrorWorld, shard: string, id: number): Promise<string> {
  return (await world.redis(shard).hget(world.key(id), MIRROR_FIELD)) as string;
}

async function withVersion(world: MirrorWorld, shard: string, id: number, version: (now: string) => string) {
  const field = await fieldOf(world, shard, id);
  await world
    .redis(shard)
    .hset(world.key(id), MIRROR_FIELD, mirrorField('row', version(field.slice(1, 46)), field.slice(46)));
}

/** Places in the binlog that it will never come to in this epoch. */
const beyondEnd = (version: string) => `${version.slice(0, 10)}${'9'.repeat(10)}${version.slice(20)}`;
const ANCIENT = `${'0'.repeat(44)}1`;

async function spoilCached(world: MirrorWorld, id: number, spoil: (entry: Entry) => Entry, as = id): Promise<string> {
  const shard = await holder(world, id);
  const entry = decodeEntry((await world.redis(shard).getBuffer(world.key(id))) as Buffer) as Entry;
  await world.redis(shard).set(world.key(as), encodeEntry(spoil(entry)), 'EX', 1_000);
  return shard;
}

test('a mirror where nothing is wrong: every row is compared in each of its shards', async () => {
  const report = await audit(mirror);
  assert.deepEqual(counted(report), {});
  assert.equal(compared(report), 2 * ROWS);
  assert.equal(outcomeOf(report), 'right');
});

test('a cache where nothing is wrong: every entry is compared, "no such row" too', async () => {
  const report = await audit(cached);
  assert.deepEqual(counted(report), {});
  assert.equal(compared(report), ROWS + ABSENT);
  assert.equal(outcomeOf(report), 'right');
});

async function spoilMirror(base: number): Promise<{ expected: string[] }> {
  const [changed, gone, list, ahead, low, foreign, extra, nulled] = [10, 20, 30, 40, 50, 60, 70, 80].map(
    (id) => base + id,
  ) as [number, number, number, number, number, number, number, number];
  const at = new Map<number, string>();
  for (const id of [changed, gone, list, ahead, low, foreign, extra, nulled]) at.set(id, await holder(mirror, id));
  const redisOf = (id: number) => mirror.redis(at.get(id) as string);
  await redisOf(changed).hset(mirror.key(changed), 'name', 'changed by hand');
  await redisOf(gone).del(mirror.key(gone));
  await redisOf(list).del(mirror.key(list));
  await redisOf(list).lpush(mirror.key(list), 'a', 'b');
  await withVersion(mirror, at.get(ahead) as string, ahead, beyondEnd);
  // It does not count, so the shard says "no such row".
  await withVersion(mirror, at.get(low) as string, low, () => ANCIENT);
  await redisOf(foreign).hdel(mirror.key(foreign), MIRROR_FIELD);
  await redisOf(extra).hset(mirror.key(extra), 'secret', 'left here');
  await redisOf(nulled).hdel(mirror.key(nulled), 'name');
  // Of a row that MySQL does not have: in the shard that would have it, and of one that it has in one that should not.
  const orphan = 1_000_000 + base + 10;
  const copied = await mirror.redis(await holder(mirror, base + 11)).hgetall(mirror.key(base + 11));
  await mirror.run(`INSERT INTO items (id) VALUES (${orphan})`);
  await mirror.applied();
  const orphanIn = await holder(mirror, orphan);
  const orphaned = await mirror.redis(orphanIn).hgetall(mirror.key(orphan));
  await mirror.run(`DELETE FROM items WHERE id = ${orphan}`);
  await mirror.applied();
  await mirror.redis(orphanIn).hset(mirror.key(orphan), orphaned);
  const strange = await stranger(mirror, base + 11);
  await mirror.redis(strange).hset(mirror.key(base + 11), copied);
  return {
    expected: [
      `stale ${changed} in ${at.get(changed)}`,
      `missing ${gone} in ${at.get(gone)}`,
      `wrong-type ${list} in ${at.get(list)}`,
      `ahead ${ahead} in ${at.get(ahead)}`,
      `missing ${low} in ${at.get(low)}`,
      `wrong-type ${foreign} in ${at.get(foreign)}`,
      `stale ${extra} in ${at.get(extra)}`,
      `stale ${nulled} in ${at.get(nulled)}`,
      `orphan ${orphan} in ${orphanIn}`,
      `orphan ${base + 11} in ${strange}`,
    ].toSorted(),
  };
}

describe('a mirror', () => {
  test('each fault is found and named, nothing else is; mended, all is right', async () => {
    const { expected } = await spoilMirror(100);
    // Below the floor, where no row is: it is nobody's.
    await mirror.redis('r1').hset(mirror.key(777_777), MIRROR_FIELD, mirrorField('row', ANCIENT, 'aaaaaaaa'));
    const report = await audit(mirror);
    assert.deepEqual(named(mirror, report), expected);
    const { 'left over': leftOver, ...faults } = counted(report);
    assert.equal(leftOver, 1);
    assert.deepEqual(faults, { stale: 3, missing: 2, orphan: 2, 'wrong-type': 2, ahead: 1 });
    assert.equal(outcomeOf(report), 'wrong');
    const again = await audit(mirror);
    assert.deepEqual(named(mirror, again), expected, 'an audit without repair has changed something');
    await mirror.redis('r1').del(mirror.key(777_777));

    const mended = await audit(mirror, { repair: true });
    assert.deepEqual(counted(mended), { repaired: 10 });
    assert.equal(outcomeOf(mended), 'right');
    assert.deepEqual(await mirror.wrong(2), []);
    assert.deepEqual(counted(await audit(mirror)), {});
  });

  test('what differs is told by column; values where they are asked for, cut, and never of denied columns', async () => {
    const shard = await holder(mirror, 300);
    await mirror.redis(shard).hset(mirror.key(300), 'name', 'x'.repeat(1_000), 'secret', 'do not tell');
    const silent = await audit(mirror);
    assert.doesNotMatch(auditText(silent), /xxx|do not tell|name 300/);
    assert.match(
      auditText(silent),
      /stale {2}.*_300 in [rf]\d\n {6}there {2}a row as of \S+\n {6}MySQL {2}a row at \S+\n {6}differ name, secret/,
    );
    const shown = await audit(mirror, { showRows: true });
    assert.match(auditText(shown), /name: "x{60}…" there, "name 300" in MySQL/);
    assert.doesNotMatch(auditText(shown), /do not tell/);
    assert.doesNotMatch(JSON.stringify(auditJson(shown)), /do not tell/);
    assert.deepEqual(counted(await audit(mirror, { repair: true })), { repaired: 1 });
  });

  test('a row that somebody has locked is not judged', async () => {
    const connection = await mirror.mysql.getConnection();
    try {
      await connection.query('BEGIN');
      await connection.query(`UPDATE ${mirror.label} SET n = n + 1 WHERE id = 5`);
      const report = await audit(mirror);
      assert.deepEqual(counted(report), { 'not compared: locked': 2 });
      assert.equal(outcomeOf(report), 'partial');
      assert.equal(compared(report), 2 * ROWS - 2);
    } finally {
      await connection.query('ROLLBACK');
      connection.release();
    }
  });

  test('a shard that is down is told, and the others are compared', async () => {
    const config = parseConfig(mirror.configText, 'test');
    const [primary, ...others] = config.rings as [Config['rings'][number], ...Config['rings']];
    // By the same name, so that it places the same keys.
    const rings = [{ ...primary, shards: { ...primary.shards, r2: 'redis://127.0.0.1:1' } }, ...others];
    const held = (await mirror.keysIn('r2')).length;
    const report = await audit(mirror, { config: { ...config, rings } });
    assert.deepEqual(counted(report), { 'not compared: down': held, 'not scanned: down': 1 });
    assert.equal(compared(report), 2 * ROWS - held);
    assert.equal(outcomeOf(report), 'partial');
  });
});

describe('what happens between the read of a row that is mended and its being written', () => {
  const cases: readonly [what: string, spoil: (shard: Redis, key: string) => Promise<unknown>, statement: string][] = [
    [
      'a stale row is changed',
      (shard, key) => shard.hset(key, 'name', 'x'),
      "UPDATE items SET name = 'new' WHERE id = ?",
    ],
    ['a stale row is deleted', (shard, key) => shard.hset(key, 'name', 'x'), 'DELETE FROM items WHERE id = ?'],
    ['a missing row is deleted', (shard, key) => shard.del(key), 'DELETE FROM items WHERE id = ?'],
    [
      'a list is deleted',
      (shard, key) => shard.multi().del(key).lpush(key, 'x').exec(),
      'DELETE FROM items WHERE id = ?',
    ],
    ['a row that is ahead is changed', setAhead, "UPDATE items SET name = 'new' WHERE id = ?"],
    ['a row that is ahead is deleted', setAhead, 'DELETE FROM items WHERE id = ?'],
  ];
  for (const [index, [what, spoil, statement]] of cases.entries()) {
    test(`${what}: it stays so`, async () => {
      const id = 500 + index;
      await spoil(mirror.redis(await holder(mirror, id)), mirror.key(id));
      const { tally, reads, wrongThen } = await mendMeanwhile(async () => {
        await mirror.run(statement.replace('?', String(id)));
        await mirror.applied();
      });
      const repaired = tally.shards.reduce((sum, shard) => sum + shard.repaired, 0);
      assert.equal(repaired, 1);
      assert.equal(reads, 1, 'it had to be mended again');
      assert.deepEqual(wrongThen, [], 'it was written');
      assert.deepEqual(counted(await audit(mirror)), {});
      assert.deepEqual(await mirror.wrong(2), []);
    });
  }

  async function setAhead(shard: Redis, key: string): Promise<void> {
    const field = (await shard.hget(key, MIRROR_FIELD)) as string;
    await shard.hset(key, MIRROR_FIELD, mirrorField('row', beyondEnd(field.slice(1, 46)), field.slice(46)));
  }

  /** An audit with repair; `meanwhile` after the first read of what is to be written. */
  async function mendMeanwhile(meanwhile: () => Promise<void>) {
    let reads = 0;
    const wrongThen: string[] = [];
    const underLock = async (work: () => Promise<void>) => {
      await work();
      wrongThen.push(...(await mirror.wrong(2)));
    };
    const tally = await auditTable((exposed) => ({
      repair: (read) => {
        const words: AuditedOrigin['words'] = async (ids) => {
          const found = await read.words(ids);
          if ((reads += 1) === 1) await meanwhile();
          return found;
        };
        const { keyPrefix } = mirror.config;
        return new TableRepair({ table: exposed, origin: { words }, keyPrefix, underLock });
      },
    }));
    return { tally, reads, wrongThen };
  }
});

/** An audit of the mirror alone, with other parts. */
async function auditTable(more: (table: ExposedTable) => Partial<TableAuditOptions>): Promise<TableTally> {
  const config = parseConfig(mirror.configText, 'test');
  const { url, timeoutMs } = config.origin;
  const origin = new OriginPool({ url, connections: 4, timeoutMs, packets: true, onChange: () => undefined });
  const layers = shardLayers(config, createLog('error'));
  const shards = layers.shards;
  try {
    const tables = await ExposedTables.load(origin, config, createLog('error'));
    await Promise.all(shards.map((shard) => shard.start()));
    const exposed = tables.find(mirror.db, 'items') as ExposedTable;
    return await new TableAudit({
      table: exposed,
      keyPrefix: config.keyPrefix,
      layers,
      ringHashes: config.rings.map(ringHashOf),
      origin,
      server: () => tables.server,
      pace: new Pace({ rowsPerSecondMax: 1_000_000 }),
      chunkKeysMax: 1_000,
      reachWithinMs: 10_000,
      showRows: false,
      signal: new AbortController().signal,
      ...more(exposed),
    }).run();
  } finally {
    for (const shard of shards) shard.stop();
    await origin.stop();
  }
}

test('a row that comes when the walk is past its key is looked at where a version hides it', async () => {
  const [id, from] = [800, 801];
  const held = await holders(mirror, id);
  await mirror.run(`DELETE FROM items WHERE id = ${id}`);
  await mirror.applied();
  for (const shard of held) {
    const redis = mirror.redis(shard);
    await redis.hset(mirror.key(id), { id: String(id), name: 'hides it' });
    const field = await fieldOf(mirror, await holder(mirror, from), from);
    const version = beyondEnd(field.slice(1, 46));
    await redis.hset(mirror.key(id), MIRROR_FIELD, mirrorField('row', version, field.slice(46)));
  }
  let chunks = 0;
  const pace = new Pace({
    rowsPerSecondMax: 1,
    pause: async () => {
      if ((chunks += 1) !== 1) return;
      await mirror.run(`INSERT INTO items (id, name) VALUES (${id}, 'came')`);
      await mirror.applied();
    },
  });
  const tally = await auditTable(() => ({ pace }));
  assert.deepEqual(
    tally.examples.map(({ finding: { fault, key } }) => [fault, key]),
    held.map(() => ['ahead', mirror.key(id)]),
  );
  assert.deepEqual(counted(await audit(mirror, { repair: true })), { repaired: 2 });
  assert.deepEqual(await mirror.wrong(2), []);
});

describe('while rows are written', () => {
  test('nothing is said to be wrong that is only on its way', async () => {
    for (const world of [mirror, cached]) {
      const stop = await writeTo(world, ROWS - 1_000, ROWS + 50);
      const reports: AuditReport[] = [];
      const endAt = performance.now() + 6_000;
      while (performance.now() < endAt) reports.push(await audit(world));
      const written = await stop();
      assert.ok(written > 200, `only ${written} statements`);
      for (const report of reports) {
        const { 'not compared: locked': _, ...wrong } = counted(report);
        assert.deepEqual(wrong, {}, JSON.stringify(auditJson(report)));
      }
    }
  });

  test('what is mended stays right', async () => {
    const stop = await writeTo(mirror, 1, 600);
    const spoiling = new AbortController();
    const spoilers = (async () => {
      while (!spoiling.signal.aborted) {
        const id = 1 + Math.floor(Math.random() * 600);
        const shard = mirror.redis(mirror.shardNames[Math.floor(Math.random() * mirror.shardNames.length)] as string);
        const field = await shard.hget(mirror.key(id), MIRROR_FIELD);
        if (field === null) continue;
        if (Math.random() < 0.3) await shard.del(mirror.key(id));
        else if (Math.random() < 0.5) await shard.hset(mirror.key(id), 'name', 'spoilt');
        else {
          const ahead = mirrorField('row', beyondEnd(field.slice(1, 46)), field.slice(46));
          await shard.hset(mirror.key(id), MIRROR_FIELD, ahead);
        }
        await sleep(5);
      }
    })();
    const startedAt = performance.now();
    let repaired = 0;
    // Longer where the machine is slow.
    const isEnough = (ms: number) => ms > 6_000 && (repaired > 20 || ms > 60_000);
    while (!isEnough(performance.now() - startedAt))
      repaired += counted(await audit(mirror, { repair: true }))['repaired'] ?? 0;
    spoiling.abort();
    await spoilers;
    // A row that is locked at every look is not judged: it has its turn in the next one.
    const isMended = async () => outcomeOf(await audit(mirror, { repair: true })) === 'right';
    await until('all is mended', isMended, 60_000);
    await stop();
    await mirror.applied();
    assert.ok(repaired > 20, `only ${repaired} were repaired`);
    const last = await audit(mirror);
    assert.deepEqual(counted(last), {}, auditText(last));
    assert.deepEqual(await mirror.wrong(2), []);
  });
});

/** Four writers of rows within these ids. @returns what stops them, and says how many statements there were. */
async function writeTo(world: MirrorWorld, first: number, last: number): Promise<() => Promise<number>> {
  const stopping = new AbortController();
  let written = 0;
  const writers = Array.from({ length: 4 }, async () => {
    const connection = await world.mysql.getConnection();
    try {
      while (!stopping.signal.aborted) {
        const id = first + Math.floor(Math.random() * (last - first + 1));
        const dice = Math.random();
        if (dice < 0.2) await connection.query(`DELETE FROM ${world.label} WHERE id = ${id}`);
        else if (dice < 0.5)
          await connection.query(`INSERT IGNORE INTO ${world.label} (id, name) VALUES (${id}, 'new ${dice}')`);
        else await connection.query(`UPDATE ${world.label} SET n = n + 1, name = '${dice}' WHERE id = ${id}`);
        written += 1;
      }
    } finally {
      connection.release();
    }
  });
  const reading = (async () => {
    while (!stopping.signal.aborted && world === cached) {
      await world.rows(Array.from({ length: 50 }, () => first + Math.floor(Math.random() * (last - first + 1))));
    }
  })();
  return async () => {
    stopping.abort();
    await Promise.all([...writers, reading]);
    return written;
  };
}

describe('a cache', () => {
  test('each fault is found and named, nothing else is; mended, all is right', async () => {
    await cached.applied();
    await cached.run(
      'DELETE FROM items WHERE id IN (150, 151)',
      "INSERT INTO items (id, name) VALUES (150, 'a'), (151, 'b')",
    );
    await cached.applied();
    await cached.rows([110, 111, 120, 130, 140, 150, 151, 160, 170]);
    const stale = await spoilCached(cached, 110, (entry) => ({
      ...entry,
      body: Buffer.from(entry.body.toString().replace('name 110', 'name 111')),
    }));
    const orphan = await spoilCached(cached, 111, (entry) => entry, 1_000_111);
    const list = await holder(cached, 120);
    await cached.redis(list).del(cached.key(120));
    await cached.redis(list).lpush(cached.key(120), 'a');
    const ahead = await spoilCached(cached, 130, (entry) => ({ ...entry, version: beyondEnd(entry.version) }));
    const otherShape = await spoilCached(cached, 140, (entry) => ({
      ...entry,
      shape: 'aaaaaaaa',
      version: beyondEnd(entry.version),
    }));
    const negative = await spoilCached(cached, 150, (entry) => ({ ...entry, kind: 'negative', body: Buffer.alloc(0) }));
    const strange = await stranger(cached, 160);
    const bytes = (await cached.redis(await holder(cached, 160)).getBuffer(cached.key(160))) as Buffer;
    await cached.redis(strange).set(cached.key(160), bytes);
    // It does not count, and is no fault.
    await spoilCached(cached, 170, (entry) => ({ ...entry, version: ANCIENT }));
    const expected = [
      `stale 110 in ${stale}`,
      `orphan 1000111 in ${orphan}`,
      `wrong-type 120 in ${list}`,
      `ahead 130 in ${ahead}`,
      `ahead 140 in ${otherShape}`,
      `stale 150 in ${negative}`,
      `orphan 160 in ${strange}`,
    ].toSorted();
    const report = await audit(cached);
    assert.deepEqual(named(cached, report), expected);
    assert.equal(counted(report)['left over'], 1);
    assert.equal(outcomeOf(report), 'wrong');

    const mended = await audit(cached, { repair: true });
    assert.deepEqual(counted(mended), { repaired: 7, 'left over': 1 });
    assert.deepEqual(counted(await audit(cached)), { 'left over': 1 });
    const [again] = await cached.rows([110]);
    assert.equal(again?.['name'], 'name 110');
  });
});

test('the sampling audit tells what it finds once, counts it, and says when it is right again', async () => {
  const metric = async (name: string) => {
    const text = await (await fetch(`${cached.worker.url}/-/metrics`)).text();
    const line = text.split('\n').find((one) => one.startsWith(name));
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  };
  const stales = `ringfill_audit_differences_total{table="${cached.label}",kind="stale"}`;
  await until('a whole pass', async () => ((await metric('ringfill_audit_walk_timestamp_seconds')) ?? 0) > 0, 30_000);
  assert.ok(((await metric(`ringfill_audit_compared_total{table="${cached.label}"}`)) ?? 0) >= ROWS);
  assert.ok(((await metric('ringfill_audit_walk_seconds')) ?? 0) > 0);
  await until(
    'earlier findings are right again',
    async () => (await metric('ringfill_audit_oldest_stale_seconds')) === 0,
    30_000,
  );
  const before = (await metric(stales)) ?? 0;
  await cached.rows([210]);
  const shard = await spoilCached(cached, 210, (entry) => ({
    ...entry,
    body: Buffer.from(entry.body.toString().replace('name 210', 'name 211')),
  }));
  await until('it is counted', async () => ((await metric(stales)) ?? 0) === before + 1, 30_000);
  await until('its age is told', async () => ((await metric('ringfill_audit_oldest_stale_seconds')) ?? 0) > 1, 30_000);
  const told = cached.logged('a shard is wrong').filter(({ key }) => key === cached.key(210));
  assert.equal(told.length, 1);
  assert.equal(told[0]?.['shard'], shard);
  assert.doesNotMatch(JSON.stringify(told), /name 21/);
  assert.notEqual(await cached.redis(shard).exists(cached.key(210)), 0, 'it mends nothing');
  await cached.redis(shard).del(cached.key(210));
  await until('it is right again', async () => (await metric('ringfill_audit_oldest_stale_seconds')) === 0, 30_000);
  assert.equal(cached.logged('a shard is right again').filter(({ key }) => key === cached.key(210)).length, 1);
});

describe('as a command', () => {
  const run = (...args: string[]) =>
    runCommand(['audit', '-c', writeConfig(mirror.folder, 'audit.yml', mirror.configText), ...args]);

  test('nothing wrong: 0, and a table a person can read', async () => {
    const { code, stdout, stderr } = await run(mirror.label);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /items \(mirror\)\nshard +compared +in flight +stale/);
    assert.match(stdout, /compared in [\d.]+ s \(\d+\/s\): nothing is wrong\.\n$/);
    assert.equal(stderr, '');
  });

  test('something wrong: 1, and one JSON document; repaired: 0', async () => {
    const shard = await holder(mirror, 900);
    await mirror.redis(shard).del(mirror.key(900));
    const found = await run('--json');
    assert.equal(found.code, 1);
    const { outcome, examples } = JSON.parse(found.stdout) as {
      outcome: string;
      examples: { fault: string; key: string }[];
    };
    assert.equal(outcome, 'wrong');
    assert.deepEqual(
      examples.map(({ fault, key }) => [fault, key]),
      [['missing', mirror.key(900)]],
    );
    const mended = await run('--repair');
    assert.equal(mended.code, 0, mended.stdout + mended.stderr);
    assert.match(mended.stdout, /nothing is wrong; 1 repaired, and right since/);
  });

  test('a table that is not exposed is refused', async () => {
    const { code, stderr } = await run('no.such');
    assert.equal(code, 1);
    assert.match(stderr, /tables\.no\.such: is not among the exposed tables \[config-invalid\]/);
  });
});

// Last: its worker does not come back.
describe('without the sync worker', () => {
  before(() => mirror.worker.stop());

  test('an incomplete mirror is told as such, and what is there is compared', async () => {
    const redis = mirror.redis('r1');
    const key = stampKey(mirror.config.keyPrefix);
    const stored = (await redis.get(key)) as string;
    const { complete: _, ...stamp } = JSON.parse(stored) as Record<string, unknown>;
    await redis.set(key, JSON.stringify(stamp));
    const inR1 = (await mirror.keysIn('r1'))[0] as string;
    const row = await redis.hgetall(inR1);
    await redis.del(inR1);
    const report = await audit(mirror);
    assert.deepEqual(counted(report), { 'not compared: incomplete': 1 });
    assert.equal(outcomeOf(report), 'partial');
    await redis.hset(inR1, row);
    await redis.set(key, stored);
  });

  test('a shard that has not applied what MySQL says is not judged, but for what is right in any case', async () => {
    await mirror.run("REPLACE INTO items (id, name) VALUES (9, 'not heard of')");
    const report = await audit(mirror, { reachWithinMs: 500 });
    const { 'not compared: behind': behind = 0, ...others } = counted(report);
    assert.deepEqual(others, {});
    assert.equal(behind, 2);
    assert.equal(outcomeOf(report), 'partial');
  });
});
