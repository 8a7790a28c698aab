/**
 * What the live server says of an exposed table, met with what the configuration says: the exposed columns, the key,
 * and the SELECT that reads them. Whatever cannot be cached is refused here, in words, at start-up.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { TableConfig } from '../config/schema.ts';
import { codeOf, messageOf, OriginUnavailable, type Problem } from '../errors/errors.ts';
import type { KeyPart } from '../key/key-part.ts';
import { SHAPE_LENGTH } from '../entry/entry.ts';
import { ENCODER_VERSION, RowEncoder, selectExpression } from '../row/row-json.ts';
import type { Column } from './column.ts';
import {
  currentAccount,
  isUngranted,
  type Queryable,
  readColumns,
  readKind,
  readResultTypes,
  readUniqueKeys,
} from './information-schema.ts';
import { keyPartType } from './key-type.ts';
import { formatTableName, parseTableName, quoteName, quoteTable, type TableName } from './table-name.ts';

export interface TableSchema {
  readonly name: TableName;
  /** The exposed columns, in the table's order. */
  readonly columns: readonly Column[];
  readonly key: readonly KeyPart[];
  /** The columns that it is made of, in key order, exposed or not. */
  readonly keyColumns: readonly Column[];
  /** Where the key columns stand in `columns`, in key order; a key column that is not exposed is selected after them. */
  readonly keyAt: readonly number[];
  /** What is selected, in the order of `columns`; key columns that are not exposed come after them. */
  readonly selected: string;
  readonly selectedCount: number;
  /** The table, quoted. */
  readonly from: string;
  readonly encoder: RowEncoder;
  /** A hash of the exposed columns and the encoder's version: entries of another shape are not used. */
  readonly shape: string;
  /** The result's types as the server describes them: an ALTER TABLE shows in the very next result. */
  readonly resultTypes: string;
}

export type SchemaOutcome = { readonly schema: TableSchema } | { readonly problems: readonly Problem[] };

/** Throws OriginUnavailable; all that is wrong with the table or its configuration comes back as problems. */
export async function readTableSchema(origin: Queryable, exposed: string, config: TableConfig): Promise<SchemaOutcome> {
  const name = parseTableName(exposed);
  const where = `tables.${exposed}`;
  try {
    // Says whether it exists and may be read, which information_schema does not tell apart.
    await origin.query(`SELECT 1 FROM ${quoteTable(name)} LIMIT 0`);
  } catch (error) {
    if (error instanceof OriginUnavailable || codeOf(error) === undefined) throw error;
    // Grants may cover some columns only, so this one is not final.
    if (codeOf(error) !== 'ER_COLUMNACCESS_DENIED_ERROR') {
      return { problems: [unreadable(error, name, where, await currentAccount(origin))] };
    }
  }
  const table = await readKind(origin, name);
  if (table === undefined) {
    const message = 'information_schema.TABLES does not list it, though it can be read';
    const mend = 'write the name as SHOW TABLES does, upper and lower case included';
    return { problems: [{ code: 'table-missing', where, message, mend }] };
  }
  const listedAs = formatTableName(table.listedAs);
  if (listedAs !== formatTableName(name)) {
    const message = `the server calls it ${listedAs}, in its binlog too, where ${exposed} would never be found`;
    return { problems: [{ code: 'table-missing', where, message, mend: `write it as ${listedAs}` }] };
  }
  if (table.type !== 'BASE TABLE' || table.engine !== 'InnoDB') {
    const what = table.type === 'BASE TABLE' ? `a ${table.engine} table` : `a ${kindOf(table.type)}`;
    const message = `is ${what}; only InnoDB tables can be cached, for only their reads can be proved`;
    return { problems: [{ code: 'table-unsupported', where, message, mend: mendOfKind(name, table.type) }] };
  }
  for (let attempt = 1; attempt <= STEADY_ATTEMPTS; attempt += 1) {
    const columns = await readColumns(origin, name);
    const uniqueKeys = await readUniqueKeys(origin, name, columns);
    const outcome = composeSchema(
      name,
      columns,
      uniqueKeys,
      await withoutUngranted(origin, name, columns, config),
      where,
    );
    if ('problems' in outcome) return outcome;
    const resultTypes = await readResultTypes(origin, outcome.schema);
    // An ALTER TABLE between the two would marry the old columns to the new types, and never be noticed.
    if (resultTypes !== undefined && isDeepStrictEqual(await readColumns(origin, name), columns)) {
      return { schema: { ...outcome.schema, resultTypes } };
    }
  }
  throw new OriginUnavailable('origin-refused', `${exposed} is being altered faster than its columns can be read.`);
}

const STEADY_ATTEMPTS = 5;

/**
 * A denied column that the account may not read is not listed at all: that is what the deny list asks for, and not a
 * misspelt name. A misspelt one is told apart by the server's answer, where the whole table is granted.
 */
async function withoutUngranted(
  origin: Queryable,
  name: TableName,
  listed: readonly Column[],
  config: TableConfig,
): Promise<TableConfig> {
  const deny: string[] = [];
  for (const column of config.columns?.deny ?? []) {
    const granted = listed.some((found) => found.name === column) || !(await isUngranted(origin, name, column));
    if (granted) deny.push(column);
  }
  return config.columns?.deny === undefined ? config : { ...config, columns: { deny } };
}

