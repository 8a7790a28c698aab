/**
 * Keeps every mirror complete: looks at the stamps of all shards, again and again, and has a snapshot made wherever a
 * mirror's rows are not known to be all there: it is new, the shard came back empty, changes were lost, the table was
 * altered. What it finds is the shards' own word; it remembers nothing.
 *
 * One process of the installation makes snapshots at a time (a lock of the origin's), one table after another.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config, SyncConfig } from '../../shared/config/schema.ts';
import { WakeUp } from '../../shared/broker/wake-up.ts';
import { messageOf, OriginUnavailable, ShardUnavailable } from '../../shared/errors/errors.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import { Backoff } from '../../shared/lifecycle/backoff.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { OriginPool } from '../../shared/origin/origin-pool.ts';
import type { SqlServer } from '../../shared/origin/server-version.ts';
import type { Candidate, Layer, Layers } from '../../shared/ring/layers.ts';
import { EVERY_LAYER } from '../../shared/ring/route.ts';
import { shardLayers } from '../../shared/shard/shard-layers.ts';
import type { Shard } from '../../shared/shard/shard.ts';
import { floorOf, isComplete } from '../../shared/stamp/stamp.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { acquireLock, LockLost } from '../capture/continuity/lock.ts';
import { removeElsewhere } from './elsewhere.ts';
import { evictsRows } from './eviction.ts';
import { Pace } from './pace.ts';
import { type SnapshotFailure, type SnapshotReport, SnapshotRun, TableChanged } from './snapshot-run.ts';
import type { SnapshotProgress } from './snapshot-shard.ts';

export interface SnapshotServiceOptions {
  readonly config: Config & { readonly sync: SyncConfig };
  /** Mirrors, as they are now. */
  readonly mirrors: () => readonly ExposedTable[];
  readonly origin: OriginPool;
  readonly server: () => SqlServer;
  readonly log: Log;
  /** For whoever shows it. */
  readonly onProgress?: (table: ExposedTable, progress: SnapshotProgress) => void;
}

/** What one shard says of one mirror. */
export type MirrorState =
  | 'complete'
  /** A snapshot brings it now, or next. */
  | 'incomplete'
  /** Complete, and rows lie there that do not belong there any more, since the ring's former definition is gone. */
  | 'untidy'
  /** No sync worker has told it about the table yet. */
  | 'not-followed'
  /** Its server may evict rows to make room (maxmemory-policy allkeys-…), so that it cannot hold a mirror. */
  | 'evicts'
  | 'down';

export interface MirrorStatus {
  readonly table: string;
  readonly shard: string;
  readonly ring: string;
  readonly state: MirrorState;
  /** Of `down`: what the shard or the network says. */
  readonly why?: string;
}

export interface RunningSnapshot {
  readonly table: string;
  readonly shards: readonly string[];
  /** Found so far; a run before this one may have found some of them. */
  readonly rows: number;
  readonly rowsPerSecond: number;
  readonly startedAt: number;
}

/** What `/-/status` and the metrics tell. */
export interface SnapshotStatus {
  readonly mirrors: readonly MirrorStatus[];
  readonly running: RunningSnapshot | null;
  /** Read and written since this process started. */
  readonly snapshotRows: number;
}

const LOOK_EVERY_MS = 1_000;
/** Between two attempts that came to nothing. */
const AGAIN_MS_MAX = 15_000;
/** Nobody waits for an answer here, as clients do; but a shard that hangs is to be noticed. */
const SHARD_TIMEOUT_MS = 10_000;
/** Rows that somebody keeps locked hold up one table, not all of them. */
const LOCKED_PATIENCE_MS = 60_000;

