/** BinlogDecoder on made-up bytes: what a server will not do on demand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { BinlogDecoder, type DecoderOptions } from '../../sync-worker/capture/binlog/binlog-decoder.ts';
import type { BinlogEvent } from '../../sync-worker/capture/binlog/binlog-event.ts';
import { Charsets } from '../../sync-worker/capture/binlog/charsets.ts';
import { mariadbDialect } from '../../sync-worker/capture/binlog/dialect/mariadb.ts';
import { mysqlDialect } from '../../sync-worker/capture/binlog/dialect/mysql.ts';
import { EVENT } from '../../sync-worker/capture/binlog/event-types.ts';
import { LogPlace } from '../../sync-worker/capture/binlog/log-place.ts';
import { rowsBytes } from '../../sync-worker/capture/binlog/rows.ts';

const FILE = 'mysql-bin.000007';
const ARTIFICIAL = 0x20;
const IGNORABLE = 0x80;
const GIB = 2 ** 30;

interface Made {
  readonly type: number;
  readonly body?: Buffer;
  /** Where it ends; only 32 bits of it are written. */
  readonly end?: number;
  readonly flags?: number;
}

function made({ type, body = Buffer.alloc(0), end = 0, flags = 0 }: Made): Buffer {
  const event = Buffer.alloc(19 + body.length + 4);
  event.writeUInt32LE(1_700_000_000, 0);
  event[4] = type;
  event.writeUInt32LE(1, 5);
  event.writeUInt32LE(event.length, 9);
  event.writeUInt32LE(end % 2 ** 32, 13);
  event.writeUInt16LE(flags, 17);
  body.copy(event, 19);
  event.writeUInt32LE(crc32(event.subarray(0, -4)), event.length - 4);
  return event;
}

function rotateTo(file: string, position: number): Buffer {
  const body = Buffer.alloc(8 + file.length);
  body.writeBigUInt64LE(BigInt(position));
  body.write(file, 8);
  return made({ type: EVENT.rotate, body, flags: ARTIFICIAL });
}

/** @param end 0 where the server repeats it amid the file. */
function format(version: string, end = 0): Buffer {
  const body = Buffer.alloc(100);
  body.writeUInt16LE(4);
  body.write(version, 2);
  // Checksums are CRC32.
  body[99] = 1;
  return made({ type: EVENT.format, body, end });
}

function query(sql: string, end: number): Buffer {
  return made({ type: EVENT.query, body: Buffer.concat([Buffer.alloc(14), Buffer.from(sql)]), end });
}

const xid = (end: number) => made({ type: EVENT.xid, body: Buffer.alloc(8), end });

function tableMap(id: number, table: string, end = 0): Buffer {
  const names = Buffer.from(`\u0002db\u0000${String.fromCharCode(table.length)}${table}\u0000`, 'latin1');
  // One INT, and nothing that names it.
  const head = Buffer.alloc(8);
  head.writeUIntLE(id, 0, 6);
  return made({ type: EVENT.tableMap, body: Buffer.concat([head, names, Buffer.from([1, 3, 0, 0])]), end });
}

function rowsOf(id: number, end = 0, type: number = EVENT.writeRows): Buffer {
  const body = Buffer.alloc(20);
  body.writeUIntLE(id, 0, 6);
  return made({ type, body, end });
}

function decoder(options: Partial<DecoderOptions> = {}): BinlogDecoder {
  return new BinlogDecoder({
    dialect: mariadbDialect,
    charsets: new Charsets(new Map([[45, 'utf8mb4']])),
    follows: (_, table) => table === 'followed',
    ...options,
  });
}

function decode(decoding: BinlogDecoder, ...events: readonly Buffer[]): BinlogEvent[] {
  return events.flatMap((event) => decoding.decode(event));
}

function started(from: number, options: Partial<DecoderOptions> = {}): BinlogDecoder {
  const decoding = decoder(options);
  decode(decoding, rotateTo(FILE, from), format('10.11.6-MariaDB-log'));
  return decoding;
}

test('compressed rows count for what they are unpacked to', () => {
  // Flags, no further part, one column, which is there; then 0x1234 bytes, packed.
  const body = Buffer.from([0, 0, 2, 0, 1, 1, 0x82, 0x12, 0x34, 99]);
  assert.equal(rowsBytes(EVENT.writeRowsCompressed, body), 0x1234);
  assert.equal(rowsBytes(EVENT.writeRows, body), body.length);
  assert.equal(rowsBytes(EVENT.writeRowsCompressed, body.subarray(0, 3)), 3);
});

