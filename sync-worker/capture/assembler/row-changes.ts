/**
 * A row event of a followed table -> the changes of the entries under its rows' keys.
 *
 * The key is made of the row's own key cells, as fills make it. What is done under it is the table's strategy:
 *
 * | strategy     | INSERT, UPDATE | DELETE, the old key of an UPDATE |
 * |--------------|----------------|----------------------------------|
 * | `overwrite`  | `write`        | `absent`, or `remove` where absence is not kept |
 * | `invalidate` | `remove`       | `remove`                         |
 * | `refresh`    | `refresh`      | `remove`                         |
 * | (a mirror)   | `put`          | `delete`                         |
 *
 * - An INSERT removes too: there may be a "no such row".
 * - A deleted row is not read back: the answer would be an inexact "no such row", at the cost of a read of the origin a row,
 *   and a purge of old rows would read every cached one of them. Whoever still asks for one has the next miss do it.
 * - A row that is too large to be kept, and one that the schema we know does not describe, is removed: the gateway
 *   reads it anew, and the schema with it. A mirror has nobody who would: it is told that there is a row which is too
 *   large; where the schema does not describe a row, the table's floor has to rise, and a snapshot reads it.
 * - Where not even the key can be read, the table's floor has to rise: nobody knows whose entry it was.
 *
 * Others are told of the rows as well, where the configuration says so: row-events.ts.
 */
import type { ChangeOp } from '../../../shared/change/change.ts';
import { absenceIsCacheable } from '../../../shared/key/key-part.ts';
import { rowIdOfCells } from '../../../shared/key/row-id.ts';
import type { ExposedTable } from '../../../shared/origin/exposed-table.ts';
import type { TableSchema } from '../../../shared/origin/table-schema.ts';
import { CellMismatch } from '../../../shared/row/row-json.ts';
import type { EventCells, EventRow, EventTable } from '../binlog/binlog-event.ts';
import type { EventView, ViewOf } from './event-view.ts';
import { RowEvents, type RowEventsOptions } from './row-events.ts';
import type { PlacedChange } from './transaction.ts';

/** All that stays the same from row to row. */
interface TablePlan {
  readonly schema: TableSchema;
  readonly followedName: string;
  readonly view: EventView | undefined;
  /** Nothing where nobody else is told of the table. */
  readonly events: RowEvents | undefined;
  readonly present: 'write' | 'remove' | 'refresh' | 'put';
  readonly gone: 'absent' | 'remove' | 'delete';
}

const NO_BODY = Buffer.alloc(0);
/** An UPDATE of the key is two changes. */
export const ORDINALS_OF_A_ROW = 2;

/**
 * One change that is larger than a batch goes alone, and a message that the broker does not take would stop capture for
 * ever: RabbitMQ 4 refuses more than 16 MiB (max_message_size). The table's own bound (rowBytesMax) may lie above that.
 */
const BODY_BYTES_MAX = 4 * 1_048_576;

export class RowChanges {
  readonly #viewOf: ViewOf;
  readonly #events: RowEventsOptions | undefined;
  readonly #plans = new WeakMap<EventTable, TablePlan>();

  constructor(viewOf: ViewOf, events?: RowEventsOptions) {
    this.#viewOf = viewOf;
    this.#events = events;
  }

  /**
   * In the rows' order; nothing where the table's floor has to rise instead. Each row has two ordinals, whether or not it
   * needs both: what its key is may change with the schema.
   */
  of(
    table: ExposedTable,
    event: EventTable,
    rows: readonly EventRow[],
    firstOrdinal: number,
  ): PlacedChange[] | undefined {
    const plan = this.#planOf(table, event);
    if (plan.view === undefined) return undefined;
    const changes: PlacedChange[] = [];
    let ordinal = firstOrdinal - ORDINALS_OF_A_ROW;
    for (const { before, after } of rows) {
      ordinal += ORDINALS_OF_A_ROW;
      const oldCells = before && plan.view.keyCells(before);
      const newCells = after && plan.view.keyCells(after);
      const oldKey = oldCells && keyOf(table, plan.schema, oldCells);
      // Most updates leave the key alone, and a key costs more to make than to compare.
      const sameCells = oldCells !== undefined && newCells !== undefined && areEqual(oldCells, newCells);
      const newKey = sameCells ? oldKey : newCells && keyOf(table, plan.schema, newCells);
      if ((before !== undefined && oldKey === undefined) || (after !== undefined && newKey === undefined)) {
        return undefined;
      }
      if (oldKey !== undefined && oldKey !== newKey) changes.push(change(plan, plan.gone, oldKey, NO_BODY, ordinal));
      if (newKey !== undefined && after !== undefined) {
        const present = presentChange(table, plan, newKey, after, ordinal + 1);
        if (present === undefined) return undefined;
        changes.push(present);
      }
    }
    const ordinalOf = (index: number) => firstOrdinal + ORDINALS_OF_A_ROW * index + 1;
    if (plan.events !== undefined) changes.push(...plan.events.of(rows, ordinalOf));
    return changes;
  }

