/** The sync worker's metrics, named once. Labels are bounded: shards, rings and outcomes, never keys. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ShardQueue } from '../shared/broker/topology.ts';
import type { DecodedBatch } from '../shared/change/change-batch.ts';
import { nowMicros } from '../shared/lifecycle/now-micros.ts';
import { ConfigMetrics } from '../shared/telemetry/config-metrics.ts';
import type { ReadBackOutcome } from './apply/read-back.ts';
import type { ShardApplyStatus } from './apply/status.ts';
import type { CaptureStatus } from './capture/capture.ts';
import type { Station } from './capture/capture-run.ts';
import type { RunningSnapshot, SnapshotStatus } from './snapshot/snapshot-service.ts';
import type { OutletStatus } from './outlets/outlets-service.ts';

/** From the same machine to a backlog of hours. Seconds. */
const DELAY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600, 3_600];

/** What a shard's status has counted since its generation started: counters that begin anew with a reload. */
const COUNTS: readonly [name: string, help: string, read: (status: ShardApplyStatus) => number][] = [
  [
    'ringfill_applied_messages_total',
    'Messages applied since this process started or reloaded.',
    ({ messages }) => messages,
  ],
  [
    'ringfill_applied_bytes_total',
    'Bytes of the messages applied since this process started or reloaded.',
    ({ bytes }) => bytes,
  ],
  [
    'ringfill_apply_gaps_total',
    'How often changes were lost, and what the shard held was dropped.',
    ({ gaps }) => gaps,
  ],
  ['ringfill_apply_fenced_total', 'Messages of a plan that was replaced.', ({ fenced }) => fenced],
  ['ringfill_dead_letters_total', 'Messages that could never be applied.', ({ deadLetters }) => deadLetters],
];

/** The same of an outlet. */
const OUTLET_COUNTS: readonly [name: string, help: string, read: (status: OutletStatus) => number | undefined][] = [
  [
    'ringfill_outlet_events_written_total',
    'Events written to files or Redis since this process started or reloaded; repeats count.',
    ({ written }) => written,
  ],
  ['ringfill_outlet_refused_total', 'Messages in an outlet’s queue that were no events.', ({ refused }) => refused],
  [
    'ringfill_outlet_dropped_total',
    'Events that were dropped as a plain queue held more than it may.',
    ({ kind, dropped }) => (kind === 'subscriber' ? dropped : undefined),
  ],
];

const SNAPSHOT_GAUGES: readonly [name: string, help: string, read: (running: RunningSnapshot) => number][] = [
  [
    'ringfill_snapshot_running_rows',
    'How many rows the snapshot that is under way has found; those of a run before this one, which it goes on from, count.',
    ({ rows }) => rows,
  ],
  [
    'ringfill_snapshot_running_rows_per_second',
    'Of the snapshot that is under way, since this process took it up.',
    ({ rowsPerSecond }) => rowsPerSecond,
  ],
];

export interface Statuses {
  readonly capture: () => CaptureStatus | undefined;
  readonly shards: () => readonly ShardApplyStatus[];
  readonly outlets?: () => readonly OutletStatus[];
  readonly snapshots?: () => SnapshotStatus | undefined;
}

export class SyncWorkerTelemetry {
  readonly registry = new Registry();
  readonly config = new ConfigMetrics(this.registry);