test('trap 6: a place is carried past 4 GiB, also through events that do not say where they end', () => {
  const decoding = started(4 * GIB - 1_000);
  const [before] = decode(decoding, xid(4 * GIB - 500));
  assert.deepEqual(before?.end, { file: FILE, position: 4 * GIB - 500 });
  // Inside a MariaDB transaction; together they are longer than what is left.
  const [amid] = decode(decoding, query('a', 0), ...Array.from({ length: 20 }, () => query('x'.repeat(100), 0)));
  assert.equal(amid?.end.position, 4 * GIB - 500);
  const [after] = decode(decoding, xid(4 * GIB + 2_500));
  assert.equal(after?.end.position, 4 * GIB + 2_500);
  const [later] = decode(decoding, xid(4 * GIB + 3_000));
  assert.equal(later?.end.position, 4 * GIB + 3_000);
});

test('trap 6: more than 4 GiB may lie between two events that say where they end', () => {
  const place = new LogPlace();
  place.goTo({ file: FILE, position: 1_000 });
  for (let index = 0; index < 9; index += 1) place.advance(0, GIB);
  assert.equal(place.position?.position, 1_000);
  place.advance((9 * GIB + 5_000) % 2 ** 32, 100);
  assert.equal(place.position?.position, 9 * GIB + 5_000);
});

test('a new file begins at its own beginning, however long the old one was', () => {
  const decoding = started(4 * GIB - 100);
  const events = decode(
    decoding,
    xid(4 * GIB + 100),
    made({
      type: EVENT.rotate,
      body: Buffer.concat([Buffer.alloc(8), Buffer.from('mysql-bin.000008')]),
      end: 4 * GIB + 150,
    }),
    rotateTo('mysql-bin.000008', 4),
    format('10.11.6-MariaDB-log', 250),
    xid(400),
  );
  assert.deepEqual(
    events.map(({ kind, end }) => [kind, end.file, end.position]),
    [
      ['commit', FILE, 4 * GIB + 100],
      ['rotate', 'mysql-bin.000008', 4],
      ['format', 'mysql-bin.000008', 250],
      ['commit', 'mysql-bin.000008', 400],
    ],
  );
});

test('to read on past 4 GiB the file is read from its start, and what lies before is left out', () => {
  const decoding = decoder({ skipTo: { file: FILE, position: 4 * GIB + 500 } });
  const events = decode(
    decoding,
    rotateTo(FILE, 4),
    format('10.11.6-MariaDB-log', 250),
    ...[1, 2, 3].flatMap((gib) => [query('x'.repeat(10), 0), xid(gib * GIB)]),
    xid(4 * GIB - 5),
    xid(4 * GIB + 500),
    query('wanted', 0),
    xid(4 * GIB + 900),
  );
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['rotate', 'format', 'query', 'commit'],
  );
  assert.equal(events.at(-1)?.end.position, 4 * GIB + 900);
});

for (const [how, between, after] of [
  ['its own rotate event', [made({ type: EVENT.rotate, body: Buffer.alloc(20), end: 300 })], 'clean'],
  ['the event of a server that stops', [made({ type: EVENT.stop, end: 300 })], 'clean'],
  ['no word', [], 'crash'],
] as const) {
  test(`a file that ends with ${how}: ${after}`, () => {
    const decoding = started(100);
    const [rotate] = decode(decoding, xid(200), ...between, rotateTo('mysql-bin.000008', 4)).slice(1);
    assert.ok(rotate?.kind === 'rotate');
    assert.equal(rotate.after, after);
  });
}

test('trap 10: a compressed transaction is unreadable as a whole, and ends', () => {
  const decoding = started(100, { dialect: mysqlDialect });
  const events = decode(
    decoding,
    made({ type: EVENT.anonymousGtid, body: Buffer.alloc(42), end: 200 }),
    made({ type: EVENT.transactionPayload, body: Buffer.alloc(50), end: 300 }),
  );
  assert.deepEqual(
    events.map((event) => (event.kind === 'unreadable' ? [event.kind, event.table] : event.kind)),
    ['begin', ['unreadable', undefined], 'commit'],
  );
});

test('trap 11: INCIDENT makes everything unreadable; so does an event that nobody knows, unless it may be ignored', () => {
  const decoding = started(100);
  const events = decode(
    decoding,
    made({ type: EVENT.incident, body: Buffer.alloc(3), end: 200 }),
    made({ type: 199, end: 300 }),
    made({ type: 199, end: 400, flags: IGNORABLE }),
    made({ type: 161, end: 500 }),
  );
  assert.deepEqual(
    events.map((event) => [event.kind, event.kind === 'unreadable' ? event.table : '', event.end.position]),
    [
      ['unreadable', undefined, 200],
      ['unreadable', undefined, 300],
    ],
  );
});

