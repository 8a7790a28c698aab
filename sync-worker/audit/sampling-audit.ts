/**
 * The audit that never ends: in the sync worker, through all followed tables, again and again, so slowly that nobody
 * notices. What it finds it tells once, in the log and the metrics; it mends nothing.
 *
 * One process of the installation does it at a time (a lock of the origin's). It remembers nothing over a restart, so each
 * pass takes the tables in another order.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config, SyncConfig } from '../../shared/config/schema.ts';
import { messageOf, OriginUnavailable } from '../../shared/errors/errors.ts';
import { Backoff } from '../../shared/lifecycle/backoff.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { OriginPool } from '../../shared/origin/origin-pool.ts';
import type { SqlServer } from '../../shared/origin/server-version.ts';
import type { Layers } from '../../shared/ring/layers.ts';
import { ringHashOf, shardLayers } from '../../shared/shard/shard-layers.ts';
import type { Shard } from '../../shared/shard/shard.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { acquireLock, LockLost } from '../capture/continuity/lock.ts';
import { Pace } from '../snapshot/pace.ts';
import { TableChanged } from '../snapshot/snapshot-run.ts';
import type { AuditMetrics } from './audit-metrics.ts';
import type { Finding } from './finding.ts';
import { TableAudit } from './table-audit.ts';

export interface SamplingAuditOptions {
  readonly config: Config & { readonly sync: SyncConfig };
  /** Those that are followed, as they are now. */
  readonly tables: () => readonly ExposedTable[];
  readonly origin: OriginPool;
  readonly server: () => SqlServer;
  readonly metrics: AuditMetrics;
  readonly log: Log;
}

export interface SamplingStatus {
  /** Which table it is at; null while another process has the lock, or between two passes. */
  readonly table: string | null;
  /** Whole passes since this process has done it. */
  readonly passes: number;
  /** Found, and not seen right again since. */
  readonly wrong: readonly {
    readonly table: string;
    readonly shard: string;
    readonly key: string;
    readonly fault: string;
  }[];
}

const CHUNK_KEYS_MAX = 1_000;
/** Nobody waits for an answer here, as clients do; but a shard that hangs is to be noticed. */
const SHARD_TIMEOUT_MS = 10_000;
const REACH_WITHIN_MS = 10_000;
/** Also where there is next to nothing to compare. */
const PASS_MS_MIN = 2_000;
/** What was found is looked at again that often, so that the metrics say so soon after it has been mended. */
const LOOK_AGAIN_EVERY_MS = 10_000;
const LOOK_AGAIN_AT_ONCE = 100;
const REMEMBERED_MAX = 1_000;
const TOLD_IN_STATUS_MAX = 20;

export class SamplingAudit {
  readonly #options: SamplingAuditOptions;
  readonly #layers: Layers<Shard>;
  readonly #stopping = new AbortController();
  readonly #wrong = new Map<string, Finding>();
  #table: string | undefined;
  #passes = 0;
  #ended: Promise<void> | undefined;

  constructor(options: SamplingAuditOptions) {
    const { config, log, metrics } = options;
    this.#options = options;
    const shards = { ...config.shards, timeoutMs: SHARD_TIMEOUT_MS, slowMs: 0 };
    this.#layers = shardLayers({ ...config, shards }, log.child({ purpose: 'audit' }));
    metrics.oldestStale = () => this.#oldestStaleSeconds();
  }

