/**
 * What becomes of a BinlogReader when the server, the link or the binlog itself is lost: it always ends, says why, and a new
 * one reads on without a gap, or says that there is one. A server of its own, for it is killed and its binlog thrown away.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { hang, kill, openLink, resume } from '../../stack/faults.ts';
import { type MysqlServer, startMysql } from '../../stack/mysql.ts';
import type { LogPosition } from '../../shared/version/version.ts';
import type { BinlogEvent } from '../../sync-worker/capture/binlog/binlog-event.ts';
import { binlogEnd, Following, rootConnection } from '../support/binlog.ts';
import { temporaryFolder } from '../support/stack.ts';

const SILENCE_MS = 800;
const quiet = { heartbeatMs: 100, silenceMs: SILENCE_MS };

const folder = temporaryFolder();
let server: MysqlServer;
let connection: Connection;

before(async () => {
  // MySQL has GTIDs only where they are asked for.
  server = await startMysql({ folder, args: ['--loose-gtid-mode=ON', '--loose-enforce-gtid-consistency=ON'] });
  connection = await rootConnection(server);
  await connection.query('CREATE DATABASE lost; CREATE TABLE lost.t (id INT PRIMARY KEY AUTO_INCREMENT) ENGINE=InnoDB');
});
after(() => server.stop());

async function insert(): Promise<void> {
  await connection.query('INSERT INTO lost.t VALUES (NULL)');
}

async function restart(): Promise<void> {
  server = await startMysql({
    folder,
    port: server.port,
    args: ['--loose-gtid-mode=ON', '--loose-enforce-gtid-consistency=ON'],
  });
  connection = await rootConnection(server);
}

function isRows(event: BinlogEvent): boolean {
  return event.kind === 'rows';
}

function rotations(following: Following): string[] {
  return following.events.flatMap((event) => (event.kind === 'rotate' ? [event.after] : []));
}

/** Follows from there, and waits until it has read a row that is inserted now. */
async function readOn(from: LogPosition): Promise<Following> {
  const following = new Following(server, { from, ...quiet });
  await insert();
  const end = await binlogEnd(connection);
  await following.until((event) => event.end.file === end.file && event.end.position >= end.position);
  return following;
}

test('trap 7: a half-open link is noticed within silenceMs and a quarter', async () => {
  const link = await openLink({ to: server });
  const following = new Following(link, { from: await binlogEnd(connection), ...quiet });
  await following.until((event) => event.kind === 'heartbeat');
  const started = performance.now();
  link.cut();
  const lost = await following.ended;
  const tookMs = performance.now() - started;
  await link.stop();
  assert.equal(lost?.reason, 'silent');
  // Ending it takes up to a second more: the driver waits for an answer on its second connection.
  assert.ok(tookMs < SILENCE_MS * 1.25 + 1_300, `${tookMs} ms`);
});

test('trap 7: a server that hangs is silent, and one that hangs from the start cannot be reached', async () => {
  const from = await binlogEnd(connection);
  const following = new Following(server, { from, ...quiet });
  await following.until((event) => event.kind === 'heartbeat');
  hang(server);
  assert.equal((await following.ended)?.reason, 'silent');
  const late = new Following(server, { from, ...quiet });
  assert.equal((await late.ended)?.reason, 'unreachable');
  resume(server);
});

test('a paused reader is not silent', async () => {
  const from = await binlogEnd(connection);
  await connection.query('CREATE TABLE lost.wide (v LONGTEXT)');
  const following = new Following(server, { from, ...quiet, bufferBytesMax: 1_000 });
  const goOn = following.hold();
  for (let row = 0; row < 5; row += 1) await connection.query("INSERT INTO lost.wide VALUES (REPEAT('x', 1000000))");
  await following.untilPaused();
  const still = performance.now();
  while (performance.now() - still < 2 * SILENCE_MS) await insert();
  assert.ok(following.reader.paused);
  goOn();
  const end = await binlogEnd(connection);
  await following.until((event) => event.end.position >= end.position);
  await following.stop();
  assert.equal(await following.ended, undefined);
});

