/** Many rounds at once over one connection, so that their commands share round trips; each round is its seed's. */
import type { Redis } from 'ioredis';
import { Violation } from './judge.ts';
import type { Mistakes } from './mistakes.ts';
import { Round } from './round.ts';
import type { Emphasis } from './schedule.ts';
import type { TrustRule } from './trust-rule.ts';

export interface RoundsOptions {
  readonly redis: Redis;
  readonly seed: number;
  readonly rounds: number;
  readonly steps: number;
  readonly mistakes: Mistakes;
  readonly trust: TrustRule;
  readonly emphasis?: Emphasis | undefined;
  /** No further rounds once one turned red. */
  readonly untilRed: boolean;
}

export interface RoundsResult {
  readonly rounds: number;
  readonly red: readonly { readonly seed: number; readonly why: string; readonly trace: readonly string[] }[];
  readonly counts: ReadonlyMap<string, number>;
}

const AT_ONCE = 24;

export async function runRounds(options: RoundsOptions): Promise<RoundsResult> {
  const { redis, seed: first, mistakes, trust, steps, emphasis } = options;
  const counts = new Map<string, number>();
  const count = (outcome: string) => counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const red: { seed: number; why: string; trace: readonly string[] }[] = [];
  let rounds = 0;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async (_, lane) => {
      while (rounds < options.rounds && !(options.untilRed && red.length > 0)) {
        const seed = first + rounds;
        rounds += 1;
        const prefix = `m${lane}:`;
        const round = new Round({ redis, prefix, seed, steps, mistakes, trust, emphasis, count });
        try {
          await round.run();
        } catch (error) {
          if (!(error instanceof Violation)) throw error;
          red.push({ seed, why: error.message, trace: round.trace });
        }
        await round.clear();
      }
    }),
  );
  return { rounds, red, counts };
}