  get status(): SamplingStatus {
    const wrong = [...this.#wrong.values()].slice(0, TOLD_IN_STATUS_MAX);
    return {
      table: this.#table ?? null,
      passes: this.#passes,
      wrong: wrong.map(({ table, shard, key, fault }) => ({ table, shard: shard.name, key, fault })),
    };
  }

  /** Settles when the shards have been tried; from then on it runs by itself. Nothing is done at a rate of 0. */
  async start(): Promise<void> {
    if (this.#options.config.sync.audit.rowsPerSecond === 0) return;
    await Promise.all(this.#layers.shards.map((shard) => shard.start()));
    this.#ended ??= this.#keep();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
    for (const shard of this.#layers.shards) shard.stop();
  }

  async #keep(): Promise<void> {
    const { signal } = this.#stopping;
    const { log } = this.#options;
    const backoff = new Backoff(1_000, 30_000);
    while (!signal.aborted) {
      try {
        await this.#underLock(async (held) => {
          backoff.reset();
          await Promise.all([this.#passOnAndOn(held), this.#lookAgainNowAndThen(held)]);
        });
      } catch (error) {
        if (signal.aborted) return;
        const retryMs = Math.round(backoff.nextMs());
        const fields = { reason: messageOf(error), retryMs };
        if (isWeather(error)) log.info(fields, 'sampling audit interrupted');
        else log.error({ ...fields, err: error }, 'sampling audit interrupted');
        await sleep(retryMs, undefined, { signal }).catch(() => undefined);
      } finally {
        this.#table = undefined;
      }
    }
  }

  async #passOnAndOn(signal: AbortSignal): Promise<void> {
    const { metrics, tables } = this.#options;
    for (;;) {
      const startedAt = performance.now();
      for (const table of shuffled(tables())) {
        signal.throwIfAborted();
        if (table.unusable === undefined) await this.#pass(table, signal);
      }
      this.#table = undefined;
      signal.throwIfAborted();
      this.#passes += 1;
      metrics.passed((performance.now() - startedAt) / 1000);
      const leftMs = PASS_MS_MIN - (performance.now() - startedAt);
      if (leftMs > 0) await sleep(leftMs, undefined, { signal });
    }
  }

  async #pass(table: ExposedTable, signal: AbortSignal): Promise<void> {
    const { metrics, log } = this.#options;
    this.#table = table.label;
    const { ended } = await this.#auditOf(table, signal, {
      onCompared: (keys) => metrics.compared(table.label, keys),
      onFinding: (finding) => this.#found(finding),
    }).run();
    signal.throwIfAborted();
    if (ended !== undefined) log.debug({ table: table.label, reason: ended }, 'sampling audit of a table ended early');
  }

  #found(finding: Finding): void {
    const { metrics, log } = this.#options;
    const { table, shard, key, fault, there, origin, columns } = finding;
    const name = `${table} ${shard.name} ${key}`;
    if (this.#wrong.has(name)) return;
    if (this.#wrong.size < REMEMBERED_MAX) this.#wrong.set(name, finding);
    metrics.found(table, fault);
    log.error({ table, shard: shard.name, key, fault, there, origin, columns }, 'a shard is wrong');
  }

  async #lookAgainNowAndThen(signal: AbortSignal): Promise<void> {
    const { tables, log } = this.#options;
    for (;;) {
      await sleep(LOOK_AGAIN_EVERY_MS, undefined, { signal });
      const oldest = [...this.#wrong].slice(0, LOOK_AGAIN_AT_ONCE);
      for (const [label, ones] of Map.groupBy(oldest, ([, finding]) => finding.table)) {
        const table = tables().find((one) => one.label === label);
        if (table === undefined || table.unusable !== undefined) continue;
        try {
          const still = new Set(await this.#auditOf(table, signal, {}).stillWrong(ones.map(([, finding]) => finding)));
          for (const [name, finding] of ones) {
            this.#wrong.delete(name);
            // Behind the others, whose turn is next.
            if (still.has(finding)) this.#wrong.set(name, finding);
            else log.info({ table: label, shard: finding.shard.name, key: finding.key }, 'a shard is right again');
          }
        } catch (error) {
          if (!isWeather(error)) throw error;
        }
      }
    }
  }

  #auditOf(
    table: ExposedTable,
    signal: AbortSignal,
    hooks: { onCompared?: (keys: number) => void; onFinding?: (finding: Finding) => void },
  ): TableAudit {
    const { config, origin, server } = this.#options;
    const { rowsPerSecond } = config.sync.audit;
    return new TableAudit({
      table,
      keyPrefix: config.keyPrefix,
      layers: this.#layers,
      ringHashes: config.rings.map(ringHashOf),
      origin,
      server,
      pace: new Pace({ rowsPerSecondMax: rowsPerSecond }),
      chunkKeysMax: Math.min(CHUNK_KEYS_MAX, rowsPerSecond),
      reachWithinMs: REACH_WITHIN_MS,
      showRows: false,
      signal,
      ...hooks,
    });
  }

  async #underLock(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { config, log } = this.#options;
    const { sync, origin } = config;
    const lock = await acquireLock({
      url: sync.originUrl ?? origin.url,
      timeoutMs: origin.timeoutMs,
      name: `${sync.name}:audit`,
      signal: this.#stopping.signal,
      onWaiting: () => log.debug('another process audits; waiting'),
    });
    const ending = new AbortController();
    void lock.lost.then((error) => ending.abort(error));
    const signal = AbortSignal.any([this.#stopping.signal, ending.signal]);
    try {
      await work(signal);
    } finally {
      ending.abort();
      lock.release();
    }
  }

  /** How long ago the oldest of those that are still stale was found to be; 0 where none is. */
  #oldestStaleSeconds(): number {
    const stale = [...this.#wrong.values()].filter(({ fault }) => fault === 'stale').map(({ foundAt }) => foundAt);
    return stale.length === 0 ? 0 : Math.max(0, (Date.now() - Math.min(...stale)) / 1000);
  }
}

function isWeather(error: unknown): boolean {
  return (
    error instanceof OriginUnavailable ||
    error instanceof TableChanged ||
    error instanceof LockLost ||
    (error instanceof Error && error.name === 'AbortError')
  );
}

function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ value }) => value);
}
