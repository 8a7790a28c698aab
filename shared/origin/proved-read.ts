/**
 * Reads rows together with the proof of what the read includes: a locking read and the binlog's end, in one packet.
 *
 * A transaction keeps its row locks until its commit is visible, and its events are in the binlog before that. So a row
 * that can be share-locked now has no change waiting to become visible, and none can enter the binlog while the lock is
 * held: between the two, the binlog's end is exact. A plain SELECT with the binlog's end beside it is not: of 226,075
 * such reads 3,101 were older than their position (PROTOCOL.md, "Knowing F").
 *
 *     all ids in one SELECT … SKIP LOCKED, inside a transaction   -> rows: exact at the end that is read before COMMIT
 *     those it did not return, each by itself … NOWAIT             -> absent, or a row that was locked: inexact, at the
 *                                                                     end that was read before
 *     those that are locked still, each by itself, waiting         -> likewise
 *     those that are locked past that                              -> as they are, unproved
 *
 * It waits for nobody while it holds a lock, so it is in no deadlock and delays a writer by no more than itself.
 */
import { codeOf, OriginUnavailable } from '../errors/errors.ts';
import type { RowId } from '../key/row-id.ts';
import { cellNumber, cellText } from './cells.ts';
import { binlogEndQuery, identityQuery, originIdentity } from './origin-identity.ts';
import type { TextResult } from './origin-pool.ts';
import { plainRead } from './plain-read.ts';
import { type BodyOf, type OriginRow, type ReadRows, rowsOf, selectRows } from './row-select.ts';
import type { SqlServer } from './server-version.ts';
import type { TableSchema } from './table-schema.ts';

/** Several statements in one packet, one result each; the connection is closed unless all succeed. */
export interface PacketPort {
  packet(statements: readonly string[], bounded?: boolean): Promise<TextResult[]>;
}

/** Single reads that go in one packet; each is a transaction of its own. */
const SINGLES_PER_PACKET = 64;

type Lock = 'SKIP LOCKED' | 'NOWAIT' | 'WAIT';

/** The longest that a batch waits for the locks of rows. MySQL's own lock timeout is a second, and takes up to two. */
const LOCK_WAIT_MS = 500;

/**
 * @param server as it is known by then; it is asked at each read.
 * @param bodyOf of what is proved; what is not has its JSON.
 */
export function provedRead(origin: PacketPort, server: () => SqlServer, bodyOf?: BodyOf): ReadRows {
  return async (schema, wanted) => {
    const ids = wanted.map(({ id }) => id);
    const session = new ProvingSession(origin, server(), bodyOf);
    let found: Map<string, OriginRow>;
    try {
      found = await session.readTogether(schema, ids);
    } catch (error) {
      if (!isLocked(error)) throw error;
      // The whole table is locked, by LOCK TABLES or an ALTER: if at all, it can be read without a lock.
      return session.readUnproved(schema, ids);
    }
    const [only, ...others] = ids;
    if (only !== undefined && others.length === 0 && found.size > 0) {
      // Whatever its spelling, it is the one that was asked for.
      return new Map([...found.values()].map((row) => [only.segment, row]));
    }
    const missing = ids.filter((id) => !found.has(id.segment));
    for (const [segment, row] of await session.readMissing(schema, missing)) found.set(segment, row);
    return found;
  };
}

class ProvingSession {
  readonly #origin: PacketPort;
  readonly #server: SqlServer;
  readonly #end: string;
  readonly #identity: string;
  readonly #bodyOf: BodyOf | undefined;

  constructor(origin: PacketPort, server: SqlServer, bodyOf: BodyOf | undefined) {
    this.#bodyOf = bodyOf;
    this.#origin = origin;
    this.#server = server;
    this.#end = binlogEndQuery(server);
    this.#identity = identityQuery(server);
  }

