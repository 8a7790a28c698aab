/** A shard as the audit of one table sees it: what lies under the table's keys, and by which stamp that is judged. */
import { setTimeout as sleep } from 'node:timers/promises';
import { MIRROR_FIELD } from '../../shared/entry/mirror-entry.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { TableSchema } from '../../shared/origin/table-schema.ts';
import type { Candidate } from '../../shared/ring/layers.ts';
import type { Shard } from '../../shared/shard/shard.ts';
import { type SeenStamp, StampReader } from '../../shared/stamp/stamp-reader.ts';
import { floorOf, isComplete, type Stamp } from '../../shared/stamp/stamp.ts';
import { epochOf, type LogPosition, versionOf } from '../../shared/version/version.ts';
import { type Held, heldInReply, heldInString, isMirrorField, NOTHING } from './held.ts';

export type Standing =
  | {
      readonly kind: 'vouches';
      readonly stamp: Stamp;
      /** From which version on the table's entries count. */
      readonly floor: string;
      /** Of a mirror: every row that belongs here is here. */
      readonly isComplete: boolean;
    }
  | { readonly kind: 'silent'; readonly because: SilentBecause };

export type SilentBecause =
  /** It was emptied, or no sync worker has reached it yet. */
  | 'no-stamp'
  /** Its changes are routed by other rings, or the table is followed under another key. */
  | 'not-followed'
  /** It has applied less than it had: an old dump was restored. */
  | 'went-back';

/** Read together. */
export interface HeldUnder {
  readonly held: Held;
  readonly standing: Standing;
}

export interface AuditedShardOptions {
  readonly candidate: Candidate<Shard>;
  readonly ringHash: string;
  readonly stampKey: string;
  readonly table: ExposedTable;
  readonly schema: TableSchema;
  /** How long it is waited for until it has applied what MySQL has said. */
  readonly reachWithinMs: number;
}

/** In one script: so many take a shard a millisecond or two, in which it answers nobody else. */
const KEYS_PER_READ = 250;
const BYTES_PER_READ = 1_048_576;
const LOOK_AGAIN_MS = 5;
const LOOK_AGAIN_MS_MAX = 50;

/** All methods throw ShardUnavailable. */
export class AuditedShard {
  readonly shard: Shard;
  readonly ring: string;
  readonly layer: number;
  readonly ringHash: string;
  readonly #options: AuditedShardOptions;
  readonly #stamps = new StampReader();
  #patienceMs: number;
  // One object a stamp, however many rows were read with it.
  #lastSeen: SeenStamp | undefined;
  #lastStanding: Standing = { kind: 'silent', because: 'no-stamp' };

  constructor(options: AuditedShardOptions) {
    const { candidate, ringHash, reachWithinMs } = options;
    this.shard = candidate.shard;
    this.ring = candidate.ring;
    this.layer = candidate.layer;
    this.ringHash = ringHash;
    this.#options = options;
    this.#patienceMs = reachWithinMs;
  }

  get name(): string {
    return this.shard.name;
  }

  /** In the order of the keys. */
  async read(keys: readonly string[]): Promise<HeldUnder[]> {
    return this.#options.table.settings.mode === 'mirror' ? this.#readMirrored(keys) : this.#readCached(keys);
  }

