/**
 * A shard: its keys on a real Redis, under a prefix of their own, and the real scripts. What befalls a shard from outside
 * (evictions, a flush, a dump put back) is done to those keys.
 */
import type { Redis } from 'ioredis';
import type { DecodedBatch } from '../../shared/change/change-batch.ts';
import { encodeEntry, type Entry } from '../../shared/entry/entry.ts';
import { decodeMirrorEntry, type MirrorEntry } from '../../shared/entry/mirror-entry.ts';
import { leaseKey, stampKey } from '../../shared/key/cache-key.ts';
import type { LeaseBase } from '../../shared/origin/row-select.ts';
import { LEASE_TTL_MS_MAX } from '../../shared/origin/bounded-reads.ts';
import { runFills, runLeases } from '../../shared/shard/fill-scripts.ts';
import type { LeaseOver } from '../../shared/shard/fill-scripts.ts';
import type { Claim } from '../../sync-worker/snapshot/snapshot-shard.ts';
import type { Ring, RowKey, Rows } from './keys.ts';

export const SHAPE = 'shape--1';
/** Nothing runs out by itself: the schedule says when. */
const FOR_EVER_MS = 1_000_000_000;

export type LeaseReply =
  | { readonly kind: 'off' | 'busy' }
  | { readonly kind: 'entry'; readonly stored: Buffer }
  | { readonly kind: 'lease'; readonly base: LeaseBase };

export type ApplyReply = 'applied' | 'fenced' | 'gap';

/** All that a shard holds, as Redis writes it down; by key. */
export type Dump = ReadonlyMap<string, Buffer>;

/** Which snapshot of what a script is told of. */
export interface SnapshotOf {
  readonly token: string;
  readonly table: string;
  /** The newest first. */
  readonly rings: readonly Ring[];
}

/** One row of a snapshot's write; as the script takes it. */
export interface SnapshotWrite {
  readonly key: RowKey;
  readonly head: string;
  readonly texts: Buffer;
}

/** The keys that were changed, as Redis tells whoever tracks them; `null`: all of them. */
export type Tell = (keys: readonly string[] | null) => void;

export class ModelShard {
  readonly name: string;
  /** Who tracks its keys. */
  readonly tracking = new Set<Tell>();
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #stamp: string;
  readonly #all: readonly string[];
  readonly #entries: readonly string[];

  constructor(name: string, redis: Redis, prefix: string, { tables, keys }: Rows) {
    this.name = name;
    this.#redis = redis;
    this.#prefix = `${prefix}${name}:`;
    this.#stamp = stampKey(this.#prefix);
    const entries = keys.map((key) => this.entryKey(key));
    const ofSnapshots = tables.flatMap((table) =>
      ['snapshot', 'deleted', 'deleted-before'].map((kind) => `${this.#stamp}:${kind}:${table}`),
    );
    this.#entries = entries;
    this.#all = [this.#stamp, ...entries, ...entries.map(leaseKey), ...ofSnapshots];
  }

  entryKey(key: RowKey): string {
    return this.#prefix + key.name;
  }

