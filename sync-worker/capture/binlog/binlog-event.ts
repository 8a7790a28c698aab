/**
 * What the reader makes of the binlog for the assembler. The driver's quirks, and what differs between MySQL and MariaDB,
 * end at this type.
 *
 * Every event says where it ends. Events of tables that nobody follows come without their rows, or not at all.
 */
import type { LogPosition } from '../../../shared/version/version.ts';

interface Located {
  /** Where the event ends; inside a MariaDB transaction the place is not known, and the last known one stands here. */
  readonly end: LogPosition;
  /** About what the event holds in memory, for those who bound it. */
  readonly bytes: number;
}

export type BinlogEvent = Located &
  (
    | {
        /** The stream goes on in `end.file`, from `end.position`. */
        readonly kind: 'rotate';
        /**
         * How the file before it ended: by its own rotate or stop event, or without a word: then the server crashed,
         * and may have lost the end of what it had sent. `start` is the first file of this connection.
         */
        readonly after: 'start' | 'clean' | 'crash';
      }
    /** A file's first event. `createdAt` (seconds since 1970) tells a file from another of the same name, after a RESET. */
    | { readonly kind: 'format'; readonly createdAt: number }
    /** A transaction, or one statement outside any (`standalone`: DDL and the like), begins. */
    | {
        readonly kind: 'begin';
        /** Nothing where the server has no GTIDs. */
        readonly gtid: string | undefined;
        readonly standalone: boolean;
        /** When it was committed on the server it comes from, in µs since 1970; nothing where the server does not say. */
        readonly committedAtMicros: number | undefined;
        /** The same in whole seconds, from the event's head. */
        readonly committedAtSeconds?: number;
      }
    | {
        readonly kind: 'rows';
        readonly table: EventTable;
        readonly rows: readonly EventRow[];
        /**
         * How many bytes of rows, of whatever tables, the transaction had before it. A row of a followed table takes at
         * least two, so row n may be numbered with this plus 2n and the next: a number that stays the same, whoever reads
         * the transaction again, and whatever is followed then.
         */
        readonly firstOrdinal: number;
      }
    /** Rows of a followed table that cannot be read: which table, where that is known, and why. */
    | { readonly kind: 'unreadable'; readonly table: { db: string; table: string } | undefined; readonly why: string }
    /** A statement: BEGIN, COMMIT, ROLLBACK, SAVEPOINT, XA …, DDL, or DML in statement format. */
    | { readonly kind: 'query'; readonly db: string; readonly sql: string; readonly failed: boolean }
    /** The transaction is committed. */
    | { readonly kind: 'commit' }
    /** The transaction is prepared; XA COMMIT or XA ROLLBACK will come as a query. `onePhase`: it is committed. */
    | { readonly kind: 'xa-prepare'; readonly xid: string; readonly onePhase: boolean }
    /** The server is there and has nothing new, or what it had was not for us. */
    | { readonly kind: 'heartbeat' }
  );

/** A table as the event itself describes it (binlog_row_metadata=FULL), never as it is today. */
export interface EventTable {
  readonly db: string;
  readonly table: string;
  readonly columns: readonly EventColumn[];
}

/** As far as the binlog tells; the same words as Column where both know them. */
export interface EventColumn {
  readonly name: string;
  /** As Column.dataType says it, as far as the binlog tells types apart: MariaDB's JSON is `longtext`, its UUID `binary`. */
  readonly dataType: string;
  readonly unsigned: boolean;
  readonly nullable: boolean;
  readonly charset: string | null;
  /** Bytes of CHAR, VARCHAR, BINARY, VARBINARY; the binlog does not count characters. */
  readonly bytesMax: number | null;
  readonly precision: number | null;
  readonly scale: number | null;
  /** Digits after the second. */
  readonly fraction: number | null;
  /** Of ENUM and SET. */
  readonly members: readonly string[] | null;
}

/**
 * One cell a column, as the text protocol would send it in a session with UTC and utf8mb4 (`cells.ts`), so that a change
 * and a fill go through the same encoder.
 */
export type EventCells = readonly (Buffer | null)[];

export interface EventRow {
  /** Nothing for an INSERT. */
  readonly before: EventCells | undefined;
  /** Nothing for a DELETE. */
  readonly after: EventCells | undefined;
}
