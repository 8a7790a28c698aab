/**
 * The two numbers that only grow. The plan fences: a shard refuses messages of a lower one, so it is raised whenever a
 * capture takes over, and when routing or followed tables change. The epoch stands in front of every version: it is
 * raised when positions begin to mean something else.
 *
 * Both come from the clock, so that an installation that has lost all its state still goes up, and from the highest
 * ever seen, so that a clock that was set back does not take them down.
 */
import type { Shard } from '../../../shared/shard/shard.ts';
import type { Stamp } from '../../../shared/stamp/stamp.ts';
import { epochOf } from '../../../shared/version/version.ts';

export interface Highest {
  readonly epoch: number;
  readonly plan: number;
}

export const NOTHING_SEEN: Highest = { epoch: 0, plan: 0 };

export function highestOf(stamps: Iterable<Pick<Stamp, 'to' | 'plan'> | undefined>): Highest {
  let { epoch, plan } = NOTHING_SEEN;
  for (const stamp of stamps) {
    if (stamp === undefined) continue;
    epoch = Math.max(epoch, epochOf(stamp.to));
    plan = Math.max(plan, stamp.plan);
  }
  return { epoch, plan };
}

/** Of the stamps of those shards that answer. */
export async function askHighest(shards: Iterable<Pick<Shard, 'seenStamp'>>): Promise<Highest> {
  const answers = await Promise.allSettled([...shards].map((shard) => shard.seenStamp()));
  return highestOf(answers.map((answer) => (answer.status === 'fulfilled' ? answer.value?.stamp : undefined)));
}

/** Seconds since 1970, or one above the highest seen. */
export function nextEpoch(nowMs: number, ...seen: readonly number[]): number {
  return Math.max(Math.floor(nowMs / 1000), ...seen.map((epoch) => epoch + 1));
}

/** Milliseconds since 1970, or one above the highest seen. */
export function nextPlan(nowMs: number, ...seen: readonly number[]): number {
  return Math.max(nowMs, ...seen.map((plan) => plan + 1));
}
