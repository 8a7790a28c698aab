/** How fast changes travel from MySQL into the shards. */
import type { BenchWorld } from '../harness/bench-world.ts';
import { allBelieved } from '../harness/gateways-believe.ts';
import { readRows } from '../harness/read-rows.ts';
import { barOf, toldWithSpread } from '../harness/rounds.ts';
import type { ScaleName, Section, SectionResult } from '../harness/section.ts';
import { type Backlog, measureBacklog } from '../sync/backlog.ts';
import { type DelayAtRate, measureDelay } from '../sync/delay.ts';
import { SyncGround } from '../sync/sync-ground.ts';
import { type LargeTransaction, measureTransaction } from '../sync/transaction.ts';

interface Scale {
  readonly rounds: number;
  readonly backlogRows: number;
  readonly transactionRows: number;
  /** Changes a second; those after the first that is too many are not tried. */
  readonly rates: readonly number[];
  readonly rateSeconds: number;
  readonly otherRows: number;
}

const SCALES: Readonly<Record<ScaleName, Scale>> = {
  full: {
    rounds: 3,
    backlogRows: 1_000_000,
    transactionRows: 1_000_000,
    rates: [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000],
    rateSeconds: 10,
    otherRows: 20_000,
  },
  quick: {
    rounds: 3,
    backlogRows: 100_000,
    transactionRows: 100_000,
    rates: [1_000, 4_000, 16_000, 64_000],
    rateSeconds: 4,
    otherRows: 20_000,
  },
  tiny: { rounds: 1, backlogRows: 2_000, transactionRows: 1_000, rates: [200], rateSeconds: 0.5, otherRows: 500 },
};
const WATCHED_PER_SECOND = 1_000;
const READY_WITHIN_MS = 60_000;

export const sync: Section = {
  name: 'sync',
  title: 'Changes, from MySQL into the shards',
  about:
    'The sync worker has a core to itself here; MySQL, RabbitMQ, Redis and whoever writes share another. Backlog: rows of twelve columns and about 1 KB, a ' +
    'thousand a transaction, written while nobody followed; from the first stamp that moved to the last shard’s last. Against the ceiling: zongji, the ' +
    'library that reads the binlog, on the same core over the same binlog, decoding every row into an object, with nothing behind it. ' +
    'Delay: from sending an UPDATE to its row’s being overwritten in Redis, every row cached, at rising rates until the stamps are more than 2 s behind.',
  run: measureSync,
};

async function measureSync(world: BenchWorld, scaleName: ScaleName): Promise<SectionResult> {
  const scale = SCALES[scaleName];
  const backlogs: Backlog[] = [];
  const backlogGround = await SyncGround.create(world, 'backlog');
  for (let round = 0; round < scale.rounds; round += 1) {
    world.say(`  backlog of ${scale.backlogRows} rows, round ${round + 1} of ${scale.rounds}`);
    backlogs.push(await measureBacklog(backlogGround, 1 + round * scale.backlogRows, scale.backlogRows));
  }
  world.say(`  one transaction of ${scale.transactionRows} rows`);
  const transaction = await measureTransaction(
    backlogGround,
    1 + scale.rounds * scale.backlogRows,
    scale.transactionRows,
  );
  const delays = await delaysAtRates(world, scale);
  return {
    ratios: [
      {
        key: 'backlog_to_reader',
        rounds: backlogs.map(({ perSecond, zongjiPerSecond }) => perSecond / zongjiPerSecond),
      },
    ],
    blocks: blocksOf(backlogs, transaction, delays),
    notes: [
      'Both bare readers counted every row and the bytes of one of its texts, and were right. The goal is held against zongji; the sync ' +
        'worker’s own reader, which decodes the packets that zongji’s connection receives, is told beside it.',
    ],
    wrong: delays
      .filter(({ samples }) => samples === 0)
      .map(({ asked }) => `no change was seen in Redis at ${asked}/s`),
    figures: { ...scale, backlogs, transaction, delays },
  };
}

