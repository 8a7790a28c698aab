/**
 * Events as the server sends them -> BinlogEvents. Pure: bytes in, events out, so that whatever a server will not do on
 * demand (a file beyond 4 GiB, a damaged event) can be tried on made-up bytes.
 *
 * - Where an event ends is carried past the 32 bits that are on the wire (`LogPlace`).
 * - How a file ended: with an event that says so, or without one, which means that the server crashed.
 * - Rows that cannot be read are told as `unreadable`: an event's boundaries are known even if its inside is not. What
 *   tells transactions apart must be read; there Undecodable is thrown, and the stream ends.
 */
import { crc32 } from 'node:zlib';
import { messageOf } from '../../../shared/errors/errors.ts';
import { sqlServerOf } from '../../../shared/origin/server-version.ts';
import { comparePositions, type LogPosition } from '../../../shared/version/version.ts';
import type { BinlogEvent } from './binlog-event.ts';
import { CharsetMissing, type Charsets } from './charsets.ts';
import type { Dialect, EventHeader } from './dialect/dialect.ts';
import { ByteReader, Undecodable } from './event-bytes.ts';
import { EVENT, ROWS_EVENTS, WITHOUT_EFFECT } from './event-types.ts';
import { LogPlace } from './log-place.ts';
import { readQuery } from './query.ts';
import { readRows, rowsBytes } from './rows.ts';
import { type MappedTable, readTableMap, readTableMapHead } from './table-map.ts';

export interface DecoderOptions {
  readonly dialect: Dialect;
  readonly charsets: Charsets;
  /** Rows of other tables are not decoded. */
  readonly follows: (db: string, table: string) => boolean;
  /** Events that begin before it are left out: a place past 2^32 cannot be asked for, and the file is sent as a whole. */
  readonly skipTo?: LogPosition | undefined;
}

const HEADER_BYTES = 19;
const CHECKSUM_BYTES = 4;
/** Made up by the server for this connection; it is not in the file. */
const ARTIFICIAL = 0x20;
/** Whoever does not know the event may pass over it. */
const IGNORABLE = 0x80;
/** Ends a statement that has no table left. */
const NO_TABLE = 0xff_ffff;

type TableState =
  | { readonly kind: 'other' }
  | { readonly kind: 'unreadable'; readonly db: string; readonly table: string; readonly why: string }
  | ({ readonly kind: 'followed' } & MappedTable);

type WithoutPlace<Event> = Event extends unknown ? Omit<Event, 'end' | 'bytes'> : never;
/** An event before it is known where it ends. */
type Told = WithoutPlace<BinlogEvent>;
type Begin = Extract<BinlogEvent, { kind: 'begin' }>;

export class BinlogDecoder {
  readonly #options: DecoderOptions;
  readonly #place = new LogPlace();
  readonly #tables = new Map<number, { readonly map: Buffer; readonly state: TableState }>();
  /** Nothing before the first file's own word. */
  #checksums: boolean | undefined;
  #listsSignOfYear = false;
  #fileEnded: keyof typeof AFTER = 'no file yet';
  /** MySQL introduces transactions and single statements alike: kept until the next event tells which it is. */
  #introduced: Begin | undefined;
  #skipTo: LogPosition | undefined;
  /** Of this transaction, up to here. */
  #rowsBytes = 0;

  constructor(options: DecoderOptions) {
    this.#options = options;
    this.#skipTo = options.skipTo;
  }

  /** Where the last event ended, as far as it is known; nothing before the first. */
  get position(): LogPosition | undefined {
    return this.#place.position;
  }

