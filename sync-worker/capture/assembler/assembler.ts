/**
 * Events -> whole transactions. What arrives: the events of one connection, one after another. What leaves: each
 * transaction when its end is read, with its rows' changes and the tables whose floor rises, and never before.
 *
 * | it begins with            | it ends with                          | its changes                        |
 * |---------------------------|---------------------------------------|------------------------------------|
 * | begin, or BEGIN           | commit, or COMMIT                     | count from there                   |
 * | begin, or BEGIN           | ROLLBACK: something in it was of an engine that cannot | do not count: only InnoDB tables are followed |
 * | begin (standalone)        | the statement itself                  | a floor                            |
 * | begin, XA START           | xa-prepare                            | are kept aside; count from XA COMMIT's end |
 * | begin                     | XA COMMIT, XA ROLLBACK                | those kept aside, or none          |
 *
 * - ROLLBACK TO forgets what came after the savepoint.
 * - A statement amid a transaction (DML in statement format) raises floors at the transaction's end. A floor covers the
 *   transaction's own changes too, so their order does not matter.
 * - What is prepared is read again after a restart: `restart` stays before the oldest of them. One that was prepared
 *   before we began to read is unknown; its XA COMMIT raises every floor.
 * - A transaction that cannot be kept, because the disk is full, or as it has 10 GB of rows, becomes floors of the tables that it changes. Stopping
 *   would only meet it again.
 * - One whose end never comes was not committed: a server that crashed left it so. Its floors are raised all the same,
 *   and those of its tables too where the binlog just goes on, which no server was seen to do.
 *
 * One assembler a connection: a new connection reads everything that was open or prepared again.
 */
import type { ExposedTable } from '../../../shared/origin/exposed-table.ts';
import type { Log } from '../../../shared/telemetry/log.ts';
import { comparePositions, type LogPosition, ORDINAL_LAST } from '../../../shared/version/version.ts';
import type { BinlogEvent } from '../binlog/binlog-event.ts';
import type { ViewOf } from './event-view.ts';
import { ORDINALS_OF_A_ROW, RowChanges } from './row-changes.ts';
import type { RowEventsOptions } from './row-events.ts';
import { ChangeBuffer, SpillFailed, type SpillMark, START, type SpillOptions } from './spill.ts';
import { canonicalXid, readStatement, type Statement } from './statements.ts';
import type { Transaction } from './transaction.ts';

export interface FollowedTables {
  /** By its names as the server has them. Nothing where nobody follows the table. */
  find(db: string, table: string): ExposedTable | undefined;
  all(): Iterable<ExposedTable>;
}

export interface AssemblerOptions {
  /** Where the connection begins to read. */
  readonly from: LogPosition;
  readonly tables: FollowedTables;
  readonly viewOf: ViewOf;
  readonly spill: SpillOptions;
  /** Where others are told of the changes too. */
  readonly events?: RowEventsOptions | undefined;
  readonly log: Log;
}

interface Open {
  /** Where it begins: the end of what came before. */
  readonly start: LogPosition;
  readonly gtid: string | undefined;
  readonly committedAtMicros: number | undefined;
  readonly committedAtSeconds: number | undefined;
  /** Of XA START. */
  readonly xid: string | undefined;
  /** The next statement is all of it. */
  readonly standalone: boolean;
  readonly content: Content;
}

/** What a transaction does; of a prepared one it is kept aside. */
interface Content {
  changes: ChangeBuffer | undefined;
  /** Followed tables with rows in it. */
  readonly touched: Set<string>;
  readonly floors: Set<string>;
  /** The oldest first. */
  savepoints: { readonly name: string; readonly mark: SpillMark }[];
  /** It could not be kept; the tables that it touches are among the floors. */
  isLost: boolean;
}

interface Prepared {
  readonly start: LogPosition;
  readonly content: Content;
}

type Event<Kind extends BinlogEvent['kind']> = BinlogEvent & { readonly kind: Kind };

export class Assembler {
  readonly #tables: FollowedTables;
  readonly #rowChanges: RowChanges;
  readonly #spill: SpillOptions;
  readonly #log: Log;
  /** By canonical id, the oldest first. */
  readonly #prepared = new Map<string, Prepared>();
  /** Tables, or none in particular, with rows that could not be read. */
  readonly #unreadable = new Set<string | undefined>();
  #open: Open | undefined;
  #passed: LogPosition;
  /** Floors of a transaction without an end, for the next one to raise. */
  readonly #left = new Set<string>();

  constructor({ from, tables, viewOf, spill, events, log }: AssemblerOptions) {
    this.#tables = tables;
    this.#rowChanges = new RowChanges(viewOf, events);
    this.#spill = spill;
    this.#log = log;
    this.#passed = from;
  }

  /** Everything up to here has been handed out, and no transaction is open there: as far as a heartbeat may speak for. */
  get passed(): LogPosition {
    return this.#passed;
  }

