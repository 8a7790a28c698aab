/**
 * BinlogReader over a running server: which events it tells of, and that none of the driver's traps reaches its callers.
 * The numbers are those of the driver's list of traps.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import type { BinlogEvent, EventCells } from '../../sync-worker/capture/binlog-event.ts';
import { binlogEnd, Following, type FollowOptions, rootConnection } from '../support/binlog.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { testStack } from '../support/stack.ts';

const DATABASE = 'binlog_reader';

const stack = await testStack();
const { mysql } = stack;
const isMariadb = mysql.flavour === 'mariadb';
const client = new MysqlClient(stack);
await client.ownDatabase(DATABASE);
const connection = await rootConnection(mysql);
await connection.query(`USE ${DATABASE}`);
after(() => connection.end());

const follows = (db: string) => db === DATABASE;

/** Reads what the statements write, to their end. */
async function told(statements: readonly string[], options: Partial<FollowOptions> = {}): Promise<BinlogEvent[]> {
  const from = await binlogEnd(connection);
  for (const statement of statements) await connection.query(statement);
  const end = await binlogEnd(connection);
  const following = new Following(mysql, { from, follows, ...options });
  await following.until((event) => event.end.file === end.file && event.end.position >= end.position);
  await following.stop();
  return following.events.filter((event) => event.kind !== 'heartbeat');
}

function texts(cells: EventCells | undefined): (string | null)[] | undefined {
  return cells?.map((cell) => cell?.toString('utf8') ?? null);
}

/** In short: `begin`, `rows t +1`, `query CREATE …`. */
function inShort(events: readonly BinlogEvent[]): string[] {
  return events.map((event) => {
    switch (event.kind) {
      case 'begin':
        return event.standalone ? 'begin alone' : 'begin';
      case 'rows':
        return `rows ${event.table.table} ${event.rows.map(({ before, after: present }) => `${before ? '-' : ''}${present ? '+' : ''}`).join(' ')}`;
      case 'query':
        return `query ${event.sql.slice(0, 40)}`;
      case 'rotate':
        return `rotate ${event.after}`;
      case 'xa-prepare':
        return `xa-prepare ${event.xid}${event.onePhase ? ' one phase' : ''}`;
      case 'unreadable':
        return `unreadable ${event.table?.table}`;
      default:
        return event.kind;
    }
  });
}

const opening = isMariadb ? [] : ['query BEGIN'];

test('a transaction, a statement alone, and where each ends', async () => {
  const events = await told([
    'CREATE TABLE plain (id INT PRIMARY KEY, v VARCHAR(10)) ENGINE=InnoDB',
    "INSERT INTO plain VALUES (1, 'a'), (2, NULL)",
    "BEGIN; UPDATE plain SET v = 'b' WHERE id = 1; SAVEPOINT s; DELETE FROM plain WHERE id = 2; COMMIT",
    'CREATE TABLE mysql.other_binlog_reader (id INT)',
    'INSERT INTO mysql.other_binlog_reader VALUES (1)',
    'DROP TABLE mysql.other_binlog_reader',
  ]);
  assert.deepEqual(inShort(events), [
    'rotate start',
    'format',
    'begin alone',
    'query CREATE TABLE plain (id INT PRIMARY KEY, ',
    'begin',
    ...opening,
    'rows plain + +',
    'commit',
    'begin',
    ...opening,
    'rows plain -+',
    'query SAVEPOINT `s`',
    'rows plain -',
    'commit',
    'begin alone',
    'query CREATE TABLE mysql.other_binlog_reader (',
    'begin',
    ...opening,
    'commit',
    'begin alone',
    `query DROP TABLE ${isMariadb ? 'mysql.other_binlog_reader' : '`mysql`.`other_binlog_reader` '}`.slice(0, 46),
  ]);
  const [rows] = events.filter((event) => event.kind === 'rows');
  assert.ok(rows?.kind === 'rows');
  assert.deepEqual(
    rows.rows.map((row) => texts(row.after)),
    [
      ['1', 'a'],
      ['2', null],
    ],
  );
  for (const [index, event] of events.entries()) {
    assert.ok(event.end.position >= (events[index - 1]?.end.position ?? 0));
  }
  const gtids = events.flatMap((event) => (event.kind === 'begin' ? [event.gtid] : []));
  for (const gtid of gtids) {
    if (isMariadb) assert.match(String(gtid), /^0-[0-9]+-[0-9]+$/);
    else assert.equal(gtid, undefined, 'without GTIDs they are anonymous');
  }
  const committed = events.flatMap((event) => (event.kind === 'begin' ? [event.committedAtMicros] : []));
  for (const at of committed) {
    if (isMariadb) assert.equal(at, undefined);
    else assert.ok(Math.abs(Number(at) / 1000 - Date.now()) < 60_000);
  }
});

