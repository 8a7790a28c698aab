/** One requirement, and how it stands: what `ringfill check` prints, a line each. */
import type { Problem } from '../../shared/errors/errors.ts';

/**
 * - `met`
 * - `unmet`    the gateway would not start, or would not use this server
 * - `warning`  it runs, and something is lost or will be
 * - `note`     worth knowing; nothing to mend
 */
export type Verdict = 'met' | 'unmet' | 'warning' | 'note';

export interface Finding {
  /** Under which heading it stands: `origin 127.0.0.1:3306`, `shard r1`. */
  readonly group: string;
  /** What is required there, for scripts and for people: `reachable`, `version`, `shop.orders`. */
  readonly requirement: string;
  readonly verdict: Verdict;
  /** What was found, in one line. */
  readonly found: string;
  /** What goes wrong without it. */
  readonly why?: string;
  /** Lines to paste, in order; those that begin with `#` or `--` say where. */
  readonly mend?: readonly string[];
  /** Nothing depends on it until the sync worker runs. */
  readonly neededFor?: 'sync';
}

export function findingOf(group: string, requirement: string, problem: Problem, why?: string): Finding {
  return {
    group,
    requirement,
    verdict: 'unmet',
    found: `${problem.message} [${problem.code}]`,
    ...(why === undefined ? {} : { why }),
    ...(problem.mend === undefined ? {} : { mend: [problem.mend] }),
  };
}
