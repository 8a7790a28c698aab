/**
 * One connection to the origin, as a replica: the binlog from one place on, as BinlogEvents.
 *
 * What arrives: where to begin, and which tables are followed. What leaves: events in order, then an end: silent after
 * `stop()`, else BinlogLost with its reason. A reader reads once; after a loss there is a new one.
 *
 * The driver (zongji) connects, finds out which server it is, agrees on checksums and asks for the binlog. Its decoding is
 * not used: it asks today's schema for yesterday's columns, pauses and resumes the connection as it sees fit, goes on
 * after errors, ends without a word, and loses what cells.ts needs. The events' own bytes are taken instead, and
 * decoded when they are asked for, so that what waits is bounded in bytes.
 */
import ZongJi from '@vlasky/zongji';
import { codeOf, messageOf } from '../../../shared/errors/errors.ts';
import { mysqlOptions } from '../../../shared/origin/mysql-url.ts';
import { sqlServerOf } from '../../../shared/origin/server-version.ts';
import type { LogPosition } from '../../../shared/version/version.ts';
import { BinlogDecoder } from './binlog-decoder.ts';
import type { BinlogEvent } from './binlog-event.ts';
import { BinlogLost, type LossReason } from './binlog-lost.ts';
import { type Ask, CharsetMissing, Charsets } from './charsets.ts';
import type { Dialect } from './dialect/dialect.ts';
import { mariadbDialect } from './dialect/mariadb.ts';
import { mysqlDialect } from './dialect/mysql.ts';
import { PacketQueue } from './packet-queue.ts';
import { type DriverInternals, rawDump } from './raw-dump.ts';

export interface BinlogReaderOptions {
  /** `mysql://…` as in the configuration (shared/origin/mysql-url.ts). */
  readonly url: string;
  /** No other replica of this server may have it. */
  readonly serverId: number;
  readonly from: LogPosition | { readonly gtidSet: string };
  /** Rows of other tables are passed over. Asked once for each table that the binlog names, and not again. */
  readonly follows: (db: string, table: string) => boolean;
  /** How much may wait to be taken; past it the connection is paused. One read of the socket more can come, or one event. */
  readonly bufferBytesMax: number;
  /** How long the server may have nothing to say before it says so. */
  readonly heartbeatMs: number;
  /** How long nothing may come before the connection counts as lost: more than twice `heartbeatMs`. */
  readonly silenceMs: number;
}

/** A place past it cannot be asked for: the request has 32 bits. */
const POSITION_MAX = 2 ** 32 - 1;
/** Behind a file's first four bytes. */
const FILE_START = 4;
/** Of the longest that a server takes (Linux). */
const SESSION_SECONDS = 31_536_000;
/** In so many parts is silence counted: a process that was busy itself must not take that for the server's silence. */
const SILENCE_PARTS = 4;

interface Session {
  readonly decoder: BinlogDecoder;
  readonly charsets: Charsets;
  readonly ask: Ask;
}