  /** Throws CharsetMissing, having changed nothing: load it and decode the same event again. Throws Undecodable. */
  decode(event: Buffer): BinlogEvent[] {
    const header = readHeader(event);
    const begins = this.#place.position;
    const told = this.#tell(header, this.#bodyOf(event, header));
    this.#advance(header);
    const end = this.#place.position;
    if (end === undefined) throw new Undecodable('an event came before the name of its file');
    const located = told.map((each): BinlogEvent => ({ ...each, end, bytes: event.length }));
    if (this.#isSkipped(begins)) return located.filter(({ kind }) => kind === 'format');
    return this.#settleIntroduction(located);
  }

  #isSkipped(begins: LogPosition | undefined): boolean {
    if (this.#skipTo === undefined || begins === undefined) return false;
    if (comparePositions(begins, this.#skipTo) >= 0) this.#skipTo = undefined;
    return this.#skipTo !== undefined;
  }

  // ---- the frame

  #bodyOf(event: Buffer, { type }: EventHeader): ByteReader {
    if (type === EVENT.format) {
      // Its last five bytes: which checksum the file's events have, and its own, which it always has. That one is not
      // verified: while a file is being written, one of the event's flags is not what the checksum was made of.
      return new ByteReader(event.subarray(HEADER_BYTES, event.length - CHECKSUM_BYTES));
    }
    const payload = event.subarray(0, Math.max(HEADER_BYTES, event.length - CHECKSUM_BYTES));
    const matches =
      event.length === payload.length + CHECKSUM_BYTES && crc32(payload) === event.readUInt32LE(payload.length);
    // What the server makes up before and between files goes by no file's rules.
    const hasChecksum = MADE_UP.has(type) || this.#checksums === undefined ? matches : this.#checksums;
    if (hasChecksum && !matches) throw new Undecodable('an event is damaged: its checksum does not match');
    return new ByteReader((hasChecksum ? payload : event).subarray(HEADER_BYTES));
  }

  #advance({ type, flags, nextPosition, length }: EventHeader): void {
    // These are placed by what they say, not by where they stand.
    if (MADE_UP.has(type) || (flags & ARTIFICIAL) !== 0) return;
    // In the middle of a file the server repeats the file's first event, without a place.
    if (type === EVENT.format && nextPosition === 0) return;
    this.#place.advance(nextPosition, length);
  }

  /** Before what follows it comes the introduction, now that it is known of what. */
  #settleIntroduction(events: readonly BinlogEvent[]): BinlogEvent[] {
    const settled: BinlogEvent[] = [];
    for (const event of events) {
      const introduced = this.#introduced;
      if (introduced !== undefined) {
        // It would be a place between an introduction and its transaction, where nobody must read on.
        if (event.kind === 'heartbeat') continue;
        settled.push({ ...introduced, standalone: event.kind === 'query' && !OPENING.test(event.sql) });
        this.#introduced = undefined;
      }
      if (event.kind === 'begin' && this.#options.dialect.flavour === 'mysql') this.#introduced = event;
      else settled.push(event);
    }
    return settled;
  }

  // ---- what it tells

  #tell(header: EventHeader, body: ByteReader): Told[] {
    const { type, flags } = header;
    const introduction = this.#options.dialect.introduction(header, body);
    if (introduction !== undefined) {
      this.#rowsBytes = 0;
      const standalone = introduction.standalone ?? false;
      return [{ kind: 'begin', ...introduction, committedAtSeconds: header.timestamp, standalone }];
    }
    if (ROWS_EVENTS.has(type)) return this.#tellRows(type, body);
    switch (type) {
      case EVENT.rotate:
        return this.#tellRotate(header, body);
      case EVENT.stop:
        this.#fileEnded = 'cleanly';
        return [];
      case EVENT.format:
        this.#checksums = body.buffer[body.buffer.length - 1] === CRC32;
        this.#listsSignOfYear = this.#options.dialect.listsSignOfYear(writerOf(body));
        // Tables are numbered anew when the server starts.
        this.#tables.clear();
        return [{ kind: 'format', createdAt: header.timestamp }];
      case EVENT.heartbeat:
        this.#place.reach(body.rest().toString('utf8'), header.nextPosition);
        return [{ kind: 'heartbeat' }];
      case EVENT.heartbeatV2:
        return [{ kind: 'heartbeat' }];
      case EVENT.tableMap:
        this.#mapTable(body.rest());
        return [];
      case EVENT.xid:
        return [{ kind: 'commit' }];
      case EVENT.xaPrepare:
        return [tellXaPrepare(body)];
      case EVENT.query:
      case EVENT.queryCompressed:
      case EVENT.executeLoadQuery: {
        const { garbled, ...query } = readQuery(type, body, this.#options.charsets);
        const told: Told = { kind: 'query', ...query };
        return garbled ? [allUnreadable('a statement in no known character set'), told] : [told];
      }
      case EVENT.partialUpdateRows:
        return this.#tellUnread(body.uint(6), 'only the changed parts of a JSON document (binlog_row_value_options)');
      case EVENT.transactionPayload:
        // It is the whole transaction, its end included.
        return [allUnreadable('a compressed transaction (binlog_transaction_compression)'), { kind: 'commit' }];
      case EVENT.incident:
        return [allUnreadable('the server says that changes may be missing from its binlog (INCIDENT)')];
      default:
        if (WITHOUT_EFFECT.has(type) || (flags & IGNORABLE) !== 0) return [];
        return [allUnreadable(`an event of type ${type}, which is not known`)];
    }
  }

  /** A file's end names the next file; then, as its beginning, so does an event that the server makes up. */
  #tellRotate({ flags, nextPosition }: EventHeader, body: ByteReader): Told[] {
    const position = Number(body.u64());
    const file = body.rest().toString('utf8');
    if ((flags & ARTIFICIAL) === 0 && nextPosition !== 0) {
      this.#fileEnded = 'cleanly';
      return [];
    }
    const ended = this.#fileEnded;
    this.#fileEnded = 'not yet';
    this.#place.goTo({ file, position });
    return [{ kind: 'rotate', after: AFTER[ended] }];
  }

