/**
 * A denied column never leaves MySQL's own replication stream. A marker is written into one, again and again, on every way
 * that a row can take; then it is searched for in everything that ringfill writes or says. Another one, in a column that is
 * not denied, is found wherever rows may be: the search works.
 *
 * RINGFILL_MARKER_WRITES=10000 makes it as many; without it there are a few hundred.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createConnection } from 'mysql2/promise';
import { BrokerConnection } from '../../shared/broker/connection.ts';
import { parseConfig } from '../../shared/config/load.ts';
import type { Config, SyncConfig } from '../../shared/config/schema.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { startMysql } from '../../stack/mysql.ts';
import { startGateway, startSyncWorker } from '../../stack/ringfill-process.ts';
import { redisAt, startOwnBroker, type SyncedConfig, until } from '../support/broker.ts';
import { runCommand } from '../support/cli.ts';
import { gatewayConfig } from '../support/gateway.ts';
import { MarkerSearch } from '../support/marker-search.ts';
import { temporaryFolder, type TestStack } from '../support/stack.ts';
import { allowOnMysql, mysqlUrl, startOwnRedis } from '../support/least-privilege.ts';

const WRITES = Number(process.env['RINGFILL_MARKER_WRITES'] ?? 300);
const ROWS = Math.max(60, Math.floor(WRITES / 10));
/** More than the sync worker keeps of a transaction in memory: the rest is spilled. */
const SPILLED_ROWS = 2_500;
const SPILLED_TEXT = 16_000;
/** Messages that become dead letters. */
const SPOILT = 3;

const suffix = randomBytes(8).toString('hex');
const denied = new MarkerSearch(`denied${suffix}`);
const open = new MarkerSearch(`opened${suffix}`);

const folder = temporaryFolder();
const dump = ['--rdbcompression', 'no'];
const [mysql, broker, r1, r2, f1] = await Promise.all([
  startMysql({ folder }),
  startOwnBroker(folder),
  startOwnRedis({ folder, name: 'r1', appendonly: true, args: dump }),
  startOwnRedis({ folder, name: 'r2', args: dump }),
  startOwnRedis({ folder, name: 'f1', args: dump }),
]);
const atEnd: (() => Promise<unknown>)[] = [() => Promise.all([mysql, r1, r2, f1].map((server) => server.stop()))];
// What was started last goes first.
after(async () => {
  r2.kill('SIGCONT');
  for (const end of atEnd.toReversed()) await end();
});
const servers = { r1, r2, f1 };
const redis = Object.values(servers).map(({ port }) => redisAt(port));
const stack: TestStack = {
  mysql,
  rabbitmq: broker.server,
  redis: [
    { shard: 'r1', ring: 'primary', port: r1.port },
    { shard: 'r2', ring: 'primary', port: r2.port },
    { shard: 'f1', ring: 'fallback', port: f1.port },
  ],
};
const db = 'marked';
const TABLES = ['mirrored', 'cached', 'refreshed', 'invalidated'];
const root = await createConnection({ host: mysql.host, port: mysql.port, user: 'root', multipleStatements: true });
atEnd.push(() => root.end());
let writes = 0;

/** As `'text'`, with the marker; each is another text. */
const secret = () => `'${denied.marker}-${(writes += 1)}'`;
const told = () => `'${open.marker}-${writes}'`;

await root.query(`CREATE DATABASE ${db} CHARACTER SET utf8mb4`);
await root.query(`USE ${db}`);
for (const table of TABLES) {
  await root.query(
    `CREATE TABLE ${table} (id INT PRIMARY KEY, name MEDIUMTEXT, secret VARCHAR(100), blob_secret BLOB, n INT NOT NULL DEFAULT 0)`,
  );
  await insertRows(table, 1, ROWS);
}

async function insertRows(table: string, first: number, count: number): Promise<void> {
  for (let from = first; from < first + count; from += 100) {
    const ids = Array.from({ length: Math.min(100, first + count - from) }, (_, index) => from + index);
    const rows = ids.map((id) => `(${id}, ${told()}, ${secret()}, ${secret()}, 0)`);
    await root.query(`INSERT INTO ${table} VALUES ${rows.join(', ')}`);
  }
}