export class BinlogReader {
  readonly #options: BinlogReaderOptions;
  readonly #queue: PacketQueue;
  readonly #zongji: ZongJi;
  readonly #session = Promise.withResolvers<Session>();
  #decoder: BinlogDecoder | undefined;
  #dialect: Dialect | undefined;
  #lost: BinlogLost | undefined;
  #closed: Promise<void> | undefined;
  #isStreaming = false;
  #silentParts = 0;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: BinlogReaderOptions) {
    if (options.silenceMs <= 2 * options.heartbeatMs)
      throw new RangeError('silenceMs must be more than two heartbeats');
    this.#options = options;
    this.#queue = new PacketQueue(options.bufferBytesMax);
    // Dates and numbers of its own few queries are not used.
    this.#zongji = new ZongJi({ ...mysqlOptions(options.url), connectTimeout: options.silenceMs });
    // Nobody may be waiting for it when it fails.
    this.#session.promise.catch(() => undefined);
  }

  /** Bytes that have come and wait to be taken. */
  get buffered(): number {
    return this.#queue.bytes;
  }

  /** Whether the server is being held back. */
  get paused(): boolean {
    return this.#queue.paused;
  }

  /** To be iterated once. Throws BinlogLost; after `stop()` it ends. */
  async *events(): AsyncGenerator<BinlogEvent, void, void> {
    this.#start();
    try {
      for (;;) {
        const packet = await this.#queue.take();
        if (packet === undefined) break;
        const events = await this.#decode(packet);
        if (this.#closed !== undefined) break;
        yield* events;
      }
      if (this.#lost !== undefined) throw this.#located(this.#lost);
    } finally {
      await this.stop();
    }
  }

  /** Ends the iteration; resolves once the connections are gone. */
  stop(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  // ---- beginning and end

  #start(): void {
    if (this.#watch !== undefined || this.#closed !== undefined) throw new Error('a BinlogReader reads once');
    const { silenceMs, serverId, from } = this.#options;
    this.#watch = setInterval(() => this.#countSilence(), silenceMs / SILENCE_PARTS);
    this.#zongji.on('error', (error: Error) => this.#lose(this.#reasonOf(error), messageOf(error), error));
    this.#zongji.on('ready', () => this.#follow());
    if ('gtidSet' in from) this.#zongji.start({ serverId, gtidSet: from.gtidSet });
    else this.#zongji.start({ serverId, filename: from.file, position: startOf(from) });
  }

  /** Everything is agreed on, and the request for the binlog is about to be sent. */
  #follow(): void {
    const driver = this.#zongji as unknown as DriverInternals;
    const { connection, ctrlConnection } = driver;
    const { version, flavour } = sqlServerOf(driver.serverVersion);
    const dialect = flavour === 'mariadb' ? mariadbDialect : mysqlDialect;
    this.#dialect = dialect;
    const lose = (error: Error) => this.#lose(this.#reasonOf(error), messageOf(error), error);
    connection.query(dialect.heartbeatStatement(this.#options.heartbeatMs), (error) => error && lose(error));
    connection.stream.once('close', () => this.#lose('closed', 'The connection that carried the binlog ended.'));
    ctrlConnection.stream.once('close', () => this.#lose('closed', 'The connection beside the binlog ended.'));
    this.#queue.drain({ pause: () => connection.pause(), resume: () => this.#resume() });
    driver.BinlogClass = rawDump(driver.BinlogClass, {
      event: (packet) => this.#receive(packet),
      end: () => this.#lose('closed', 'The server ended the binlog.'),
      error: lose,
    });
    const ask: Ask = (sql) =>
      new Promise((resolve, reject) => {
        ctrlConnection.query({ sql, rowsAsArray: true }, (error, rows) => (error ? reject(error) : resolve(rows)));
      });
    this.#prepare(dialect, version, ask).then(this.#session.resolve, (error: Error) => {
      lose(error);
      this.#session.reject(error);
    });
  }

  async #prepare(dialect: Dialect, version: string, ask: Ask): Promise<Session> {
    // It is silent for as long as all character sets are known, and a strict SQL mode tells what is no character.
    await ask(`SET SESSION wait_timeout = ${SESSION_SECONDS}, SESSION sql_mode = 'STRICT_ALL_TABLES'`);
    const collations = await ask(dialect.collationsQuery(version));
    const charsets = new Charsets(new Map(collations.map(([id, charset]) => [Number(id), String(charset)])));
    const { from, follows } = this.#options;
    const skipTo = 'gtidSet' in from || from.position <= POSITION_MAX ? undefined : from;
    const decoder = new BinlogDecoder({ dialect, charsets, follows, skipTo });
    this.#decoder = decoder;
    return { decoder, charsets, ask };
  }

  async #close(): Promise<void> {
    clearInterval(this.#watch);
    this.#queue.end();
    this.#queue.clear();
    this.#session.reject(new Error('stopped'));
    const stopped = new Promise<void>((resolve) => this.#zongji.once('stopped', () => resolve()));
    // Through its second connection it also ends the server's side, which would notice only at its next event.
    this.#zongji.stop();
    await stopped;
  }

  /** The first reason counts. What came before it is whole, and still delivered. */
  #lose(reason: LossReason, message: string, cause?: Error): void {
    if (this.#lost !== undefined || this.#closed !== undefined) return;
    this.#lost = new BinlogLost(reason, message, undefined, { cause });
    this.#queue.end();
  }

  #located({ reason, message, cause }: BinlogLost): BinlogLost {
    return new BinlogLost(reason, message, this.#decoder?.position, { cause });
  }

  // ---- flow

  #receive(packet: Buffer): void {
    this.#isStreaming = true;
    this.#silentParts = 0;
    this.#queue.put(packet);
  }

  #resume(): void {
    // While it was paused the server was silent because of us.
    this.#silentParts = 0;
    const { connection } = this.#zongji as unknown as DriverInternals;
    connection?.resume();
  }

  #countSilence(): void {
    if (this.#queue.paused) return;
    this.#silentParts += 1;
    if (this.#silentParts < SILENCE_PARTS) return;
    const message = `Nothing came from the server for ${this.#options.silenceMs} ms.`;
    this.#lose(this.#isStreaming ? 'silent' : 'unreachable', message);
  }

  // ---- decoding

  async #decode(packet: Buffer): Promise<readonly BinlogEvent[]> {
    const session = await this.#session.promise.catch(() => undefined);
    try {
      // Stopped, or lost before anything could be decoded: the queue's end says which.
      return session === undefined ? [] : await this.#decodeWith(session, packet);
    } catch (error) {
      if (error instanceof BinlogLost) throw error;
      throw new BinlogLost('undecodable', messageOf(error), this.#decoder?.position, { cause: error });
    }
  }

  async #decodeWith({ decoder, charsets, ask }: Session, packet: Buffer): Promise<readonly BinlogEvent[]> {
    for (;;) {
      try {
        return decoder.decode(packet);
      } catch (error) {
        if (!(error instanceof CharsetMissing)) throw error;
        const { charset } = error;
        await charsets.load(charset, ask).catch((cause: unknown) => {
          const lost = this.#lost ?? new BinlogLost('closed', messageOf(cause), undefined, { cause });
          throw this.#located(lost);
        });
      }
    }
  }

  // ---- reasons

  #reasonOf(error: Error): LossReason {
    if (REFUSED.has(codeOf(error) ?? '')) return 'refused';
    // Error 1236 for nearly all of it; its text tells more.
    return this.#dialect?.refusal(error.message) ?? (this.#isStreaming ? 'closed' : 'unreachable');
  }
}

const REFUSED: ReadonlySet<string> = new Set([
  'ER_ACCESS_DENIED_ERROR',
  'ER_ACCESS_DENIED_NO_PASSWORD_ERROR',
  'ER_SPECIFIC_ACCESS_DENIED_ERROR',
  'ER_ACCOUNT_HAS_BEEN_LOCKED',
  'ER_HOST_NOT_PRIVILEGED',
  'ER_HOST_IS_BLOCKED',
  'ER_MUST_CHANGE_PASSWORD',
  'ER_NOT_SUPPORTED_AUTH_MODE',
  'HANDSHAKE_SSL_ERROR',
  'HANDSHAKE_NO_SSL_SUPPORT',
]);

function startOf({ position }: LogPosition): number {
  return position > POSITION_MAX ? FILE_START : Math.max(FILE_START, position);
}
