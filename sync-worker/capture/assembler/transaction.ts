/** What the assembler makes of events: one committed transaction, or a statement outside any, whole. */
import type { Change, ChangeOp } from '../../../shared/change/change.ts';
import type { LogPosition } from '../../../shared/version/version.ts';

/** For others than the shards (row-events.ts): a row's event, its key the routing key; that the table wants to be read again. */
export type EventOp = 'event' | 'reload';

export interface PlacedChange extends Omit<Change, 'op'> {
  readonly op: ChangeOp | EventOp;
  /**
   * Where in its transaction it stands; BinlogEvent's `rows` has how it is numbered. It grows, and is the same whenever
   * the transaction is read, whatever is followed then: a shard may have been told a part of it, and is told the rest by
   * another capture.
   */
  readonly ordinal: number;
}

export interface Transaction {
  /** Where its commit event ends: the position of every change in it. */
  readonly end: LogPosition;
  readonly gtid: string | undefined;
  /** When it was committed, in µs since 1970, where the server says. */
  readonly committedAtMicros: number | undefined;
  /** The same in whole seconds since 1970, as every server says it; nothing where the transaction has no head of its own. */
  readonly committedAtSeconds?: number | undefined;
  /** How many changes there are. */
  readonly count: number;
  /** In order. A large transaction comes from disk. It can be iterated once; `discard` gives its disk space back. */
  changes(): AsyncIterable<PlacedChange> | Iterable<PlacedChange>;
  discard(): void;
  /** Tables, by followed name, whose floor rises to `end`: DDL, TRUNCATE, statements, rows that could not be read. */
  readonly floors: readonly string[];
  /** Where to read on if all up to and with this one is confirmed: `end`, or before the oldest prepared XA transaction. */
  readonly restart: LogPosition;
}
