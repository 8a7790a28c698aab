/** Every table that the account can read, and for each whether it can be exposed, or why not. */
import type { Problem } from '../../shared/errors/errors.ts';
import { collidingKeySpaces, tableKeyPrefix } from '../../shared/key/cache-key.ts';
import type { OriginPool } from '../../shared/origin/origin-pool.ts';
import { formatTableName, quoteText, type TableName } from '../../shared/origin/table-name.ts';
import { readTableSchema, type TableSchema } from '../../shared/origin/table-schema.ts';
import { looksSecret } from './secret-names.ts';

export interface FoundTable {
  readonly label: string;
  readonly schema: TableSchema;
  /** Columns whose names say that they should not be served. */
  readonly deny: readonly string[];
}

export interface RefusedTable {
  readonly label: string;
  readonly reason: string;
}

export interface FoundTables {
  readonly usable: readonly FoundTable[];
  readonly refused: readonly RefusedTable[];
}

const SYSTEM_SCHEMAS = ['mysql', 'sys', 'information_schema', 'performance_schema', 'ndbinfo'];

/** @param databases only these; all but the system's if there are none. */
export async function findTables(pool: OriginPool, databases: readonly string[]): Promise<FoundTables> {
  const quoted = (names: readonly string[]) => names.map(quoteText).join(', ');
  const { rows } = await pool.query(
    'SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES' +
      ` WHERE LOWER(TABLE_SCHEMA) NOT IN (${quoted(SYSTEM_SCHEMAS)})` +
      (databases.length === 0 ? '' : ` AND TABLE_SCHEMA IN (${quoted(databases)})`) +
      ' ORDER BY TABLE_SCHEMA, TABLE_NAME',
  );
  const usable: FoundTable[] = [];
  const refused: RefusedTable[] = [];
  for (const [db, table] of rows) {
    const name: TableName = { db: db?.toString('utf8') ?? '', table: table?.toString('utf8') ?? '' };
    const label = formatTableName(name);
    if (label.split('.').length !== 2) {
      refused.push({ label, reason: 'a name with a dot in it cannot be written as db.table' });
      continue;
    }
    const outcome = await readTableSchema(pool, label, {});
    if ('problems' in outcome) refused.push({ label, reason: reasonOf(outcome.problems) });
    else usable.push({ label, schema: outcome.schema, deny: deniedOf(outcome.schema) });
  }
  return withoutCollisions(usable, refused);
}

function reasonOf(problems: readonly Problem[]): string {
  return problems.map(({ message, mend }) => (mend === undefined ? message : `${message} (${mend})`)).join('; ');
}

/** The key is in the URL anyway: to deny it would hide nothing. */
function deniedOf({ columns, key }: TableSchema): string[] {
  const keys = new Set(key.map(({ column }) => column));
  return columns.filter((column) => !keys.has(column.name) && looksSecret(column)).map(({ name }) => name);
}

function withoutCollisions(usable: readonly FoundTable[], refused: readonly RefusedTable[]): FoundTables {
  const spaces = usable.map(({ label, schema }) => {
    return { name: label, prefix: tableKeyPrefix('', schema.name.db, schema.name.table), key: schema.key };
  });
  const colliding = new Map<string, string>();
  for (const problem of collidingKeySpaces(spaces)) {
    colliding.set(problem.where.replace(/^tables\./, ''), reasonOf([problem]));
  }
  return {
    usable: usable.filter(({ label }) => !colliding.has(label)),
    refused: [...refused, ...[...colliding].map(([label, reason]) => ({ label, reason }))],
  };
}