await allowOnMysql(mysql, mysql.flavour);
const hidden = { columns: { deny: ['secret', 'blob_secret'] } };
const [gatewayPort, workerPort] = [await chooseFreePort(), await chooseFreePort()];
const outletFolder = join(folder, 'db_data');
const { text } = gatewayConfig(stack, {
  origin: { url: mysqlUrl(mysql) },
  tables: {
    [`${db}.mirrored`]: { ...hidden, mode: 'mirror' },
    [`${db}.cached`]: { ...hidden, copies: 2 },
    [`${db}.refreshed`]: { ...hidden, strategy: 'refresh' },
    [`${db}.invalidated`]: { ...hidden, strategy: 'invalidate' },
  } as Config['tables'],
  keyPrefix: 'marked:',
  nearCache: { mebibytes: 8 },
  sync: {
    name: 'marked',
    // Of a quorum queue with one active consumer nobody else may look at a message.
    broker: { url: stack.rabbitmq.url, queueType: 'classic' } as SyncConfig['broker'],
    port: workerPort,
    stateFolder: join(folder, 'state'),
    outlets: {
      exchange: 'marked',
      subscribers: { others: {} },
      files: { folder: outletFolder },
      redis: { url: `redis://127.0.0.1:${f1.port}/1`, key: 'events', kind: 'list' },
    } as unknown as NonNullable<Config['sync']>['outlets'] & object,
  },
});
const configFile = join(folder, 'ringfill.yml');
mkdirSync(folder, { recursive: true });
writeFileSync(
  configFile,
  JSON.stringify({ ...JSON.parse(text), http: { port: gatewayPort }, log: { level: 'debug' } }),
);
const config = parseConfig(text, 'test') as SyncedConfig;
const worker = await startSyncWorker({ folder, configFile, port: workerPort });
atEnd.push(() => worker.stop());
const gateway = await startGateway({ folder, configFile, port: gatewayPort });
atEnd.push(() => gateway.stop());
const connection = new BrokerConnection({ url: stack.rabbitmq.url, name: 'test marker' });
await connection.start();
atEnd.push(() => connection.stop());

/** All that was answered, streamed to a dashboard, or printed. */
const said: Record<'answers' | 'stories' | 'output', string[]> = { answers: [], stories: [], output: [] };

async function ask(
  url: string,
  path: string,
  headers: Record<string, string> = {},
  kind: keyof typeof said = 'answers',
): Promise<string> {
  const answer = await fetch(url + path, { headers });
  const whole = `${[...answer.headers].join('\n')}\n${await answer.text()}`;
  said[kind].push(whole);
  return whole;
}

/** What a dashboard is told, of a second. */
async function listen(): Promise<void> {
  const listening = new AbortController();
  const answer = await fetch(`${gateway.url}/-/ui/events`, { signal: listening.signal });
  const chunks = answer.body?.pipeThrough(new TextDecoderStream()) ?? [];
  let told = '';
  for await (const chunk of chunks) {
    told += chunk;
    if (told.split('\n\n').length > 3) break;
  }
  listening.abort();
  said.answers.push(told);
}

async function run(...args: string[]): Promise<string> {
  const { stdout, stderr } = await runCommand(args);
  assert.notEqual(stdout, '', `${args.join(' ')}: ${stderr}`);
  said.output.push(stdout, stderr);
  return stdout;
}

async function readAll(): Promise<void> {
  const ids = Array.from({ length: Math.min(1_000, ROWS + 20) }, (_, index) => index + 1).join(',');
  for (const table of TABLES) {
    await ask(gateway.url, `/${db}/${table}?ids=${ids}`);
    for (const id of ['1', '2', '007', '99999999', 'x', '']) await ask(gateway.url, `/${db}/${table}/${id}`);
    await ask(gateway.url, `/${db}/${table}/3`, { 'cache-control': 'no-cache' });
  }
}

interface Status {
  readonly capture: { readonly asOf: number };
  readonly shards: readonly { readonly lagMs?: number; readonly deadLetters: number }[];
}

const status = async () => (await (await fetch(`${worker.url}/-/status`)).json()) as Status;

async function caughtUp(): Promise<void> {
  const now = Date.now();
  await until(
    'every shard has applied everything up to now',
    async () => {
      const { capture, shards } = await status();
      return capture.asOf >= now && shards.every(({ lagMs = Infinity }) => Date.now() - lagMs >= now);
    },
    60_000,
  );
}

const leftOut = (path: string) => path === mysql.folder;
const foundIn = (search: MarkerSearch, below: string) => search.inFiles(below, leftOut);

