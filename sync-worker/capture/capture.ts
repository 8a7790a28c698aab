/**
 * Capture as a service: one at a time holds the lock and follows the binlog; whatever is lost, it begins again from the
 * checkpoint.
 *
 *     waiting-for-lock -> decide -> following --(anything is lost)--> retrying --(backoff)--> decide -> …
 *           ^                                                            |
 *           '------------------------- the lock is lost -----------------'
 *
 * The lock is kept over a retry: a standby that has no checkpoint would have the shards dropped for a broker that was
 * away for a second.
 *
 * Every run raises the plan, also where it is the same process that goes on: what an earlier run has left on its way is
 * then fenced off by the shards, whoever sent it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerUnavailable } from '../../shared/broker/broker-errors.ts';
import { messageOf, OriginUnavailable, SetupError } from '../../shared/errors/errors.ts';
import { Backoff } from '../../shared/lifecycle/backoff.ts';
import { withinDeadline } from '../../shared/lifecycle/deadline.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { Layers } from '../../shared/ring/layers.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import type { LogPosition } from '../../shared/version/version.ts';
import type { Assembler } from './assembler/assembler.ts';
import { BinlogLost } from './binlog/binlog-lost.ts';
import {
  type BatchSession,
  BinlogStalled,
  type CapturedTables,
  CaptureRun,
  ContinuityRefuted,
  type EventSource,
  type ShardLane,
  type Station,
} from './capture-run.ts';
import { OriginSession, type SessionOptions } from './continuity/capture-session.ts';
import { type CheckpointWriter, CheckpointTaken } from './continuity/checkpoint.ts';
import { type Continuity, decideContinuity, type ReadFrom, type Refuted } from './continuity/continuity.ts';
import { type BinlogEnd, readBinlogEnd, readOriginState } from './continuity/continuity-origin.ts';
import { acquireLock, type HeldLock, LockLost } from './continuity/lock.ts';
import { type Highest, nextPlan } from './continuity/plan.ts';

export interface CaptureOptions {
  /** Of the installation. */
  readonly name: string;
  readonly origin: SessionOptions;
  readonly heartbeatMs: number;
  readonly layers: Layers<ShardLane>;
  /** The hashes of the rings. */
  readonly rings: readonly string[];
  readonly tables: CapturedTables;
  /** Whether others are told of the table; nothing where there are none. */
  readonly tells?: ((table: ExposedTable) => boolean) | undefined;
  readonly checkpoints: (hooks: CheckpointHooks) => CheckpointWriter;
  readonly ports: CapturePorts;
  readonly log: Log;
  /** For whoever counts. */
  readonly onStation?: (station: Station) => void;
  /** ms since 1970. */
  readonly now?: () => number;
  readonly backoff?: Backoff;
}

export interface CheckpointHooks {
  readonly onWritten: () => void;
  readonly onFailed: (error: unknown) => void;
}

export interface CapturePorts {
  /** The binlog, read from there on. */
  readonly openBinlog: (from: ReadFrom) => EventSource | Promise<EventSource>;
  readonly newAssembler: (from: LogPosition) => Assembler;
  /** Waits for the broker. */
  readonly openSession: (signal: AbortSignal) => Promise<BatchSession>;
  /** Those of a process that crashed. Only whoever has the lock may. */
  readonly deleteSpilled: () => Promise<void>;
  /** Of the shards that can be asked. */
  readonly highestStamps: () => Promise<Highest>;
}

export type CaptureState = 'waiting-for-lock' | 'following' | 'retrying' | 'stopped';

/** Why it waits for the lock, where somebody else has it. */
export const STANDS_BY = 'another capture follows the binlog';

export interface CaptureStatus {
  readonly state: CaptureState;
  /** Why it is not following. */
  readonly reason: string | undefined;
  readonly continuity: Pick<Continuity, 'kind' | 'reason'> | undefined;
  readonly position: LogPosition | undefined;
  readonly gtid: string | undefined;
  readonly epoch: number | undefined;
  readonly plan: number | undefined;
  /** Every change committed before this is published; ms since 1970, 0 until it is known. */
  readonly asOf: number;
  /** Now, less asOf. */
  readonly lagMs: number | undefined;
  readonly bytesBehind: number | undefined;
}