test('XA: prepared, committed later, rolled back, and in one phase', async () => {
  await connection.query('CREATE TABLE xa (id INT PRIMARY KEY) ENGINE=InnoDB');
  const events = await told([
    "XA START 'a','b',7; INSERT INTO xa VALUES (1); XA END 'a','b',7; XA PREPARE 'a','b',7",
    "XA COMMIT 'a','b',7",
    "XA START 'one'; INSERT INTO xa VALUES (2); XA END 'one'; XA COMMIT 'one' ONE PHASE",
    "XA START 'back'; INSERT INTO xa VALUES (3); XA END 'back'; XA PREPARE 'back'",
    "XA ROLLBACK 'back'",
  ]);
  const start = (xid: string) => (isMariadb ? [] : [`query XA START ${xid}`]);
  assert.deepEqual(inShort(events).slice(2), [
    ...['begin', ...start("X'61',X'62',7"), 'rows xa +', "query XA END X'61',X'62',7", "xa-prepare X'61',X'62',7"],
    ...['begin alone', "query XA COMMIT X'61',X'62',7"],
    ...(isMariadb
      ? ['begin', 'rows xa +', 'commit']
      : [
          'begin',
          "query XA START X'6f6e65',X'',1",
          'rows xa +',
          "query XA END X'6f6e65',X'',1",
          "xa-prepare X'6f6e65',X'',1 one phase",
        ]),
    ...[
      'begin',
      ...start("X'6261636b',X'',1"),
      'rows xa +',
      "query XA END X'6261636b',X'',1",
      "xa-prepare X'6261636b',X'',1",
    ],
    ...['begin alone', "query XA ROLLBACK X'6261636b',X'',1"],
  ]);
});

test('trap 1: after ADD COLUMN … FIRST, events from before it have their own columns', async () => {
  await connection.query('CREATE TABLE drift (id INT PRIMARY KEY, v VARCHAR(10)) ENGINE=InnoDB');
  const events = await told([
    "INSERT INTO drift VALUES (1, 'a')",
    'ALTER TABLE drift ADD COLUMN first INT NOT NULL DEFAULT 9 FIRST',
    "INSERT INTO drift VALUES (5, 2, 'b')",
  ]);
  const rows = events.flatMap((event) => (event.kind === 'rows' ? [event] : []));
  assert.deepEqual(
    rows.map((event) => [event.table.columns.map(({ name }) => name), texts(event.rows[0]?.after)]),
    [
      [
        ['id', 'v'],
        ['1', 'a'],
      ],
      [
        ['first', 'id', 'v'],
        ['5', '2', 'b'],
      ],
    ],
  );
});

test('trap 1: rows without full metadata are unreadable, and those after them are read', async () => {
  await connection.query('CREATE TABLE bare (id INT PRIMARY KEY) ENGINE=InnoDB');
  const events = await told([
    'SET GLOBAL binlog_row_metadata = MINIMAL',
    'INSERT INTO bare VALUES (1)',
    'SET GLOBAL binlog_row_metadata = FULL',
    // A table that is open goes on as before.
    'FLUSH TABLES',
    'INSERT INTO bare VALUES (2)',
  ]);
  const kinds = inShort(events).filter((kind) => /bare|commit/.test(kind));
  assert.deepEqual(kinds, ['unreadable bare', 'commit', 'rows bare +', 'commit']);
});

