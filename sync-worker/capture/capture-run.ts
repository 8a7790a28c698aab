/**
 * One run of capture, from a decision about continuity until something is lost: events -> transactions -> batches ->
 * confirmed -> checkpoint.
 *
 * It ends as a whole. Whatever is lost (the binlog's connection, the broker's session, the lock), everything of the run
 * goes, the open transaction with it; the next one reads again from the checkpoint, and what shards get twice is free of
 * effect. So nothing here repairs anything.
 *
 * Three places in the binlog, each behind the one before:
 *
 *     read        what the assembler has seen, perhaps amid a transaction
 *     passed      the end of the last whole transaction that was given to the batcher, or of what came after it
 *     confirmed   the last flush to all shards of which, and before which, every message is confirmed: the checkpoint
 */
import { setImmediate } from 'node:timers/promises';
import type { BinlogEvent } from './binlog/binlog-event.ts';
import type { Layers } from '../../shared/ring/layers.ts';
import { encodeBatch, type ChangeBatch } from '../../shared/change/change-batch.ts';
import { withinDeadline } from '../../shared/lifecycle/deadline.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { comparePositions, fileNumber, type LogPosition, versionOf } from '../../shared/version/version.ts';
import type { Assembler } from './assembler/assembler.ts';
import { Batcher, type Plan, type Saying } from './batcher.ts';
import { EventLane, type EventMessage } from './event-lane.ts';
import type { Checkpoint } from './continuity/checkpoint.ts';
import { ConfirmedFlushes } from './continuity/checkpoint-confirmed.ts';
import { bridgeCrash, type Continuity, type Refuted } from './continuity/continuity.ts';
import { FollowedGtids } from './continuity/continuity-gtid.ts';
import type { BinlogEnd, OriginNow } from './continuity/continuity-origin.ts';
import { Heartbeat } from './heartbeat.ts';
import { type Highest, nextPlan } from './continuity/plan.ts';
import type { Transaction } from './assembler/transaction.ts';

/** The binlog as events, from where it was opened; what ends it is thrown by the iteration. */
export interface EventSource {
  events(): AsyncIterable<BinlogEvent>;
  stop(): Promise<void>;
}

/** Publishing with confirms; it dies as a whole. */
export interface BatchSession {
  /** Settles when there is room. Throws once the session is lost. */
  ready(): Promise<void>;
  /** Settles when it is confirmed. */
  publish(queue: string, message: Buffer): Promise<void>;
  /** The same, to whoever subscribes. */
  publishEvent(event: EventMessage): Promise<void>;
  readonly ended: Promise<Error>;
  close(): Promise<void>;
}

/** Those that are followed, and no others. */
export interface CapturedTables {
  find(db: string, table: string): ExposedTable | undefined;
  all(): Iterable<ExposedTable>;
  reload(table: ExposedTable): Promise<void>;
}

/** A shard as capture knows it. */
export interface ShardLane {
  readonly queue: string;
}

/**
 * What one may want to count, or to stop at: the stations of a change's way through capture. `event-…`: of an event for
 * others.
 */
export type Station =
  | 'decoded'
  | 'published'
  | 'confirmed'
  | 'event-published'
  | 'event-confirmed'
  | 'checkpoint-written';

export interface CaptureRunOptions {
  readonly continuity: Continuity;
  readonly origin: OriginNow;
  readonly plan: number;
  readonly highest: Highest;
  readonly layers: Layers<ShardLane>;
  readonly rings: readonly string[];
  readonly tables: CapturedTables;
  /** Whether others are told of the table; nothing where there are none. */
  readonly tells?: ((table: ExposedTable) => boolean) | undefined;
  readonly source: EventSource;
  readonly session: BatchSession;
  readonly newAssembler: (from: LogPosition) => Assembler;
  readonly askEnd: () => Promise<BinlogEnd>;
  readonly heartbeatMs: number;
  readonly now: () => number;
  readonly save: (checkpoint: Checkpoint) => void;
  /** Settles when what was saved is on disk, or has failed. */
  readonly saved: () => Promise<void>;
  readonly onStation: (station: Station) => void;
  readonly log: Log;
}

/** What the binlog itself has shown to be otherwise than the decision assumed. */
export class ContinuityRefuted extends Error {
  readonly refuted: Refuted;

  constructor(refuted: Refuted, why: string) {
    super(why);
    this.name = 'ContinuityRefuted';
    this.refuted = refuted;
  }
}