  /** Where to read on if all that was handed out is confirmed: `passed`, or before the oldest prepared XA transaction. */
  get restart(): LogPosition {
    for (const { start } of this.#prepared.values()) return start;
    return this.#passed;
  }

  /** One event at a time: the next only after this one has settled. Hands out the transaction that ends with it. */
  async take(event: BinlogEvent): Promise<Transaction | undefined> {
    switch (event.kind) {
      case 'begin':
        await this.#leaveOpen();
        this.#begin(event);
        return undefined;
      case 'rows':
        await this.#takeRows(event);
        return undefined;
      case 'commit':
        return this.#finish(event.end);
      case 'query':
        return this.#takeStatement(event, readStatement(event.sql, event.db));
      case 'unreadable':
        return this.#takeUnreadable(event);
      case 'xa-prepare':
        return event.onePhase ? this.#finish(event.end) : this.#prepare(event.end, event.xid);
      case 'rotate':
        return this.#rotate(event.end);
      case 'format':
      case 'heartbeat':
        // Inside a transaction they are no place to be at; and a first format event may repeat where the file began.
        if (this.#open === undefined && comparePositions(event.end, this.#passed) > 0) this.#passed = event.end;
        return undefined;
    }
  }

  /** The connection is gone: forgets what is open and prepared, and deletes what was spilled. */
  async discard(): Promise<void> {
    const contents = [...this.#prepared.values(), ...(this.#open === undefined ? [] : [this.#open])];
    this.#prepared.clear();
    this.#open = undefined;
    for (const { content } of contents) await this.#drop(content);
  }

  #begin({ standalone, ...head }: Partial<Omit<Open, 'start' | 'content' | 'xid'>>): Open {
    const start = this.#passed;
    const content = newContent();
    const { gtid, committedAtMicros, committedAtSeconds } = head;
    const when = { committedAtMicros, committedAtSeconds };
    this.#open = { start, gtid, ...when, standalone: standalone ?? false, xid: undefined, content };
    return this.#open;
  }

  /** The reader need not say where a transaction begins: what comes outside any begins one. */
  #opened(): Open {
    return this.#open ?? this.#begin({});
  }

  async #takeRows({ table: eventTable, rows, firstOrdinal }: Event<'rows'>): Promise<void> {
    const { content } = this.#opened();
    const table = this.#tables.find(eventTable.db, eventTable.table);
    if (table === undefined) return;
    content.touched.add(table.followedName);
    if (!content.isLost && firstOrdinal + ORDINALS_OF_A_ROW * rows.length > ORDINAL_LAST) {
      await this.#lose(content, new Error('a version cannot number its rows: they take 10 GB'));
    }
    const changes = content.isLost ? undefined : this.#rowChanges.of(table, eventTable, rows, firstOrdinal);
    if (changes === undefined) {
      content.floors.add(table.followedName);
      return;
    }
    content.changes ??= new ChangeBuffer(this.#spill);
    for (const change of changes) content.changes.push(change);
    if (content.changes.isFull) await this.#spillOrLose(content, content.changes);
  }

  async #spillOrLose(content: Content, changes: ChangeBuffer): Promise<void> {
    try {
      await changes.spill();
    } catch (error) {
      if (!(error instanceof SpillFailed)) throw error;
      await this.#lose(content, error);
    }
  }