test('trap 10: a session that leaves columns out makes unreadable rows, not NULLs', async () => {
  await connection.query('CREATE TABLE partly (id INT PRIMARY KEY, a INT, b TEXT) ENGINE=InnoDB');
  const events = await told([
    "INSERT INTO partly VALUES (1, 1, 'x')",
    "SET SESSION binlog_row_image = 'MINIMAL'",
    'UPDATE partly SET a = 2',
    "SET SESSION binlog_row_image = 'NOBLOB'",
    'UPDATE partly SET a = 3',
    "SET SESSION binlog_row_image = 'FULL'",
    'UPDATE partly SET a = 4',
  ]);
  const kinds = inShort(events).filter((kind) => kind.includes('partly'));
  assert.deepEqual(kinds, ['rows partly +', 'unreadable partly', 'unreadable partly', 'rows partly -+']);
});

test('trap 10: the changed parts of a JSON document alone are unreadable', { skip: isMariadb }, async () => {
  await connection.query('CREATE TABLE parts (id INT PRIMARY KEY, d JSON) ENGINE=InnoDB');
  const events = await told([
    `INSERT INTO parts VALUES (1, '{"a": "${'x'.repeat(500)}", "b": 1}')`,
    "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'",
    "UPDATE parts SET d = JSON_SET(d, '$.b', 2)",
    "SET SESSION binlog_row_value_options = ''",
    "UPDATE parts SET d = JSON_SET(d, '$.b', 3)",
  ]);
  const kinds = inShort(events).filter((kind) => /parts|commit/.test(kind));
  assert.deepEqual(kinds, ['rows parts +', 'commit', 'unreadable parts', 'commit', 'rows parts -+', 'commit']);
});

test('trap 11: TRUNCATE and changes in statement format are told as statements', async () => {
  await connection.query('CREATE TABLE spoken (id INT PRIMARY KEY) ENGINE=InnoDB');
  const events = await told([
    "SET SESSION binlog_format = 'STATEMENT'",
    'INSERT INTO spoken VALUES (1)',
    "SET SESSION binlog_format = 'ROW'",
    'TRUNCATE TABLE spoken',
  ]);
  assert.deepEqual(inShort(events).slice(2), [
    'begin',
    ...opening,
    'query INSERT INTO spoken VALUES (1)',
    'commit',
    'begin alone',
    'query TRUNCATE TABLE spoken',
  ]);
});

test('a statement is told in the character set of the client that gave it', async () => {
  const from = await binlogEnd(connection);
  for (const charset of ['LATIN1_SWEDISH_CI', 'GBK_CHINESE_CI']) {
    const other = await createConnection({
      host: mysql.host,
      port: mysql.port,
      user: 'root',
      database: DATABASE,
      charset,
    });
    await other.query(`CREATE TABLE ${charset === 'GBK_CHINESE_CI' ? '`表`' : '`größe`'} (id INT)`);
    await other.end();
  }
  const following = new Following(mysql, { from, follows });
  await following.until((event) => event.kind === 'query' && event.sql === 'CREATE TABLE `größe` (id INT)');
  await following.until((event) => event.kind === 'query' && event.sql === 'CREATE TABLE `表` (id INT)');
  await following.stop();
});

test('trap 8: however slow the consumer, what waits stays bounded, and nothing is lost', async () => {
  await connection.query('CREATE TABLE bulk (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(1000)) ENGINE=InnoDB');
  const from = await binlogEnd(connection);
  const bufferBytesMax = 256 * 1024;
  const following = new Following(mysql, { from, follows, bufferBytesMax });
  await following.until((event) => event.kind === 'format');
  // The consumer stands still from here on.
  const goOn = following.hold();
  let most = 0;
  for (let round = 0; round < 16; round += 1) {
    const rows = Array.from({ length: 1_000 }, () => `(REPEAT('${String.fromCodePoint(97 + round)}', 1000))`);
    await connection.query(`INSERT INTO bulk (v) VALUES ${rows.join(', ')}`);
    most = Math.max(most, following.reader.buffered);
  }
  await following.untilPaused();
  most = Math.max(most, following.reader.buffered);
  // One read of the socket, and one event, may come on top.
  assert.ok(most <= bufferBytesMax + 160 * 1024, `${most} bytes waited`);
  assert.ok(most > bufferBytesMax);
  goOn();
  const end = await binlogEnd(connection);
  await following.until((event) => event.end.position >= end.position);
  await following.stop();
  const rows = following.events.reduce((sum, event) => sum + (event.kind === 'rows' ? event.rows.length : 0), 0);
  assert.equal(rows, 16_000);
});

