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
import { ANY_TERMS, type RowRequest, type Terms } from '../journey/row-request.ts';
import { parseTarget, refuseUnknownParameters, type RequestTarget } from './request-target.ts';

export const IDS_MAX = 1_000;

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

  /** `/db/table/id` */
  one(url: string, tables: ExposedTables | undefined, terms: Terms): RowRequest {
    const known = this.#remembered.get(url);
    if (known !== undefined && known.tables === tables && known.schema === known.request.table.schema) {
      return terms === ANY_TERMS ? known.request : { ...known.request, terms };
    }
    const target = parseTarget(url);
    refuseUnknownParameters(target, []);
    const table = exposedTable(tables, target);
    const { schema } = table;
    const request = rowRequestOf(table, target.segments[2] ?? '', ANY_TERMS);
    if (tables !== undefined && url.length <= REMEMBERED_LENGTH_MAX) {
      this.#remembered.set(url, { tables, schema, request });
    }
    return { ...request, terms };
  }
}

export interface ManyRows {
  readonly table: ExposedTable;
  /** In the order asked. */
  readonly requests: readonly RowRequest[];
}

/** `/db/table?ids=…` */
export function manyRows(url: string, tables: ExposedTables | undefined, terms: Terms): ManyRows {
  const target = parseTarget(url);
  refuseUnknownParameters(target, ['ids']);
  const table = exposedTable(tables, target);
  const rawIds = target.parameters.get('ids');
  const wanted = `/${percentEncode(table.name.db)}/${percentEncode(table.name.table)}?ids=…`;
  if (rawIds === undefined) throw new RequestRefused('ids-missing', `Name the rows: ${wanted}, at most ${IDS_MAX}.`);
  const segments = splitRowIds(table.schema.key, rawIds);
  if (segments.length > IDS_MAX) {
    throw new RequestRefused('too-many-ids', `${segments.length} ids in one request; at most ${IDS_MAX}.`);
  }
  return { table, requests: segments.map((segment) => rowRequestOf(table, segment, terms)) };
}

function exposedTable(tables: ExposedTables | undefined, { segments }: RequestTarget): ExposedTable {
  if (tables === undefined)
    throw new RequestRefused('starting', 'MySQL has not answered yet since the gateway started.');
  if (segments[0] === '-')
    throw new RequestRefused('route-not-found', 'There is no such page under /-/; /-/docs lists every route.');
  const [db, table] = [percentDecode(segments[0] ?? ''), percentDecode(segments[1] ?? '')];
  const exposed = tables.find(db, table);
  if (exposed === undefined) {
    throw new RequestRefused('table-not-exposed', 'No table of this name is exposed (tables, in the configuration).');
  }
  return exposed;
}

function rowRequestOf(table: ExposedTable, rawSegment: string, terms: Terms): RowRequest {
  const id = parseRowId(table.schema.key, rawSegment);
  return { table, id, cacheKey: table.cacheKey(id), terms };
}