  readonly #stations = new Counter({
    name: 'ringfill_capture_stations_total',
    help: 'How often capture passed each station: decoded (transactions), published, confirmed (messages), event-published, event-confirmed (for others), checkpoint-written.',
    labelNames: ['station'],
    registers: [this.registry],
  });
  readonly #events = new Counter({
    name: 'ringfill_events_published_total',
    help: 'Events for others that RabbitMQ has confirmed; repeats count.',
    registers: [this.registry],
  });
  readonly #changes = new Counter({
    name: 'ringfill_changes_total',
    help: 'Changes applied, by shard and table; a change counts in every shard that could hold its row. Repeats count.',
    labelNames: ['ring', 'shard', 'table'],
    registers: [this.registry],
  });
  readonly #delay = new Histogram({
    name: 'ringfill_change_delay_seconds',
    help: 'From the oldest change of a message to its being applied: since its commit (MySQL), or since capture received it.',
    labelNames: ['ring', 'shard', 'since'],
    buckets: DELAY_BUCKETS,
    registers: [this.registry],
  });
  readonly #readBacks = new Counter({
    name: 'ringfill_read_backs_total',
    help: 'Entries that a change removed and that were read again (strategy refresh), by outcome.',
    labelNames: ['outcome'],
    registers: [this.registry],
  });

  readonly #shards: Statuses['shards'];

  constructor({ capture, shards, outlets = () => [], snapshots = () => undefined }: Statuses) {
    this.#shards = shards;
    collectDefaultMetrics({ register: this.registry });
    this.#ofCapture('ringfill_capture_following', '1 while this process follows the binlog.', () => {
      const status = capture();
      return status === undefined ? undefined : Number(status.state === 'following');
    });
    this.#ofCapture(
      'ringfill_capture_lag_seconds',
      'How old the newest proof is that every change has been published. Seconds.',
      () => seconds(capture()?.lagMs),
    );
    this.#ofCapture(
      'ringfill_capture_behind_bytes',
      'To the end of the binlog, within its last file.',
      () => capture()?.bytesBehind,
    );
    this.#ofShard('ringfill_apply_lag_seconds', 'How old what the shard vouches for is. Seconds.', (status) =>
      seconds(status.lagMs),
    );
    this.#ofShard('ringfill_apply_connected', '1 while a channel is open to the shard’s queue.', (status) =>
      Number(status.connected),
    );
    for (const [name, help, read] of COUNTS) this.#countOfShard(name, help, read);
    for (const [name, help, read] of OUTLET_COUNTS) this.#ofOutlet(Counter, name, help, outlets, read);
    const behind = 'Events that wait in an outlet’s queue, or are being written.';
    this.#ofOutlet(Gauge, 'ringfill_outlet_behind_events', behind, outlets, (status) => status.behind);
    const failing = '1 while an outlet does not work; /-/status says why.';
    this.#ofOutlet(Gauge, 'ringfill_outlet_failing', failing, outlets, ({ lastError }) =>
      Number(lastError !== undefined),
    );
    this.#ofSnapshots(snapshots);
  }

  passed(station: Station): void {
    this.#stations.inc({ station });
    if (station === 'event-confirmed') this.#events.inc();
  }

  /** A message with changes is in its shard. */
  applied({ ring, shard }: ShardQueue, { head, changes, changeTables }: DecodedBatch): void {
    const counts = new Map<string, number>();
    for (const change of changes) {
      const table = changeTables[change.table] ?? '';
      counts.set(table, (counts.get(table) ?? 0) + 1);
    }
    for (const [table, count] of counts) this.#changes.inc({ ring, shard, table }, count);
    if (head.oldest === undefined) return;
    const { atMicros, by } = head.oldest;
    this.#delay.observe({ ring, shard, since: by }, Math.max(0, nowMicros() - atMicros) / 1e6);
  }

  readBack(outcome: ReadBackOutcome): void {
    this.#readBacks.inc({ outcome });
  }

  #ofSnapshots(read: () => SnapshotStatus | undefined): void {
    const registers = [this.registry];
    // prom-client keeps them by registering them; collect() is called for each scrape.
    void new Gauge({
      name: 'ringfill_mirror_complete',
      help: '1 where the shard holds every row of the mirror that belongs there, as it says itself; else it answers for none that is missing.',
      labelNames: ['table', 'shard'],
      registers,
      collect() {
        this.reset();
        for (const { table, shard, state } of read()?.mirrors ?? [])
          this.set({ table, shard }, Number(state === 'complete' || state === 'untidy'));
      },
    });
    void new Counter({
      name: 'ringfill_snapshot_rows_total',
      help: 'Rows that snapshots of mirrors have read and written since this process started or reloaded.',
      registers,
      collect() {
        this.reset();
        this.inc(read()?.snapshotRows ?? 0);
      },
    });
    for (const [name, help, valueOf] of SNAPSHOT_GAUGES) {
      void new Gauge({
        name,
        help,
        labelNames: ['table'],
        registers,
        collect() {
          this.reset();
          const running = read()?.running;
          if (running) this.set({ table: running.table }, valueOf(running));
        },
      });
    }
  }

  #ofCapture(name: string, help: string, read: () => number | undefined): void {
    // prom-client keeps it by registering it; without a value it is not shown.
    void new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        const value = read();
        if (value === undefined) this.reset();
        else this.set(value);
      },
    });
  }

  #ofShard(name: string, help: string, read: (status: ShardApplyStatus) => number | undefined): void {
    const statuses = this.#shards;
    void new Gauge({
      name,
      help,
      labelNames: ['ring', 'shard'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const status of statuses()) {
          const value = read(status);
          if (value !== undefined) this.set({ ring: status.ring, shard: status.shard }, value);
        }
      },
    });
  }

  #ofOutlet(
    Kind: typeof Gauge | typeof Counter,
    name: string,
    help: string,
    statuses: () => readonly OutletStatus[],
    read: (status: OutletStatus) => number | undefined,
  ): void {
    const metric: Gauge<'kind' | 'queue'> | Counter<'kind' | 'queue'> = new Kind({
      name,
      help,
      labelNames: ['kind', 'queue'],
      registers: [this.registry],
      collect() {
        metric.reset();
        for (const status of statuses()) {
          const value = read(status);
          if (value !== undefined) metric.inc({ kind: status.kind, queue: status.queue }, value);
        }
      },
    });
  }

  #countOfShard(name: string, help: string, read: (status: ShardApplyStatus) => number): void {
    const statuses = this.#shards;
    void new Counter({
      name,
      help,
      labelNames: ['ring', 'shard'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const status of statuses()) this.inc({ ring: status.ring, shard: status.shard }, read(status));
      },
    });
  }
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