async function delaysAtRates(world: BenchWorld, { rates, rateSeconds, otherRows }: Scale): Promise<DelayAtRate[]> {
  const ground = await SyncGround.create(world, 'delay');
  const watched = Math.ceil(WATCHED_PER_SECOND * rateSeconds);
  const rows = watched * rates.length + otherRows;
  await ground.insert(1, rows);
  const worker = await ground.startWorker();
  const gateway = await ground.installation.startGateway('gateway');
  await allBelieved([gateway], READY_WITHIN_MS, world.signal);
  await ground.installation.appliedUpTo(await ground.installation.binlogEnd());
  await readRows({ url: gateway.url, table: ground.table, first: 1, count: rows, signal: world.signal });
  const delays: DelayAtRate[] = [];
  for (const [index, perSecond] of rates.entries()) {
    const delay = await measureDelay({
      ground,
      worker,
      // Rows watched before are others now.
      first: 1 + index * watched,
      watched,
      others: rows - (index + 1) * watched,
      keyPrefix: `${ground.installation.keyPrefix}${ground.table.replace('.', '_')}_`,
      perSecond,
      seconds: rateSeconds,
    });
    delays.push(delay);
    world.say(
      `  ${perSecond} changes/s: p50 ${delay.p50Ms.toFixed(1)} ms, p99 ${delay.p99Ms.toFixed(1)} ms, ${delay.verdict}`,
    );
    if (delay.verdict !== 'kept up') break;
  }
  await gateway.stop();
  await worker.stop();
  return delays;
}

function blocksOf(
  backlogs: readonly Backlog[],
  transaction: LargeTransaction,
  delays: readonly DelayAtRate[],
): SectionResult['blocks'] {
  const of = (figure: keyof Backlog) => backlogs.map((backlog) => backlog[figure]);
  return [
    {
      kind: 'bars',
      chart: {
        title: 'Backlog, and bare readers over the same binlog',
        unit: 'rows/s',
        series: ['ringfill, to the last stamp', 'zongji alone', 'the worker’s reader alone'],
        groups: [
          {
            name: '',
            bars: [of('perSecond'), of('zongjiPerSecond'), of('readerPerSecond')].map((values) => barOf(values)),
          },
        ],
      },
    },
    {
      kind: 'table',
      table: {
        caption: 'Backlog: median (least to most)',
        columns: [
          'rows',
          'rows/s to the last stamp',
          'the process’ start included',
          'CPU of the worker a row, µs',
          'its peak, MiB',
          'zongji alone, rows/s',
          'its CPU a row, µs',
          'the worker’s reader alone, rows/s',
          'its CPU a row, µs',
        ],
        rows: [
          [
            backlogs[0]?.rows ?? 0,
            toldWithSpread(of('perSecond')),
            toldWithSpread(of('startIncludedPerSecond')),
            toldWithSpread(of('workerCpuMicros'), 1),
            toldWithSpread(of('workerPeakMebibytes')),
            toldWithSpread(of('zongjiPerSecond')),
            toldWithSpread(of('zongjiCpuMicros'), 2),
            toldWithSpread(of('readerPerSecond')),
            toldWithSpread(of('readerCpuMicros'), 2),
          ],
        ],
      },
    },
    {
      kind: 'table',
      table: {
        caption: 'One large transaction',
        columns: ['rows', 'applied after its COMMIT, s', 'the worker’s peak, MiB', 'before it, MiB'],
        rows: [
          [
            transaction.rows,
            transaction.appliedAfterSeconds.toFixed(2),
            transaction.peakMebibytes,
            transaction.peakBeforeMebibytes,
          ],
        ],
      },
    },
    {
      kind: 'lines',
      chart: {
        title: 'From the UPDATE to Redis',
        x: 'changes/s',
        y: 'ms',
        lines: (['p50Ms', 'p99Ms'] as const).map((name) => ({
          name: name.slice(0, -2),
          points: delays.map((delay) => [delay.written, delay[name]] as const),
        })),
      },
    },
    {
      kind: 'table',
      table: {
        caption: 'From sending the UPDATE to the entry’s being overwritten, of one watched row a transaction',
        columns: [
          'changes/s',
          'written/s',
          'p50 ms',
          'p99 ms',
          'p99.9 ms',
          'longest ms',
          'stamps behind, ms',
          'CPU of the worker',
          '',
        ],
        rows: delays.map((delay) => [
          delay.asked,
          Math.round(delay.written),
          ...[delay.p50Ms, delay.p99Ms, delay.p999Ms].map((ms) => ms.toFixed(1)),
          delay.maxMs.toFixed(0),
          delay.behindMs.toFixed(0),
          `${(100 * delay.workerCpuShare).toFixed(0)} %`,
          delay.verdict,
        ]),
      },
    },
  ];
}
