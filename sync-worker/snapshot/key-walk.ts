/**
 * A table's keys in order, some at a time, so that none is missed that was there, in the binlog's eyes, when the walk began;
 * and nobody is locked out.
 *
 * A committed read alone would miss some: a row's INSERT may lie in the binlog, before the snapshot's beginning, and not
 * be visible to other sessions yet. What is not committed is visible to a dirty read. So each step asks twice, and takes
 * what either has seen:
 *
 *     1. what anybody has written (READ UNCOMMITTED)   sees an INSERT that is on its way to becoming visible
 *     2. what is committed                             sees a row that somebody has deleted, and may roll back
 *
 * In this order. The other way round:
 *     1. T1's INSERT is in the binlog, not visible: the committed read misses it.   2. T1 becomes visible.
 *     3. T2 deletes the row: the dirty read misses it.                              4. T2 rolls back. The row was missed.
 * In this order T2 can only begin after T1 is visible, and the committed read comes after that.
 *
 * A key that should not have been there is no harm: the row is read with proof, and found absent.
 *
 * Keys that no client can ask for (a text with NUL, 31 February) are not told: no id finds them.
 */
import type { OriginPool, TextResult } from '../../shared/origin/origin-pool.ts';
import { selectKeys, selectKeysOf } from '../../shared/origin/row-select.ts';
import type { TableSchema } from '../../shared/origin/table-schema.ts';
import { parseRowId, type RowId, rowIdOfCells } from '../../shared/key/row-id.ts';
import { RequestRefused } from '../../shared/errors/errors.ts';

export interface KeyStep {
  readonly ids: readonly RowId[];
  /** Up to where all keys have been told; nothing at the table's end. */
  readonly upTo: RowId | undefined;
}

/** So many keys in a row that no client can ask for, and there is no place between them to go on from. */
export class KeysUnspeakable extends Error {
  constructor(from: string, count: number) {
    super(`${from} has ${count} keys in a row that no client can ask for, such as texts with NUL`);
    this.name = 'KeysUnspeakable';
  }
}

/**
 * The keys after this one; some may be told again by the next step.
 * @param limit about how many. Throws OriginUnavailable, KeysUnspeakable, and what the server says of a table that has
 *   changed.
 */
export async function nextKeys(
  origin: Pick<OriginPool, 'packet'>,
  schema: TableSchema,
  after: RowId | undefined,
  limit: number,
): Promise<KeyStep> {
  const [, dirtyRows] = await origin.packet([
    'SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED',
    selectKeys(schema, { after, limit }),
  ]);
  const dirty = idsIn(schema, dirtyRows as TextResult);
  const lastDirty = dirty.length < limit ? undefined : lastSpeakable(schema, dirty);
  const [committedRows] = await origin.packet([selectKeys(schema, { after, upTo: lastDirty, limit })]);
  const committed = idsIn(schema, committedRows as TextResult);
  const upTo = committed.length < limit ? lastDirty : lastSpeakable(schema, committed);
  const told = [...dirty, ...committed].filter((id) => isSpeakable(schema, id));
  return { ids: [...new Map(told.map((id) => [id.segment, id])).values()], upTo };
}

/** Those of these ids, by segment, that a row has now, by the bytes of its key. */
export async function presentKeys(
  origin: Pick<OriginPool, 'packet'>,
  schema: TableSchema,
  ids: readonly RowId[],
): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const [rows] = await origin.packet([selectKeysOf(schema, ids)]);
  return new Set(idsIn(schema, rows as TextResult).map(({ segment }) => segment));
}

function idsIn(schema: TableSchema, { rows }: TextResult): RowId[] {
  return rows.map((cells) => rowIdOfCells(schema.key, cells as Buffer[]));
}

function lastSpeakable(schema: TableSchema, ids: readonly RowId[]): RowId {
  const last = ids.findLast((id) => isSpeakable(schema, id));
  if (last === undefined) throw new KeysUnspeakable(schema.from, ids.length);
  return last;
}

/** Only text and times can have spellings that a request with them is refused for. */
function isSpeakable({ key }: TableSchema, id: RowId): boolean {
  if (key.every(({ type }) => type.kind === 'integer')) return true;
  try {
    return parseRowId(key, id.segment).segment === id.segment;
  } catch (error) {
    if (error instanceof RequestRefused) return false;
    throw error;
  }
}
