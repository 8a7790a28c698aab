/**
 * A row event's rows -> what others are told of them (shared/event/event.ts), one event a row, beside what the shards are
 * told. Only exposed columns: what a table's deny list hides never leaves.
 *
 * - A row that is too large for a message is told with its key alone, and says so.
 * - A row that the schema we know does not describe cannot be told: `reload` is told instead, once for the event's rows.
 */
import type { ExposedTable } from '../../../shared/origin/exposed-table.ts';
import type { TableSchema } from '../../../shared/origin/table-schema.ts';
import { rowEventBody, routingKey, type EventType } from '../../../shared/event/event.ts';
import { CellMismatch, RowEncoder } from '../../../shared/row/row-json.ts';
import type { EventCells, EventRow } from '../binlog/binlog-event.ts';
import type { EventView } from './event-view.ts';
import type { PlacedChange } from './transaction.ts';

export interface RowEventsOptions {
  /** Whether others are told of the table. */
  readonly tells: (table: ExposedTable) => boolean;
  readonly nulls: 'null' | 'empty';
}

/** RabbitMQ 4 refuses messages of more than 16 MiB (max_message_size); consumers hold dozens of them in memory. */
const EVENT_BYTES_MAX = 4 * 1_048_576;
const NO_BODY = Buffer.alloc(0);

/** Of one table under one schema. */
export class RowEvents {
  readonly #table: ExposedTable;
  readonly #schema: TableSchema;
  readonly #view: EventView;
  readonly #ofNull: string;
  readonly #keyAt: readonly number[];
  readonly #keyEncoder: RowEncoder;

  constructor(table: ExposedTable, view: EventView, { nulls }: RowEventsOptions) {
    const { schema } = table;
    this.#table = table;
    this.#schema = schema;
    this.#view = view;
    this.#ofNull = nulls === 'empty' ? '""' : 'null';
    // A key column that is not exposed stands behind those that are.
    this.#keyAt = schema.keyAt.filter((at) => at < schema.columns.length);
    this.#keyEncoder = new RowEncoder(this.#keyAt.map((at) => schema.columns[at] as TableSchema['columns'][number]));
  }

  /** One a row, in order; and `reload` where not all of them can be told. */
  of(rows: readonly EventRow[], ordinalOf: (index: number) => number): PlacedChange[] {
    const events: PlacedChange[] = [];
    let isWhole = true;
    for (const [index, row] of rows.entries()) {
      const event = this.#event(row, ordinalOf(index));
      if (event === undefined) isWhole = false;
      else events.push(event);
    }
    if (!isWhole) events.push(this.#change('reload', '', NO_BODY, ordinalOf(rows.length - 1)));
    return events;
  }

  #event({ before, after }: EventRow, ordinal: number): PlacedChange | undefined {
    const old = before && this.#view.exposedCells?.(before);
    const now = after && this.#view.exposedCells?.(after);
    if ((before !== undefined && old === undefined) || (after !== undefined && now === undefined)) return undefined;
    const [eventType, ofBefore, ofAfter] = told(old, now);
    if (ofAfter === undefined) return undefined;
    const { db, table } = this.#table.name;
    const body = (row: (cells: EventCells) => string, truncated: boolean) =>
      rowEventBody({ db, table, eventType, before: ofBefore && row(ofBefore), after: row(ofAfter), truncated });
    try {
      const whole = body((cells) => this.#schema.encoder.textsJson(cells, this.#ofNull), false);
      const content = whole.length <= EVENT_BYTES_MAX ? whole : body((cells) => this.#keyJson(cells), true);
      return this.#change('event', routingKey(db, table, eventType), content, ordinal);
    } catch (error) {
      if (error instanceof CellMismatch) return undefined;
      throw error;
    }
  }

  #keyJson(cells: EventCells): string {
    return this.#keyEncoder.textsJson(
      this.#keyAt.map((at) => cells[at] ?? null),
      this.#ofNull,
    );
  }

  #change(op: 'event' | 'reload', key: string, body: Buffer, ordinal: number): PlacedChange {
    return { op, table: this.#table.followedName, key, shape: this.#schema.shape, body, ordinal };
  }
}

function told(
  old: EventCells | undefined,
  now: EventCells | undefined,
): [type: Exclude<EventType, 'RELOAD'>, before: EventCells | undefined, after: EventCells | undefined] {
  if (old === undefined) return ['INSERT', undefined, now];
  return now === undefined ? ['DELETE', undefined, old] : ['UPDATE', old, now];
}