export class SnapshotService {
  readonly #options: SnapshotServiceOptions;
  readonly #layers: Layers<Shard>;
  readonly #stopping = new AbortController();
  /** A mirror is not complete. */
  readonly #due = new WakeUp();
  /** It was not a moment ago: whatever kept it from being made, it is worth trying again. */
  readonly #news = new WakeUp();
  #statuses: readonly MirrorStatus[] = [];
  #running: RunningSnapshot | undefined;
  #rows = 0;
  #ended: Promise<unknown> | undefined;

  constructor(options: SnapshotServiceOptions) {
    const { config, log } = options;
    this.#options = options;
    const shards = { ...config.shards, timeoutMs: SHARD_TIMEOUT_MS, slowMs: 0 };
    this.#layers = shardLayers({ ...config, shards }, log.child({ purpose: 'snapshot' }));
  }

  get status(): SnapshotStatus {
    return { mirrors: this.#statuses, running: this.#running ?? null, snapshotRows: this.#rows };
  }

  /** Settles when the shards have been tried; from then on it runs by itself. */
  async start(): Promise<void> {
    await this.connect();
    this.#ended ??= Promise.all([this.#keepLooking(), this.#keepMaking()]);
  }

  /** For whoever wants one snapshot only. */
  async connect(): Promise<void> {
    await Promise.all(this.#layers.shards.map((shard) => shard.start()));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#due.raise();
    await this.#ended;
    for (const shard of this.#layers.shards) shard.stop();
  }

  /**
   * One snapshot into all of the table's shards that can take it, complete or not.
   * Throws OriginUnavailable, TableChanged, KeysUnspeakable, LockLost, and an AbortError.
   * @param anew from the first row on, even if an earlier one was not finished.
   * @returns where it failed, also of shards that could not take part.
   */
  async snapshot(table: ExposedTable, anew: boolean, onWaiting: () => void): Promise<SnapshotReport> {
    return await this.#underLock(onWaiting, async (signal) => {
      const complete: string[] = [];
      const failed = new Map<string, SnapshotFailure>();
      let [rows, removed] = [0, 0];
      const looks = await this.#look(table);
      for (const { status } of looks) {
        const { shard, state, why } = status;
        if (state === 'not-followed' || state === 'evicts' || state === 'down')
          failed.set(shard, { kind: state, why: why ?? WHY_NOT[state] });
      }
      let targets = looks.filter(({ status }) => !failed.has(status.shard)).map(({ candidate }) => candidate);
      while (targets.length > 0) {
        const report = await this.#run(table, targets, { anew, patienceMs: Infinity }, signal);
        complete.push(...report.complete);
        rows += report.rows;
        removed += report.removed;
        targets = targets.filter(({ shard }) => report.failed.get(shard.name)?.kind === 'waits-its-turn');
        for (const [shard, failure] of report.failed) {
          if (failure.kind !== 'waits-its-turn') failed.set(shard, failure);
        }
      }
      return { complete, failed, rows, removed };
    });
  }

  /** Also while a snapshot runs: what it brings to a shard that has begun to evict is worth nothing. */
  async #keepLooking(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const evicting = new Map<Shard, Promise<boolean>>();
      const looks = await Promise.all(this.#options.mirrors().map((table) => this.#look(table, evicting)));
      const before = this.#statuses;
      this.#statuses = looks.flat().map(({ status }) => status);
      for (const status of this.#statuses) this.#tell(status, before);
      if (this.#statuses.some(({ state }) => isDue(state))) this.#due.raise();
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #keepMaking(): Promise<void> {
    const { signal } = this.#stopping;
    const backoff = new Backoff(LOOK_EVERY_MS, AGAIN_MS_MAX);
    while (!signal.aborted) {
      await this.#due.next();
      if (signal.aborted) return;
      try {
        const outcome = await this.#makeAllDue();
        if (outcome === 'made') backoff.reset();
        else await this.#pause(backoff.nextMs());
      } catch (error) {
        if (signal.aborted) return;
        const retryMs = Math.round(backoff.nextMs());
        this.#interrupted(error, { retryMs });
        await this.#pause(retryMs);
      }
    }
  }

  /** Less, if another shard has come to be in need of a snapshot. */
  async #pause(ms: number): Promise<void> {
    const over = new AbortController();
    const { signal } = this.#stopping;
    await Promise.race([
      sleep(ms, undefined, { signal: AbortSignal.any([signal, over.signal]) }).catch(() => undefined),
      this.#news.next(),
    ]);
    over.abort();
  }

  /** `made`: a shard has become complete, or none was due. Throws OriginUnavailable, LockLost, and an AbortError. */
  async #makeAllDue(): Promise<'made' | 'in vain'> {
    const onWaiting = () => this.#options.log.debug('another process makes snapshots; waiting');
    return await this.#underLock(onWaiting, async (signal) => {
      let [isAnyDue, isAnyComplete] = [false, false];
      for (const table of this.#options.mirrors()) {
        // Whoever had the lock may have made it.
        const looks = await this.#look(table);
        const targets = looks.filter(({ status }) => isDue(status.state)).map(({ candidate }) => candidate);
        if (targets.length === 0) continue;
        isAnyDue = true;
        try {
          const report = await this.#run(table, targets, { anew: false, patienceMs: LOCKED_PATIENCE_MS }, signal);
          isAnyComplete ||= report.complete.length > 0;
        } catch (error) {
          // What is wrong with one table holds up no other.
          if (error instanceof OriginUnavailable || signal.aborted) throw error;
          this.#interrupted(error, { table: table.label });
        }
      }
      return isAnyComplete || !isAnyDue ? 'made' : 'in vain';
    });
  }

  #interrupted(error: unknown, fields: object): void {
    const isWeather = error instanceof OriginUnavailable || error instanceof LockLost || error instanceof TableChanged;
    const told = { ...fields, reason: messageOf(error) };
    if (isWeather) this.#options.log.warn(told, 'snapshot interrupted');
    else this.#options.log.error({ ...told, err: error }, 'snapshot interrupted');
  }

  async #run(
    table: ExposedTable,
    targets: readonly Candidate<Shard>[],
    { anew, patienceMs }: { readonly anew: boolean; readonly patienceMs: number },
    signal: AbortSignal,
  ): Promise<SnapshotReport> {
    const { config, origin, server, log, onProgress } = this.#options;
    const shards = targets.map(({ shard }) => shard.name);
    const startedAt = Date.now();
    let from: SnapshotProgress | undefined;
    try {
      const report = await new SnapshotRun({
        table,
        keyPrefix: config.keyPrefix,
        layers: this.#layers,
        targets,
        origin,
        server,
        // Of its own: what is slow for one table's rows is not for another's.
        pace: new Pace({ rowsPerSecondMax: config.sync.snapshot.rowsPerSecond }),
        anew,
        lockedPatienceMs: patienceMs,
        signal,
        log,
        onProgress: (progress) => {
          const { rows, chunk } = progress;
          if (from === undefined) {
            from = progress;
            log.info({ table: table.label, shards, rows }, chunk === 0 ? 'snapshot begins' : 'snapshot goes on');
          }
          this.#rows += Math.max(0, rows - (this.#running?.rows ?? rows));
          const seconds = Math.max(1, Date.now() - startedAt) / 1000;
          const rowsPerSecond = Math.round((rows - from.rows) / seconds);
          this.#running = { table: table.label, shards, rows, rowsPerSecond, startedAt };
          onProgress?.(table, progress);
        },
      }).run();
      const { rows, complete } = report;
      const isWhole = report.failed.size === 0;
      const elsewhere = isWhole
        ? await removeElsewhere(table, { layers: this.#layers, stampKey: stampKey(config.keyPrefix), signal })
        : 0;
      const removed = report.removed + elsewhere;
      const failed = Object.fromEntries([...report.failed].map(([shard, { why }]) => [shard, why]));
      const seconds = Math.round((Date.now() - startedAt) / 100) / 10;
      log.info({ table: table.label, rows, removed, complete, failed, seconds }, 'snapshot ended');
      return { ...report, removed };
    } finally {
      this.#running = undefined;
    }
  }

  async #underLock<T>(onWaiting: () => void, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { config } = this.#options;
    const { sync, origin } = config;
    const lock = await acquireLock({
      url: sync.originUrl ?? origin.url,
      timeoutMs: origin.timeoutMs,
      name: `${sync.name}:snapshot`,
      signal: this.#stopping.signal,
      onWaiting,
    });
    const lost = new AbortController();
    void lock.lost.then((error) => lost.abort(error));
    try {
      return await work(AbortSignal.any([this.#stopping.signal, lost.signal]));
    } catch (error) {
      // Whatever was aborted, this is why.
      throw lost.signal.aborted ? lost.signal.reason : error;
    } finally {
      lock.release();
    }
  }

  #tell({ table, shard, state, why }: MirrorStatus, earlier: readonly MirrorStatus[]): void {
    const before = earlier.find((status) => status.table === table && status.shard === shard)?.state;
    if (before === state) return;
    if (isDue(state)) this.#news.raise();
    if (state === 'evicts') {
      const mend = 'CONFIG SET maxmemory-policy noeviction, there and in redis.conf';
      this.#options.log.error({ table, shard, mend }, 'a shard that evicts keys cannot hold a mirror');
    } else {
      this.#options.log.info({ table, shard, state, before, why }, 'mirror');
    }
  }

  /** @param evicting which shards do, as far as it has been asked. */
  async #look(table: ExposedTable, evicting = new Map<Shard, Promise<boolean>>()): Promise<readonly Look[]> {
    const candidates = this.#layers.reached(table.settings.mirrored ?? EVERY_LAYER);
    return await Promise.all(
      candidates.map(async (candidate) => {
        const { shard, ring } = candidate;
        const found = await this.#stateOf(table, candidate, evicting);
        return { candidate, status: { table: table.label, shard: shard.name, ring, ...found } };
      }),
    );
  }

  async #stateOf(
    table: ExposedTable,
    { shard, layer }: Candidate<Shard>,
    evicting: Map<Shard, Promise<boolean>>,
  ): Promise<{ readonly state: MirrorState; readonly why?: string }> {
    const { followedName, schema } = table;
    const { rings } = this.#layers.layers[layer] as Layer<Shard>;
    const [newest] = rings as [string];
    try {
      const seen = await shard.seenStamp();
      const floor = seen && floorOf(seen.stamp, followedName, newest);
      if (seen === undefined || floor === undefined) return { state: 'not-followed' };
      const asked = evicting.get(shard) ?? evictsRows(shard);
      evicting.set(shard, asked);
      if (await asked) {
        // Of what a snapshot has brought, too, nobody knows how much is left.
        await shard.run('snapshot', (redis) =>
          redis.mirrorIncomplete(stampKey(this.#options.config.keyPrefix), followedName),
        );
        return { state: 'evicts' };
      }
      if (!isComplete(seen.stamp, followedName, newest, schema.shape, floor)) return { state: 'incomplete' };
      // What lies there by a definition that is not one any more wants to be removed.
      return { state: seen.stamp.complete[followedName]?.rings === rings.join(',') ? 'complete' : 'untidy' };
    } catch (error) {
      if (!(error instanceof ShardUnavailable)) throw error;
      return { state: 'down', why: error.message };
    }
  }
}

function isDue(state: MirrorState): boolean {
  return state === 'incomplete' || state === 'untidy';
}

const WHY_NOT: Readonly<Record<'not-followed' | 'evicts' | 'down', string>> = {
  'not-followed': 'no sync worker has told it about the table',
  evicts: 'its server may evict rows to make room (maxmemory-policy)',
  down: 'it does not answer',
};

interface Look {
  readonly candidate: Candidate<Shard>;
  readonly status: MirrorStatus;
}