  #mapTable(map: Buffer): void {
    const head = readTableMapHead(map);
    // A table's map is repeated in every statement; read once, it also stays the same object for whoever remembers it.
    if (this.#tables.get(head.tableId)?.map.equals(map) === true) return;
    this.#tables.set(head.tableId, { map: Buffer.from(map), state: this.#stateOf(head) });
  }

  #stateOf(head: ReturnType<typeof readTableMapHead>): TableState {
    const { db, table } = head;
    if (!this.#options.follows(db, table)) return { kind: 'other' };
    try {
      return { kind: 'followed', ...readTableMap(head, this.#options.charsets, this.#listsSignOfYear) };
    } catch (error) {
      if (error instanceof CharsetMissing) throw error;
      return { kind: 'unreadable', db, table, why: messageOf(error) };
    }
  }

  #tellRows(type: number, body: ByteReader): Told[] {
    const tableId = body.uint(6);
    const firstOrdinal = this.#rowsBytes;
    this.#rowsBytes += rowsBytes(type, body.buffer.subarray(body.offset));
    const state = this.#tables.get(tableId)?.state;
    if (state?.kind !== 'followed') return this.#tellUnread(tableId, state?.kind === 'unreadable' ? state.why : '');
    try {
      return [{ kind: 'rows', table: state.table, rows: readRows(type, body, state.decoders), firstOrdinal }];
    } catch (error) {
      return this.#tellUnread(tableId, messageOf(error));
    }
  }

  /** Rows that stay unread: of no interest, or a followed table's, which must hear of it. */
  #tellUnread(tableId: number, why: string): Told[] {
    const state = this.#tables.get(tableId)?.state;
    switch (state?.kind) {
      case 'other':
        return [];
      case 'followed':
        return [{ kind: 'unreadable', table: { db: state.table.db, table: state.table.table }, why }];
      case 'unreadable':
        return [{ kind: 'unreadable', table: { db: state.db, table: state.table }, why: state.why }];
      case undefined:
        return tableId === NO_TABLE ? [] : [allUnreadable('rows of a table that was not named before')];
    }
  }
}

const CRC32 = 1;
const AFTER = { 'no file yet': 'start', cleanly: 'clean', 'not yet': 'crash' } as const;
const MADE_UP: ReadonlySet<number> = new Set([EVENT.rotate, EVENT.heartbeat, EVENT.heartbeatV2]);
/** What a transaction begins with where the introduction does not say so. */
const OPENING = /^\s*(?:BEGIN|XA\s+(?:START|BEGIN))\b/i;

function allUnreadable(why: string): Told {
  return { kind: 'unreadable', table: undefined, why };
}

function readHeader(event: Buffer): EventHeader {
  const reader = new ByteReader(event);
  const header = {
    timestamp: reader.u32(),
    type: reader.u8(),
    serverId: reader.u32(),
    length: reader.u32(),
    nextPosition: reader.u32(),
    flags: reader.u16(),
  };
  if (header.length !== event.length) {
    throw new Undecodable(`an event of ${event.length} bytes that says it has ${header.length}`);
  }
  return header;
}

/** The version of the server that wrote the file. */
function writerOf(format: ByteReader): string {
  format.skip(2);
  return sqlServerOf(format.utf8(50).replace(/\0+$/, '')).version;
}

/** The xid as both servers write it in `XA COMMIT …`. */
function tellXaPrepare(body: ByteReader): Told {
  const onePhase = body.u8() !== 0;
  const format = body.u32();
  const [gtridBytes, bqualBytes] = [body.u32(), body.u32()];
  const gtrid = body.bytes(gtridBytes).toString('hex');
  const bqual = body.bytes(bqualBytes).toString('hex');
  return { kind: 'xa-prepare', xid: `X'${gtrid}',X'${bqual}',${format}`, onePhase };
}