/** Pure: what was found and what was configured -> the schema, or what is wrong. */
export function composeSchema(
  name: TableName,
  all: readonly Column[],
  uniqueKeys: readonly (readonly string[])[],
  config: TableConfig,
  where: string,
): { readonly schema: Omit<TableSchema, 'resultTypes'> } | { readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const byName = new Map(all.map((column) => [column.name, column]));
  for (const [list, named] of [
    ['key', config.key],
    ['columns.allow', config.columns?.allow],
    ['columns.deny', config.columns?.deny],
  ] as const) {
    for (const column of named ?? []) {
      if (byName.has(column)) continue;
      const message = `there is no column ${column}; there are ${[...byName.keys()].join(', ')}`;
      problems.push({ code: 'column-missing', where: `${where}.${list}`, message });
    }
  }
  if (problems.length > 0) return { problems };

  const keyNames = config.key ?? uniqueKeys[0];
  const found = uniqueKeys.map((columns) => `[${columns.join(', ')}]`).join(' or ');
  if (keyNames === undefined) {
    const message = 'has no primary or unique key over columns that are never NULL';
    return {
      problems: [
        { code: 'key-unsuitable', where, message, mend: `ALTER TABLE ${quoteTable(name)} ADD PRIMARY KEY (…);` },
      ],
    };
  }
  if (
    !uniqueKeys.some(
      (unique) => unique.length === keyNames.length && unique.every((column) => keyNames.includes(column)),
    )
  ) {
    const message = `(${keyNames.join(', ')}) is not a primary or unique key over columns that are never NULL`;
    const mend =
      found === ''
        ? `ALTER TABLE ${quoteTable(name)} ADD UNIQUE KEY (${keyNames.map(quoteName).join(', ')});`
        : `key: ${found}`;
    return { problems: [{ code: 'key-unsuitable', where: `${where}.key`, message, mend }] };
  }
  const key: KeyPart[] = [];
  for (const column of keyNames) {
    const definition = byName.get(column) as Column;
    const type = keyPartType(definition);
    if (type === undefined) {
      const message = `${column} is a ${definition.dataType}, which cannot be part of a key: equal values can have different texts`;
      const other = uniqueKeys.find((unique) =>
        unique.every((part) => keyPartType(byName.get(part) as Column) !== undefined),
      );
      const mend = other === undefined ? {} : { mend: `key: [${other.join(', ')}]` };
      problems.push({ code: 'key-unsuitable', where: `${where}.key`, message, ...mend });
    } else {
      key.push({ column, type });
    }
  }
  if (problems.length > 0) return { problems };

  const { allow, deny } = config.columns ?? {};
  const columns = all.filter(
    (column) => (allow?.includes(column.name) ?? true) && !(deny?.includes(column.name) ?? false),
  );
  if (columns.length === 0) {
    return { problems: [{ code: 'config-invalid', where: `${where}.columns`, message: 'leaves no column to read' }] };
  }
  const hiddenKeys = keyNames.filter((column) => !columns.some((exposed) => exposed.name === column));
  const selected = [...columns, ...hiddenKeys.map((column) => byName.get(column) as Column)];
  return {
    schema: {
      name,
      columns,
      key,
      keyColumns: keyNames.map((column) => byName.get(column) as Column),
      keyAt: keyNames.map((column) => selected.findIndex((candidate) => candidate.name === column)),
      selected: selected.map(selectExpression).join(', '),
      selectedCount: selected.length,
      from: quoteTable(name),
      encoder: new RowEncoder(columns),
      shape: shapeOf(columns, key),
    },
  };
}

function shapeOf(columns: readonly Column[], key: readonly KeyPart[]): string {
  const described = columns.map(({ name, columnType, charset, json }) => [name, columnType, charset, json]);
  return createHash('sha256')
    .update(JSON.stringify([ENCODER_VERSION, described, key.map((part) => part.column)]))
    .digest('base64url')
    .slice(0, SHAPE_LENGTH);
}

function unreadable(error: unknown, name: TableName, where: string, account: string): Problem {
  const shown = formatTableName(name);
  switch (codeOf(error) ?? '') {
    case 'ER_NO_SUCH_TABLE':
    case 'ER_BAD_DB_ERROR':
      return {
        code: 'table-missing',
        where,
        message: messageOf(error),
        mend: `take ${shown} out of tables, or correct its name`,
      };
    case 'ER_TABLEACCESS_DENIED_ERROR':
    case 'ER_DBACCESS_DENIED_ERROR':
      return {
        code: 'table-not-granted',
        where,
        message: messageOf(error),
        mend: `GRANT SELECT ON ${quoteTable(name)} TO ${account};`,
      };
    default:
      return { code: 'table-unsupported', where, message: messageOf(error) };
  }
}

/** TABLE_TYPE in words: VIEW, SEQUENCE, SYSTEM VERSIONED. */
function kindOf(type: string): string {
  return type === 'SYSTEM VERSIONED' ? 'system-versioned table' : type.toLowerCase();
}

function mendOfKind(name: TableName, type: string): string {
  switch (type) {
    case 'BASE TABLE':
      return `ALTER TABLE ${quoteTable(name)} ENGINE = InnoDB;`;
    case 'VIEW':
      return 'expose the InnoDB tables behind it';
    default:
      return `take ${formatTableName(name)} out of tables`;
  }
}
