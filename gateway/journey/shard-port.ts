/** What the journey needs of a shard. */
import type { Entry } from '../../shared/entry/entry.ts';
import type { FollowedAs } from '../../shared/shard/fill-scripts.ts';
import type { NearRead } from '../../shared/shard/near/near-shard.ts';
import type { Reader, ShardRead } from '../../shared/shard/read-batch.ts';
import type { HashReply } from '../../shared/shard/replies.ts';
import type { FillOutcome, LeaseOutcome, LeaseRequest, ShardCondition, ShardState } from '../../shared/shard/shard.ts';
import type { SeenStamp } from '../../shared/stamp/stamp-reader.ts';

/** All but `name`, `state` and `condition` may throw ShardUnavailable. */
export interface ShardPort {
  readonly name: string;
  readonly state: ShardState;
  /** The state told more exactly, for whoever looks. */
  readonly condition: ShardCondition;
  read(cacheKey: string): Promise<ShardRead>;
  /** The same without a promise. The reader must not throw. */
  readFor(cacheKey: string, reader: Reader): void;
  /** What `read` would bring, out of memory; nothing where it is not there. To be judged at once. Never throws. */
  near(cacheKey: string): NearRead | undefined;
  readMirrored(cacheKey: string): Promise<ShardRead<HashReply>>;
  seenStamp(): Promise<SeenStamp | undefined>;
  lease(cacheKey: string, request: LeaseRequest): Promise<LeaseOutcome>;
  fill(
    cacheKey: string,
    token: string,
    entry: Entry,
    ttlMs: number,
    followedAs: FollowedAs | undefined,
  ): Promise<FillOutcome>;
  release(cacheKey: string, token: string, entry: 'keep' | 'drop'): Promise<void>;
  /** Takes the entry out, and holds its lease until it is released. @returns `was`: whether something lay there. */
  invalidate(cacheKey: string, leaseTtlMs: number): Promise<{ readonly token: string; readonly was: boolean }>;
}
