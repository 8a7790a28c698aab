/** What was seen, as lines for a terminal. */
import { alignedTable } from '../../cli/aligned-table.ts';
import type { Seen } from './watch.ts';

/** What a report tells of. */
export interface Reported {
  readonly name: string;
  readonly title: string;
  readonly done: string;
  readonly passed: boolean;
  readonly seen: Seen;
  readonly claims: readonly {
    readonly words: string;
    readonly isAim: boolean;
    readonly holds: boolean;
    readonly seen: string;
  }[];
}

export const COLUMNS = [
  'drill',
  'requests',
  'errors',
  'shed',
  'stale',
  'backward',
  'oldest ms',
  'detect ms',
  'hits back ms',
  'origin rows/s before',
  'in the worst s',
  'p99 ms before',
  'worst',
  'verdict',
] as const;

/** One line, under COLUMNS. */
export function cellsOf({ name, seen, passed }: Reported): readonly (string | number)[] {
  const { answers, figures } = seen;
  return [
    name,
    answers.requests,
    answers.faults.error + answers.faults.wrong + seen.overruns,
    answers.shed,
    answers.faults.stale,
    answers.faults.backward,
    Math.round(answers.oldestMs),
    millisecondsOrNone(figures.detectedMs),
    millisecondsOrNone(figures.hitRatioBackMs),
    Math.round(figures.originRowsPerSecondBefore),
    figures.originRowsWorstSecond,
    Number(figures.p99BeforeMs.toFixed(1)),
    Number(figures.p99WorstMs.toFixed(1)),
    passed ? 'held' : 'FAILED',
  ];
}

export function resultTable(results: readonly Reported[]): string {
  return alignedTable([COLUMNS, ...results.map(cellsOf)]).trimEnd();
}

const EXAMPLES_TOLD = 6;

/** The first answers that were not as they should be, as they came. */
export function explainFailures({ seen }: Reported): string {
  const { examples } = seen.answers;
  const told = examples
    .slice(0, EXAMPLES_TOLD)
    .map(
      ({ fault, atMs, gateway, id, what, cacheStatus }) =>
        `    ${fault} at ${(atMs / 1_000).toFixed(2)} s, ${gateway}, row ${id}: ${what}\n      ${cacheStatus ?? 'no Cache-Status'}`,
    );
  const marks = seen.recorded.marks.map(({ atMs, words }) => `    ${(atMs / 1_000).toFixed(2)} s  ${words}`);
  return [...marks, ...told].join('\n');
}

function millisecondsOrNone(milliseconds: number | undefined): number | string {
  return milliseconds === undefined ? '-' : Math.round(milliseconds);
}
