/**
 * What a request's target names: one row of an exposed table, or many. What a target of one row named is remembered, for
 * as long as the table's schema is the same: the same few rows are mostly asked for again and again.
 *
 * Throws RequestRefused.
 */
import { RecentMap } from '../../shared/collections/recent-map.ts';
import { RequestRefused } from '../../shared/errors/errors.ts';
import { parseRowId, percentDecode, percentEncode, splitRowIds } from '../../shared/key/row-id.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import type { TableSchema } from '../../shared/origin/table-schema.ts';
import { ANY_TERMS, type RowRequest } from '../journey/row-request.ts';
import { parseTarget, refuseUnknownParameters, type RequestTarget } from './request-target.ts';

export const IDS_MAX = 1_000;

/**
 * Whether the client may read so many rows of a table, exposed or not. Asked before more is told than that.
 * Throws AccessRefused.
 */
export type Admit = (table: string, rows: number) => void;

/** How many targets are remembered, at least; twice as many at most. 20,000 take about 10 MB. */
const REMEMBERED = 20_000;
/** Longer ones are read each time: anybody can send long ones, and nobody sends them often. */
const REMEMBERED_LENGTH_MAX = 256;

interface Remembered {
  readonly tables: ExposedTables;
  readonly schema: TableSchema;
  readonly request: RowRequest;
}

export class RowTargets {
  readonly #remembered = new RecentMap<string, Remembered>(REMEMBERED);

  /** `/db/table/id`, whatever is accepted of it. */
  one(url: string, tables: ExposedTables | undefined, admit: Admit | undefined): RowRequest {
    const known = this.#remembered.get(url);
    if (known !== undefined && known.tables === tables && known.schema === known.request.table.schema) {
      admit?.(known.request.table.label, 1);
      return known.request;
    }
    const target = parseTarget(url);
    refuseUnknownParameters(target, []);
    const table = exposedTable(tables, target, admit);
    const { schema } = table;
    const request = rowRequestOf(table, target.segments[2] ?? '');
    if (tables !== undefined && url.length <= REMEMBERED_LENGTH_MAX) {
      this.#remembered.set(url, { tables, schema, request });
    }
    return request;
  }
}

export interface ManyRows {
  readonly table: ExposedTable;
  /** In the order asked. */
  readonly requests: readonly RowRequest[];
}

/** `/db/table?ids=…`, whatever is accepted of it. */
export function manyRows(url: string, tables: ExposedTables | undefined, admit: Admit | undefined): ManyRows {
  const target = parseTarget(url);
  refuseUnknownParameters(target, ['ids']);
  const table = exposedTable(tables, target, admit);
  const rawIds = target.parameters.get('ids');
  const wanted = `/${percentEncode(table.name.db)}/${percentEncode(table.name.table)}?ids=…`;
  if (rawIds === undefined) throw new RequestRefused('ids-missing', `Name the rows: ${wanted}, at most ${IDS_MAX}.`);
  const segments = splitRowIds(table.schema.key, rawIds);
  if (segments.length > IDS_MAX) {
    throw new RequestRefused('too-many-ids', `${segments.length} ids in one request; at most ${IDS_MAX}.`);
  }
  return { table, requests: segments.map((segment) => rowRequestOf(table, segment)) };
}

function exposedTable(
  tables: ExposedTables | undefined,
  target: RequestTarget,
  admit: Admit | undefined,
): ExposedTable {
  const { segments } = target;
  if (tables === undefined)
    throw new RequestRefused('starting', 'MySQL has not answered yet since the gateway started.');
  if (segments[0] === '-')
    throw new RequestRefused('route-not-found', 'There is no such page under /-/; /-/docs lists every route.');
  const [db, table] = [percentDecode(segments[0] ?? ''), percentDecode(segments[1] ?? '')];
  const exposed = tables.find(db, table);
  admit?.(`${db}.${table}`, rowsAskedFor(target, exposed));
  if (exposed === undefined) {
    throw new RequestRefused('table-not-exposed', 'No table of this name is exposed (tables, in the configuration).');
  }
  return exposed;
}

/** Counted before anything is parsed, which is for those alone who may ask. */
function rowsAskedFor({ parameters }: RequestTarget, table: ExposedTable | undefined): number {
  const parts = parameters.get('ids')?.split(/,|%2C/i).length ?? 1;
  return Math.ceil(parts / (table?.schema.key.length ?? 1));
}

function rowRequestOf(table: ExposedTable, rawSegment: string): RowRequest {
  const id = parseRowId(table.schema.key, rawSegment);
  return { table, id, cacheKey: table.cacheKey(id), terms: ANY_TERMS };
}
