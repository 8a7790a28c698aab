/** Reads rows as they are, with no word on which changes that includes: for tables whose changes are not followed. */
import type { RowId } from '../key/row-id.ts';
import { cellText } from './cells.ts';
import type { Queryable } from './information-schema.ts';
import { type FoundRow, type OriginRow, type ReadRows, rowsOf, selectRows, whereIds } from './row-select.ts';
import type { TableSchema } from './table-schema.ts';

export function plainRead(origin: Queryable): ReadRows {
  return async (schema, wanted) => {
    const ids = wanted.map(({ id }) => id);
    const rows = rowsOf(schema, await origin.query(selectRows(schema, ids)));
    const [only, ...others] = ids;
    if (only !== undefined && others.length === 0) return new Map(rows.map((row) => [only.segment, row]));
    const found = new Map<string, OriginRow>(rows.map((row) => [row.id.segment, row]));
    const missing = ids.filter((id) => !found.has(id.segment));
    const hasSpellings = schema.key.some(({ type }) => type.kind === 'text' && !type.bytewise);
    if (rows.length > 0 && missing.length > 0 && hasSpellings) {
      // Absent, or known to the server under another spelling; only the server can tell which is whose.
      for (const [segment, row] of await readSpellings(origin, schema, missing)) found.set(segment, row);
    }
    return found;
  };
}

/** Each row with the ids that the server finds it under: a last column lists their indices. */
async function readSpellings(
  origin: Queryable,
  schema: TableSchema,
  ids: readonly RowId[],
): Promise<Map<string, FoundRow>> {
  const marks = ids.map((id, index) => `IF(${whereIds(schema, [id])}, ${index}, NULL)`).join(', ');
  const result = await origin.query(
    `SELECT ${schema.selected}, CONCAT_WS(',', ${marks}) FROM ${schema.from} WHERE ${whereIds(schema, ids)}`,
  );
  const found = new Map<string, FoundRow>();
  for (const [at, row] of rowsOf(schema, result).entries()) {
    const indices = cellText(result.rows[at]?.at(-1)).split(',');
    for (const index of indices) found.set((ids[Number(index)] as RowId).segment, row);
  }
  return found;
}
