/** The drill's results for people: a line a round, and all of them by what was harmed. */
import { alignedTable } from '../../../cli/aligned-table.ts';
import type { RoundReport } from './round.ts';
import { nameOf } from './schedule.ts';

export function describeRound({ round }: Pick<RoundReport, 'round'>): string {
  const { number, harm, workers, again } = round;
  const at = harm.kind === 'worker' ? ` ${harm.at.nth} (+${harm.at.turns})` : '';
  const twice = again === undefined ? '' : `, then worker ${again.station} ${again.nth} (+${again.turns})`;
  return `round ${number}: ${nameOf(harm)}${at}${twice}${workers === 2 ? ', two workers' : ''}`;
}

export function describeReport({ verdict, load, answersDiffering, deaths, seconds }: RoundReport): string {
  const { held, holdable, overwritten, stale, vanished, droppedByFloor, droppedByHole, raised, holes } = verdict;
  return (
    `${percent(held, holdable)} held (${held} of ${holdable}), ${overwritten} overwritten, ${stale.length} stale, ` +
    `${vanished.length} vanished, dropped by floor ${droppedByFloor}, by hole ${droppedByHole}, ` +
    `floors raised ${raised.length}, holes ${holes}, ${answersDiffering.length} answers wrong; ${load.transactions} transactions, ` +
    `statuses ${JSON.stringify(load.answers)}, ${deaths} workers killed, ${seconds.toFixed(1)} s`
  );
}

export function tableOf(reports: readonly RoundReport[]): string {
  const kinds = [...new Set(reports.map(({ round }) => nameOf(round.harm)))].toSorted();
  const head = ['harm', 'rounds', 'kills', 'transactions', 'overwritten', 'held', 'least', 'stale', 'vanished'];
  const rows = kinds.map((kind) =>
    rowOf(
      kind,
      reports.filter(({ round }) => nameOf(round.harm) === kind),
    ),
  );
  const all = rowOf('all', reports);
  return alignedTable([[...head, 'by floor', 'by hole', 'answers'], ...rows, all]);
}

function rowOf(name: string, reports: readonly RoundReport[]): (string | number)[] {
  const sum = (count: (report: RoundReport) => number) => reports.reduce((total, report) => total + count(report), 0);
  const shares = reports.map(({ verdict }) => verdict.held / verdict.holdable);
  return [
    name,
    reports.length,
    sum(({ deaths, round }) => deaths + (round.harm.kind === 'worker' ? 0 : 1)),
    sum(({ load }) => load.transactions),
    sum(({ verdict }) => verdict.overwritten),
    percent(
      sum(({ verdict }) => verdict.held),
      sum(({ verdict }) => verdict.holdable),
    ),
    percent(Math.min(...shares), 1),
    sum(({ verdict }) => verdict.stale.length),
    sum(({ verdict }) => verdict.vanished.length),
    sum(({ verdict }) => verdict.droppedByFloor),
    sum(({ verdict }) => verdict.droppedByHole),
    sum(({ answersDiffering }) => answersDiffering.length),
  ];
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(1)} %`;
}
