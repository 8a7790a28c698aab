/** Files of events: which is written to when, what is kept, and what a crash leaves behind. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pino } from 'pino';
import { BinlogFiles, type BinlogFilesOptions } from '../../sync-worker/outlets/binlog-files.ts';
import { expiredFiles, type Keep, parseFileName, periodOf } from '../../sync-worker/outlets/file-period.ts';
import { temporaryFolder } from '../support/stack.ts';

const NOON = Date.UTC(2026, 10, 22, 12, 30, 59);
const HOUR_MS = 3_600_000;
const FOREVER: Keep = { days: 36_500, files: Infinity, bytes: Infinity };
const log = pino({ level: 'silent' });

interface World {
  readonly folder: string;
  readonly files: BinlogFiles;
  clock: number;
  write(...lines: string[]): Promise<void>;
  read(name: string): string;
  names(): string[];
}

function open(options: Partial<BinlogFilesOptions> = {}): World {
  const folder = options.folder ?? join(temporaryFolder(), 'db_data');
  const world: World = {
    folder,
    clock: NOON,
    files: new BinlogFiles({
      folder,
      period: 'hour',
      fileBytesMax: 1_000,
      keep: FOREVER,
      log,
      now: () => world.clock,
      ...options,
    }),
    write: (...lines) => world.files.write(lines.map((line) => Buffer.from(line))),
    read: (name) => readFileSync(join(folder, name), 'utf8'),
    names: () => readdirSync(folder).toSorted(),
  };
  after(() => world.files.stop());
  return world;
}

test('the seed’s periods, in UTC', () => {
  const names = (['year', 'month', 'day', 'hour', 'minute'] as const).map((period) => periodOf(period, NOON));
  assert.deepEqual(names, ['2026', '202611', '20261122', '2026112212', '202611221230']);
});

test('a line an event; a file a period, for this account alone', async () => {
  const world = open();
  await world.write('1', '2');
  await world.write('3');
  world.clock += HOUR_MS;
  await world.write('4');
  assert.deepEqual(world.names(), ['binlog_2026112212.log', 'binlog_2026112213.log']);
  assert.equal(world.read('binlog_2026112212.log'), '1\n2\n3\n');
  assert.equal(world.read('binlog_2026112213.log'), '4\n');
  assert.equal(statSync(join(world.folder, 'binlog_2026112213.log')).mode & 0o777, 0o600);
  assert.equal(statSync(world.folder).mode & 0o777, 0o700);
});

test('another that starts in the same period appends; the part of a line that a crash left is cut off', async () => {
  const folder = join(temporaryFolder(), 'files');
  const first = open({ folder });
  await first.write('whole');
  await first.files.stop();
  appendFileSync(join(folder, 'binlog_2026112212.log'), `{"part":"${'x'.repeat(70_000)}`);
  const second = open({ folder, fileBytesMax: 1_000_000 });
  await second.write('again');
  assert.equal(second.read('binlog_2026112212.log'), 'whole\nagain\n');
});

test('a file that is nothing but the part of a line begins anew', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'binlog_2026112212.log'), '{"pa');
  const world = open({ folder });
  await world.write('1');
  assert.equal(world.read('binlog_2026112212.log'), '1\n');
});

test('a full file is followed by another of its period, also after a restart', async () => {
  const folder = temporaryFolder();
  const first = open({ folder, fileBytesMax: 10 });
  for (const line of ['12345', '6789', '12345', '1']) await first.write(line);
  await first.files.stop();
  const second = open({ folder, fileBytesMax: 10 });
  await second.write('last');
  assert.deepEqual(second.names(), [
    'binlog_2026112212.1.log',
    'binlog_2026112212.2.log',
    'binlog_2026112212.3.log',
    'binlog_2026112212.log',
  ]);
  assert.equal(second.read('binlog_2026112212.log'), '12345\n');
  assert.equal(second.read('binlog_2026112212.1.log'), '6789\n');
  assert.equal(second.read('binlog_2026112212.2.log'), '12345\n1\n');
  assert.equal(second.read('binlog_2026112212.3.log'), 'last\n');
});

test('a file that was deleted is made anew with the next write', async () => {
  const world = open();
  await world.write('1');
  rmSync(join(world.folder, 'binlog_2026112212.log'));
  await world.write('2');
  assert.equal(world.read('binlog_2026112212.log'), '2\n');
});

test('what cannot be written is said; afterwards it goes on', async () => {
  const folder = join(temporaryFolder(), 'files');
  const world = open({ folder });
  // A folder where the file should be.
  mkdirSync(join(folder, 'binlog_2026112212.log'), { recursive: true });
  await assert.rejects(world.write('1'), /EISDIR/);
  rmSync(join(folder, 'binlog_2026112212.log'), { recursive: true });
  await world.write('1');
  assert.equal(world.read('binlog_2026112212.log'), '1\n');
});

test('files that are too many are deleted with the next period, and no others', async () => {
  const folder = temporaryFolder();
  for (const name of ['binlog_notes.log', 'mysql-bin.000001', 'binlog_20261122.log.gz'])
    writeFileSync(join(folder, name), '');
  const world = open({ folder, keep: { ...FOREVER, files: 2 } });
  for (let hour = 0; hour < 5; hour += 1) {
    await world.write('1');
    world.clock += HOUR_MS;
  }
  assert.deepEqual(world.names(), [
    'binlog_20261122.log.gz',
    'binlog_2026112215.log',
    'binlog_2026112216.log',
    'binlog_notes.log',
    'mysql-bin.000001',
  ]);
});

function expired(keep: Partial<Keep>, ...names: string[]): string[] {
  const files = names.map((name) => {
    const file = parseFileName(name);
    assert.ok(file, name);
    return { ...file, bytes: 100 };
  });
  return expiredFiles(files, { ...FOREVER, ...keep }, NOON).map(({ name }) => name);
}

test('kept by days after the end of their period', () => {
  const names = [
    'binlog_2025.log',
    'binlog_202609.log',
    'binlog_20261020.log',
    'binlog_20261022.log',
    'binlog_20261122.log',
  ];
  assert.deepEqual(expired({ days: 31 }, ...names), ['binlog_20261020.log', 'binlog_202609.log', 'binlog_2025.log']);
});

test('kept by bytes, the newest first; the one that is written to always', () => {
  const names = [
    'binlog_20261120.log',
    'binlog_20261121.log',
    'binlog_20261122.log',
    'binlog_20261122.10.log',
    'binlog_20261122.9.log',
  ];
  assert.deepEqual(expired({ bytes: 250 }, ...names), [
    'binlog_20261122.log',
    'binlog_20261121.log',
    'binlog_20261120.log',
  ]);
  assert.deepEqual(expired({ bytes: 1, days: 1, files: 1 }, 'binlog_2020.log'), []);
});

test('names that are none of ours', () => {
  for (const name of [
    'binlog_.log',
    'binlog_202.log',
    'binlog_2026.0.log',
    'xbinlog_2026.log',
    'binlog_2026.log.1',
    'binlog_20261122143001.log',
  ]) {
    assert.equal(parseFileName(name), undefined, name);
  }
});
