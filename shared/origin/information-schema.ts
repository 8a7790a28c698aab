/**
 * What the server says of a table: its kind, its columns, its keys, and the types of what a SELECT returns.
 * Throws OriginUnavailable, or the driver's error where the server refuses.
 */
import { codeOf, OriginUnavailable } from '../errors/errors.ts';
import { cellNumber, cellText, cellTextOrNull } from './cells.ts';
import type { Column } from './column.ts';
import type { TextResult } from './origin-pool.ts';
import { sqlServerOf } from './server-version.ts';
import { quoteAccount, quoteName, quoteTable, quoteText, type TableName } from './table-name.ts';

/** What the lookups need of a pool or of a single connection. */
export interface Queryable {
  query(sql: string): Promise<TextResult>;
}

export interface TableKind {
  /** As the server writes it, in its binlog too; it may take a name in other letters (lower_case_table_names). */
  readonly listedAs: TableName;
  readonly type: string;
  readonly engine: string;
}

export async function readKind(origin: Queryable, { db, table }: TableName): Promise<TableKind | undefined> {
  const { rows } = await origin.query(
    `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteText(db)} AND TABLE_NAME = ${quoteText(table)}`,
  );
  const found = rows.map(([schema, name, type, engine]): TableKind => {
    return {
      listedAs: { db: cellText(schema), table: cellText(name) },
      type: cellText(type),
      engine: cellText(engine),
    };
  });
  return found.find(({ listedAs }) => listedAs.db === db && listedAs.table === table) ?? found[0];
}

export async function readColumns(origin: Queryable, name: TableName): Promise<Column[]> {
  const checkedJson = await readCheckedJson(origin, name);
  const { rows } = await origin.query(
    'SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, CHARACTER_SET_NAME, COLLATION_NAME,' +
      ' CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION FROM information_schema.COLUMNS' +
      ` WHERE TABLE_SCHEMA = ${quoteText(name.db)} AND TABLE_NAME = ${quoteText(name.table)} ORDER BY ORDINAL_POSITION`,
  );
  return rows.map((row) => ({
    name: cellText(row[0]),
    dataType: cellText(row[1]).toLowerCase(),
    columnType: cellText(row[2]),
    nullable: cellText(row[3]) === 'YES',
    charset: cellTextOrNull(row[4]),
    collation: cellTextOrNull(row[5]),
    lengthMax: cellNumber(row[6]),
    precision: cellNumber(row[7]),
    scale: cellNumber(row[8]),
    fraction: cellNumber(row[9]),
    json: cellText(row[1]).toLowerCase() === 'json' || checkedJson.has(cellText(row[0])),
  }));
}

/** MariaDB's JSON is a LONGTEXT with `CHECK (json_valid(column))`; its CHECK_CONSTRAINTS names the table, MySQL's does not. */
async function readCheckedJson(origin: Queryable, { db, table }: TableName): Promise<ReadonlySet<string>> {
  const { rows: version } = await origin.query('SELECT VERSION()');
  if (sqlServerOf(cellText(version[0]?.[0])).flavour !== 'mariadb') return new Set();
  const { rows } = await origin.query(
    'SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS' +
      ` WHERE CONSTRAINT_SCHEMA = ${quoteText(db)} AND TABLE_NAME = ${quoteText(table)}`,
  );
  const clauses = rows.map((row) => /^json_valid\(`(.*)`\)$/.exec(cellText(row[0]))?.[1]);
  return new Set(clauses.flatMap((column) => (column === undefined ? [] : [column.replaceAll('``', '`')])));
}

/** The primary key first; only keys over whole columns that are never NULL. */
export async function readUniqueKeys(
  origin: Queryable,
  name: TableName,
  columns: readonly Column[],
): Promise<string[][]> {
  const { rows } = await origin.query(
    'SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS' +
      ` WHERE TABLE_SCHEMA = ${quoteText(name.db)} AND TABLE_NAME = ${quoteText(name.table)} AND NON_UNIQUE = 0` +
      " ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX",
  );
  const keys = new Map<string, { column: string; whole: boolean }[]>();
  for (const row of rows) {
    const index = cellText(row[0]);
    const parts = keys.get(index) ?? [];
    parts.push({ column: cellText(row[1]), whole: row[2] === null });
    keys.set(index, parts);
  }
  const neverNull = new Set(columns.filter((column) => !column.nullable).map((column) => column.name));
  return [...keys.values()]
    .filter((parts) => parts.every((part) => part.whole && neverNull.has(part.column)))
    .map((parts) => parts.map((part) => part.column));
}

/** Nothing where a column is gone again. */
export async function readResultTypes(
  origin: Queryable,
  { selected, from }: { readonly selected: string; readonly from: string },
): Promise<string | undefined> {
  try {
    return describeTypes((await origin.query(`SELECT ${selected} FROM ${from} LIMIT 0`)).fields);
  } catch (error) {
    if (codeOf(error) === 'ER_BAD_FIELD_ERROR') return undefined;
    throw error;
  }
}

/** `columnLength` tells a BIT(8) from a BIT(64). */
export function describeTypes(fields: TextResult['fields']): string {
  return fields
    .map(({ columnType, columnLength, characterSet, decimals, flags }) =>
      [columnType, columnLength, characterSet, decimals, flags].join('/'),
    )
    .join();
}

/** As GRANT writes it. */
export async function currentAccount(origin: Queryable): Promise<string> {
  const { rows } = await origin.query('SELECT CURRENT_USER()');
  return quoteAccount(cellText(rows[0]?.[0]));
}

/** The account may read the table, and not this column. */
export async function isUngranted(origin: Queryable, name: TableName, column: string): Promise<boolean> {
  try {
    await origin.query(`SELECT ${quoteName(column)} FROM ${quoteTable(name)} LIMIT 0`);
    return false;
  } catch (error) {
    if (error instanceof OriginUnavailable || codeOf(error) === undefined) throw error;
    return codeOf(error) === 'ER_COLUMNACCESS_DENIED_ERROR';
  }
}