test('trap 3: rows that cannot be read name their table where it is known, and the stream goes on', () => {
  const decoding = started(100);
  const events = decode(
    decoding,
    tableMap(1, 'followed'),
    tableMap(2, 'other'),
    rowsOf(1),
    rowsOf(2),
    rowsOf(3),
    rowsOf(0xff_ffff),
    rowsOf(1, 0, EVENT.partialUpdateRows),
    rowsOf(2, 0, EVENT.partialUpdateRows),
    xid(900),
  );
  assert.deepEqual(
    events.map((event) => (event.kind === 'unreadable' ? event.table?.table : event.kind)),
    ['followed', undefined, 'followed', 'commit'],
  );
});

test('trap 3: a damaged event ends the stream, with the place before it', () => {
  const decoding = started(100);
  decoding.decode(xid(200));
  const damaged = query('BEGIN', 300);
  damaged[25] = 0xff;
  assert.throws(() => decoding.decode(damaged), { name: 'Undecodable', message: /checksum/ });
  assert.deepEqual(decoding.position, { file: FILE, position: 200 });
  const short = query('BEGIN', 300).subarray(0, -5);
  assert.throws(() => decoding.decode(short), { name: 'Undecodable' });
});

test('MySQL: what comes after a GTID tells a transaction from a statement alone', () => {
  const gtid = (end: number) => {
    const body = Buffer.alloc(42);
    body.fill(0xab, 1, 17);
    body.writeBigUInt64LE(77n, 17);
    body[25] = 2;
    // That of the server it comes from first follows, so the highest bit is set.
    const committed = sevenBytes(1_700_000_000_123_456n | (1n << 55n));
    return made({ type: EVENT.gtid, body: Buffer.concat([body, committed, committed]), end });
  };
  const decoding = started(100, { dialect: mysqlDialect });
  const events = decode(
    decoding,
    gtid(200),
    query('BEGIN', 300),
    xid(400),
    gtid(500),
    // A place between the two is none to read on from.
    made({ type: EVENT.heartbeat, body: Buffer.from(FILE), end: 500 }),
    query('DROP TABLE t', 600),
    gtid(700),
    query("XA START X'01',X'',1", 800),
  );
  assert.deepEqual(
    events.map((event) =>
      event.kind === 'begin' ? [event.standalone, event.end.position, event.gtid, event.committedAtMicros] : event.kind,
    ),
    [
      [false, 200, 'abababab-abab-abab-abab-abababababab:77', 1_700_000_000_123_456],
      'query',
      'commit',
      [true, 500, 'abababab-abab-abab-abab-abababababab:77', 1_700_000_000_123_456],
      'query',
      [false, 700, 'abababab-abab-abab-abab-abababababab:77', 1_700_000_000_123_456],
      'query',
    ],
  );
});

function sevenBytes(value: bigint): Buffer {
  const eight = Buffer.alloc(8);
  eight.writeBigUInt64LE(value);
  return eight.subarray(0, 7);
}

test('MySQL 8.3: a GTID with a tag', () => {
  // Each number below 128 is one byte, moved up by one; an 0x01 at the end of a byte would say that another follows.
  const number = (value: number) => Buffer.from(value < 128 ? [value << 1] : [((value & 0x3f) << 2) | 1, value >> 6]);
  const uuid = Array.from({ length: 16 }, (_, index) => index * 17);
  const fields = [
    [number(0), number(0)],
    [number(1), ...uuid.map(number)],
    [number(2), number(42 * 2)],
    [number(3), number(4), Buffer.from('blue')],
    [number(4), number(1)],
    [number(5), number(2)],
    [number(6), number(100)],
    [number(8), number(3)],
  ].flat();
  const body = Buffer.concat([number(1), number(90), number(0), ...fields]);
  const decoding = started(100, { dialect: mysqlDialect });
  const [begin] = decode(decoding, made({ type: EVENT.taggedGtid, body, end: 200 }), query('BEGIN', 300));
  assert.ok(begin?.kind === 'begin');
  assert.equal(begin.gtid, '00112233-4455-6677-8899-aabbccddeeff:blue:42');
  assert.equal(begin.committedAtMicros, 100);
});

test('a heartbeat moves the place on, never back, and not where another file is meant', () => {
  const decoding = started(1_000);
  const beat = (file: string, end: number) => made({ type: EVENT.heartbeat, body: Buffer.from(file), end });
  const events = decode(
    decoding,
    beat(FILE, 1_000),
    beat(FILE, 500),
    beat(FILE, 0),
    beat(FILE, 2_000),
    beat('mysql-bin.000009', 9_000),
  );
  assert.deepEqual(
    events.map(({ kind, end }) => [kind, end.position]),
    [
      ['heartbeat', 1_000],
      ['heartbeat', 1_000],
      ['heartbeat', 1_000],
      ['heartbeat', 2_000],
      ['heartbeat', 2_000],
    ],
  );
});
