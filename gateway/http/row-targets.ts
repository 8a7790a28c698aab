/**
 * What a request's target names: one row of an exposed table, or many. Rows that were named lately are remembered, each
 * with its id read, its key made and its owner looked up: the same few are mostly asked for again and again.
 *
 * Throws RequestRefused; AccessRefused.
 */
import { RecentMap } from '../../shared/collections/recent-map.ts';
import { RequestRefused } from '../../shared/errors/errors.ts';
import { parseRowId, percentDecode, percentEncode, splitRowIds } from '../../shared/key/row-id.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import type { TableSchema } from '../../shared/origin/table-schema.ts';
import type { Layers } from '../../shared/ring/layers.ts';
import type { ShardPort } from '../journey/shard-port.ts';
import { onAnyTerms, type RowRequest } from '../journey/row-request.ts';
import { parseTarget, refuseUnknownParameters, type RequestTarget } from './request-target.ts';

export const IDS_MAX = 1_000;

/**
 * Whether the client may read so many rows of a table, exposed or not. Asked before more is told than that.
 * Throws AccessRefused.
 */
export type Admit = (table: string, rows: number) => void;

export interface ManyRows {
  readonly table: ExposedTable;
  /** In the order asked. */
  readonly requests: readonly RowRequest[];
}

/** Of all tables, at least; twice as many at most. 50,000 take about 20 MB. */
const REMEMBERED_ROWS = 50_000;
/** Longer ids are read each time: anybody can send long ones, and nobody sends them often. */
const REMEMBERED_LENGTH_MAX = 128;

/** Of one generation's tables and rings; another generation has its own. */
export class RowTargets {
  readonly #tables: ExposedTables;
  readonly #named = new Map<ExposedTable, NamedRows>();
  /** By `/db/table`, as it is spelled without needless escapes. */
  readonly #byPath = new Map<string, NamedRows>();

  constructor(tables: ExposedTables, layers: Layers<ShardPort>) {
    this.#tables = tables;
    const all = [...tables.all()];
    for (const table of all) {
      const rows = new NamedRows(table, layers, Math.ceil(REMEMBERED_ROWS / all.length));
      this.#named.set(table, rows);
      this.#byPath.set(`/${percentEncode(table.name.db)}/${percentEncode(table.name.table)}`, rows);
    }
  }

  /** `/db/table/id`, whatever is accepted of it. */
  one(url: string, admit: Admit | undefined): RowRequest {
    const slash = url.lastIndexOf('/');
    const known = this.#byPath.get(url.slice(0, slash))?.known(url.slice(slash + 1));
    if (known !== undefined) {
      admit?.(known.table.label, 1);
      return known;
    }
    const target = parseTarget(url);
    refuseUnknownParameters(target, []);
    return this.#rowsOf(target, admit).row(target.segments[2] ?? '');
  }

  /** `/db/table?ids=…`, whatever is accepted of it. */
  many(url: string, admit: Admit | undefined): ManyRows {
    const target = parseTarget(url);
    refuseUnknownParameters(target, ['ids']);
    const rows = this.#rowsOf(target, admit);
    const { table } = rows;
    const rawIds = target.parameters.get('ids');
    const wanted = `/${percentEncode(table.name.db)}/${percentEncode(table.name.table)}?ids=…`;
    if (rawIds === undefined) throw new RequestRefused('ids-missing', `Name the rows: ${wanted}, at most ${IDS_MAX}.`);
    const segments = splitRowIds(table.schema.key, rawIds);
    if (segments.length > IDS_MAX) {
      throw new RequestRefused('too-many-ids', `${segments.length} ids in one request; at most ${IDS_MAX}.`);
    }
    return { table, requests: segments.map((segment) => rows.row(segment)) };
  }

  #rowsOf(target: RequestTarget, admit: Admit | undefined): NamedRows {
    const { segments } = target;
    if (segments[0] === '-')
      throw new RequestRefused('route-not-found', 'There is no such page under /-/; /-/docs lists every route.');
    const [db, table] = [percentDecode(segments[0] ?? ''), percentDecode(segments[1] ?? '')];
    const exposed = this.#tables.find(db, table);
    admit?.(`${db}.${table}`, rowsAskedFor(target, exposed));
    const rows = exposed && this.#named.get(exposed);
    if (rows === undefined) {
      throw new RequestRefused('table-not-exposed', 'No table of this name is exposed (tables, in the configuration).');
    }
    return rows;
  }
}

/** Of one table. */
class NamedRows {
  readonly table: ExposedTable;
  readonly #layers: Layers<ShardPort>;
  readonly #size: number;
  #schema: TableSchema;
  #known: RecentMap<string, RowRequest>;

  constructor(table: ExposedTable, layers: Layers<ShardPort>, size: number) {
    this.table = table;
    this.#layers = layers;
    this.#size = size;
    this.#schema = table.schema;
    this.#known = new RecentMap(size);
  }

  /** Nothing where it has not been named lately. */
  known(rawSegment: string): RowRequest | undefined {
    if (this.table.schema !== this.#schema) {
      this.#schema = this.table.schema;
      this.#known = new RecentMap(this.#size);
    }
    return this.#known.get(rawSegment);
  }

  row(rawSegment: string): RowRequest {
    const known = this.known(rawSegment);
    if (known !== undefined) return known;
    const id = parseRowId(this.#schema.key, rawSegment);
    const request = onAnyTerms(this.table, id, this.#layers);
    if (rawSegment.length <= REMEMBERED_LENGTH_MAX) this.#known.set(rawSegment, request);
    return request;
  }
}

/** Counted before anything is parsed, which is for those alone who may ask. */
function rowsAskedFor({ parameters }: RequestTarget, table: ExposedTable | undefined): number {
  const parts = parameters.get('ids')?.split(/,|%2C/i).length ?? 1;
  return Math.ceil(parts / (table?.schema.key.length ?? 1));
}
