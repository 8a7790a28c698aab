/** One thing that grows, what grew with it, and both in words, as a chart and as a table. */
import type { Block } from '../harness/section.ts';
import { DISTURBED, inPercent } from '../harness/words.ts';
import { exponentOf, growthWords } from './exponent.ts';

export interface GrowthPoint {
  /** How much there was of what grew: shards, keys, … */
  readonly at: number;
  readonly perSecond: number;
  /** Closed loop: under as many requests as there are connections. */
  readonly p99Ms: number;
  /** Of the gateway, a request. */
  readonly cpuMicros: number;
  /** That the gateway has. */
  readonly mebibytes: number;
  /** For how much of the time it wanted a core, and something else had it. */
  readonly waited: number;
  /** What is measured in this series alone. */
  readonly redisMebibytes?: number;
  /** Of the look-up of a key's owner. */
  readonly lookUpNanos?: number;
}

export interface GrowthSeries {
  /** `shards` */
  readonly of: string;
  readonly points: readonly GrowthPoint[];
}

interface Figure {
  readonly key: Exclude<keyof GrowthPoint, 'at' | 'waited'>;
  /** Whoever waits for a core shows less of it. */
  readonly isOfTime?: boolean;
  readonly name: string;
  readonly unit: string;
  readonly digits: number;
}

const FIGURES: readonly Figure[] = [
  { key: 'perSecond', name: 'throughput', unit: 'requests/s', digits: 0, isOfTime: true },
  { key: 'p99Ms', name: 'p99', unit: 'ms', digits: 2, isOfTime: true },
  { key: 'cpuMicros', name: 'CPU a request', unit: 'µs', digits: 1 },
  { key: 'mebibytes', name: 'memory of the gateway', unit: 'MiB', digits: 0 },
  { key: 'redisMebibytes', name: 'memory of all Redis', unit: 'MiB', digits: 1 },
  { key: 'lookUpNanos', name: 'look-up of an owner', unit: 'ns', digits: 0 },
];

/** What grows how. Nothing of a series with one point. */
export function growthSentence({ of, points }: GrowthSeries): string | undefined {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || first === last) return undefined;
  const most = points.toSorted((a, b) => b.waited - a.waited)[0] ?? first;
  const isDisturbed = most.waited > DISTURBED;
  const told = FIGURES.flatMap((figure) => {
    if (isDisturbed && figure.isOfTime === true) return [];
    const values = valuesOf(figure, points);
    const exponent = exponentOf(values);
    if (exponent === undefined) return [];
    const [from, to] = [values[0]?.[1] ?? 0, values.at(-1)?.[1] ?? 0];
    return [
      `${figure.name} ${growthWords(exponent, of)}, ${shown(from, figure)} to ${shown(to, figure)} ${figure.unit}`,
    ];
  });
  const from = `From ${first.at.toLocaleString('en-US')} to ${last.at.toLocaleString('en-US')} ${of}: ${told.join('; ')}.`;
  if (!isDisturbed) return from;
  return (
    `${from} Of throughput and p99 this run does not say: at ${most.at.toLocaleString('en-US')} the gateway wanted a core for ${inPercent(most.waited)} of the time, ` +
    'and something else had it.'
  );
}

export function growthBlocks({ of, points }: GrowthSeries): Block[] {
  const measured = FIGURES.filter((figure) => valuesOf(figure, points).length === points.length);
  return [
    {
      kind: 'lines',
      chart: {
        title: `More ${of}: each figure, to what it was at first`,
        x: of,
        y: 'times',
        isLogarithmic: true,
        lines: measured.map((figure) => {
          const values = valuesOf(figure, points);
          const first = values[0]?.[1] ?? 0;
          return {
            name: figure.name,
            points: values.map(([at, value]) => [at, first > 0 ? value / first : 0] as const),
          };
        }),
      },
    },
    {
      kind: 'table',
      table: {
        caption: `By ${of}`,
        columns: [of, ...measured.map(({ name, unit }) => `${name}, ${unit}`), 'waited for a core'],
        rows: points.map((point) => [
          point.at,
          ...measured.map((figure) => shown(point[figure.key] ?? 0, figure)),
          inPercent(point.waited),
        ]),
      },
    },
  ];
}

function valuesOf({ key }: Figure, points: readonly GrowthPoint[]): (readonly [number, number])[] {
  return points.flatMap((point) => {
    const value = point[key];
    return value === undefined ? [] : [[point.at, value] as const];
  });
}

function shown(value: number, { digits }: Figure): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
