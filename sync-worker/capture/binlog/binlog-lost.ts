/** Why the binlog could not be read on, by what the capture does about it. */
import type { LogPosition } from '../../../shared/version/version.ts';

export type LossReason =
  /** The server no longer has what was asked for: changes are missing. */
  | 'purged'
  /** The place is not in this server's binlog, or not between two events: it is another binlog, or one that lost its end. */
  | 'bad-position'
  /** Another reader came with our server id. */
  | 'evicted'
  /** Neither an event nor a heartbeat in time. */
  | 'silent'
  /** The connection ended, or the server ended it. */
  | 'closed'
  /**
   * An event that tells transactions apart is damaged, here or in the server's file. It will be so again: only a start
   * past it helps, which is a gap as after `purged`.
   */
  | 'undecodable'
  /** Login, privileges, or a setting of the server. */
  | 'refused'
  /** No connection was made. */
  | 'unreachable';

export class BinlogLost extends Error {
  readonly reason: LossReason;
  /** Where the last whole event ended; nothing where none came. */
  readonly position: LogPosition | undefined;

  constructor(reason: LossReason, message: string, position: LogPosition | undefined, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BinlogLost';
    this.reason = reason;
    this.position = position;
  }
}