test('PURGE BINARY LOGS: what is gone is said to be purged, by place and by GTIDs', async () => {
  const old = await binlogEnd(connection);
  const gtids = await executedGtids();
  await insert();
  await connection.query('FLUSH BINARY LOGS; FLUSH BINARY LOGS');
  await insert();
  const { file } = await binlogEnd(connection);
  await purgeTo(file);
  const byPlace = new Following(server, { from: old, ...quiet });
  assert.equal((await byPlace.ended)?.reason, 'purged', (await byPlace.ended)?.message);
  const byGtid = new Following(server, { from: { gtidSet: gtids }, ...quiet });
  assert.equal((await byGtid.ended)?.reason, 'purged', (await byGtid.ended)?.message);
});

/** MariaDB keeps a file that it might need to recover from a crash, until it has written elsewhere that it does not. */
async function purgeTo(file: string): Promise<void> {
  for (;;) {
    await connection.query(`PURGE BINARY LOGS TO '${file}'`);
    const [[first]] = await connection.query<RowDataPacket[]>('SHOW BINARY LOGS');
    if (first?.['Log_name'] === file) return;
    await setTimeout(20);
  }
}

async function executedGtids(): Promise<string> {
  const variable = server.flavour === 'mariadb' ? 'gtid_binlog_pos' : 'gtid_executed';
  const [[row]] = await connection.query<RowDataPacket[]>(`SELECT @@GLOBAL.${variable} AS gtids`);
  return String(row?.['gtids']).replaceAll('\n', '');
}

test('read on by GTIDs: what came after them, and their own GTIDs', async () => {
  const gtidSet = await executedGtids();
  await insert();
  await insert();
  const following = new Following(server, { from: { gtidSet }, ...quiet });
  const end = await binlogEnd(connection);
  await following.until((event) => event.end.position >= end.position);
  await following.stop();
  assert.equal(following.events.filter(isRows).length, 2);
  for (const event of following.events) {
    if (event.kind === 'begin')
      assert.match(String(event.gtid), server.flavour === 'mariadb' ? /^0-\d+-\d+$/ : /^[0-9a-f-]{36}:\d+$/);
  }
  const ahead = server.flavour === 'mariadb' ? gtidSet.replace(/\d+$/, '999999') : gtidSet.replace(/:.*/, ':1-999999');
  const beyond = new Following(server, { from: { gtidSet: ahead }, ...quiet });
  assert.equal((await beyond.ended)?.reason, 'bad-position', (await beyond.ended)?.message);
});

test('a server that stops ends its file, and one that is killed does not', async () => {
  const first = await readOn(await binlogEnd(connection));
  const stopping = await binlogEnd(connection);
  await server.stop();
  assert.equal((await first.ended)?.reason, 'closed');
  await restart();
  const second = await readOn(stopping);
  assert.deepEqual(rotations(second), ['start', 'clean']);

  const killed = await binlogEnd(connection);
  await kill(server);
  const lost = await second.ended;
  assert.equal(lost?.reason, 'closed', lost?.message);
  assert.deepEqual(lost?.position, killed);
  await restart();
  const third = await readOn(killed);
  assert.deepEqual(rotations(third), ['start', 'crash']);
  await third.stop();
  assert.equal(third.events.filter(isRows).length, 1);
});

test('RESET MASTER: whoever reads is told, and the old place is of no use', async () => {
  // Two files on, so that the new one cannot be mistaken for the old.
  await connection.query('FLUSH BINARY LOGS; FLUSH BINARY LOGS');
  const following = await readOn(await binlogEnd(connection));
  const old = await binlogEnd(connection);
  await connection.query('RESET MASTER');
  assert.equal((await following.ended)?.reason, 'purged', (await following.ended)?.message);
  await insert();
  const created = following.events.findLast((event) => event.kind === 'format');
  const later = new Following(server, { from: old, ...quiet });
  assert.match(String((await later.ended)?.reason), /^(?:purged|bad-position)$/, (await later.ended)?.message);
  const again = new Following(server, { from: { file: old.file.replace(/\d+$/, '000001'), position: 4 }, ...quiet });
  const format = await again.until((event) => event.kind === 'format');
  assert.ok(format.kind === 'format' && created?.kind === 'format' && format.createdAt >= created.createdAt);
  await again.until(isRows);
  await again.stop();
});
