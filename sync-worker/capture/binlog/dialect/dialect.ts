/** What differs between MySQL's binlog and MariaDB's, and must not be known anywhere else. */
import type { SqlServer } from '../../../../shared/origin/server-version.ts';
import type { ByteReader } from '../event-bytes.ts';

/** How a transaction, or a statement outside any, is introduced. */
export interface Introduction {
  /** Nothing where the server has no GTIDs. */
  readonly gtid: string | undefined;
  /** Nothing where only the next event tells: MySQL introduces both alike. */
  readonly standalone: boolean | undefined;
  readonly committedAtMicros: number | undefined;
}

export interface EventHeader {
  /** Seconds since 1970. */
  readonly timestamp: number;
  readonly type: number;
  readonly serverId: number;
  readonly length: number;
  /** 32 bits of where it ends; 0 where the server does not say. */
  readonly nextPosition: number;
  readonly flags: number;
}

/** What the server says when it ends or refuses the stream. */
export type Refusal = 'purged' | 'bad-position' | 'evicted' | 'undecodable' | 'refused';

export interface Dialect {
  readonly flavour: SqlServer['flavour'];
  /** Asks for a heartbeat after so long without an event; on the connection that will carry the binlog. */
  heartbeatStatement(heartbeatMs: number): string;
  /** Rows of (collation's number, character set). */
  collationsQuery(version: string): string;
  /** Nothing where the event introduces nothing. */
  introduction(header: EventHeader, body: ByteReader): Introduction | undefined;
  /**
   * Whether a YEAR is among the columns whose signs are listed, in a file of that server's. Were it wrong, signs would
   * differ from the schema's, and the table's entries be removed rather than overwritten.
   */
  listsSignOfYear(version: string): boolean;
  /** By the text, for there is but one number (1236) for nearly all. Nothing where the text says nothing of the kind. */
  refusal(message: string): Refusal | undefined;
}

export function firstMatch<Kind>(message: string, patterns: readonly (readonly [RegExp, Kind])[]): Kind | undefined {
  return patterns.find(([pattern]) => pattern.test(message))?.[1];
}
