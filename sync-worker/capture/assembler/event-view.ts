/** Where in an event's rows the cells are that the schema speaks of. */
import type { TableSchema } from '../../../shared/origin/table-schema.ts';
import type { EventCells, EventTable } from '../binlog/binlog-event.ts';

export interface EventView {
  /** The key's cells, in key order. */
  keyCells(cells: EventCells): EventCells;
  /** The cells of `schema.columns`, in order; nothing where the event does not agree with the schema. */
  readonly exposedCells: ((cells: EventCells) => EventCells) | undefined;
}

/** Nothing where not even the key's columns are as the schema has them. Asked once a table map and schema. */
export type ViewOf = (event: EventTable, schema: TableSchema) => EventView | undefined;