test('on every way that a row takes: found where rows may be, and a denied column nowhere at all', async () => {
  await until(
    'the mirror is complete',
    async () => (await ask(gateway.url, `/${db}/mirrored/1`)).includes(open.marker),
    60_000,
  );
  await readAll();

  // Changes: each kind of statement, whole images and minimal ones, statements without rows, a key that changes, DDL.
  while (writes < WRITES) {
    for (const table of TABLES) {
      const id = 1 + (writes % ROWS);
      await root.query(`UPDATE ${table} SET secret = ${secret()}, name = ${told()}, n = n + 1 WHERE id = ${id}`);
      await root.query(`UPDATE ${table} SET secret = ${secret()} WHERE id = ${id}`);
      await root.query(`DELETE FROM ${table} WHERE id = ${id}`);
      await root.query(`REPLACE INTO ${table} VALUES (${id}, ${told()}, ${secret()}, ${secret()}, 1)`);
      await root.query(`BEGIN; UPDATE ${table} SET secret = ${secret()}; ROLLBACK`);
    }
    await readAll();
  }
  await root.query(`UPDATE cached SET id = id + 1000000, secret = ${secret()} WHERE id = 5`);
  await caughtUp();
  for (const table of TABLES) {
    await root.query(`SET binlog_row_image = 'MINIMAL'; UPDATE ${table} SET secret = ${secret()} WHERE id = 6`);
    await root.query(`SET binlog_row_image = 'FULL', binlog_format = 'STATEMENT'`);
    await root.query(`UPDATE ${table} SET secret = ${secret()}, n = 7 WHERE id = 7`);
    await root.query(`SET binlog_format = 'ROW'`);
    await root.query(`ALTER TABLE ${table} COMMENT ${secret()}, ALTER secret SET DEFAULT ${secret()}`);
    await root.query(`INSERT INTO ${table} (id, name) VALUES (${2_000_000}, ${told()})`);
    await assert.rejects(root.query(`INSERT INTO ${table} VALUES (1, ${told()}, ${secret()}, ${secret()}, 0)`));
    await readAll();
  }
  await caughtUp();

  // A transaction that is prepared, and not over: what does not fit into memory lies in a file.
  await root.query(`XA START 'marked'`);
  for (let first = 0; first < SPILLED_ROWS; first += 100) {
    const rows = Array.from({ length: 100 }, (_, index) => {
      return `(${3_000_000 + first + index}, REPEAT(${told()}, ${SPILLED_TEXT / 20}), ${secret()}, ${secret()}, 0)`;
    });
    await root.query(`INSERT INTO invalidated VALUES ${rows.join(', ')}`);
  }
  await root.query(`XA END 'marked'; XA PREPARE 'marked'`);
  await until(
    'it is spilled',
    () => foundIn(open, join(folder, 'state')).some((path) => path.includes('spilled-')),
    60_000,
  );
  assert.deepEqual(foundIn(denied, join(folder, 'state')), []);
  await root.query(`XA ROLLBACK 'marked'`);

  // Messages of a shard that is away; made unreadable, they become dead letters.
  await caughtUp();
  r2.kill('SIGSTOP');
  await until('the shard is out of reach', async () => (await ask(worker.url, '/-/status')).includes('"shard":"r2"'));
  for (let id = 1; id <= ROWS; id += 1) {
    await root.query(`UPDATE cached SET secret = ${secret()}, name = ${told()}, n = n + 1 WHERE id = ${id}`);
  }
  const queue = 'ringfill.marked.primary.r2';
  await until('its messages wait', async () => (await open.inQueue(connection, queue)).found > 0, 30_000);
  assert.equal((await denied.inQueue(connection, queue)).found, 0);
  const { channel, close } = await connection.openChannel();
  for (let spoilt = 0; spoilt < SPOILT;) {
    const message = await channel.get(queue, { noAck: true });
    assert.ok(message !== false, 'there are no messages left');
    if (!open.isIn(message.content)) continue;
    channel.sendToQueue(queue, message.content.subarray(0, message.content.length - 1));
    spoilt += 1;
  }
  await close();
  r2.kill('SIGCONT');
  await until(
    'they are buried',
    async () => (await status()).shards.some(({ deadLetters }) => deadLetters >= SPOILT),
    60_000,
  );
  await caughtUp();

  // An audit that finds something, and mends it; then what else an operator asks.
  for (const shard of redis) {
    await shard.hset('marked:marked_mirrored_8', 'name', 'not what MySQL says');
    await shard.del('marked:marked_mirrored_9');
  }
  assert.match(await run('audit', '--config', configFile, '--repair', '--show-rows'), /mirrored/);
  const origin = `mysql://root@${mysql.host}:${mysql.port}`;
  const [url1 = '', url2 = ''] = [r1, r2].map((server) => server.url);
  await Promise.all([
    run('snapshot', '--config', configFile, '--anew'),
    run('check', '--config', configFile),
    run('position', '--config', configFile),
    run('ring', 'plan', '--config', configFile, '--add', `primary/r3=${url1}/2`, '--count'),
    run('init', '--mysql', origin, '--db', db, '--redis', url1, url2, '--broker', stack.rabbitmq.url),
    run('get', `${db}.cached`, '1', '--url', gateway.url),
    run('get', `${db}.mirrored`, '2', '--url', gateway.url),
    run('owner', 'marked:marked_cached_1', '--url', gateway.url),
    run('ring', '--url', gateway.url),
  ]);
  const [eventFile = ''] = readdirSync(outletFolder);
  await run('replay', join(outletFolder, eventFile), '--config', configFile, '--to', 'others');
  await run('dead-letters', 'list', '--config', configFile);
  await run('dead-letters', 'replay', '--config', configFile);
  await until('those are buried again', async () =>
    (await status()).shards.some(({ deadLetters }) => deadLetters >= 2 * SPOILT),
  );
  for (const url of [gateway.url, worker.url]) {
    for (const path of ['/-/metrics', '/-/ready', '/-/live', '/-/status', '/-/ring', '/-/docs/json'])
      await ask(url, path);
  }
  await listen();
  for (const table of TABLES) await ask(gateway.url, `/-/ring/story?key=${db}/${table}/3`, {}, 'stories');
  await until('a row is answered out of the gateway’s own memory', async () =>
    (await ask(gateway.url, `/${db}/cached/3`)).includes(' near"'),
  );
  // An origin that refuses says so in its own words.
  await root.query('RENAME TABLE cached TO away');
  await ask(gateway.url, `/${db}/cached/1`, { 'cache-control': 'no-cache' });
  await root.query('RENAME TABLE away TO cached');
  await readAll();
  await caughtUp();

  const places: Record<string, (search: MarkerSearch) => Promise<readonly string[]> | readonly string[]> = {
    'the keys of r1': (search) => search.inRedis(redis[0] as (typeof redis)[number]),
    'the keys of r2': (search) => search.inRedis(redis[1] as (typeof redis)[number]),
    'the keys of f1': (search) => search.inRedis(redis[2] as (typeof redis)[number]),
    'the Redis outlet': async (search) => {
      const outlet = redisAt(f1.port);
      await outlet.select(1);
      return await search.inRedis(outlet);
    },
    'the subscriber’s queue': async (search) => found('others', await search.inQueue(connection, 'others')),
    'the dead letters': async (search) =>
      found('dead letters', await search.inQueue(connection, `ringfill.${config.sync.name}.dead-letters`)),
    'the JSON-lines files': (search) => foundIn(search, outletFolder),
    'r1’s own files': (search) => foundIn(search, r1.folder),
    'r2’s own files': (search) => foundIn(search, r2.folder),
    'RabbitMQ’s own files': (search) => foundIn(search, broker.server.folder),
    ...Object.fromEntries(
      Object.entries(said).map(([kind, texts]) => [
        kind,
        (search: MarkerSearch) => texts.filter((one) => search.isIn(one)).map((one) => one.slice(0, 300)),
      ]),
    ),
  };
  await Promise.all(redis.map((shard) => shard.save()));
  process.stdout.write(`marker: written ${writes} times\n`);
  for (const [place, search] of Object.entries(places)) {
    assert.deepEqual(await search(denied), [], `denied, in ${place}`);
    assert.ok((await search(open)).length > 0, `not found at all in ${place}`);
  }
  await broker.control('export_definitions', join(folder, 'definitions.json'));
  for (const server of [gateway, worker]) await server.stop();
  assert.deepEqual(foundIn(denied, folder), [], 'in some file');
  // No log has rows, whatever their columns.
  assert.deepEqual(
    [gateway, worker].flatMap(({ logFile }) => (open.isIn(readFileSync(logFile)) ? [logFile] : [])),
    [],
  );
});

function found(what: string, { found: count }: { readonly found: number }): string[] {
  return count === 0 ? [] : [`${count} of ${what}`];
}