test('a row of 20 MB, which takes more than one packet', async () => {
  const [[before]] = await connection.query<RowDataPacket[]>('SELECT @@max_allowed_packet AS bytes');
  await connection.query('SET GLOBAL max_allowed_packet = 1073741824');
  const large = await rootConnection(mysql);
  await large.query(`USE ${DATABASE}; CREATE TABLE large (id INT PRIMARY KEY, v LONGBLOB) ENGINE=InnoDB`);
  try {
    const from = await binlogEnd(connection);
    await large.query("INSERT INTO large VALUES (1, REPEAT('x', 20000000)), (2, 'y')");
    const following = new Following(mysql, { from, follows });
    await following.until((event) => event.kind === 'commit');
    await following.stop();
    const rows = following.events.flatMap((event) => (event.kind === 'rows' ? event.rows : []));
    assert.deepEqual(
      rows.map((row) => row.after?.[1]?.length),
      [20_000_000, 1],
    );
  } finally {
    await large.query('DROP TABLE large');
    await large.end();
    await connection.query(`SET GLOBAL max_allowed_packet = ${before?.['bytes']}`);
  }
});

test('trap 6: rotation: the new file is named where it begins, and the old one ended cleanly', async () => {
  const events = await told(['FLUSH BINARY LOGS', 'CREATE TABLE rotated (id INT)']);
  assert.deepEqual(inShort(events).slice(0, 5), ['rotate start', 'format', 'rotate clean', 'format', 'begin alone']);
  const [, old, rotate, format] = events;
  assert.ok(rotate?.end.position === 4 && rotate.end.file > (old?.end.file ?? ''));
  assert.ok(old?.kind === 'format' && format?.kind === 'format' && format.createdAt >= old.createdAt);
});

test('a file without checksums between files with them', async () => {
  await connection.query('CREATE TABLE unchecked (id INT PRIMARY KEY) ENGINE=InnoDB');
  const events = await told([
    "SET GLOBAL binlog_checksum = 'CRC32'",
    'INSERT INTO unchecked VALUES (1)',
    "SET GLOBAL binlog_checksum = 'NONE'",
    'INSERT INTO unchecked VALUES (2)',
    "SET GLOBAL binlog_checksum = 'CRC32'",
    'INSERT INTO unchecked VALUES (3)',
  ]);
  assert.equal(inShort(events).filter((kind) => kind === 'rows unchecked +').length, 3);
});

test('trap 7: where nothing happens, heartbeats say so, at the end of the binlog', async () => {
  const from = await binlogEnd(connection);
  const following = new Following(mysql, { from, heartbeatMs: 50, silenceMs: 1_000 });
  const beat = await following.until((event) => event.kind === 'heartbeat');
  assert.deepEqual(beat.end, from);
  await following.until((event) => event.kind === 'heartbeat', following.events.length + 3);
  await following.stop();
  assert.equal(await following.ended, undefined);
});

test('read on from any place where a transaction ended', async () => {
  await connection.query('CREATE TABLE places (id INT PRIMARY KEY) ENGINE=InnoDB');
  const events = await told([1, 2, 3].map((id) => `INSERT INTO places VALUES (${id})`));
  const ends = events.filter((event) => event.kind === 'commit').map((event) => event.end);
  for (const [index, from] of ends.entries()) {
    const following = new Following(mysql, { from, follows });
    const last = ends.at(-1)?.position ?? 0;
    await following.until((event) => event.end.position >= last);
    await following.stop();
    assert.equal(following.events.filter((event) => event.kind === 'commit').length, ends.length - 1 - index);
  }
});