  async #lose(content: Content, error: Error): Promise<void> {
    const tables = [...content.touched];
    this.#log.error({ err: error, tables, changes: content.changes?.count }, 'transaction not kept, its tables refill');
    for (const table of tables) content.floors.add(table);
    content.isLost = true;
    await this.#drop(content);
  }

  #takeUnreadable({ table, why, end }: Event<'unreadable'>): Transaction | undefined {
    // In a transaction of one statement the statement is still to come.
    const isAlone = this.#open === undefined;
    const { floors } = this.#opened().content;
    const followed = table && this.#tables.find(table.db, table.table);
    if (followed !== undefined) floors.add(followed.followedName);
    if (table === undefined) this.#raiseAll(floors);
    if (followed !== undefined || table === undefined) this.#warnUnreadable(followed?.label, why, end);
    return isAlone ? this.#finish(end) : undefined;
  }

  /** Once a table: a session that logs parts of rows does so with every statement. */
  #warnUnreadable(table: string | undefined, why: string, position: LogPosition): void {
    const isNews = !this.#unreadable.has(table);
    this.#unreadable.add(table);
    this.#log[isNews ? 'warn' : 'debug']({ table, why, position }, 'rows unreadable');
  }

  async #takeStatement({ end }: Event<'query'>, statement: Statement): Promise<Transaction | undefined> {
    switch (statement.kind) {
      case 'begin':
        this.#open = { ...this.#opened(), standalone: false };
        return undefined;
      case 'commit':
        return this.#finish(end);
      case 'rollback':
        await this.#drop(this.#opened().content);
        return this.#finish(end);
      case 'savepoint': {
        const { content } = this.#opened();
        const mark = content.changes?.mark() ?? START;
        const others = content.savepoints.filter(({ name }) => name !== statement.name);
        content.savepoints = [...others, { name: statement.name, mark }];
        return undefined;
      }
      case 'release':
      case 'rollback-to':
        this.#returnTo(this.#opened().content, statement);
        return undefined;
      case 'xa-start':
        this.#open = { ...this.#opened(), standalone: false, xid: statement.xid };
        return undefined;
      case 'xa-end':
        return undefined;
      case 'xa-prepare':
        return this.#prepare(end, statement.xid);
      case 'xa-commit':
        // In one phase, where it was never prepared.
        if (this.#open?.xid !== statement.xid) await this.#resume(statement.xid);
        return this.#finish(end);
      case 'xa-rollback':
        await this.#dropPrepared(statement.xid);
        await this.#drop(this.#opened().content);
        return this.#finish(end);
      case 'other': {
        const isAlone = this.#open === undefined || this.#open.standalone;
        const { floors } = this.#opened().content;
        for (const table of this.#tables.all()) {
          if (statement.concerns(table.name)) floors.add(table.followedName);
        }
        return isAlone ? this.#finish(end) : undefined;
      }
    }
  }

  #returnTo(content: Content, { kind, name }: Statement & { readonly kind: 'release' | 'rollback-to' }): void {
    const index = content.savepoints.findIndex((savepoint) => savepoint.name === name);
    const savepoint = content.savepoints[index];
    if (kind === 'release') {
      if (savepoint !== undefined) content.savepoints.length = index;
    } else if (savepoint === undefined) {
      // Nobody knows what of it was undone.
      for (const table of content.touched) content.floors.add(table);
    } else {
      content.savepoints.length = index + 1;
      content.changes?.truncate(savepoint.mark);
    }
  }

  async #prepare(end: LogPosition, xidOfEvent: string): Promise<Transaction> {
    const { start, xid = canonicalXid(xidOfEvent), content, ...rest } = this.#opened();
    await this.#dropPrepared(xid);
    // All that is prepared may hold in memory what one transaction may; nobody knows for how long.
    const { changes } = content;
    const held = [...this.#prepared.values()].reduce(
      (sum, other) => sum + (other.content.changes?.memoryBytes ?? 0),
      0,
    );
    if (changes?.isFullBeside(held)) await this.#spillOrLose(content, changes);
    this.#prepared.set(xid, { start, content });
    this.#open = { start, xid, ...rest, content: newContent() };
    return this.#finish(end);
  }

  /** The open transaction, which says XA COMMIT, does what the prepared one was to do. */
  async #resume(xid: string): Promise<void> {
    const opened = this.#opened();
    const prepared = this.#prepared.get(xid);
    if (prepared === undefined) {
      this.#log.warn({ xid, position: opened.start }, 'an XA transaction was prepared before the binlog was followed');
      this.#raiseAll(opened.content.floors);
      return;
    }
    this.#prepared.delete(xid);
    await this.#drop(opened.content);
    this.#open = { ...opened, content: prepared.content };
  }

  /** A file ends. What is open then was never committed; but what is not known stays not known. */
  async #rotate(end: LogPosition): Promise<Transaction | undefined> {
    if (this.#open !== undefined) {
      const { content } = this.#open;
      this.#open = undefined;
      for (const table of content.floors) this.#left.add(table);
      await this.#drop(content);
    }
    this.#passed = end;
    return this.#left.size === 0 ? undefined : this.#finish(end);
  }

  /** Another begins, and the one before it has no end. */
  async #leaveOpen(): Promise<void> {
    if (this.#open === undefined) return;
    const { content } = this.#open;
    this.#open = undefined;
    for (const table of [...content.touched, ...content.floors]) this.#left.add(table);
    await this.#drop(content);
  }

  #finish(end: LogPosition): Transaction {
    const { gtid, committedAtMicros, committedAtSeconds, content } = this.#opened();
    const { changes, floors } = content;
    for (const table of this.#left) floors.add(table);
    this.#left.clear();
    this.#open = undefined;
    this.#passed = end;
    return {
      end,
      gtid,
      committedAtMicros,
      committedAtSeconds,
      count: changes?.count ?? 0,
      changes: () => changes?.changes() ?? [],
      discard: () => void changes?.discard(),
      floors: [...floors],
      restart: this.restart,
    };
  }

  #raiseAll(floors: Set<string>): void {
    for (const table of this.#tables.all()) floors.add(table.followedName);
  }

  async #drop(content: Content): Promise<void> {
    const { changes } = content;
    content.changes = undefined;
    content.savepoints = [];
    await changes?.discard();
  }

  async #dropPrepared(xid: string): Promise<void> {
    const prepared = this.#prepared.get(xid);
    this.#prepared.delete(xid);
    if (prepared !== undefined) await this.#drop(prepared.content);
  }
}

function newContent(): Content {
  return { changes: undefined, touched: new Set(), floors: new Set(), savepoints: [], isLost: false };
}