/** Changes are dropped by a shard, as ours are of an epoch that it has left behind. */
class ShardsAhead extends Error {
  constructor(theirs: number, ours: number) {
    super(`a shard stands in epoch ${theirs}, which is later than ours, ${ours}`);
    this.name = 'ShardsAhead';
  }
}

/** A run of this length was healthy: the next trouble is a new one. */
const HEALTHY_MS = 10_000;
const STAMPS_WITHIN_MS = 2_000;
const STAMPS_EVERY_MS = 5_000;
const DRAIN_WITHIN_MS = 2_000;

export class Capture {
  readonly #options: CaptureOptions;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #backoff: Backoff;
  readonly #checkpoints: CheckpointWriter;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #run: CaptureRun | undefined;
  #continuity: Continuity | undefined;
  #state: CaptureState = 'waiting-for-lock';
  #reason: string | undefined = 'not started yet';
  #asOf = 0;
  #highestPlan = 0;
  /** What the last run has shown about the checkpoint, for the next decision. */
  #refuted: Refuted | undefined;

  constructor(options: CaptureOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#now = options.now ?? Date.now;
    this.#backoff = options.backoff ?? new Backoff(100, 5_000);
    this.#checkpoints = options.checkpoints({
      onWritten: () => this.#station('checkpoint-written'),
      onFailed: (error) => this.#checkpointFailed(error),
    });
  }

  get status(): CaptureStatus {
    const run = this.#run;
    if (run !== undefined) this.#asOf = Math.max(this.#asOf, run.asOf);
    return {
      state: this.#state,
      reason: this.#reason,
      continuity: this.#continuity && { kind: this.#continuity.kind, reason: this.#continuity.reason },
      position: run?.position,
      gtid: run?.gtid,
      epoch: run?.epoch,
      plan: run?.plan,
      asOf: this.#asOf,
      lagMs: this.#asOf === 0 ? undefined : Math.max(0, this.#now() - this.#asOf),
      bytesBehind: run?.bytesBehind,
    };
  }

  /** Settles when it has been stopped. Throws SetupError: what no waiting will mend. */
  run(): Promise<void> {
    this.#running ??= this.#runAll();
    return this.#running;
  }

  /** What is passed is published, confirmed and written down, if that takes no longer than 2 s. */
  async stop(): Promise<void> {
    if (!this.#stopping.signal.aborted && this.#run !== undefined) {
      const late = () => new Error('late');
      await withinDeadline(this.#run.drain(), DRAIN_WITHIN_MS, late).catch(() => undefined);
    }
    this.#stopping.abort(new Error('stopped'));
    this.#run?.fail(new Error('stopped'));
    await this.#running?.catch(() => undefined);
  }

  async #runAll(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let lock: HeldLock | undefined;
      try {
        lock = await this.#acquire();
        this.#tell('retrying', 'has the lock, and connects');
        await this.#options.ports.deleteSpilled();
        await this.#followWhile(lock);
      } catch (error) {
        await this.#lost(error, 0);
      } finally {
        lock?.release();
      }
    }
    this.#tell('stopped', undefined);
  }

  #acquire(): Promise<HeldLock> {
    const { origin, name } = this.#options;
    this.#tell('waiting-for-lock', 'asking for the lock');
    return acquireLock({
      ...origin,
      name,
      signal: this.#stopping.signal,
      onWaiting: (lock) => {
        this.#tell('waiting-for-lock', STANDS_BY);
        this.#log.info({ lock }, 'another capture has the lock; waiting');
      },
    });
  }

  /** One run after another, for as long as the lock is ours. Throws LockLost. */
  async #followWhile(lock: HeldLock): Promise<void> {
    const { signal } = this.#stopping;
    let isLost = false;
    const lost = lock.lost.then((error) => {
      isLost = true;
      this.#run?.fail(error);
      return error;
    });
    while (!signal.aborted) {
      const startedAt = performance.now();
      try {
        await this.#runOnce(() => isLost);
      } catch (error) {
        if (isLost) throw await lost;
        await this.#lost(error, performance.now() - startedAt);
        if (isLost) throw await lost;
      }
    }
  }

  /** The one function that decides: where we stand, whether that holds, and with what number to go on. */
  async #runOnce(isLockLost: () => boolean): Promise<never> {
    const { ports, layers, rings, tables, tells, heartbeatMs } = this.#options;
    const { signal } = this.#stopping;
    const found = await this.#checkpoints.read();
    const session = await ports.openSession(signal);
    let run: CaptureRun;
    try {
      const [highest, origin] = await Promise.all([this.#highest(), this.#askOrigin()]);
      const nowMs = this.#now();
      const continuity = decideContinuity({ found, origin, highest, nowMs, refuted: this.#refuted });
      const ofCheckpoint = found.kind === 'found' ? found.checkpoint.plan : 0;
      const plan = nextPlan(nowMs, ofCheckpoint, highest.plan, this.#highestPlan);
      this.#highestPlan = plan;
      this.#continuity = continuity;
      this.#logDecision(continuity, plan, found.kind === 'unreadable' ? found.why : undefined);
      if (found.kind === 'found') {
        // Whoever believes to be the capture, and is not, must not write over what we write from now on.
        this.#checkpoints.save({ ...found.checkpoint, plan });
        await this.#checkpoints.flush();
      }
      const ask = new EndQuestions(this.#options.origin, origin.identity);
      const source = await ports.openBinlog(continuity.readFrom);
      run = new CaptureRun({
        continuity,
        origin,
        plan,
        highest,
        layers,
        rings,
        tables,
        tells,
        session,
        source,
        heartbeatMs,
        newAssembler: ports.newAssembler,
        askEnd: () => ask.ask(),
        now: this.#now,
        save: (checkpoint) => {
          // It stands on what this run has read: nothing that was refuted before speaks against it.
          this.#refuted = undefined;
          this.#checkpoints.save(checkpoint);
        },
        saved: () => this.#checkpoints.flush(),
        onStation: (station) => this.#station(station),
        log: this.#log,
      });
      this.#run = run;
      this.#tell('following', undefined);
      if (signal.aborted) run.fail(new Error('stopped'));
      if (isLockLost()) run.fail(new Error('the lock is lost'));
      const looking = setInterval(() => void this.#lookAhead(run), STAMPS_EVERY_MS);
      try {
        return await run.run();
      } catch (error) {
        this.#refuted = { ...this.#refuted, ...refutedBy(error, continuity.readFrom, run.hasRead) };
        throw error;
      } finally {
        clearInterval(looking);
        ask.stop();
        this.#asOf = Math.max(this.#asOf, run.asOf);
        this.#run = undefined;
        await this.#checkpoints.flush();
      }
    } finally {
      await session.close();
    }
  }

  async #askOrigin(): ReturnType<typeof readOriginState> {
    const session = await OriginSession.open(this.#options.origin);
    try {
      return await readOriginState(session);
    } finally {
      session.destroy();
    }
  }

  async #highest(): Promise<Highest> {
    const late = () => new Error(`no answer within ${STAMPS_WITHIN_MS} ms`);
    return await withinDeadline(this.#options.ports.highestStamps(), STAMPS_WITHIN_MS, late);
  }

  /**
   * A shard that could not be asked when this run began may stand in a later epoch. There all that we say is a repeat, so
   * it is decided again, with its stamp.
   */
  async #lookAhead(run: CaptureRun): Promise<void> {
    const highest = await this.#highest().catch(() => undefined);
    if (highest !== undefined && highest.epoch > run.epoch) run.fail(new ShardsAhead(highest.epoch, run.epoch));
  }

  async #lost(error: unknown, lastedMs: number): Promise<void> {
    const { signal } = this.#stopping;
    if (signal.aborted) return;
    if (error instanceof SetupError) throw error;
    if (lastedMs > HEALTHY_MS) this.#backoff.reset();
    const retryMs = Math.round(this.#backoff.nextMs());
    this.#tell('retrying', messageOf(error));
    const fields = { reason: messageOf(error), retryMs };
    if (isWeather(error)) this.#log.warn(fields, 'capture interrupted');
    else this.#log.error({ err: error, retryMs }, 'capture interrupted');
    await sleep(retryMs, undefined, { signal }).catch(() => undefined);
  }

  #checkpointFailed(error: unknown): void {
    if (error instanceof CheckpointTaken) this.#run?.fail(error);
    this.#log.warn({ reason: messageOf(error), path: this.#checkpoints.path }, 'checkpoint not written');
  }

  #logDecision(continuity: Continuity, plan: number, unreadable: string | undefined): void {
    const { kind, reason, epoch, readFrom } = continuity;
    const where =
      readFrom.kind === 'position' ? `${readFrom.position.file}:${readFrom.position.position}` : readFrom.gtid;
    const fields = {
      decision: kind,
      reason,
      epoch,
      plan,
      from: where,
      ...(unreadable !== undefined && { unreadable }),
    };
    switch (kind) {
      case 'resume':
        this.#log.info(fields, 'reads on where it stopped');
        break;
      case 'bridge':
      case 'resume-by-gtid':
        this.#log.warn(fields, 'reads on under a new epoch; what was read above the last checkpoint is not trusted');
        break;
      case 'begin':
        this.#log.warn(fields, 'begins at the end of the binlog; what the shards hold counts as absent');
        break;
    }
  }

  #station(station: Station): void {
    this.#options.onStation?.(station);
  }

  #tell(state: CaptureState, reason: string | undefined): void {
    this.#state = state;
    this.#reason = reason;
  }
}

