/** What was measured of the four, side by side. */
import type { BarChart, Block, FigureTable } from '../harness/section.ts';
import {
  ARCHITECTURE_WORDS,
  type ArchitectureFigures,
  type ComparisonSettings,
  type Course,
  type Harmed,
  type Workload,
} from './figures.ts';
import { inMs, inPercent, inRate, MEBIBYTES_A_MILLION_ROWS } from '../harness/words.ts';

type CourseFigure = 'hitRatio' | 'originRows';

interface NamedWorkload {
  readonly name: string;
  /** One for each architecture, in their order. */
  readonly of: readonly Workload[];
}

export function comparisonBlocks(settings: ComparisonSettings, architectures: readonly ArchitectureFigures[]): Block[] {
  const workloads = workloadsOf(architectures);
  const cached = architectures.filter(({ cold, lost }) => cold !== undefined && lost !== undefined);
  const lines = (of: 'cold' | 'lost', title: string, y: string, figure: CourseFigure) =>
    ({
      kind: 'lines',
      chart: {
        title,
        x: 's',
        y,
        lines: cached.flatMap(({ name, [of]: harmed }) =>
          harmed === undefined ? [] : [{ name: ARCHITECTURE_WORDS[name], points: pointsOf(harmed.course, figure) }],
        ),
      },
    }) as const;
  return [
    bars('Latency: p99, from the due time', 'ms', workloads, ({ latencyMs }) => latencyMs.p99),
    bars('What MySQL answered', 'queries/s', workloads, ({ origin }) => origin.queries),
    { kind: 'table', table: workloadTable(workloads, architectures) },
    { kind: 'table', table: freshnessTable(settings, architectures) },
    lines('cold', 'Cold start: hit ratio', 'hits', 'hitRatio'),
    lines('cold', 'Cold start: what MySQL was asked for', 'rows/s', 'originRows'),
    lines('lost', 'A lost shard: hit ratio', 'hits', 'hitRatio'),
    lines('lost', 'A lost shard: what MySQL was asked for', 'rows/s', 'originRows'),
    { kind: 'table', table: harmTable(cached) },
    { kind: 'table', table: costTable(architectures) },
  ];
}

function workloadsOf(architectures: readonly ArchitectureFigures[]): NamedWorkload[] {
  const rates = architectures[0]?.reads ?? [];
  return [
    ...rates.map(({ readsPerSecond }, index) => ({
      name: `reads with writes, ${readsPerSecond}/s`,
      of: architectures.map(({ reads }) => reads[index] as Workload),
    })),
    { name: 'long tail', of: architectures.map(({ tail }) => tail) },
    { name: 'write burst', of: architectures.map(({ burst }) => burst) },
  ];
}

function bars(
  title: string,
  unit: string,
  workloads: readonly NamedWorkload[],
  figure: (workload: Workload) => number,
): Block {
  const groups: BarChart['groups'] = workloads.map(({ name, of }) => ({
    name,
    bars: of.map((workload) => ({ median: figure(workload), min: figure(workload), max: figure(workload) })),
  }));
  return { kind: 'bars', chart: { title, unit, groups, series: Object.values(ARCHITECTURE_WORDS) } };
}

function workloadTable(
  workloads: readonly NamedWorkload[],
  architectures: readonly ArchitectureFigures[],
): FigureTable {
  return {
    caption: 'Latency from the due time, hits, and MySQL’s own count of what it answered',
    columns: [
      'workload',
      'architecture',
      'writes/s',
      'requests',
      'not 200',
      'p50 ms',
      'p99 ms',
      'p99.9 ms',
      'sent late, p99 ms',
      'gateway waited for a core',
      'hits',
      'queries/s',
      'rows/s',
      'old answers',
      'oldest',
    ],
    rows: workloads.flatMap(({ name, of }) =>
      of.map((workload, index) => {
        const { writesPerSecond, requests, latencyMs, lateMs, cpu, hitRatio, origin, oldShare, oldMs } = workload;
        return [
          name,
          wordsOf(architectures[index] as ArchitectureFigures),
          inRate(writesPerSecond),
          requests,
          notRight(workload),
          latencyMs.p50.toFixed(2),
          latencyMs.p99.toFixed(2),
          latencyMs.p999.toFixed(2),
          lateMs.p99.toFixed(2),
          inPercent(cpu.gatewayWaited),
          inPercent(hitRatio),
          inRate(origin.queries),
          inRate(origin.rows),
          inPercent(oldShare),
          oldMs.max === 0 ? '-' : inMs(oldMs.max),
        ];
      }),
    ),
  };
}