test('TLS, as the URL asks for it', { skip: isMariadb }, async () => {
  const from = await binlogEnd(connection);
  const following = new Following(mysql, { from, url: `mysql://root@${mysql.host}:${mysql.port}?ssl-mode=REQUIRED` });
  await following.until((event) => event.kind === 'heartbeat');
  await following.stop();
});

// ---- ends

test('trap 9: a second reader with the same server id evicts the first', async () => {
  const from = await binlogEnd(connection);
  const first = new Following(mysql, { from, serverId: 4_242 });
  await first.until((event) => event.kind === 'heartbeat');
  const second = new Following(mysql, { from, serverId: 4_242 });
  const lost = await first.ended;
  assert.equal(lost?.reason, 'evicted', lost?.message);
  assert.deepEqual(lost?.position, from);
  await second.until((event) => event.kind === 'heartbeat');
  await second.stop();
});

for (const which of ['the connection of the binlog', 'the connection beside it'] as const) {
  test(`trap 9: ${which} is killed, and the reading ends`, async () => {
    const from = await binlogEnd(connection);
    const own = 'binlog_killed';
    await client.run(`CREATE USER IF NOT EXISTS '${own}'@'127.0.0.1'; GRANT ALL ON *.* TO '${own}'@'127.0.0.1'`);
    const following = new Following(mysql, { from, url: `mysql://${own}@${mysql.host}:${mysql.port}` });
    await following.until((event) => event.kind === 'heartbeat');
    const [sessions] = await connection.query<RowDataPacket[]>(
      `SELECT ID AS id, COMMAND AS command FROM information_schema.PROCESSLIST WHERE USER = '${own}'`,
    );
    assert.equal(sessions.length, 2);
    const isDump = ({ command }: RowDataPacket) => String(command).startsWith('Binlog');
    const victim = sessions.find((session) => isDump(session) === (which === 'the connection of the binlog'));
    await connection.query(`KILL ${victim?.['id']}`);
    assert.equal((await following.ended)?.reason, 'closed');
    await client.run(`DROP USER '${own}'@'127.0.0.1'`);
  });
}

test('a file that the server has not, and a place past its end, are told apart', async () => {
  const end = await binlogEnd(connection);
  const absent = new Following(mysql, { from: { file: end.file.replace(/[0-9]+$/, '999999'), position: 4 } });
  assert.equal((await absent.ended)?.reason, 'purged');
  const beyond = new Following(mysql, { from: { ...end, position: end.position + 1_000 } });
  assert.equal((await beyond.ended)?.reason, 'bad-position', (await beyond.ended)?.message);
});

test('a wrong login and a missing privilege are refusals; a closed port is none', async () => {
  const from = await binlogEnd(connection);
  const at = `${mysql.host}:${mysql.port}`;
  const wrong = new Following(mysql, { from, url: `mysql://root:wrong@${at}` });
  assert.equal((await wrong.ended)?.reason, 'refused', (await wrong.ended)?.message);
  await client.run("CREATE USER IF NOT EXISTS 'binlog_bare'@'127.0.0.1'");
  const bare = new Following(mysql, { from, url: `mysql://binlog_bare@${at}` });
  assert.equal((await bare.ended)?.reason, 'refused', (await bare.ended)?.message);
  await client.run("DROP USER 'binlog_bare'@'127.0.0.1'");
  const nobody = new Following(mysql, { from, url: `mysql://root@${mysql.host}:1` });
  assert.equal((await nobody.ended)?.reason, 'unreachable', (await nobody.ended)?.message);
});

test('stopped before it has begun, and while it waits', async () => {
  const from = await binlogEnd(connection);
  const early = new Following(mysql, { from });
  await early.stop();
  assert.equal(await early.ended, undefined);
  const [sessions] = await connection.query<RowDataPacket[]>(
    "SELECT COUNT(*) AS count FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog%'",
  );
  assert.equal(Number(sessions[0]?.['count']), 0, 'the server sends to nobody');
});
