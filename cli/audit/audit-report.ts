/** What an audit has found, as an operator reads it, and as a script does. */
import type { AuditReport } from '../../sync-worker/audit/audit-run.ts';
import { FAULTS } from '../../sync-worker/audit/judge.ts';
import { type Example, faultsIn, isPartial, type ShardTally, type TableTally } from '../../sync-worker/audit/tally.ts';
import { alignedTable } from '../aligned-table.ts';

/** `right`: nothing is wrong, and all could be compared. `partial`: nothing was found, and not all could be. */
export type AuditOutcome = 'right' | 'wrong' | 'partial';

export const EXIT_CODES: Readonly<Record<AuditOutcome, number>> = { right: 0, wrong: 1, partial: 2 };

const EXAMPLES_MAX = 20;

export function outcomeOf({ tables }: AuditReport): AuditOutcome {
  if (tables.some(({ shards }) => faultsIn(shards) > 0)) return 'wrong';
  return tables.some(isPartial) ? 'partial' : 'right';
}

export function auditText(report: AuditReport): string {
  const blocks = report.tables.map(tableText);
  const examples = examplesOf(report);
  if (examples.length > 0) blocks.push(`${['examples', ...examples.flatMap(exampleLines)].join('\n')}\n`);
  if (report.notFollowed.length > 0) {
    blocks.push(`not audited, as their changes are not followed: ${report.notFollowed.join(', ')}\n`);
  }
  return [...blocks, summary(report)].join('\n');
}

export function auditJson(report: AuditReport): unknown {
  return {
    outcome: outcomeOf(report),
    seconds: Number(report.seconds.toFixed(1)),
    tables: report.tables.map(({ table, mode, shards, ended }) => ({
      table,
      mode,
      ...(ended === undefined ? {} : { ended }),
      shards: shards.map(({ notScanned, ...counted }) => ({ ...counted, notScanned: notScanned ?? null })),
    })),
    notFollowed: report.notFollowed,
    examples: examplesOf(report).map(({ repaired, finding }) => {
      const { fault, table, shard, key, there, origin, columns, values } = finding;
      const shown = values === undefined ? {} : { values };
      return { fault, repaired, table, shard: shard.name, key, there, origin, columns, ...shown };
    }),
  };
}

const HEADINGS = [
  'shard',
  'compared',
  'in flight',
  'stale',
  'missing',
  'orphans',
  'wrong type',
  'ahead',
  'left over',
  'repaired',
  'not compared',
];

function tableText({ table, mode, shards, ended }: TableTally): string {
  const rows = shards.map((shard) => [
    shard.shard,
    shard.compared,
    shard.inFlight,
    ...FAULTS.map((fault) => shard.faults[fault]),
    shard.leftOver,
    shard.repaired,
    notComparedText(shard),
  ]);
  const title = `${table} (${mode})${ended === undefined ? '' : `: not to its end: ${ended}`}`;
  return `${title}\n${alignedTable([HEADINGS, ...rows])}`;
}

function notComparedText({ notCompared, notScanned }: ShardTally): string {
  const told = Object.entries(notCompared).map(([because, count]) => `${count} ${because}`);
  if (notScanned !== undefined) told.push(`not looked through: ${notScanned}`);
  return told.length === 0 ? '-' : told.join(', ');
}

function examplesOf({ tables }: AuditReport): readonly Example[] {
  return tables.flatMap(({ examples }) => examples).slice(0, EXAMPLES_MAX);
}

function exampleLines({ finding, repaired }: Example): string[] {
  const { fault, shard, key, there, origin, columns, values } = finding;
  const lines = [
    `  ${fault}  ${key} in ${shard.name}${repaired ? ', repaired' : ''}`,
    `      there  ${there}`,
    `      MySQL  ${origin}`,
  ];
  if (columns.length > 0) lines.push(`      differ ${columns.join(', ')}`);
  for (const [column, [held, wanted]] of Object.entries(values ?? {})) {
    lines.push(`        ${column}: ${shown(held)} there, ${shown(wanted)} in MySQL`);
  }
  return lines;
}

function shown(value: string | null): string {
  return value === null ? 'NULL' : JSON.stringify(value);
}

function summary(report: AuditReport): string {
  const { tables, seconds } = report;
  const shards = tables.flatMap((table) => table.shards);
  const compared = shards.reduce((sum, shard) => sum + shard.compared, 0);
  const [faults, repaired] = [faultsIn(shards), shards.reduce((sum, shard) => sum + shard.repaired, 0)];
  const rate = seconds === 0 ? 0 : Math.round(compared / seconds);
  const found = faults === 0 ? 'nothing is wrong' : `${faults} ${faults === 1 ? 'is' : 'are'} wrong`;
  const mended = repaired === 0 ? '' : `; ${repaired} repaired, and right since`;
  const partly = tables.some(isPartial) ? '; not all could be compared' : '';
  return `${compared} compared in ${seconds.toFixed(1)} s (${rate}/s): ${found}${mended}${partly}.\n`;
}
