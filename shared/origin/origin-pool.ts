/**
 * The connections to MySQL: at most so many, each set up alike, each query under a deadline; and a breaker, so that
 * requests do not each find out for themselves that the origin is gone.
 *
 * Callers bound how many queries they start (RowReader); the pool itself never queues more than its connections.
 */
import { type Connection, createPool, type FieldPacket, type Pool, type PoolConnection } from 'mysql2/promise';
import { codeOf, messageOf, OriginUnavailable } from '../errors/errors.ts';
import { isUntrusted } from '../errors/untrusted.ts';
import { Breaker, type BreakerState } from '../lifecycle/breaker.ts';
import { withinDeadline } from '../lifecycle/deadline.ts';
import { describeOrigin, mysqlOptions } from './mysql-url.ts';

export interface OriginPoolOptions {
  readonly url: string;
  readonly connections: number;
  /** The longest that one query may take, connecting included. */
  readonly timeoutMs: number;
  /** Whether `packet` may be used. */
  readonly packets?: boolean;
  readonly onChange: (state: BreakerState, why: string) => void;
}

/** One result of the text protocol: every cell as the bytes that the server sent, NULL as null. */
export interface TextResult {
  readonly rows: readonly (readonly (Buffer | null)[])[];
  readonly fields: readonly FieldPacket[];
}

const FAILURES_TO_OPEN = 3;
/** For what is not a row: the schema, and asking whether the server is there. Else slow rows would look like an outage. */
const SPARE_CONNECTIONS = 1;

/**
 * What every session says first. UTC and an empty SQL mode make the text of a cell independent of the server's settings
 * (PAD_CHAR_TO_FULL_LENGTH pads, NO_ZERO_DATE refuses to compare with 0000-00-00). A statement that we have given up is
 * given up by the server too, so that slow ones do not pile up there: MariaDB reads one of the comments, MySQL the other.
 */
function sessionStatement(timeoutMs: number): string {
  const mariadb = `/*M!100600 , max_statement_time = ${timeoutMs / 1000} */`;
  const mysql = `/*!80000 , max_execution_time = ${timeoutMs} */`;
  return `SET time_zone = '+00:00', sql_mode = '', autocommit = 1 ${mariadb} ${mysql}`;
}

/**
 * What a session that locks rows says besides. It sees what is committed; it waits for nobody's lock for long; and when
 * we are stopped while it sends us an answer, it does not hold its locks until we are not.
 */
function lockingSessionStatements(timeoutMs: number): string[] {
  // Below the deadline: waiting for a table's own lock, behind an ALTER, is not an outage.
  const seconds = Math.max(1, Math.floor((timeoutMs * 0.75) / 1000));
  return [
    'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
    `SET innodb_lock_wait_timeout = 1, lock_wait_timeout = ${seconds}, net_write_timeout = 2`,
  ];
}

