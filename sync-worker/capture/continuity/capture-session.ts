/**
 * One connection to the origin, kept for one purpose: what is asked on it is all asked of one server. A pool may reach
 * another one with each of its connections, behind an address that has just moved.
 *
 * It ends at the first trouble; whoever wants to go on opens another.
 */
import { type Connection, createConnection } from 'mysql2/promise';
import { messageOf, OriginUnavailable } from '../../../shared/errors/errors.ts';
import { withinDeadline } from '../../../shared/lifecycle/deadline.ts';
import { cellText } from '../../../shared/origin/cells.ts';
import { describeOrigin, mysqlOptions } from '../../../shared/origin/mysql-url.ts';
import { identityQuery, originIdentity } from '../../../shared/origin/origin-identity.ts';
import type { TextResult } from '../../../shared/origin/origin-pool.ts';
import { type SqlServer, sqlServerOf } from '../../../shared/origin/server-version.ts';

export interface SessionOptions {
  readonly url: string;
  /** The longest that connecting, or one query, may take. */
  readonly timeoutMs: number;
}

export class OriginSession {
  readonly server: SqlServer;
  readonly identity: string;
  /** Settles, with the reason, when the connection is gone; also while nothing is asked. */
  readonly ended: Promise<Error>;
  readonly #connection: Connection;
  readonly #address: string;
  readonly #timeoutMs: number;

  /** Throws OriginUnavailable. */
  static async open({ url, timeoutMs }: SessionOptions): Promise<OriginSession> {
    const address = describeOrigin(url);
    const connecting = createConnection({
      ...mysqlOptions(url),
      charset: 'utf8mb4',
      connectTimeout: timeoutMs,
      flags: ['-LOCAL_FILES'],
      enableKeepAlive: true,
    });
    let connection: Connection;
    try {
      connection = await withinDeadline(connecting, timeoutMs, () => new Error(`no connection within ${timeoutMs} ms`));
    } catch (error) {
      connecting.then(
        (late) => late.destroy(),
        () => undefined,
      );
      throw unavailable(address, error);
    }
    // Said to nobody otherwise, and it would end the process.
    connection.on('error', () => undefined);
    try {
      const server = sqlServerOf(
        cellText((await run(connection, address, timeoutMs, 'SELECT VERSION()')).rows[0]?.[0]),
      );
      const identity = originIdentity(await run(connection, address, timeoutMs, identityQuery(server)));
      return new OriginSession(connection, address, timeoutMs, server, identity);
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  private constructor(connection: Connection, address: string, timeoutMs: number, server: SqlServer, identity: string) {
    this.#connection = connection;
    this.#address = address;
    this.#timeoutMs = timeoutMs;
    this.server = server;
    this.identity = identity;
    const { promise, resolve } = Promise.withResolvers<Error>();
    this.ended = promise;
    connection.on('error', resolve);
    connection.on('end', () => resolve(new Error('the connection was closed')));
  }

  /** Throws OriginUnavailable; the session is of no use then. */
  async query(sql: string, timeoutMs: number = this.#timeoutMs): Promise<TextResult> {
    try {
      return await run(this.#connection, this.#address, timeoutMs, sql);
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  destroy(): void {
    this.#connection.destroy();
  }
}

async function run(connection: Connection, address: string, timeoutMs: number, sql: string): Promise<TextResult> {
  try {
    const [rows, fields] = await withinDeadline(
      connection.query({ sql, rowsAsArray: true, typeCast: false } as { sql: string }),
      timeoutMs,
      () => new Error(`no answer within ${timeoutMs} ms`),
    );
    return { rows: rows as unknown as (Buffer | null)[][], fields };
  } catch (error) {
    throw unavailable(address, error);
  }
}

function unavailable(address: string, cause: unknown): OriginUnavailable {
  return new OriginUnavailable('origin-unreachable', `MySQL at ${address}: ${messageOf(cause)}`, { cause });
}