  /** Exact. What is locked is left out. */
  async readTogether(schema: TableSchema, ids: readonly RowId[]): Promise<Map<string, OriginRow>> {
    const select = selectRows(schema, ids) + lockingClause(this.#server, 'SKIP LOCKED');
    const results = await this.#origin.packet([this.#identity, 'BEGIN', select, this.#end, 'COMMIT']);
    const [identity, , rows, end] = results as [TextResult, TextResult, TextResult, TextResult];
    const proof = { exactness: 'exact', reaches: { at: positionIn(end) }, origin: originIdentity(identity) } as const;
    return new Map(rowsOf(schema, rows, proof, this.#bodyOf).map((row) => [row.id.segment, row]));
  }

  /** Each id in a statement and a transaction of its own. */
  async readMissing(schema: TableSchema, ids: readonly RowId[]): Promise<[string, OriginRow][]> {
    const found: [string, OriginRow][] = [];
    const locked: RowId[] = [];
    for (let from = 0; from < ids.length; from += SINGLES_PER_PACKET) {
      await this.#readSingly(schema, ids.slice(from, from + SINGLES_PER_PACKET), found, locked);
    }
    return locked.length === 0 ? found : [...found, ...(await this.#readLocked(schema, locked))];
  }

  /** Where one is locked, the server does not say which: the halves tell. */
  async #readSingly(
    schema: TableSchema,
    ids: readonly RowId[],
    found: [string, OriginRow][],
    locked: RowId[],
  ): Promise<void> {
    try {
      found.push(...(await this.#readEach(schema, ids, undefined)));
    } catch (error) {
      if (!isLocked(error)) throw error;
      if (ids.length === 1) {
        locked.push(...ids);
        return;
      }
      const half = Math.ceil(ids.length / 2);
      await this.#readSingly(schema, ids.slice(0, half), found, locked);
      await this.#readSingly(schema, ids.slice(half), found, locked);
    }
  }

  /** Without a lock, and without proof. */
  async readUnproved(schema: TableSchema, ids: readonly RowId[]): Promise<Map<string, OriginRow>> {
    const wanted = ids.map((id) => ({ id, base: undefined }));
    const query = async (sql: string) => (await this.#origin.packet([sql]))[0] as TextResult;
    try {
      return await plainRead({ query })(schema, wanted);
    } catch (error) {
      if (!isLocked(error)) throw error;
      throw new OriginUnavailable('origin-timeout', `The table ${schema.from} is locked.`, { cause: error });
    }
  }

  /** One after another, each waited for: it holds no other lock while it waits. All of them share one bound. */
  async #readLocked(schema: TableSchema, ids: readonly RowId[]): Promise<[string, OriginRow][]> {
    const giveUpAt = performance.now() + LOCK_WAIT_MS;
    const found: [string, OriginRow][] = [];
    const given: RowId[] = [];
    for (const id of ids) {
      const leftMs = Math.floor(giveUpAt - performance.now());
      try {
        if (leftMs > 0) found.push(...(await this.#readEach(schema, [id], leftMs)));
        else given.push(id);
      } catch (error) {
        if (!isLocked(error)) throw error;
        given.push(id);
      }
    }
    if (given.length === 0) return found;
    const unproved = await this.readUnproved(schema, given);
    return [
      ...found,
      ...given.map(({ segment }): [string, OriginRow] => [
        segment,
        unproved.get(segment) ?? { kind: 'absent', proof: undefined },
      ]),
    ];
  }

  /** @param waitMs how long a row's lock is waited for; nothing: not at all. */
  async #readEach(
    schema: TableSchema,
    ids: readonly RowId[],
    waitMs: number | undefined,
  ): Promise<[string, OriginRow][]> {
    const lock = lockingClause(this.#server, waitMs === undefined ? 'NOWAIT' : 'WAIT');
    const selects = ids.map((id) => this.#bounded(selectRows(schema, [id]) + lock, waitMs));
    const results = await this.#origin.packet([this.#end, this.#identity, ...selects], waitMs !== undefined);
    const [end, identity, ...rows] = results as [TextResult, TextResult, ...TextResult[]];
    const proof = { exactness: 'inexact', reaches: { at: positionIn(end) }, origin: originIdentity(identity) } as const;
    return ids.map((id, index) => {
      const [row] = rowsOf(schema, rows[index] as TextResult, proof, this.#bodyOf);
      return [id.segment, row ?? { kind: 'absent', proof }];
    });
  }

  #bounded(select: string, waitMs: number | undefined): string {
    if (waitMs === undefined) return select;
    return this.#server.flavour === 'mysql'
      ? select.replace(/^SELECT /, `SELECT /*+ MAX_EXECUTION_TIME(${waitMs}) */ `)
      : `SET STATEMENT max_statement_time = ${waitMs / 1000} FOR ${select}`;
  }
}

/** MySQL takes the SELECT privilege alone for FOR SHARE from 8.0.22 on. */
export function lockingClause({ flavour }: SqlServer, lock: Lock): string {
  const share = flavour === 'mysql' ? ' FOR SHARE' : ' LOCK IN SHARE MODE';
  return lock === 'WAIT' ? share : `${share} ${lock}`;
}

function positionIn(end: TextResult) {
  const [row] = end.rows;
  if (row === undefined) throw new OriginUnavailable('origin-refused', 'MySQL has no binlog: log_bin is OFF.');
  return { file: cellText(row[0]), position: cellNumber(row[1]) ?? 0 };
}

const LOCKED: ReadonlySet<string> = new Set([
  // MariaDB says of NOWAIT what it says of waiting in vain.
  'ER_LOCK_WAIT_TIMEOUT',
  'ER_LOCK_NOWAIT',
  // The statement's own bound, in MariaDB and in MySQL.
  'ER_STATEMENT_TIMEOUT',
  'ER_QUERY_TIMEOUT',
  'ER_QUERY_INTERRUPTED',
]);

function isLocked(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && LOCKED.has(code);
}