/** The servers' own words explain these; anything else may be a mistake of ours, and wants its stack. */
function isWeather(error: unknown): boolean {
  return WEATHER.some((kind) => error instanceof kind);
}

const WEATHER = [
  OriginUnavailable,
  BrokerUnavailable,
  BinlogLost,
  LockLost,
  ContinuityRefuted,
  CheckpointTaken,
  BinlogStalled,
  ShardsAhead,
] as const;

/** What an error shows about where to read on; nothing where it is weather. */
function refutedBy(error: unknown, from: ReadFrom, hasRead: boolean): Refuted | undefined {
  if (error instanceof ContinuityRefuted) return error.refuted;
  if (!(error instanceof BinlogLost)) return undefined;
  switch (error.reason) {
    case 'undecodable':
      // Whichever way it is asked for, it comes again.
      return { position: 'undecodable', gtid: true };
    case 'purged':
    case 'bad-position':
      // Once it has sent something, the place it began at was one; the next attempt will show what became of it.
      if (hasRead) return undefined;
      return from.kind === 'gtid' ? { gtid: true } : { position: error.reason };
    case 'evicted':
    case 'silent':
    case 'closed':
    case 'refused':
    case 'unreachable':
      return undefined;
  }
}

/** Asks one and the same server where its binlog ends, whoever else may answer at its address. */
class EndQuestions {
  readonly #origin: SessionOptions;
  readonly #identity: string;
  #session: Promise<OriginSession> | undefined;
  #stopped = false;

  constructor(origin: SessionOptions, identity: string) {
    this.#origin = origin;
    this.#identity = identity;
  }

  /** Throws OriginUnavailable; ContinuityRefuted where another server answers now. */
  async ask(): Promise<BinlogEnd> {
    const opening = (this.#session ??= this.#open());
    try {
      return await readBinlogEnd(await opening);
    } catch (error) {
      if (this.#session === opening) this.#session = undefined;
      throw error;
    }
  }

  stop(): void {
    this.#stopped = true;
    void this.#session?.then(
      (session) => session.destroy(),
      () => undefined,
    );
  }

  async #open(): Promise<OriginSession> {
    const session = await OriginSession.open(this.#origin);
    if (this.#stopped) session.destroy();
    if (session.identity === this.#identity) return session;
    session.destroy();
    throw new ContinuityRefuted({}, 'another server answers at this address');
  }
}