/** The server sends heartbeats and nothing else, though its binlog has grown: its connection is of no use. */
export class BinlogStalled extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'BinlogStalled';
  }
}

const STALLED_MS = 10_000;
/** The driver waits for the server's word that the connections are gone. */
const SOURCE_STOPS_WITHIN_MS = 5_000;
/** How long what was read may wait for company, where the reader never pauses. Else it goes with the end of the tick. */
const FLUSH_AFTER_MS = 4;
/**
 * Between two flushes. Under load the changes of some milliseconds travel in one message a shard: at 2,000 transactions/s
 * a message each kept both ends so busy that the changes waited longer.
 */
const FLUSH_SPACING_MS = 2;
/** How long events may be worked on without a pause. */
const BREATHE_EVERY_MS = 10;
/** So many flushes to all shards may be unconfirmed; then the broker is told no more until it has confirmed some. */
const UNCONFIRMED_FLUSHES_MAX = 20;
/** A table's schema is read again at once, and then not again within this. */
const RELOAD_EVERY_MS = 1_000;

export class CaptureRun {
  readonly #options: CaptureRunOptions;
  readonly #heartbeat: Heartbeat;
  readonly #batcher: Batcher<ShardLane>;
  readonly #events: EventLane | undefined;
  readonly #confirmed: ConfirmedFlushes<Checkpoint>;
  readonly #gtids: FollowedGtids;
  readonly #createdAt = new Map<string, number>();
  readonly #reloadedAt = new Map<ExposedTable, number>();
  readonly #failed = Promise.withResolvers<never>();
  #owedReloads = new Set<ExposedTable>();
  #assembler: Assembler | undefined;
  #epoch: number;
  #plan: Plan;
  /** Nothing until it is known where in this server's binlog we are: when reading on by GTID, until it has begun. */
  #passed: LogPosition | undefined;
  /** Up to here, transactions are read again for the sake of what is prepared in them; they are all confirmed. */
  #skipTo: LogPosition | undefined;
  #isAdding = false;
  /** An event is being worked on, or waits for the broker. */
  #isTaking = false;
  #breathedAt = 0;
  /** When the last event came that was more than a heartbeat. */
  #movedAt = performance.now();
  #owesBeat = false;
  #hasPublished = false;
  #hasRead = false;
  /** The server has crashed, and no checkpoint is of the new epoch yet. */
  #owesCheckpoint = false;
  /** Calls it off. */
  #flushing: (() => void) | undefined;
  #flushedAt = -Infinity;
  #flushingSince = 0;
  #stopped = false;

