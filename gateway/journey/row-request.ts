import type { RowId } from '../../shared/key/row-id.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { placeOf } from '../../shared/ring/continuum.ts';
import type { Candidate, Layers } from '../../shared/ring/layers.ts';
import type { WritePosition } from '../../shared/stamp/write-position.ts';
import type { ShardPort } from './shard-port.ts';

/** One row that a client wants, and what it accepts. */
export interface RowRequest {
  readonly table: ExposedTable;
  readonly id: RowId;
  readonly cacheKey: string;
  /** Of the key in the hash space. */
  readonly place: number;
  /** Of the first layer; looked up once for all who ask for the row. */
  readonly owner: Candidate<ShardPort>;
  readonly terms: Terms;
}

/** What the request's `Cache-Control` asks for (RFC 9111, section 5.2.1). */
export interface Terms {
  /** `no-cache`: the origin's own word, read after this request came. */
  readonly noCache: boolean;
  /** `no-store`: keep nothing of the answer. */
  readonly noStore: boolean;
  /** `only-if-cached`: do not ask the origin. */
  readonly onlyIfCached: boolean;
  /** `max-age`: no entry older than this, in seconds. */
  readonly maxAgeSeconds: number;
  /** `Ringfill-After`: an answer that includes this write of the client's own. */
  readonly after?: WritePosition | undefined;
}

export const ANY_TERMS: Terms = { noCache: false, noStore: false, onlyIfCached: false, maxAgeSeconds: Infinity };

/** For whoever accepts any answer. */
export function onAnyTerms(table: ExposedTable, id: RowId, layers: Layers<ShardPort>): RowRequest {
  const cacheKey = table.cacheKey(id);
  const place = placeOf(cacheKey);
  return { table, id, cacheKey, place, owner: layers.owner(place, 0), terms: ANY_TERMS };
}