export class OriginPool {
  readonly address: string;
  readonly #options: OriginPoolOptions;
  readonly #pool: Pool;
  readonly #breaker: Breaker;
  readonly #setUp = new WeakSet<Connection>();
  #stopped = false;
  /** The last. */
  #trouble: OriginUnavailable | undefined;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: OriginPoolOptions) {
    this.address = describeOrigin(options.url);
    this.#options = options;
    this.#pool = createPool({
      ...mysqlOptions(options.url),
      charset: 'utf8mb4',
      connectTimeout: options.timeoutMs,
      multipleStatements: options.packets === true,
      // No LOAD DATA LOCAL: a server could ask for any file of ours.
      flags: ['-LOCAL_FILES'],
      connectionLimit: options.connections + SPARE_CONNECTIONS,
      // Fewer than the limit, or the driver never retires idle ones.
      maxIdle: options.connections,
      // Below the usual wait_timeout of servers and of what stands between.
      idleTimeout: 60_000,
      enableKeepAlive: true,
      queueLimit: 0,
    });
    this.#breaker = new Breaker({
      failuresToOpen: FAILURES_TO_OPEN,
      probe: async () => void (await this.#run(['SELECT 1'])),
      onProbeFailed: (error) => {
        this.#trouble = this.#troubleIn(error) ?? this.#trouble;
      },
      onChange: options.onChange,
    });
  }

  get state(): BreakerState {
    return this.#breaker.state;
  }

  /** Throws OriginUnavailable; what the server says of the statement itself comes as the driver's error. */
  async query(sql: string): Promise<TextResult> {
    return (await this.#guarded([sql]))[0] as TextResult;
  }

  /**
   * Several statements in one packet: one result each, if all of them succeed. Throws as `query` does.
   * @param bounded the statements bound their own time, below the deadline: reaching it is not the server's trouble.
   */
  packet(statements: readonly string[], bounded = false): Promise<TextResult[]> {
    return this.#guarded(statements, bounded);
  }

  async #guarded(statements: readonly string[], bounded = false): Promise<TextResult[]> {
    // Whoever asks now has lost its client already: the listener closes first.
    if (this.#stopped) throw new OriginUnavailable('origin-unreachable', 'The gateway is stopping.');
    if (this.#breaker.state === 'open') {
      const { code = 'origin-unreachable', message = '' } = this.#trouble ?? {};
      throw new OriginUnavailable(code, `${message} It is out of use until it answers again.`);
    }
    try {
      const results = await this.#run(statements);
      this.#breaker.succeeded();
      return results;
    } catch (error) {
      const isOwnBound = bounded && GIVEN_UP.has(codeOf(error) ?? '');
      const trouble = isOwnBound ? undefined : this.#troubleIn(error);
      if (trouble === undefined) {
        this.#breaker.succeeded();
        throw error;
      }
      this.#trouble = trouble;
      this.#breaker.failed(trouble.message);
      throw trouble;
    }
  }

  /** Asks now and then, so that a server that went away is known before somebody misses it. */
  watch(everyMs: number): void {
    this.#watch = setInterval(() => {
      // What it finds, the breaker and its log tell.
      if (this.#breaker.state === 'closed') void this.query('SELECT 1').catch(() => undefined);
    }, everyMs);
    this.#watch.unref();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#watch);
    this.#breaker.stop();
    // A connection that is still being made fails this, and a hung server never answers it; both end by themselves.
    const { timeoutMs } = this.#options;
    await withinDeadline(this.#pool.end(), timeoutMs, () => new Error('late')).catch(() => undefined);
  }

  async #run(statements: readonly string[]): Promise<TextResult[]> {
    const { timeoutMs } = this.#options;
    const started = performance.now();
    const connection = await this.#acquire(timeoutMs);
    try {
      const leftMs = Math.max(1, timeoutMs - (performance.now() - started));
      const results = await withinDeadline(
        this.#queryOn(connection, statements),
        leftMs,
        () =>
          new OriginUnavailable('origin-timeout', `MySQL at ${this.address} did not answer within ${timeoutMs} ms.`),
      );
      connection.release();
      return results;
    } catch (error) {
      // Whatever else went wrong, a connection in an unknown state is worth less than a new one: it may still hold locks.
      if (LOCKED.has(codeOf(error) ?? '') && !statements.includes('BEGIN')) connection.release();
      else connection.destroy();
      throw error;
    }
  }

  async #queryOn(connection: PoolConnection, statements: readonly string[]): Promise<TextResult[]> {
    const { timeoutMs, packets } = this.#options;
    if (!this.#setUp.has(connection.connection)) {
      await connection.query(sessionStatement(timeoutMs));
      if (packets === true) await connection.query(lockingSessionStatements(timeoutMs).join('; '));
      this.#setUp.add(connection.connection);
    }
    const sql = statements.join('; ');
    const [rows, fields] = await connection.query({ sql, rowsAsArray: true, typeCast: false } as { sql: string });
    if (statements.length === 1) return [{ rows: rows as unknown as TextResult['rows'], fields }];
    // A statement without a result set has no fields.
    return (rows as unknown as TextResult['rows'][]).map((result, index) => {
      const described = (fields as unknown as (FieldPacket[] | undefined)[])[index];
      return described === undefined ? { rows: [], fields: [] } : { rows: result, fields: described };
    });
  }

  async #acquire(timeoutMs: number): Promise<PoolConnection> {
    const acquired = this.#pool.getConnection();
    try {
      return await withinDeadline(
        acquired,
        timeoutMs,
        () =>
          new OriginUnavailable('origin-timeout', `No connection to MySQL at ${this.address} within ${timeoutMs} ms.`),
      );
    } catch (error) {
      // It may still come, late; then it goes back.
      acquired.then(
        (connection) => connection.release(),
        () => undefined,
      );
      throw error;
    }
  }

  /** The server cannot be used; nothing where it only refused the statement. */
  #troubleIn(error: unknown): OriginUnavailable | undefined {
    if (error instanceof OriginUnavailable) return error;
    const code = codeOf(error) ?? '';
    if (GIVEN_UP.has(code)) {
      const detail = `MySQL at ${this.address} did not answer within ${this.#options.timeoutMs} ms.`;
      return new OriginUnavailable('origin-timeout', detail, { cause: error });
    }
    if (isUntrusted(error)) {
      return new OriginUnavailable('origin-untrusted', `MySQL at ${this.address}: ${messageOf(error)}.`, {
        cause: error,
      });
    }
    if (LOGIN_REFUSED.has(code)) {
      return new OriginUnavailable('origin-login-refused', `MySQL at ${this.address}: ${messageOf(error)}.`, {
        cause: error,
      });
    }
    if (UNREACHABLE.has(code) || (error instanceof Error && 'fatal' in error && error.fatal === true)) {
      return new OriginUnavailable('origin-unreachable', `MySQL at ${this.address}: ${messageOf(error)}.`, {
        cause: error,
      });
    }
    return undefined;
  }
}

/** By another transaction; outside one of ours, nothing is left of the attempt. */
const LOCKED = new Set(['ER_LOCK_WAIT_TIMEOUT', 'ER_LOCK_NOWAIT']);

/** By the server, after the session's own limit: MariaDB's word and MySQL's. */
const GIVEN_UP = new Set(['ER_STATEMENT_TIMEOUT', 'ER_QUERY_TIMEOUT']);

const LOGIN_REFUSED = new Set([
  'ER_ACCESS_DENIED_ERROR',
  'ER_ACCESS_DENIED_NO_PASSWORD_ERROR',
  'ER_ACCOUNT_HAS_BEEN_LOCKED',
  'ER_HOST_NOT_PRIVILEGED',
]);

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPIPE',
  'PROTOCOL_CONNECTION_LOST',
  'ER_SERVER_SHUTDOWN',
  'ER_CON_COUNT_ERROR',
  'ER_OPTION_PREVENTS_STATEMENT',
]);