/** `3 (503: 2, ECONNRESET: …: 1)` */
function notRight({ statuses, unsent }: Workload): string {
  const others = Object.entries(statuses).filter(([status]) => status !== '200');
  const all = others.reduce((sum, [, times]) => sum + times, 0) + unsent;
  const told = [
    ...others.map(([status, times]) => `${status}: ${times}`),
    ...(unsent === 0 ? [] : [`unsent: ${unsent}`]),
  ];
  return all === 0 ? '0' : `${all} (${told.join(', ')})`;
}

function freshnessTable(
  { ttlSeconds }: ComparisonSettings,
  architectures: readonly ArchitectureFigures[],
): FigureTable {
  return {
    caption: `From COMMIT to the first answer with the change (TTL: ${ttlSeconds} s), and how old answers were that were old`,
    columns: [
      'architecture',
      'p50',
      'p99',
      'longest',
      'old answers, p50',
      'p99',
      'oldest',
      'the last change of the burst',
    ],
    rows: architectures.map((one) => {
      const [reads] = one.reads;
      const old = reads?.oldMs ?? { p50: 0, p99: 0, max: 0 };
      return [
        wordsOf(one),
        ...[one.visibleMs.p50, one.visibleMs.p99, one.visibleMs.max].map(inMs),
        ...[old.p50, old.p99, old.max].map((ms) => (ms === 0 ? '-' : inMs(ms))),
        inMs(one.burst.lastVisibleMs),
      ];
    }),
  };
}

function harmTable(architectures: readonly ArchitectureFigures[]): FigureTable {
  const rowOf = (what: string, one: ArchitectureFigures, harmed: Harmed) => {
    const { requests, errors, errorsUntilMs, latencyMs, figures } = harmed;
    const { originRowsPerSecondBefore: before, originRowsWorstSecond: worst } = figures;
    return [
      what,
      wordsOf(one),
      requests,
      errors === 0 ? '0' : notRight(harmed),
      errors === 0 ? '-' : inMs(errorsUntilMs),
      latencyMs.p99.toFixed(2),
      inPercent(figures.hitRatioBefore),
      inPercent(figures.hitRatioWorst),
      figures.hitRatioBackMs === undefined ? 'not by the end' : inMs(figures.hitRatioBackMs),
      inRate(before),
      inRate(worst),
      before < 1 ? '-' : (worst / before).toFixed(1),
    ];
  };
  return {
    caption: 'Cold start and lost shard: what failed, when hits were back, and what MySQL bore, in rows/s',
    columns: [
      'what',
      'architecture',
      'requests',
      'failed',
      'until',
      'p99 ms',
      'hits before',
      'worst half second',
      'back after',
      'MySQL before',
      'worst second',
      'times',
    ],
    rows: [
      ...architectures.flatMap((one) => (one.cold === undefined ? [] : [rowOf('cold start', one, one.cold)])),
      ...architectures.flatMap((one) => (one.lost === undefined ? [] : [rowOf('lost shard', one, one.lost)])),
    ],
  };
}

function costTable(architectures: readonly ArchitectureFigures[]): FigureTable {
  return {
    caption: 'What it takes, at the first rate: processor time, in parts of one core but for the first; memory',
    columns: [
      'architecture',
      'gateway a request, µs',
      'MySQL',
      'Redis',
      'sync worker',
      'RabbitMQ',
      'sync worker, MiB',
      'RabbitMQ, MiB',
      'Redis for a million rows, MiB',
    ],
    rows: architectures.map((one) => {
      const cpu = one.reads[0]?.cpu;
      const { sync, redisBytesARow } = one;
      const share = (value: number | undefined) => inPercent(value ?? 0);
      return [
        wordsOf(one),
        (cpu?.gatewayMicrosARequest ?? 0).toFixed(0),
        share(cpu?.mysql),
        share(cpu?.redis),
        ...(sync === undefined
          ? ['-', '-', '-', '-']
          : [
              share(cpu?.worker),
              share(cpu?.broker),
              Math.round(sync.workerMebibytes),
              Math.round(sync.brokerMebibytes),
            ]),
        redisBytesARow === undefined ? '-' : Math.round(redisBytesARow * MEBIBYTES_A_MILLION_ROWS),
      ];
    }),
  };
}

function pointsOf(course: Course, figure: CourseFigure): (readonly [number, number])[] {
  return course[figure].map((value, index) => [(index + 1) * course.stepSeconds, value] as const);
}

function wordsOf({ name }: ArchitectureFigures): string {
  return ARCHITECTURE_WORDS[name];
}
