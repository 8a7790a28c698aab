/**
 * A table that clients may read: its name, its settings, and the schema as last read from the server.
 */
import type { Config, TableConfig } from '../config/schema.ts';
import { describeProblem, type Problem, RequestRefused } from '../errors/errors.ts';
import { parseRowId, type RowId } from '../key/row-id.ts';
import { tableKeyPrefix } from '../key/cache-key.ts';
import type { Route } from '../ring/route.ts';
import { followedName } from '../stamp/followed.ts';
import { parseTableName, type TableName } from './table-name.ts';
import type { TableSchema } from './table-schema.ts';

export interface TableSettings {
  readonly mode: 'read-through' | 'mirror';
  /** How many layers hold each row; there may be fewer. */
  readonly copies: number;
  readonly fallbackTtlSeconds: number;
  /** One hit in so many is copied into the next layer; 0: none. */
  readonly warmOneIn: number;
  /** Of a mirror: where its rows lie. */
  readonly mirrored: Route | undefined;
  readonly onIncomplete: 'unavailable' | 'origin';
  readonly ttlSeconds: number;
  readonly softTtlSeconds: number;
  readonly graceSeconds: number;
  readonly negativeTtlSeconds: number;
  readonly ttlJitterPercent: number;
  readonly rowBytesMax: number;
  readonly leaseWaitMs: number;
  /** Whether the table's changes are followed: sync is configured, and the table takes part. */
  readonly follow: boolean;
  readonly strategy: 'overwrite' | 'invalidate' | 'refresh';
  readonly onSyncLost: 'serve' | 'origin' | 'unavailable';
  readonly followedTtlSeconds: number;
  /** Whether its rows may be answered out of the gateway's own memory. */
  readonly near: boolean;
}

/** Of the TTL: rows that are read often are read again before they expire, so nobody waits for them. */
const SOFT_TTL_SHARE = 0.8;

/** What the last look at a table found that a start would refuse. */
export interface Unusable {
  readonly reason: string;
  /** An id may find several rows, so that none can be answered. */
  readonly isKeyless: boolean;
}

export class ExposedTable {
  /** `db.table`. */
  readonly label: string;
  readonly name: TableName;
  readonly settings: TableSettings;
  /** What its cache keys begin with. */
  readonly keyPrefix: string;
  #schema: TableSchema;
  #followedName: string;
  #unusable: Unusable | undefined;

  constructor(label: string, config: Config, schema: TableSchema) {
    this.label = label;
    this.name = parseTableName(label);
    this.settings = settingsOf(label, config);
    this.keyPrefix = tableKeyPrefix(config.keyPrefix, this.name.db, this.name.table);
    this.#schema = schema;
    this.#followedName = followedName(label, schema, this.settings.mirrored);
  }

  get schema(): TableSchema {
    return this.#schema;
  }

  /** What the stamps call it: its name with its key columns. */
  get followedName(): string {
    return this.#followedName;
  }

  /** Nothing of it is stored and its changes are not followed, until it is found suitable again. */
  get unusable(): Unusable | undefined {
    return this.#unusable;
  }

  /** Its last schema stays: what the server still answers to it is read, and not stored. */
  refuse(problems: readonly Problem[]): void {
    const isKeyless = problems.some(({ code }) => code === 'key-unsuitable');
    this.#unusable = { reason: problems.map(describeProblem).join('; '), isKeyless };
  }

  /** What is read from now on, and what entries must be shaped like. */
  adopt(schema: TableSchema): void {
    this.#unusable = undefined;
    this.#schema = schema;
    this.#followedName = followedName(this.label, schema, this.settings.mirrored);
  }

  cacheKey(id: RowId): string {
    return this.keyPrefix + id.segment;
  }

  /**
   * Whose row lies under this key; nothing where it is no key of this table's: another table's name may begin with this
   * one's, and leases stand beside entries.
   */
  rowIdOf(cacheKey: string): RowId | undefined {
    if (!cacheKey.startsWith(this.keyPrefix)) return undefined;
    try {
      const segment = cacheKey.slice(this.keyPrefix.length);
      const id = parseRowId(this.#schema.key, segment);
      return id.segment === segment ? id : undefined;
    } catch (error) {
      if (error instanceof RequestRefused) return undefined;
      throw error;
    }
  }
}

function settingsOf(label: string, config: Config): TableSettings {
  const own: TableConfig = config.tables[label] ?? {};
  const ttlSeconds = own.ttlSeconds ?? config.defaults.ttlSeconds;
  // A soft TTL from the defaults is meant for the defaults' TTL.
  const soft = own.softTtlSeconds ?? (own.ttlSeconds === undefined ? config.defaults.softTtlSeconds : undefined);
  const mode = own.mode ?? config.defaults.mode;
  const copies = copiesOf(own, config);
  return {
    mode,
    copies,
    fallbackTtlSeconds: own.fallbackTtlSeconds ?? config.defaults.fallbackTtlSeconds,
    warmOneIn: own.warmOneIn ?? config.defaults.warmOneIn,
    mirrored: mode === 'mirror' ? routeOf(own, copies, config) : undefined,
    onIncomplete: own.onIncomplete ?? config.defaults.onIncomplete,
    ttlSeconds,
    softTtlSeconds: soft ?? Math.max(1, Math.round(ttlSeconds * SOFT_TTL_SHARE)),
    graceSeconds: own.graceSeconds ?? config.defaults.graceSeconds,
    negativeTtlSeconds: own.negativeTtlSeconds ?? config.defaults.negativeTtlSeconds,
    ttlJitterPercent: own.ttlJitterPercent ?? config.defaults.ttlJitterPercent,
    rowBytesMax: own.rowBytesMax ?? config.defaults.rowBytesMax,
    leaseWaitMs: own.leaseWaitMs ?? config.defaults.leaseWaitMs,
    follow: config.sync !== undefined && (own.follow ?? config.defaults.follow),
    // What a mirror holds has to be there.
    strategy: mode === 'mirror' ? 'overwrite' : (own.strategy ?? config.defaults.strategy),
    onSyncLost: own.onSyncLost ?? config.defaults.onSyncLost,
    followedTtlSeconds: own.followedTtlSeconds ?? config.defaults.followedTtlSeconds,
    near: isNear(own, config),
  };
}

/** A mirror's rows are hashes, which Redis is asked for each time. */
export function isNear(table: TableConfig, { nearCache, defaults }: Pick<Config, 'nearCache' | 'defaults'>): boolean {
  const mode = table.mode ?? defaults.mode;
  return nearCache !== undefined && mode === 'read-through' && (table.near ?? defaults.near);
}

function routeOf({ shard }: TableConfig, copies: number, { rings }: Config): Route {
  if (shard !== undefined) return { kind: 'shard', name: shard };
  return { kind: 'layers', count: Math.min(copies, rings.length) };
}

/** Of a table's rows, if there are as many rings. */
export function copiesOf(table: TableConfig, { defaults }: Pick<Config, 'defaults'>): number {
  return table.copies ?? defaults.copies ?? ((table.mode ?? defaults.mode) === 'mirror' ? 2 : 1);
}
