/** A rows event, once its table is known -> its rows, cell by cell. */
import type { EventCells, EventRow } from './binlog-event.ts';
import type { CellDecoder } from './cells.ts';
import { bitAt, bitmapBytes, ByteReader, Undecodable } from './event-bytes.ts';
import { ROWS_EVENTS } from './event-types.ts';
import { inflated, readInflatedLength } from './query.ts';

/** @param body past the table's number. Throws Undecodable: then none of its rows is to be used. */
export function readRows(type: number, body: ByteReader, decoders: readonly CellDecoder[]): EventRow[] {
  const event = ROWS_EVENTS.get(type);
  if (event === undefined) throw new Undecodable(`event type ${type} has no rows`);
  body.skip(2);
  if (event.extra) body.skip(body.u16() - 2);
  const count = body.lengthEncoded();
  if (count !== decoders.length) throw new Undecodable(`${count} columns where the table has ${decoders.length}`);
  requireAll(body.bytes(bitmapBytes(count)), count);
  if (event.rows === 'update') requireAll(body.bytes(bitmapBytes(count)), count);
  const images = event.compressed ? new ByteReader(inflated(body.rest())) : body;

  const rows: EventRow[] = [];
  while (images.left > 0) {
    const before = event.rows === 'write' ? undefined : readImage(images, decoders);
    const after = event.rows === 'delete' ? undefined : readImage(images, decoders);
    rows.push({ before, after });
  }
  return rows;
}

/**
 * How many bytes of rows there are, and some more: at least two for each row that has a key. For every table, also one that
 * is not decoded, and from the event's bytes alone.
 * @param body past the table's number.
 */
export function rowsBytes(type: number, body: Buffer): number {
  const event = ROWS_EVENTS.get(type);
  if (event?.compressed !== true) return body.length;
  const reader = new ByteReader(body);
  try {
    reader.skip(2);
    if (event.extra) reader.skip(reader.u16() - 2);
    const bitmap = bitmapBytes(reader.lengthEncoded());
    reader.skip(event.rows === 'update' ? 2 * bitmap : bitmap);
    return readInflatedLength(reader);
  } catch (error) {
    // Then its rows cannot be read either.
    if (error instanceof Undecodable) return body.length;
    throw error;
  }
}

/** A session may choose its own binlog_row_image: what is left out would look like NULL. */
function requireAll(present: Buffer, count: number): void {
  for (let index = 0; index < count; index += 1) {
    if (!bitAt(present, index)) throw new Undecodable('not all columns were written: binlog_row_image is not FULL');
  }
}

function readImage(images: ByteReader, decoders: readonly CellDecoder[]): EventCells {
  const nulls = images.bytes(bitmapBytes(decoders.length));
  return decoders.map((decode, index) => (bitAt(nulls, index) ? null : decode(images)));
}
