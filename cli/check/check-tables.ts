/** Every exposed table: there, granted, InnoDB, with a key that identifies a row; and no two that share cache keys. */
import type { Config } from '../../shared/config/schema.ts';
import { messageOf } from '../../shared/errors/errors.ts';
import { collidingKeySpaces, type KeySpace, tableKeyPrefix } from '../../shared/key/cache-key.ts';
import { keyPartType } from '../../shared/origin/key-type.ts';
import { whyUnmirrorable } from '../../shared/origin/mirrorable.ts';
import type { OriginPool } from '../../shared/origin/origin-pool.ts';
import { readTableSchema, type TableSchema } from '../../shared/origin/table-schema.ts';
import { type Finding, findingOf } from './finding.ts';

const GROUP = 'tables';

export interface TablesReport {
  readonly findings: readonly Finding[];
  /** Those that can be served, by `db.table`. */
  readonly schemas: ReadonlyMap<string, TableSchema>;
}

export async function checkTables(pool: OriginPool, config: Config): Promise<TablesReport> {
  const findings: Finding[] = [];
  const schemas = new Map<string, TableSchema>();
  const why = 'The gateway does not start with a table that it cannot serve.';
  for (const [label, settings] of Object.entries(config.tables)) {
    try {
      const outcome = await readTableSchema(pool, label, settings);
      if ('problems' in outcome) {
        findings.push(...outcome.problems.map((problem) => findingOf(GROUP, label, problem, why)));
        continue;
      }
      const isMirror = (settings.mode ?? config.defaults.mode) === 'mirror';
      const unmirrorable = isMirror ? whyUnmirrorable(label, outcome.schema) : [];
      if (unmirrorable.length > 0) {
        findings.push(...unmirrorable.map((problem) => findingOf(GROUP, label, problem, why)));
        continue;
      }
      schemas.set(label, outcome.schema);
      findings.push({ group: GROUP, requirement: label, verdict: 'met', found: describe(outcome.schema, settings) });
      findings.push(...spellings(label, outcome.schema, isMirror));
    } catch (error) {
      findings.push({ group: GROUP, requirement: label, verdict: 'unmet', found: messageOf(error), why });
    }
  }
  const spaces = [...schemas].map(
    ([
      name,
      {
        name: { db, table },
        key,
      },
    ]): KeySpace => {
      return { name, prefix: tableKeyPrefix(config.keyPrefix, db, table), key };
    },
  );
  for (const problem of collidingKeySpaces(spaces)) {
    const label = problem.where.replace(/^tables\./, '');
    findings.push(findingOf(GROUP, label, problem, 'A row of one table would be served as a row of the other.'));
  }
  return { findings, schemas };
}

function describe({ key, columns }: TableSchema, { columns: lists }: Config['tables'][string]): string {
  const parts = [`key ${key.map(({ column }) => column).join(', ')}`];
  if (lists?.allow === undefined) parts.push(columns.length === 1 ? '1 column' : `${columns.length} columns`);
  else parts.push(`only ${columns.map(({ name }) => name).join(', ')}`);
  if (lists?.deny !== undefined && lists.deny.length > 0) parts.push(`never read: ${lists.deny.join(', ')}`);
  return parts.join('; ');
}

/** `foo`, `Foo` and `foo ` may find one row; only the spelling that the row itself has is cached, or found in a mirror. */
function spellings(label: string, { keyColumns }: TableSchema, isMirror: boolean): Finding[] {
  const loose = keyColumns.filter((column) => {
    const type = keyPartType(column);
    return type?.kind === 'text' && !type.bytewise;
  });
  if (loose.length === 0) return [];
  const shown = loose.map(({ name, collation }) => (collation === null ? name : `${name} (${collation})`)).join(', ');
  return [
    {
      group: GROUP,
      requirement: label,
      verdict: 'note',
      found: `several spellings find one row by ${shown}`,
      why: isMirror
        ? 'A mirror goes by the bytes: under another spelling than the row’s own it says 404, where MySQL has the row.'
        : 'Under another spelling than the row’s own it is answered from MySQL, unstored; an absent id is not remembered.',
    },
  ];
}
