/**
 * A run of capture whose broker confirms what the shards are told at once, and events for others when the test says so,
 * which a real one will not do on demand: no checkpoint passes an event that is not confirmed.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { parseConfig } from '../../shared/config/load.ts';
import { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { composeSchema } from '../../shared/origin/table-schema.ts';
import { Layers } from '../../shared/ring/layers.ts';
import { type LogPosition, versionOf } from '../../shared/version/version.ts';
import { Assembler } from '../../sync-worker/capture/assembler/assembler.ts';
import type { BinlogEvent } from '../../sync-worker/capture/binlog/binlog-event.ts';
import { CaptureRun, type ShardLane } from '../../sync-worker/capture/capture-run.ts';
import type { Checkpoint } from '../../sync-worker/capture/continuity/checkpoint.ts';
import type { EventMessage } from '../../sync-worker/capture/event-lane.ts';
import { until } from '../support/broker.ts';
import { temporaryFolder } from '../support/stack.ts';
import { intColumn } from '../support/int-column.ts';

const EPOCH = 1_000;
const HEARTBEAT_MS = 20;
const log = pino({ level: 'silent' });
const at = (position: number): LogPosition => ({ file: 'mysql-bin.000001', position });

const config = parseConfig(
  JSON.stringify({
    origin: { url: 'mysql://u@localhost' },
    rings: [{ name: 'primary', shards: { r1: 'redis://localhost' } }],
    tables: { 'shop.users': {} },
    sync: { broker: { url: 'amqp://localhost' } },
  }),
  'test',
);
const id = intColumn('id', { columnType: 'int(10)' });
const outcome = composeSchema({ db: 'shop', table: 'users' }, [id], [['id']], {}, 'tables.shop.users');
assert.ok('schema' in outcome);
const table = new ExposedTable('shop.users', config, { ...outcome.schema, resultTypes: '' });
const tables = {
  find: (db: string, name: string) => (`${db}.${name}` === table.label ? table : undefined),
  all: () => [table],
  reload: () => Promise.resolve(),
};

/** A row of its own in each transaction, which ends there. */
function transaction(end: number): BinlogEvent[] {
  const located = { end: at(end), bytes: 1 };
  const rows = [{ before: undefined, after: [Buffer.from(String(end))] }];
  return [
    { kind: 'begin', gtid: undefined, standalone: false, committedAtMicros: undefined, ...located },
    { kind: 'rows', table: { db: 'shop', table: 'users', columns: [] }, rows, firstOrdinal: 0, ...located },
    { kind: 'commit', ...located },
  ];
}

const identity = 'mariadb:test';
const server = { flavour: 'mariadb', version: '10.11.5' } as const;

test('no checkpoint passes an event that is not confirmed; once it is, one does', async () => {
  const saved: Checkpoint[] = [];
  const unconfirmed: { readonly event: EventMessage; readonly confirm: () => void }[] = [];
  const stopped = Promise.withResolvers<void>();
  let isStopped = false;
  async function* events(): AsyncGenerator<BinlogEvent> {
    yield { kind: 'rotate', after: 'start', end: at(4), bytes: 1 };
    yield { kind: 'format', createdAt: 1, end: at(100), bytes: 1 };
    yield* transaction(200);
    yield* transaction(300);
    await stopped.promise;
  }
  const lane: ShardLane = { queue: 'q' };
  const run = new CaptureRun({
    continuity: {
      kind: 'begin',
      reason: 'no-checkpoint',
      at: at(4),
      epoch: EPOCH,
      from: versionOf(EPOCH, at(4)),
      readFrom: { kind: 'position', position: at(4) },
    },
    origin: { identity, server, gtidAtEnd: undefined, logs: [], end: at(300), gtids: undefined },
    plan: 1,
    highest: { epoch: 0, plan: 0 },
    layers: new Layers([{ name: 'primary', placement: 'balanced', shards: new Map([['r1', lane]]) }]),
    rings: ['ring'],
    tables,
    tells: () => true,
    source: { events, stop: () => Promise.resolve(stopped.resolve()) },
    session: {
      ready: () => (isStopped ? Promise.reject(new Error('closed')) : Promise.resolve()),
      publish: () => Promise.resolve(),
      publishEvent: (event) => new Promise((confirm) => void unconfirmed.push({ event, confirm })),
      ended: new Promise(() => undefined),
      close: () => {
        isStopped = true;
        return Promise.resolve();
      },
    },
    newAssembler: (from) =>
      new Assembler({
        from,
        tables,
        viewOf: () => ({ keyCells: (cells) => cells, exposedCells: (cells) => cells }),
        spill: { folder: temporaryFolder() },
        events: { tells: () => true, nulls: 'null' },
        log,
      }),
    askEnd: () => Promise.resolve({ position: at(300), executed: '' }),
    heartbeatMs: HEARTBEAT_MS,
    now: Date.now,
    save: (checkpoint) => void saved.push(checkpoint),
    saved: () => Promise.resolve(),
    onStation: () => undefined,
    log,
  });
  const running = run.run().catch(() => undefined);
  after(async () => {
    run.fail(new Error('the test is over'));
    await running;
  });
  const newest = () => saved.at(-1)?.position.position ?? 0;
  await until('all events are on their way', () => unconfirmed.length === 3);
  assert.deepEqual(
    unconfirmed.map(({ event }) => event.routingKey),
    ['shop.users.RELOAD', 'shop.users.INSERT', 'shop.users.INSERT'],
  );
  // Many heartbeats, each a flush that the shards confirm.
  await sleep(10 * HEARTBEAT_MS);
  assert.equal(newest(), 0);
  for (const { confirm } of unconfirmed.slice(0, 2)) confirm();
  await sleep(10 * HEARTBEAT_MS);
  assert.ok(newest() < 300, `${newest()}`);
  unconfirmed[2]?.confirm();
  await until('a checkpoint behind all of it', () => newest() === 300);
});
