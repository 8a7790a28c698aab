/** What MySQL says: the tables as the product knows them, every key's row by its encoder, and its counter by SQL alone. */
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import type { RowId } from '../../../shared/key/row-id.ts';
import { parseRowId } from '../../../shared/key/row-id.ts';
import { absenceIsCacheable } from '../../../shared/key/key-part.ts';
import { cellNumber, cellText } from '../../../shared/origin/cells.ts';
import type { ExposedTable } from '../../../shared/origin/exposed-table.ts';
import { ExposedTables } from '../../../shared/origin/exposed-tables.ts';
import { binlogEndQuery } from '../../../shared/origin/origin-identity.ts';
import { OriginPool } from '../../../shared/origin/origin-pool.ts';
import { plainRead } from '../../../shared/origin/plain-read.ts';
import { createLog } from '../../../shared/telemetry/log.ts';
import type { LogPosition } from '../../../shared/version/version.ts';
import type { Installation } from './installation.ts';
import { DRILL_DB, DRILL_TABLES, type DrillTable } from './tables.ts';

export interface TrueRow {
  readonly key: string;
  readonly table: DrillTable;
  readonly exposed: ExposedTable;
  readonly segment: string;
  /** The row as JSON; nothing where there is no such row. */
  readonly body: Buffer | undefined;
  /** As CAST gives it. */
  readonly counter: string | undefined;
  /** Whether "no such row" may be remembered. */
  readonly absenceIsCacheable: boolean;
}

export interface Truth {
  /** By cache key: every key that there is. */
  readonly rows: ReadonlyMap<string, TrueRow>;
  readonly end: LogPosition;
}

export async function readTruth({ config, mysql }: Installation): Promise<Truth> {
  const { url, timeoutMs } = config.origin;
  const pool = new OriginPool({ url, connections: 1, timeoutMs, onChange: () => undefined });
  const root = await createConnection({ host: mysql.host, port: mysql.port, user: 'root' });
  try {
    const tables = await ExposedTables.load(pool, config, createLog('error'));
    const rows = new Map<string, TrueRow>();
    for (const table of DRILL_TABLES) {
      const exposed = tables.find(DRILL_DB, table.name) as ExposedTable;
      const ids = table.keys.map(({ segment }) => parseRowId(exposed.schema.key, segment));
      const wanted = ids.map((id) => ({ id, base: undefined }));
      const found = await plainRead(pool)(exposed.schema, wanted);
      const literals = new Map(ids.map((id, index) => [id, table.keys[index]?.literals as readonly string[]]));
      const counters = await readCounters(root, table, ids, literals);
      for (const id of ids) {
        const row = found.get(id.segment);
        rows.set(exposed.cacheKey(id), {
          key: exposed.cacheKey(id),
          table,
          exposed,
          segment: id.segment,
          body: row?.kind === 'row' ? row.body : undefined,
          counter: counters.get(id.segment),
          absenceIsCacheable: exposed.schema.key.every(({ type }) => absenceIsCacheable(type)),
        });
      }
    }
    const [end] = (await pool.query(binlogEndQuery(tables.server))).rows;
    return { rows, end: { file: cellText(end?.[0]), position: cellNumber(end?.[1]) ?? 0 } };
  } finally {
    await Promise.all([pool.stop(), root.end()]);
  }
}

/** Each key is asked for by itself: nothing of ours decides which row is whose. */
async function readCounters(
  root: Awaited<ReturnType<typeof createConnection>>,
  { name, keyColumns }: DrillTable,
  ids: readonly RowId[],
  literals: ReadonlyMap<RowId, readonly string[]>,
): Promise<Map<string, string>> {
  const selects = ids.map((id, index) => {
    const equals = keyColumns.map((column, at) => `${column} = ${literals.get(id)?.[at]}`).join(' AND ');
    return `SELECT ${index} AS n, CAST(counter AS CHAR) AS counter FROM ${DRILL_DB}.${name} WHERE ${equals}`;
  });
  const [found] = await root.query<RowDataPacket[]>(selects.join(' UNION ALL '));
  return new Map(found.map(({ n, counter }) => [ids[n as number]?.segment as string, counter as string]));
}
