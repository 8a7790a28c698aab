/** Rows of one table by their ids: the SELECT, and what its result says. */
import { type KeyPart, sqlLiteral } from '../key/key-part.ts';
import { type RowId, rowIdOfCells } from '../key/row-id.ts';
import { CellMismatch } from '../row/row-json.ts';
import type { LogPosition } from '../version/version.ts';
import { describeTypes } from './information-schema.ts';
import type { TextResult } from './origin-pool.ts';
import { quoteName } from './table-name.ts';
import type { TableSchema } from './table-schema.ts';

export type OriginRow = {
  /** What the read is known to include; nothing where it cannot be told: it must not be stored beside followed rows. */
  readonly proof: Proof | undefined;
} & (
  | {
      readonly kind: 'row';
      /** Made of the row's own key cells: it need not be the one that was asked for. */
      readonly id: RowId;
      readonly body: Buffer;
      readonly shape: string;
    }
  | { readonly kind: 'absent' }
);

/** PROTOCOL.md, "Knowing F". `exact`: as of that place. `inexact`: as of that place or a little later. */
export interface Proof {
  readonly exactness: 'exact' | 'inexact';
  /** A place in the origin's binlog, or the stamp that a replica was found to have executed all of. */
  readonly reaches: { readonly at: LogPosition } | { readonly stampTo: string };
  /** The identity of the server whose binlog that is; origin-identity.ts. */
  readonly origin: string;
}

/** A shard's stamp at the time of a lease: what a read must be known to include. */
export interface LeaseBase {
  /** S0. */
  readonly to: string;
  readonly origin: string;
  /** Every transaction up to S0; empty where the origin has no GTIDs. */
  readonly gtid: string;
}

export interface Wanted {
  readonly id: RowId;
  /** What the read should be known to include; only who can choose between servers looks at it. */
  readonly base: LeaseBase | undefined;
}

export type FoundRow = OriginRow & { readonly kind: 'row' };

/** Ids of one table -> what was found, by segment; ids that are not there are absent. */
export type ReadRows = (schema: TableSchema, wanted: readonly Wanted[]) => Promise<Map<string, OriginRow>>;

export function selectRows(schema: TableSchema, ids: readonly RowId[]): string {
  return `SELECT ${schema.selected} FROM ${schema.from} WHERE ${whereIds(schema, ids)}`;
}

/** What is made of a row's cells; mostly its JSON. */
export type BodyOf = (schema: TableSchema, cells: readonly (Buffer | null)[]) => Buffer;

const asJson: BodyOf = (schema, cells) => schema.encoder.encode(cells);

/** Throws CellMismatch where the table is not what the schema says any more. */
export function rowsOf(schema: TableSchema, result: TextResult, proof?: Proof, bodyOf = asJson): FoundRow[] {
  requireSameTypes(schema, result);
  return result.rows.map((cells) => ({
    kind: 'row',
    id: rowIdOfCells(
      schema.key,
      schema.keyAt.map((at) => cells[at] as Buffer),
    ),
    body: bodyOf(schema, cells),
    shape: schema.shape,
    proof,
  }));
}

/**
 * The keys alone, in the order of the key: those after one and up to another, as far as they are given. Literals as below.
 */
export function selectKeys(
  schema: TableSchema,
  { after, upTo, limit }: { after?: RowId | undefined; upTo?: RowId | undefined; limit: number },
): string {
  const columns = schema.key.map(({ column }) => quoteName(column)).join(', ');
  const bounds = [
    ...(after === undefined ? [] : [beyond(schema, after, '>')]),
    ...(upTo === undefined ? [] : [beyond(schema, upTo, '<', true)]),
  ];
  const where = bounds.length === 0 ? '' : ` WHERE ${bounds.join(' AND ')}`;
  return `SELECT ${columns} FROM ${schema.from}${where} ORDER BY ${columns} LIMIT ${limit}`;
}

/** The keys alone, of those of these ids that there are. */
export function selectKeysOf(schema: TableSchema, ids: readonly RowId[]): string {
  const columns = schema.key.map(({ column }) => quoteName(column)).join(', ');
  return `SELECT ${columns} FROM ${schema.from} WHERE ${whereIds(schema, ids)}`;
}

/**
 * One range of the index for each part: `a > 1 OR (a = 1 AND b > 2)`. Of row constructors the server makes no range; of
 * `a >= 1 AND (a > 1 OR b > 2)` one that begins at `a = 1`, so that each step would go through all before it again.
 */
function beyond(schema: TableSchema, id: RowId, sign: '<' | '>', orEqual = false): string {
  const literal = (part: number) => sqlLiteral((schema.key[part] as KeyPart).type, id.parts[part] as string);
  const name = (part: number) => quoteName((schema.key[part] as KeyPart).column);
  const last = schema.key.length - 1;
  const ranges = schema.key.map((_, part) => {
    const same = Array.from({ length: part }, (_same, before) => `${name(before)} = ${literal(before)}`);
    const bound = `${name(part)} ${sign}${orEqual && part === last ? '=' : ''} ${literal(part)}`;
    return [...same, bound].join(' AND ');
  });
  return ranges.length === 1 ? (ranges[0] as string) : `(${ranges.map((range) => `(${range})`).join(' OR ')})`;
}

/** Nothing of a client's is in here but literals, made of digits and hex. */
export function whereIds(schema: TableSchema, ids: readonly RowId[]): string {
  const literal = (id: RowId, part: number) =>
    sqlLiteral((schema.key[part] as (typeof schema.key)[number]).type, id.parts[part] as string);
  const [first, ...more] = schema.key;
  if (first !== undefined && more.length === 0) {
    return `${quoteName(first.column)} IN (${ids.map((id) => literal(id, 0)).join(', ')})`;
  }
  // Of equalities, not of row constructors: MariaDB uses no index range for (a, b) IN ((1, 2), …).
  return ids
    .map(
      (id) => `(${schema.key.map((part, index) => `${quoteName(part.column)} = ${literal(id, index)}`).join(' AND ')})`,
    )
    .join(' OR ');
}

/** Of the schema's own columns; others may follow. */
function requireSameTypes(schema: TableSchema, { fields }: TextResult): void {
  if (describeTypes(fields.slice(0, schema.selectedCount)) === schema.resultTypes) return;
  throw new CellMismatch(schema.columns.map((column) => column.name).join(), 'known set of types');
}
