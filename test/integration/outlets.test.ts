/**
 * Events for others, over the real servers: subscribers' queues, files that are read back in, a Redis list and stream.
 * Whatever is slow, away or full, nobody else waits for it; and whoever has every event has every row.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { hang, kill, resume } from '../../stack/faults.ts';
import { type RedisServer, startRedis } from '../../stack/redis.ts';
import type { SyncedConfig } from '../support/broker.ts';
import { redisAt, until } from '../support/broker.ts';
import { runCommand, writeConfig } from '../support/cli.ts';
import { checkpointPath, readCheckpoint } from '../../sync-worker/capture/continuity/checkpoint.ts';
import { Consumer, copyOf, OutletsWorld, type ToldEvent } from '../support/outlets.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { SyncWorkerProcesses } from '../support/sync-worker-processes.ts';

const stack = await testStack();
const seed = Number(process.env['RINGFILL_SEED'] ?? Date.now() % 1_000_000);

function assertGrowing(events: readonly ToldEvent[]): void {
  for (const [index, { version }] of events.entries()) {
    assert.ok(
      index === 0 || version > (events[index - 1] as ToldEvent).version,
      `event ${index} is not after the one before`,
    );
  }
}

describe('subscribers', () => {
  test('two, one of them slow: each gets everything, in order, and nobody waits for the slow one', async (t) => {
    t.diagnostic(`RINGFILL_SEED=${seed}`);
    const world = await OutletsWorld.open({ stack, outlets: { subscribers: { '{db}_fast': {}, '{db}_slow': {} } } });
    await world.startWorker();
    const gate = Promise.withResolvers<void>();
    const fast = await world.consume(`${world.db}_fast`);
    const slow = await world.consume(`${world.db}_slow`, () => gate.promise);
    const count = await world.workload(seed, 300);
    await fast.has(count);
    assert.ok(slow.events.length <= 1, 'the slow one has not acked any');
    await until('the slow one’s backlog is seen', async () => {
      const { outlets } = await world.status();
      return (outlets.find(({ queue }) => queue === `${world.db}_slow`)?.behind ?? 0) >= count - 1;
    });
    gate.resolve();
    await slow.has(count);
    const rows = await world.rows();
    for (const { ofRows } of [fast, slow]) {
      assert.equal(ofRows.length, count);
      assertGrowing(ofRows);
      assert.deepEqual(copyOf(ofRows), rows);
    }
    assert.deepEqual(slow.texts, fast.texts);
    const metrics = await (await fetch(`${world.url}/-/metrics`)).text();
    const published = Number(/^ringfill_events_published_total (\d+)$/m.exec(metrics)?.[1]);
    assert.ok(published >= count, `${published} published`);
    assert.match(metrics, /^ringfill_outlet_behind_events\{kind="subscriber",queue="\w+_fast"\} 0$/m);
    t.diagnostic(`${count} events`);
  });

  test('what an event says: values as texts, NULL as null, no denied column, no apostrophe; a key change is one UPDATE', async () => {
    const world = await OutletsWorld.open({ stack, outlets: { subscribers: { '{db}_all': {} } } });
    await world.startWorker();
    const { events, texts, routingKeys } = await world.consume(`${world.db}_all`);
    await until('the first words', () => events.length === 1);
    const items = `${world.db}.items`;
    // Who follows for the first time has missed what was before.
    const { eventType, before, after: row, reason } = events[0] as ToldEvent;
    assert.deepEqual([eventType, before, row, reason], ['RELOAD', '', {}, 'gap']);
    const startedAt = new Date(Date.now() - 2_000).toISOString().slice(0, 19).replace('T', ' ');
    await world.run(
      `INSERT INTO items VALUES (8, 'it''s "8"', 9007199254740993, NULL, 'hunter2')`,
      'UPDATE items SET id = 9',
      'DELETE FROM items',
    );
    await until('three more', () => events.length === 4);
    const told = { v: `it's "8"`, n: '9007199254740993', note: null };
    const saying = events.slice(1).map((event) => [event.eventType, event.before, event.after]);
    assert.deepEqual(saying, [
      ['INSERT', '', { id: '8', ...told }],
      ['UPDATE', { id: '8', ...told }, { id: '9', ...told }],
      ['DELETE', '', { id: '9', ...told }],
    ]);
    assert.deepEqual(routingKeys, [`${items}.RELOAD`, `${items}.INSERT`, `${items}.UPDATE`, `${items}.DELETE`]);
    assert.ok(!texts.some((text) => text.includes("'") || text.includes('hunter2')));
    for (const { binlog, time, gtid, db, table } of events.slice(1)) {
      assert.match(binlog, /^\S+\.\d{6}:\d+$/);
      assert.ok(time >= startedAt && time <= new Date(Date.now() + 1_000).toISOString().replace('T', ' '), time);
      // Our MySQL has none.
      if (stack.mysql.flavour === 'mariadb') assert.match(gtid ?? '', /\d/);
      else assert.equal(gtid, undefined);
      assert.equal(`${db}.${table}`, items);
    }
    // The document's fields first, in its order.
    const fields = ['binlog', 'db', 'table', 'eventType', 'before', 'after', 'time'];
    for (const event of events) assert.deepEqual(Object.keys(event).slice(0, 7), fields);
  });

  test('what no event tells makes a RELOAD: DDL, TRUNCATE, statements without rows; a flood of them makes few', async () => {
    const world = await OutletsWorld.open({ stack, outlets: { subscribers: { '{db}_all': {} } } });
    await world.startWorker();
    const { events } = await world.consume(`${world.db}_all`);
    await until('the first words', () => events.length === 1);
    const reloadsAfter = async (...statements: string[]) => {
      const known = events.length;
      await world.run(...statements);
      await world.told();
      await until('a RELOAD', () => events.length > known);
      return events.slice(known).map(({ eventType, reason }) => `${eventType} ${reason ?? ''}`);
    };
    const once = ['RELOAD untold-changes'];
    assert.deepEqual(await reloadsAfter('ALTER TABLE items ADD COLUMN more INT'), once);
    assert.deepEqual(await reloadsAfter('TRUNCATE TABLE items'), once);
    const statements = Array.from({ length: 200 }, (_, n) => `INSERT INTO items (id) VALUES (${n})`);
    const startedAt = performance.now();
    const flood = await reloadsAfter(
      "SET SESSION binlog_format = 'STATEMENT'",
      ...statements,
      "SET SESSION binlog_format = 'ROW'",
    );
    // One for each heartbeat and its answer, of which there are ten a second.
    const most = 5 + (performance.now() - startedAt) / 40;
    assert.ok(flood.length <= most, `${flood.length} RELOADs`);
    await world.run('UPDATE items SET more = 7 WHERE id = 3');
    await until('the row with its new column', () => events.at(-1)?.after['more'] === '7');
    assertGrowing(events);
  });

  test('a row too large for a message is told with its key, and says so', async () => {
    const world = await OutletsWorld.open({ stack, outlets: { subscribers: { '{db}_all': {} } } });
    await world.run('ALTER TABLE items MODIFY note LONGTEXT NULL');
    await world.startWorker();
    const consumer = await world.consume(`${world.db}_all`);
    await world.run(
      `INSERT INTO items VALUES (1, 'a', 1, REPEAT('x', 4000000), NULL)`,
      `UPDATE items SET note = CONCAT(note, REPEAT('y', 300000))`,
    );
    await consumer.has(2, 30_000);
    const [inserted, updated] = consumer.ofRows as [ToldEvent, ToldEvent];
    assert.deepEqual([inserted.truncated, inserted.after['note']?.length], [undefined, 4_000_000]);
    assert.deepEqual([updated.truncated, updated.before, updated.after], [true, { id: '1' }, { id: '1' }]);
  });

  test('a transaction larger than what is kept in memory: every row, in order', async () => {
    const world = await OutletsWorld.open({ stack, outlets: { subscribers: { '{db}_all': {} } } });
    await world.startWorker();
    const consumer = await world.consume(`${world.db}_all`);
    const values = Array.from({ length: 400 }, (_, n) => `(${n})`);
    await world.run(
      'CREATE TABLE hundreds (n INT PRIMARY KEY)',
      `INSERT INTO hundreds VALUES ${values.join(', ')}`,
      `INSERT INTO items (id, note) SELECT a.n * 100 + b.n, 'some text' FROM hundreds a JOIN hundreds b ON b.n < 100
         ORDER BY a.n, b.n`,
    );
    await consumer.has(40_000, 60_000);
    const ids = consumer.ofRows.map((event) => Number(event.after['id']));
    assert.deepEqual(
      ids,
      Array.from({ length: 40_000 }, (_, n) => n),
    );
    assertGrowing(consumer.ofRows);
  });

  test('a subscriber with a filter gets what it asks for; asked for less, it gets less', async () => {
    const subscribers = { '{db}_some': { tables: ['{db}.items'], events: ['DELETE', 'RELOAD'] }, '{db}_all': {} };
    const tables = { '{db}.items': {}, '{db}.others': {} };
    const world = await OutletsWorld.open({ stack, outlets: { subscribers }, tables });
    await world.run('CREATE TABLE others (id INT PRIMARY KEY)');
    await world.startWorker();
    const some = await world.consume(`${world.db}_some`);
    const all = await world.consume(`${world.db}_all`);
    const change = async () => {
      const known = all.ofRows.length;
      await world.run(
        "INSERT INTO items (id, v) VALUES (1, 'a')",
        'DELETE FROM items',
        'INSERT INTO others VALUES (1)',
        'DELETE FROM others',
      );
      await all.has(known + 4);
    };
    await change();
    await some.has(1);
    const saying = ({ table, eventType }: ToldEvent) => `${table} ${eventType}`;
    assert.deepEqual(some.events.map(saying), ['items RELOAD', 'items DELETE']);
    const { sync } = world.config;
    const onlyInserts = {
      ...world.config,
      sync: {
        ...sync,
        outlets: {
          ...sync.outlets,
          subscribers: {
            ...sync.outlets?.subscribers,
            [`${world.db}_some`]: { events: ['INSERT'], queueType: 'plain', backlogEventsMax: 10 },
          },
        },
      },
    };
    await world.worker?.stop();
    await world.startWorker(onlyInserts as unknown as SyncedConfig);
    await change();
    await some.has(3);
    assert.deepEqual(some.events.slice(2).map(saying), ['items INSERT', 'others INSERT']);
  });

  test('NULL as canal tells it, and only of the tables that are named', async () => {
    const outlets = { subscribers: { '{db}_all': {} }, nulls: 'empty', tables: ['{db}.items'] };
    const world = await OutletsWorld.open({ stack, outlets, tables: { '{db}.items': {}, '{db}.others': {} } });
    await world.run('CREATE TABLE others (id INT PRIMARY KEY)');
    await world.startWorker();
    const consumer = await world.consume(`${world.db}_all`);
    await world.run('INSERT INTO others VALUES (1)', 'INSERT INTO items (id) VALUES (1)');
    await consumer.has(1);
    assert.deepEqual(
      consumer.ofRows.map((event) => event.after),
      [{ id: '1', v: '', n: '', note: '', secret: '' }],
    );
  });

  test('a plain queue past its bound loses its oldest events, and no others', async () => {
    const world = await OutletsWorld.open({
      stack,
      outlets: { subscribers: { '{db}_away': { backlogEventsMax: 50 } } },
    });
    await world.startWorker();
    const values = Array.from({ length: 800 }, (_, n) => `(${n + 1})`);
    await world.run(`INSERT INTO items (id) VALUES ${values.join(', ')}`);
    await world.told();
    await until('the oldest are dropped', async () => {
      const [outlet] = (await world.status()).outlets;
      return outlet?.behind === 50 && outlet.dropped === 751;
    });
    const { events } = await world.consume(`${world.db}_away`);
    await until('fifty', () => events.length === 50);
    assert.deepEqual(
      events.map((event) => event.after['id']),
      Array.from({ length: 50 }, (_, n) => String(751 + n)),
    );
  });

  test('a consumer that has declared the queue before, as the seed’s or in its own way, gets every event', async () => {
    const world = await OutletsWorld.open({
      stack,
      outlets: { subscribers: { '{db}_seed': {}, '{db}_own': {}, '{db}_bounded': { queueType: 'quorum' } } },
    });
    const { channel } = await world.broker.openChannel();
    await channel.assertQueue(`${world.db}_seed`, { durable: true });
    await channel.assertQueue(`${world.db}_own`, { durable: true, arguments: { 'x-message-ttl': 600_000 } });
    await world.startWorker();
    await channel.assertQueue(`${world.db}_seed`, { durable: true });
    const consumers = await Promise.all(['seed', 'own', 'bounded'].map((name) => world.consume(`${world.db}_${name}`)));
    await world.run('INSERT INTO items (id) VALUES (1)');
    for (const consumer of consumers) await consumer.has(1);
    const warned = world.events.filter(({ event }) => event === 'outlet: queue has other properties, and is bound');
    assert.deepEqual([...new Set(warned.map(({ queue }) => queue))], [`${world.db}_own`]);
  });

  test('a queue that was deleted by hand is there again', async () => {
    const world = await OutletsWorld.open({ stack, outlets: { subscribers: { '{db}_all': {} } } });
    await world.startWorker();
    const { channel } = await world.broker.openChannel();
    await channel.deleteQueue(`${world.db}_all`);
    await until('it is there again', () =>
      world.events.some(({ event }) => String(event).startsWith('outlet: the queue was gone')),
    );
    await world.run('INSERT INTO items (id) VALUES (1)');
    const consumer = await world.consume(`${world.db}_all`);
    await consumer.has(1);
  });
});

describe('files', () => {
  test('every event is a line; a full file is followed by another; replayed, a second consumer has every row', async (t) => {
    t.diagnostic(`RINGFILL_SEED=${seed + 1}`);
    const folder = join(temporaryFolder(), 'db_data');
    const outlets = {
      subscribers: { '{db}_all': {}, '{db}_second': {} },
      files: { folder, period: 'year', fileMebibytesMax: 1 },
    };
    const world = await OutletsWorld.open({ stack, outlets });
    await world.startWorker();
    const all = await world.consume(`${world.db}_all`);
    const count = await world.workload(seed + 1, 150);
    // 1.5 MiB, so there is a second file.
    await world.run("INSERT INTO items (id, note) VALUES (1001, REPEAT('x', 60000))");
    for (let n = 2; n <= 25; n += 1)
      await world.run(`INSERT INTO items (id, note) SELECT ${1000 + n}, note FROM items WHERE id = 1001`);
    await all.has(count + 25);
    const written = async () => (await world.status()).outlets.find(({ kind }) => kind === 'files')?.written ?? 0;
    await until('all are written', async () => (await written()) >= all.events.length);
    const year = new Date().getUTCFullYear();
    const names = [`binlog_${year}.log`, `binlog_${year}.1.log`];
    assert.deepEqual(readdirSync(folder).toSorted(), names.toSorted());
    const paths = names.map((name) => join(folder, name));
    const lines = paths.flatMap((path) => readFileSync(path, 'utf8').split('\n').slice(0, -1));
    assert.deepEqual(lines, all.texts);
    for (const path of paths) assert.equal(statSync(path).mode & 0o777, 0o600);

    const second = await world.consume(`${world.db}_second`);
    await second.has(count + 25);
    second.events.length = second.texts.length = 0;
    const configFile = writeConfig(temporaryFolder(), 'ringfill.yml', JSON.stringify(world.config));
    const before = await written();
    for (const path of paths) {
      const { code, stdout, stderr } = await runCommand(['replay', path, '--config', configFile]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^\d+ events sent again, all confirmed\.\n$/);
    }
    await second.has(count + 25);
    assert.deepEqual(second.texts, lines);
    assert.deepEqual(copyOf(second.ofRows), await world.rows());
    await world.told();
    assert.equal(await written(), before, 'what was replayed is not written again');

    const half = await runCommand([
      'replay',
      paths[0] as string,
      '--config',
      configFile,
      '--to',
      `${world.db}_second`,
      '--from-line',
      '11',
      '--json',
    ]);
    assert.equal(half.code, 0, half.stderr);
    const firstLines = readFileSync(paths[0] as string, 'utf8').split('\n').length - 1;
    assert.equal((JSON.parse(half.stdout) as { sent: number }).sent, firstLines - 10);
    await second.has(count + 25 + firstLines - 10 - lines.slice(0, 0).length);
  });

  test('replay refuses a file with lines that are no events, by their numbers, and sends nothing; canal’s own lines are taken', async () => {
    const world = await OutletsWorld.open({ stack, outlets: { subscribers: { '{db}_all': {} } } });
    const folder = temporaryFolder();
    const configFile = writeConfig(folder, 'ringfill.yml', JSON.stringify(world.config));
    const line = (uid: string) =>
      `{"binlog":"mysql-bin.000009:1790","db":"test","table":"users","eventType":"INSERT","before":"","after":{"uid":"${uid}"},"time":"2016-08-22 17:48:45"}`;
    const bad = join(folder, 'bad.log');
    writeFileSync(bad, [line('1'), 'nonsense', '', line('2'), line('3').slice(0, 40)].join('\n'));
    const refused = await runCommand(['replay', bad, '--config', configFile]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /bad\.log:2: it is not JSON \[not-an-event\]\n {4}mend: nothing was sent/);
    assert.match(refused.stderr, /bad\.log:5: it is not JSON \[not-an-event\]/);
    const good = join(folder, 'binlog_2016.log');
    writeFileSync(good, `${[line('1'), line('a\u2028b')].join('\r\n')}\r\n`);
    const taken = await runCommand(['replay', good, '--config', configFile]);
    assert.equal(taken.stdout, '2 events sent again, all confirmed.\n', taken.stderr);
    const consumer = await world.consume(`${world.db}_all`);
    await consumer.has(2);
    assert.deepEqual(
      consumer.events.map((event) => event.after),
      [{ uid: '1' }, { uid: 'a\u2028b' }],
    );
    assert.deepEqual(consumer.routingKeys, ['test.users.INSERT', 'test.users.INSERT']);
    const absent = await runCommand(['replay', join(folder, 'none.log'), '--config', configFile]);
    assert.match(absent.stderr, /\[event-file-unreadable\]/);
    const unknown = await runCommand(['replay', good, '--config', configFile, '--to', 'nobody']);
    assert.match(unknown.stderr, /there is no subscriber nobody; there are \w+_all \[subscriber-unknown\]/);
  });

  test('a folder that cannot be written holds up nobody; mended, nothing is missing', async () => {
    const place = temporaryFolder();
    const folder = join(place, 'files');
    writeFileSync(folder, 'in the way');
    const world = await OutletsWorld.open({ stack, outlets: { subscribers: { '{db}_all': {} }, files: { folder } } });
    await world.startWorker();
    const all = await world.consume(`${world.db}_all`);
    await world.run('INSERT INTO items (id) VALUES (1), (2), (3)');
    await all.has(3);
    const files = async () => (await world.status()).outlets.find(({ kind }) => kind === 'files');
    await until('it says why', async () => /EEXIST|ENOTDIR/.test((await files())?.lastError ?? ''));
    const { rm } = await import('node:fs/promises');
    await rm(folder);
    await until('all are written', async () => ((await files())?.written ?? 0) >= all.events.length);
    const [name = ''] = readdirSync(folder);
    assert.deepEqual(readFileSync(join(folder, name), 'utf8').trimEnd().split('\n'), all.texts);
    assert.equal((await files())?.lastError, undefined);
  });
});

describe('Redis', () => {
  const started: RedisServer[] = [];
  after(() => Promise.all(started.map((server) => server.stop())));
  async function ownRedis(name: string, options: object = {}): Promise<RedisServer> {
    const server = await startRedis({ folder: temporaryFolder(), name, ...options });
    started.push(server);
    return server;
  }

  test('a list has every event, in order, for whoever pops it', async (t) => {
    t.diagnostic(`RINGFILL_SEED=${seed + 2}`);
    const server = await ownRedis('list', { password: 'sesame' });
    const world = await OutletsWorld.open({ stack, outlets: { redis: { url: server.url } } });
    await world.startWorker();
    const count = await world.workload(seed + 2, 150);
    await world.told();
    await until('all are written', async () => ((await world.status()).outlets[0]?.written ?? 0) > count);
    const consumer = new Consumer();
    const { Redis } = await import('ioredis');
    const redis = new Redis(server.url);
    try {
      for (
        let text = await redis.lpop('canal_binlog_data');
        text !== null;
        text = await redis.lpop('canal_binlog_data')
      ) {
        consumer.take({ content: Buffer.from(text), fields: { routingKey: '' } as never });
      }
    } finally {
      redis.disconnect();
    }
    assert.equal(consumer.ofRows.length, count);
    assertGrowing(consumer.ofRows);
    assert.deepEqual(copyOf(consumer.ofRows), await world.rows());
    assert.ok(!JSON.stringify(world.events).includes('sesame'), 'no password in the log');
  });

  test('a stream has every event; past the length that is allowed the oldest go', async () => {
    const server = await ownRedis('stream');
    const redis = { url: server.url, kind: 'stream', key: 'changes', lengthMax: 100 };
    const world = await OutletsWorld.open({ stack, outlets: { redis } });
    await world.startWorker();
    await world.run('INSERT INTO items (id) VALUES (1), (2), (3)');
    const client = redisAt(server.port);
    await until('the gap and three rows', async () => (await client.xlen('changes')) === 4);
    const entries = await client.xrange('changes', '-', '+');
    const ids = entries.map(([, [field, text = '']]) => [field, (JSON.parse(text) as ToldEvent).after['id']]);
    assert.deepEqual(ids, [
      ['event', undefined],
      ['event', '1'],
      ['event', '2'],
      ['event', '3'],
    ]);
    const values = Array.from({ length: 1_000 }, (_, n) => `(${n + 100})`);
    await world.run(`INSERT INTO items (id) VALUES ${values.join(', ')}`);
    await until('the last one', async () => {
      const [last] = await client.xrevrange('changes', '+', '-', 'COUNT', 1);
      return last !== undefined && last[1].join('').includes('"id":"1099"');
    });
    // Redis drops whole nodes of a stream, of a hundred entries.
    assert.ok((await client.xlen('changes')) <= 200);
  });

  test('away, hung and back: events wait, nobody else does, and nothing is missing', async () => {
    let server = await ownRedis('away', { appendonly: true });
    const outlets = { subscribers: { '{db}_all': {} }, redis: { url: server.url } };
    const world = await OutletsWorld.open({ stack, outlets });
    await world.startWorker();
    const all = await world.consume(`${world.db}_all`);
    const ofRedis = async () => (await world.status()).outlets.find(({ kind }) => kind === 'redis');
    await world.run('INSERT INTO items (id) VALUES (1)');
    await until('two are written', async () => (await ofRedis())?.written === 2);
    hang(server);
    await world.run('INSERT INTO items (id) VALUES (2)');
    await all.has(2);
    await until('it is noticed', async () => /no answer|no connection/.test((await ofRedis())?.lastError ?? ''));
    resume(server);
    await until('it goes on', async () => (await ofRedis())?.lastError === undefined);
    await kill(server);
    await world.run('INSERT INTO items (id) VALUES (3)', 'INSERT INTO items (id) VALUES (4)');
    await all.has(4);
    await until('it is noticed', async () => (await ofRedis())?.lastError !== undefined);
    server = await startRedis({
      folder: server.folder.replace(/\/away$/, ''),
      name: 'away',
      port: server.port,
      appendonly: true,
    });
    started.push(server);
    await until(
      'none waits',
      async () => (await ofRedis())?.behind === 0 && (await ofRedis())?.lastError === undefined,
      30_000,
    );
    const texts = await redisAt(server.port).lrange('canal_binlog_data', 0, -1);
    const events = texts.map((text) => JSON.parse(text) as ToldEvent);
    assert.deepEqual(copyOf(events), await world.rows());
    assert.deepEqual([...new Set(texts)], all.texts);
  });
});

test('the sync worker is killed again and again amid writes: every event comes at least once, each row’s in order', async (t) => {
  t.diagnostic(`RINGFILL_SEED=${seed + 3}`);
  const folder = join(temporaryFolder(), 'db_data');
  const world = await OutletsWorld.open({ stack, outlets: { subscribers: { '{db}_all': {} }, files: { folder } } });
  const workers = new SyncWorkerProcesses(temporaryFolder(), JSON.stringify(world.config));
  let worker = await workers.start();
  world.url = worker.url;
  // A worker that was killed before its first checkpoint has nothing to read on from.
  const { stateFolder, name } = world.config.sync;
  await until('a checkpoint', async () => (await readCheckpoint(checkpointPath(stateFolder, name))).kind === 'found');
  const consuming = await world.consume(`${world.db}_all`);
  let isOver = false;
  const writing = (async () => {
    let count = 0;
    for (let round = 0; !isOver; round += 1) count += await world.workload(seed + 3 + round, 20);
    return count;
  })();
  for (let kills = 0; kills < 4; kills += 1) {
    const known = consuming.events.length;
    await until('it tells', () => consuming.events.length > known + 50 * (kills + 1), 60_000);
    await kill(worker);
    worker = await workers.start();
    world.url = worker.url;
  }
  isOver = true;
  const count = await writing;
  const rows = await world.rows();
  const isWhole = (events: readonly ToldEvent[]) => new Set(events.map(({ version }) => version)).size >= count;
  await until('every event has come', () => isWhole(consuming.ofRows), 60_000);
  const fromFiles = () =>
    readdirSync(folder)
      .flatMap((name) =>
        readFileSync(join(folder, name), 'utf8')
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as ToldEvent),
      )
      .filter(({ eventType }) => eventType !== 'RELOAD');
  await until('every event is in a file', () => isWhole(fromFiles()), 60_000);
  for (const events of [consuming.ofRows, fromFiles()]) {
    const versions = new Set(events.map(({ version }) => version));
    assert.equal(versions.size, count, 'no event is missing, and none is made up');
    assert.deepEqual(copyOf(events), rows);
    // What comes again comes from an earlier place on, whole: between two steps back versions grow.
    const stepsBack = events.filter(
      ({ version }, index) => index > 0 && version <= (events[index - 1] as ToldEvent).version,
    );
    assert.ok(stepsBack.length <= 12, `${stepsBack.length} steps back`);
    t.diagnostic(`${count} events, ${events.length - count} of them twice, ${stepsBack.length} steps back`);
  }
  await worker.stop();
});
