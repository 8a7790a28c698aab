/** One audit of some tables, or of all that are followed, from the first key to the last: what `ringfill audit` runs. */
import type { Config, SyncConfig } from '../../shared/config/schema.ts';
import { SetupError } from '../../shared/errors/errors.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { ringHashOf, shardLayers } from '../../shared/shard/shard-layers.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { acquireLock } from '../capture/continuity/lock.ts';
import { Pace } from '../snapshot/pace.ts';
import type { AuditedOrigin } from './origin-word.ts';
import { TableAudit } from './table-audit.ts';
import { TableRepair } from './table-repair.ts';
import type { TableTally } from './tally.ts';

export interface AuditRunOptions {
  readonly config: Config;
  /** As db.table; none: all that are followed. */
  readonly tables: readonly string[];
  readonly repair: boolean;
  readonly showRows: boolean;
  readonly rowsPerSecondMax: number;
  /** How long a shard is waited for until it has applied what MySQL says. */
  readonly reachWithinMs?: number;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly onTable?: (table: string) => void;
  readonly onProgress?: (passed: number, ofAbout: number) => void;
  /** A snapshot is under way, and mending waits for its end. */
  readonly onWaiting?: () => void;
}

export interface AuditReport {
  readonly tables: readonly TableTally[];
  /** Those whose changes are not followed: how old their rows are is the TTL's business. */
  readonly notFollowed: readonly string[];
  readonly seconds: number;
}

const CHUNK_KEYS_MAX = 1_000;
/** Nobody waits for an answer here, as clients do. */
const SHARD_TIMEOUT_MS = 10_000;
const REACH_WITHIN_MS = 10_000;

/** Throws SetupError, OriginUnavailable where MySQL cannot be reached at all; what happens later is in the report. */
export async function runAudit(options: AuditRunOptions): Promise<AuditReport> {
  const { config, tables: wanted, log, onTable } = options;
  const sync = syncOf(config);
  refuseUnknown(config, wanted);
  const { url, connections, timeoutMs } = config.origin;
  const origin = new OriginPool({ url, connections, timeoutMs, packets: true, onChange: () => undefined });
  const shards = { ...config.shards, timeoutMs: SHARD_TIMEOUT_MS, slowMs: 0 };
  const layers = shardLayers({ ...config, shards }, log);
  const all = layers.shards;
  const startedAt = performance.now();
  try {
    const exposed = await ExposedTables.load(origin, config, log);
    await Promise.all(all.map((shard) => shard.start()));
    const chosen = [...exposed.all()].filter(({ label }) => wanted.length === 0 || wanted.includes(label));
    const audited = chosen.filter(({ settings }) => settings.follow);
    const tables: TableTally[] = [];
    for (const table of audited) {
      if (options.signal.aborted) break;
      onTable?.(table.label);
      const audit = new TableAudit({
        ...options,
        table,
        keyPrefix: config.keyPrefix,
        layers,
        ringHashes: config.rings.map(ringHashOf),
        origin,
        server: () => exposed.server,
        pace: new Pace({ rowsPerSecondMax: options.rowsPerSecondMax }),
        chunkKeysMax: CHUNK_KEYS_MAX,
        reachWithinMs: options.reachWithinMs ?? REACH_WITHIN_MS,
        repair: options.repair ? (read) => repairOf(table, read, { ...config, sync }, options) : undefined,
      });
      tables.push(await audit.run());
    }
    const notFollowed = chosen.filter((table) => !audited.includes(table)).map(({ label }) => label);
    return { tables, notFollowed, seconds: (performance.now() - startedAt) / 1000 };
  } finally {
    for (const shard of all) shard.stop();
    await origin.stop();
  }
}

function repairOf(
  table: ExposedTable,
  read: AuditedOrigin,
  config: Config & { readonly sync: SyncConfig },
  { signal, onWaiting }: AuditRunOptions,
): TableRepair {
  const { sync, origin, keyPrefix } = config;
  const underLock = async (work: () => Promise<void>) => {
    const lock = await acquireLock({
      url: sync.originUrl ?? origin.url,
      timeoutMs: origin.timeoutMs,
      name: `${sync.name}:snapshot`,
      signal,
      onWaiting: () => onWaiting?.(),
    });
    try {
      await work();
    } finally {
      lock.release();
    }
  };
  return new TableRepair({ table, origin: read, keyPrefix, underLock });
}

function syncOf({ sync }: Config): SyncConfig {
  if (sync !== undefined) return sync;
  const message = 'rows can be judged only where their changes are followed, and this configuration has no sync';
  throw new SetupError([{ code: 'config-invalid', where: 'sync', message }]);
}

function refuseUnknown({ tables, defaults }: Config, wanted: readonly string[]): void {
  const problems = wanted.flatMap((label) => {
    const table = tables[label];
    if (table !== undefined && (table.follow ?? defaults.follow)) return [];
    const message = table === undefined ? 'is not among the exposed tables' : 'is not followed (follow: false)';
    return [{ code: 'config-invalid' as const, where: `tables.${label}`, message }];
  });
  const [first, ...more] = problems;
  if (first !== undefined) throw new SetupError([first, ...more]);
}