  async read(keys: readonly RowKey[]): Promise<{ stamp: Buffer | null; entries: (Buffer | null)[] }> {
    const [stamp = null, ...entries] = await this.#redis.mgetBuffer([
      this.#stamp,
      ...keys.map((key) => this.entryKey(key)),
    ]);
    return { stamp, entries };
  }

  /** The stamp and the rows: no step of the schedule comes in between, as in the gateways' transaction. */
  async readMirrored(keys: readonly RowKey[]): Promise<{ stamp: Buffer | null; rows: (MirrorEntry | null)[] }> {
    const [stamp, ...rows] = await Promise.all([
      this.#redis.getBuffer(this.#stamp),
      ...keys.map((key) => this.#redis.hgetallBuffer(this.entryKey(key))),
    ]);
    const pairsOf = (row: Record<string, Buffer>) =>
      Object.entries(row).flatMap(([field, value]) => [Buffer.from(field), value]);
    return { stamp, rows: rows.map((row) => decodeMirrorEntry(pairsOf(row)) ?? null) };
  }

  async lease(key: RowKey, token: string, ring: Ring, over: LeaseOver, now: number): Promise<LeaseReply> {
    const entry = this.entryKey(key);
    const followed = { table: key.table, ring: ring.hash, stampKey: this.#stamp };
    const terms = { followed, shape: SHAPE, leaseTtlMs: LEASE_TTL_MS_MAX, over };
    const [reply] = await runLeases(this.#redis, terms, [{ entryKey: entry, token }], now);
    if (reply === undefined) throw new Error('no reply for the row');
    return reply.kind === 'lease' ? { kind: 'lease', base: reply.base as LeaseBase } : reply;
  }

  fill(key: RowKey, token: string, ring: Ring, filled: Entry) {
    const entry = this.entryKey(key);
    const followed = { table: key.table, ring: ring.hash, stampKey: this.#stamp };
    const row = { entryKey: entry, token, version: filled.version, stored: encodeEntry(filled), ttlMs: FOR_EVER_MS };
    return this.#telling(async () => (await runFills(this.#redis, followed, [row]))[0]);
  }

  async release(key: RowKey, token: string, drop: '0' | '1'): Promise<void> {
    const entry = this.entryKey(key);
    await this.#telling(() => this.#redis.releaseLease(entry, leaseKey(entry), token, drop));
  }

  async apply({ head, changeTables, changes }: DecodedBatch, force: boolean, now: number): Promise<ApplyReply> {
    const [outcome] = await this.#telling(() =>
      this.#redis.applyBatch(
        1 + changes.length,
        this.#stamp,
        ...changes.map(({ key }) => this.#prefix + key.toString()),
        JSON.stringify({ ...head, changeTables, now }),
        force ? '1' : '0',
        ...changes.flatMap((change) => [change.head, change.body]),
      ),
    );
    return outcome;
  }

  snapshotBegin({ token, table, rings }: SnapshotOf, claim: Claim, turn: number) {
    return this.#redis.snapshotBegin(this.#stamp, token, table, hashesOf(rings), SHAPE, FOR_EVER_MS, claim, turn);
  }

  /** @param progress the chunk's number and what is to be known of it; two empty ones where it is not done. */
  snapshotWrite(
    { token, table, rings }: SnapshotOf,
    rows: readonly SnapshotWrite[],
    progress: readonly [chunk: string, cursor: string],
    turn: number,
  ) {
    return this.#redis.snapshotWrite(
      1 + rows.length,
      this.#stamp,
      ...rows.map(({ key }) => this.entryKey(key)),
      token,
      table,
      hashesOf(rings),
      SHAPE,
      ...progress,
      turn,
      ...rows.flatMap(({ head, texts }) => [head, texts]),
    );
  }

  /** @returns those about which MySQL has to be asked; nothing where the snapshot is lost. */
  async snapshotSweep(
    { token, table }: SnapshotOf,
    keys: readonly RowKey[],
    turn: number,
    which: 'older' | 'same',
  ): Promise<{ removed: number; unsure: RowKey[] } | undefined> {
    const entries = keys.map((key) => this.entryKey(key));
    const reply = await this.#redis.snapshotSweep(1 + keys.length, this.#stamp, ...entries, token, table, turn, which);
    const [outcome, removed = 0, ...unsure] = reply;
    if (outcome !== 'swept') return undefined;
    const names = new Set<string>(unsure);
    return { removed, unsure: keys.filter((key) => names.has(this.entryKey(key))) };
  }

  snapshotEnd({ token, table, rings }: SnapshotOf, turn: number) {
    return this.#redis.snapshotEnd(this.#stamp, token, table, hashesOf(rings), SHAPE, turn);
  }

  /** A chunk took too long: what was deleted since it began, or since the one before, is not noted any more. */
  async forgetDeleted(table: string, chunk: 'deleted' | 'deleted-before'): Promise<void> {
    await this.#redis.del(`${this.#stamp}:${chunk}:${table}`);
  }

  async evictEntry(key: RowKey): Promise<void> {
    await this.#telling(() => this.#redis.del(this.entryKey(key)));
  }

  async evictLease(key: RowKey): Promise<void> {
    await this.#redis.del(leaseKey(this.entryKey(key)));
  }

  async evictStamp(): Promise<void> {
    await this.#redis.del(this.#stamp);
  }

  async flush(): Promise<void> {
    await this.#redis.del([...this.#all]);
    for (const tell of this.tracking) tell(null);
  }

  async dump(): Promise<Dump> {
    const values = await Promise.all(this.#all.map((key) => this.#redis.dumpBuffer(key)));
    return new Map(this.#all.flatMap((key, index) => (values[index] ? [[key, values[index]] as const] : [])));
  }

  async restore(dump: Dump): Promise<void> {
    await this.flush();
    await this.#telling(() => Promise.all([...dump].map(([key, value]) => this.#redis.restore(key, 0, value))));
  }

  /** What is no other than before, Redis does not tell of, or tells without need. */
  async #telling<T>(write: () => Promise<T>): Promise<T> {
    if (this.tracking.size === 0) return write();
    const before = await this.#redis.mgetBuffer([...this.#entries]);
    const outcome = await write();
    const after = await this.#redis.mgetBuffer([...this.#entries]);
    const changed = this.#entries.filter((_, index) => !areSame(before[index] ?? null, after[index] ?? null));
    if (changed.length > 0) for (const tell of this.tracking) tell(changed);
    return outcome;
  }
}

function areSame(one: Buffer | null, other: Buffer | null): boolean {
  return one === null || other === null ? one === other : one.equals(other);
}

function hashesOf(rings: readonly Ring[]): string {
  return rings.map(({ hash }) => hash).join(',');
}