  /** Of a mirror: those of the keys whose versions lie above all that has been applied. */
  async above(keys: readonly string[]): Promise<Set<string>> {
    const found = await this.shard.run('audit', (redis) =>
      redis.auditAbove(1 + keys.length, this.#options.stampKey, ...keys),
    );
    return new Set(found);
  }

  async standing(): Promise<Standing> {
    return this.#standingBy(await this.shard.seenStamp());
  }

  /**
   * Waits until it has applied everything up to this place, of the epoch that it is in. One that was waited for in vain
   * is asked only once from then on, until it has caught up.
   */
  async reaches(place: LogPosition, signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    for (let waitMs = LOOK_AGAIN_MS; ; waitMs = Math.min(LOOK_AGAIN_MS_MAX, waitMs * 2)) {
      const standing = await this.standing();
      if (standing.kind === 'silent') return;
      if (standing.stamp.to >= versionOf(epochOf(standing.stamp.to), place)) {
        this.#patienceMs = this.#options.reachWithinMs;
        return;
      }
      if (performance.now() - startedAt > this.#patienceMs) {
        this.#patienceMs = 0;
        return;
      }
      await sleep(waitMs, undefined, { signal });
    }
  }

  async #readMirrored(keys: readonly string[]): Promise<HeldUnder[]> {
    const looks: HeldUnder[] = [];
    while (looks.length < keys.length) {
      const part = keys.slice(looks.length, looks.length + KEYS_PER_READ);
      const [stamp, ...replies] = await this.shard.run('audit', (redis) =>
        redis.auditReadBuffer(1 + part.length, this.#options.stampKey, ...part, BYTES_PER_READ),
      );
      const standing = this.#standingBy(this.#stamps.read(stamp?.length ? stamp : null));
      for (const reply of replies) looks.push({ held: heldInReply(reply), standing });
    }
    return looks;
  }

  async #readCached(keys: readonly string[]): Promise<HeldUnder[]> {
    const reads = await Promise.all(keys.map((key) => this.shard.read(key)));
    const unknown: number[] = [];
    const looks = reads.map(({ stored, seen }, index): HeldUnder => {
      const standing = this.#standingBy(seen);
      if (stored === null) unknown.push(index);
      const foreign = { kind: 'foreign', what: 'string', isOfOtherMode: false } as const;
      return { held: stored === null ? NOTHING : (heldInString(stored) ?? foreign), standing };
    });
    if (unknown.length > 0) await this.#describe(keys, unknown, looks);
    return looks;
  }

  /** Nothing, or something else than a string. */
  async #describe(keys: readonly string[], unknown: readonly number[], looks: HeldUnder[]): Promise<void> {
    const replies = await this.shard.run('audit', async (redis) => {
      const pipeline = redis.pipeline();
      for (const index of unknown) {
        pipeline.type(keys[index] as string);
        pipeline.hgetBuffer(keys[index] as string, MIRROR_FIELD);
      }
      return (await pipeline.exec()) as [Error | null, unknown][];
    });
    for (const [at, index] of unknown.entries()) {
      const what = String(replies[2 * at]?.[1]);
      const [error, field] = replies[2 * at + 1] as [Error | null, unknown];
      const isOfOtherMode = error === null && Buffer.isBuffer(field) && isMirrorField(field);
      // A cached row may have come or gone since; it is looked at the next time.
      const isNothing = what === 'none' || what === 'string';
      const { standing } = looks[index] as HeldUnder;
      looks[index] = { held: isNothing ? NOTHING : { kind: 'foreign', what, isOfOtherMode }, standing };
    }
  }

  #standingBy(seen: SeenStamp | undefined): Standing {
    const { table, schema, ringHash } = this.#options;
    if (seen === undefined) return { kind: 'silent', because: 'no-stamp' };
    if (seen === this.#lastSeen) return this.#lastStanding;
    this.#lastSeen = seen;
    this.#lastStanding = standingOf(seen, table, schema, ringHash);
    return this.#lastStanding;
  }
}

function standingOf(
  { stamp, wentBack }: SeenStamp,
  { followedName }: ExposedTable,
  { shape }: TableSchema,
  ringHash: string,
): Standing {
  if (wentBack) return { kind: 'silent', because: 'went-back' };
  const floor = floorOf(stamp, followedName, ringHash);
  if (floor === undefined) return { kind: 'silent', because: 'not-followed' };
  return { kind: 'vouches', stamp, floor, isComplete: isComplete(stamp, followedName, ringHash, shape, floor) };
}