  #planOf(table: ExposedTable, event: EventTable): TablePlan {
    const known = this.#plans.get(event);
    // The schema is replaced when the server's table has changed, also under a table map that is still in use.
    if (known !== undefined && known.schema === table.schema) return known;
    const plan = makePlan(table, this.#viewOf(event, table.schema), this.#events);
    this.#plans.set(event, plan);
    return plan;
  }
}

function makePlan(table: ExposedTable, view: EventView | undefined, told: RowEventsOptions | undefined): TablePlan {
  const { schema, followedName } = table;
  const events = view !== undefined && told?.tells(table) === true ? new RowEvents(table, view, told) : undefined;
  const common = { schema, followedName, view, events };
  if (table.settings.mode === 'mirror') return { ...common, present: 'put', gone: 'delete' };
  switch (table.settings.strategy) {
    case 'invalidate':
      return { ...common, present: 'remove', gone: 'remove' };
    case 'refresh':
      return { ...common, present: 'refresh', gone: 'remove' };
    case 'overwrite': {
      if (view?.exposedCells === undefined) return { ...common, present: 'remove', gone: 'remove' };
      const keepsAbsence = schema.key.every((part) => absenceIsCacheable(part.type));
      return { ...common, present: 'write', gone: keepsAbsence ? 'absent' : 'remove' };
    }
  }
}

/** Nothing where the table's floor has to rise instead. */
function presentChange(
  table: ExposedTable,
  plan: TablePlan,
  key: string,
  cells: EventCells,
  ordinal: number,
): PlacedChange | undefined {
  const { present } = plan;
  if (present === 'remove' || present === 'refresh') return change(plan, present, key, NO_BODY, ordinal);
  const body = bodyOf(plan, cells);
  const isKept = body !== undefined && body.length <= Math.min(table.settings.rowBytesMax, BODY_BYTES_MAX);
  if (isKept) return change(plan, present, key, body, ordinal);
  if (present === 'write') return change(plan, 'remove', key, NO_BODY, ordinal);
  return body === undefined ? undefined : change(plan, 'too-large', key, NO_BODY, ordinal);
}

function bodyOf({ schema, view, present }: TablePlan, cells: EventCells): Buffer | undefined {
  const exposed = view?.exposedCells?.(cells);
  if (exposed === undefined) return undefined;
  try {
    return present === 'put' ? schema.encoder.encodeTexts(exposed) : schema.encoder.encode(exposed);
  } catch (error) {
    if (error instanceof CellMismatch) return undefined;
    throw error;
  }
}

function change(
  { followedName, schema }: TablePlan,
  op: ChangeOp,
  key: string,
  body: Buffer,
  ordinal: number,
): PlacedChange {
  return { op, table: followedName, key, shape: schema.shape, body, ordinal };
}

/** Nothing where the cells are not of the key's types: the table has changed under us. */
function keyOf(table: ExposedTable, schema: TableSchema, cells: EventCells): string | undefined {
  if (!cells.every((cell) => cell !== null && cell !== undefined)) return undefined;
  try {
    return table.cacheKey(rowIdOfCells(schema.key, cells));
  } catch (error) {
    // BigInt of what is not an integer; encodeURIComponent of half a surrogate pair.
    if (error instanceof SyntaxError || error instanceof URIError) return undefined;
    throw error;
  }
}

function areEqual(a: EventCells, b: EventCells): boolean {
  return a.every((cell, index) => {
    const other = b[index];
    return cell !== null && other !== null && other !== undefined && cell.equals(other);
  });
}