  constructor(options: CaptureRunOptions) {
    const { continuity, origin, layers, rings, plan, tables } = options;
    this.#options = options;
    this.#epoch = continuity.epoch;
    this.#plan = { plan, rings, tables: namesOf(tables) };
    if (continuity.kind === 'begin') this.#passed = continuity.at;
    else if (continuity.kind !== 'resume-by-gtid') this.#passed = this.#skipTo = continuity.checkpoint.position;
    const gtid = continuity.kind === 'begin' ? origin.gtidAtEnd : (continuity.checkpoint.gtid ?? undefined);
    this.#gtids = new FollowedGtids(origin.server.flavour, gtid, /^mysql:(.+)$/.exec(origin.identity)?.[1]);
    const { tells } = options;
    this.#events =
      tells &&
      new EventLane({
        tables: () => [...tables.all()].filter(tells),
        emit: (event) => this.#publishEvent(event),
      });
    this.#batcher = new Batcher({
      layers,
      plan: this.#plan,
      from: continuity.from,
      emit: (lane, batch) => this.#publish(lane, batch),
      events: this.#events,
    });
    if (continuity.kind === 'begin') this.#events?.oweAll('gap');
    if ('hole' in continuity) this.#batcher.tellHole(continuity.hole);
    if (continuity.kind !== 'begin' && continuity.kind !== 'resume-by-gtid') {
      this.#createdAt.set(continuity.checkpoint.restart.file, continuity.checkpoint.fileCreatedAt);
    }
    this.#confirmed = new ConfirmedFlushes((checkpoint) => {
      if (checkpoint !== undefined) options.save(checkpoint);
    });
    this.#heartbeat = new Heartbeat({
      everyMs: options.heartbeatMs,
      ask: options.askEnd,
      now: options.now,
      onBeat: () => this.#beat(),
      position: () => (this.#assembler === undefined ? undefined : this.#passed),
      onEnd: () => this.#moved(),
      onWentBack: (end, read) => {
        const why = `the origin's binlog ends at ${describe(end)}, and was read up to ${describe(read)}`;
        this.fail(new ContinuityRefuted({ position: 'reset' }, why));
      },
      onTrouble: (error) => {
        if (error instanceof ContinuityRefuted) this.fail(error);
        else options.log.debug({ err: error }, 'the origin did not say where its binlog ends');
      },
    });
    this.#failed.promise.catch(() => undefined);
  }

  get epoch(): number {
    return this.#epoch;
  }

  get plan(): number {
    return this.#plan.plan;
  }

  get position(): LogPosition | undefined {
    return this.#passed;
  }

  get gtid(): string | undefined {
    return this.#gtids.text;
  }

  /** The server has sent more than where it begins. */
  get hasRead(): boolean {
    return this.#hasRead;
  }

  /** 0 until it is known. */
  get asOf(): number {
    return this.#heartbeat.asOf;
  }

  /** To the origin's end as last heard, within one file. */
  get bytesBehind(): number | undefined {
    const end = this.#heartbeat.newestEnd;
    if (end === undefined || end.file !== this.#passed?.file) return undefined;
    return Math.max(0, end.position - this.#passed.position);
  }

  /** Never settles but by throwing: what was lost. Source and session end with it. */
  async run(): Promise<never> {
    const { session, source } = this.#options;
    const following = this.#follow();
    try {
      this.#heartbeat.start();
      return await Promise.race([
        following,
        this.#failed.promise,
        session.ended.then((lost) => {
          throw lost;
        }),
      ]);
    } finally {
      this.#stopped = true;
      this.#heartbeat.stop();
      this.#flushing?.();
      // Whoever waits for room has to hear of it, or would not be done.
      await session.close();
      await withinDeadline(source.stop(), SOURCE_STOPS_WITHIN_MS, () => new Error('late')).catch(() => undefined);
      await following.catch(() => undefined);
      await this.#assembler?.discard();
    }
  }

  /** What is passed goes out; settles when it is confirmed, or the run has ended. */
  async drain(): Promise<void> {
    if (this.#isAdding || this.#stopped) return;
    this.#flush('all');
    await Promise.race([this.#confirmed.all(), this.#failed.promise, this.#options.session.ended]);
  }

  /** Ends it: somebody else has lost what it stands on. */
  fail(why: Error): void {
    this.#failed.reject(why);
  }

  async #follow(): Promise<never> {
    const { source } = this.#options;
    for await (const event of source.events()) {
      this.#isTaking = true;
      await this.#take(event);
      if (this.#hasPublished) await this.#room();
      await this.#breathe();
      this.#isTaking = false;
      if (event.kind !== 'heartbeat') this.#movedAt = performance.now();
    }
    throw new Error('the binlog has ended');
  }

  /** The end of backpressure's way: no room at the broker, no further event. */
  async #room(): Promise<void> {
    this.#hasPublished = false;
    await this.#options.session.ready();
    await this.#breathe();
  }

  /**
   * While there is always another event, nothing else would get its turn: not the flushes, not the broker's confirms, and
   * not the session whose lock the server gives away after a few seconds of silence.
   */
  async #breathe(): Promise<void> {
    if (performance.now() - this.#breathedAt < BREATHE_EVERY_MS) return;
    await setImmediate();
    this.#breathedAt = performance.now();
  }

  async #take(event: BinlogEvent): Promise<void> {
    const isFirst = this.#assembler === undefined;
    this.#assembler ??= this.#options.newAssembler(event.end);
    if (event.kind === 'rotate') await this.#rotate(event.end, event.after);
    else if (event.kind === 'format') this.#meetFile(event.end.file, event.createdAt);
    else this.#hasRead = true;
    const transaction = await this.#assembler.take(event);
    if (transaction !== undefined) await this.#takeTransaction(transaction);
    this.#pass(this.#assembler.passed);
    // The plan, a hole, and where a run that begins anew begins. Not before the server has sent something: one that
    // refuses to would have the shards dropped with every attempt.
    if (isFirst) this.#flush('all');
    // Not before its file is known, or there is none.
    if (this.#owesCheckpoint && event.kind === 'format') {
      this.#owesCheckpoint = false;
      await this.#writeDown();
    }
  }

  async #writeDown(): Promise<void> {
    await this.drain();
    await this.#options.saved();
  }

  async #rotate({ file, position }: LogPosition, after: 'start' | 'clean' | 'crash'): Promise<void> {
    const { highest, now, log } = this.#options;
    const passed = this.#passed;
    if (after === 'start' || passed === undefined) return;
    const isRepeat = this.#skipTo !== undefined && comparePositions({ file, position }, this.#skipTo) <= 0;
    if (isRepeat) return;
    if (fileNumber(file) <= fileNumber(passed.file)) throw new Error(`the binlog went from ${passed.file} to ${file}`);
    if (after === 'clean') return;
    // Killed while a shard knows the new epoch and the checkpoint does not, capture would find the shards ahead of it, and
    // bridge from there: what was written since would count as lost. So both are written at once, on either side.
    await this.#writeDown();
    const { epoch, hole } = bridgeCrash({ passed, epoch: this.#epoch, highest, nowMs: now() });
    log.warn(
      { decision: 'bridge', reason: 'crash', epoch, after: describe(passed), file },
      'the server has crashed; what its binlog may have lost is not trusted',
    );
    this.#epoch = epoch;
    this.#skipTo = undefined;
    this.#owesCheckpoint = true;
    this.#batcher.tellHole(hole);
    this.#flushSoon('all');
  }

  #meetFile(file: string, createdAt: number): void {
    const known = this.#createdAt.get(file);
    if (known !== undefined && known !== createdAt) {
      throw new ContinuityRefuted({ position: 'reset' }, `${file} is another file of the same name`);
    }
    this.#createdAt.set(file, createdAt);
  }

  async #takeTransaction(transaction: Transaction): Promise<void> {
    try {
      if (this.#skipTo !== undefined && comparePositions(transaction.end, this.#skipTo) <= 0) return;
      this.#gtids.add(transaction.gtid);
      this.#isAdding = true;
      if (transaction.count > 0) this.#options.onStation('decoded');
      await this.#batcher.add(
        transaction,
        this.#epoch,
        () => this.#saying(),
        () => this.#room(),
      );
    } finally {
      this.#isAdding = false;
      transaction.discard();
    }
    this.#pass(transaction.end);
    if (transaction.floors.length > 0) await this.#takeFloors(transaction.floors);
    if (this.#batcher.isPending || this.#owesBeat) this.#flushSoon('changed');
  }

  /** DDL, or what cannot be told from it: its floors at once, and the schema before later rows of the table are read. */
  async #takeFloors(floors: readonly string[]): Promise<void> {
    this.#flush('changed');
    for (const table of this.#options.tables.all()) {
      if (!floors.includes(table.followedName)) continue;
      // Statements that bring no rows may come by the thousand. A schema that is late costs a refill, and no more.
      const age = performance.now() - (this.#reloadedAt.get(table) ?? -Infinity);
      if (age < RELOAD_EVERY_MS) this.#owedReloads.add(table);
      else await this.#reload(table);
    }
    this.#lookAtTables();
  }

  async #reload(table: ExposedTable): Promise<void> {
    this.#owedReloads.delete(table);
    this.#reloadedAt.set(table, performance.now());
    await this.#options.tables.reload(table);
  }

  /** Other key columns make other keys, so the table is followed under another name: a new plan. */
  #lookAtTables(): void {
    const tables = namesOf(this.#options.tables);
    if (tables.join('\n') === this.#plan.tables.join('\n')) return;
    const plan = nextPlan(this.#options.now(), this.#plan.plan);
    this.#options.log.info({ plan, tables }, 'followed tables changed');
    this.#plan = { ...this.#plan, plan, tables };
    this.#batcher.announce(this.#plan);
    this.#flushSoon('all');
  }

  #pass(position: LogPosition): void {
    if (this.#skipTo !== undefined) {
      if (comparePositions(position, this.#skipTo) < 0) return;
      this.#skipTo = undefined;
    }
    if (this.#passed?.file === position.file && this.#passed.position === position.position) return;
    this.#passed = position;
    this.#moved();
  }

  /** A place was passed, or a question was answered. */
  #moved(): void {
    if (this.#passed === undefined || this.#stopped) return;
    const proved = this.#isAdding ? undefined : this.#heartbeat.passed(this.#passed);
    if (proved === undefined) return;
    this.#gtids.merge(proved.executed);
    this.#flushSoon('all');
  }

  #beat(): void {
    if (this.#isStalled()) {
      this.fail(new BinlogStalled(`nothing came for ${STALLED_MS} ms, although the origin has written`));
      return;
    }
    for (const table of this.#owedReloads) void this.#reload(table);
    this.#lookAtTables();
    this.#flushSoon('all');
  }

  /** Heartbeats come, and no events: the server sends from a file that nobody writes to any more. */
  #isStalled(): boolean {
    const isWaiting = this.#isTaking || this.#assembler === undefined;
    return !isWaiting && this.#heartbeat.waitingMs > STALLED_MS && performance.now() - this.#movedAt > STALLED_MS;
  }

  #flushSoon(whom: 'changed' | 'all'): void {
    if (whom === 'all') this.#owesBeat = true;
    if (this.#isAdding) return;
    if (this.#flushing === undefined) {
      this.#flushingSince = performance.now();
      this.#flushing = soon(() => this.#flush('changed'), this.#flushedAt + FLUSH_SPACING_MS - this.#flushingSince);
    } else if (performance.now() - this.#flushingSince > FLUSH_AFTER_MS) {
      // A reader that always has more never lets the tick end.
      this.#flush('changed');
    }
  }

  #flush(whom: 'changed' | 'all'): void {
    this.#flushing?.();
    this.#flushing = undefined;
    this.#flushedAt = performance.now();
    // Never into an open transaction: whoever adds one flushes when it is in. And not before anything is read.
    if (this.#isAdding || this.#stopped || this.#assembler === undefined || this.#passed === undefined) return;
    const isCrowded = this.#confirmed.unconfirmed >= UNCONFIRMED_FLUSHES_MAX;
    const toAll = whom === 'all' || (this.#owesBeat && !isCrowded);
    if (!toAll && !this.#batcher.isPending) return;
    const to = versionOf(this.#epoch, this.#passed);
    this.#events?.flush(to, this.#passed, toAll ? 'all' : 'changed');
    this.#batcher.flush(to, this.#saying(), toAll ? 'all' : 'changed');
    if (!toAll) return;
    this.#owesBeat = false;
    this.#confirmed.close(this.#checkpoint(this.#passed, to));
  }

  #saying(): Saying {
    return { asOf: this.#heartbeat.asOf, origin: this.#options.origin.identity, gtid: this.#gtids.complete ?? '' };
  }

  /** Nothing where it is not known yet what to write. */
  #checkpoint(position: LogPosition, to: string): Checkpoint | undefined {
    const { origin, continuity, now } = this.#options;
    const isRereading = this.#skipTo !== undefined && continuity.readFrom.kind === 'position';
    // What is prepared in that which is read again is not all known yet.
    const restart = isRereading ? continuity.readFrom.position : (this.#assembler?.restart ?? position);
    const fileCreatedAt = this.#createdAt.get(restart.file);
    if (fileCreatedAt === undefined) return undefined;
    for (const file of this.#createdAt.keys()) {
      if (fileNumber(file) < fileNumber(restart.file)) this.#createdAt.delete(file);
    }
    return {
      origin: origin.identity,
      position,
      restart,
      fileCreatedAt,
      epoch: this.#epoch,
      plan: this.#plan.plan,
      gtid: this.#gtids.text ?? null,
      to,
      savedAt: now(),
    };
  }

  #publish({ queue }: ShardLane, batch: ChangeBatch): void {
    const { session, onStation } = this.#options;
    this.#hasPublished = true;
    const confirm = this.#confirmed.sent();
    session.publish(queue, encodeBatch(batch)).then(
      () => {
        if (batch.changes.length > 0) onStation('confirmed');
        confirm();
      },
      // `ready` and `ended` tell of it too.
      () => undefined,
    );
    if (batch.changes.length > 0) onStation('published');
  }

  #publishEvent(event: EventMessage): void {
    const { session, onStation } = this.#options;
    this.#hasPublished = true;
    const confirm = this.#confirmed.sent();
    session.publishEvent(event).then(
      () => {
        onStation('event-confirmed');
        confirm();
      },
      () => undefined,
    );
    onStation('event-published');
  }
}

/** At the end of the tick, or later. @returns what calls it off. */
function soon(run: () => void, waitMs: number): () => void {
  if (waitMs > 0) {
    const timer = setTimeout(run, waitMs);
    return () => clearTimeout(timer);
  }
  const immediate = globalThis.setImmediate(run);
  return () => clearImmediate(immediate);
}

function namesOf(tables: CapturedTables): string[] {
  return [...tables.all()].map((table) => table.followedName);
}

function describe({ file, position }: LogPosition): string {
  return `${file}:${position}`;
}
