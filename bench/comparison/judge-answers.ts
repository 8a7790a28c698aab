/**
 * Answers held against what was committed when.
 *
 *     wrong      200 with another row than was asked for, or with a counter that no write gave it
 *     old        when it was asked for, another counter had taken its place; for how long is told
 *     too old    for longer than the architecture may; not where the answer says itself that changes are not heard of
 */
import { percentileOf } from '../harness/rounds.ts';
import type { Ledger } from '../watch/ledger.ts';
import type { Percentiles, Workload } from './figures.ts';
import type { ReadSeen } from './read-spec.ts';

export interface JudgedAnswers extends Pick<
  Workload,
  'requests' | 'unsent' | 'statuses' | 'latencyMs' | 'lateMs' | 'hitRatio' | 'oldShare' | 'oldMs'
> {
  /** What was wrong or too old, in words; the first few. */
  readonly faults: readonly string[];
}

const FAULTS_MAX = 5;

/** @param mayBeOldMs Infinity where anything goes. */
export function judgeAnswers({ answers, unsent }: ReadSeen, ledger: Ledger, mayBeOldMs: number): JudgedAnswers {
  const statuses: Record<string, number> = {};
  const agesMs: number[] = [];
  const faults: string[] = [];
  let hits = 0;
  for (const { id, sentAt, status, n, isHit, isSyncLost } of answers) {
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (isHit) hits += 1;
    if (status !== 200) continue;
    if (n === undefined || !ledger.canHold(id, n)) {
      faults.push(`row ${id} was answered with counter ${String(n)}, which nobody wrote`);
      continue;
    }
    const ageMs = sentAt - ledger.replacedAt(id, n);
    if (ageMs <= 0) continue;
    agesMs.push(ageMs);
    if (ageMs > mayBeOldMs && !isSyncLost) {
      faults.push(`row ${id} was answered with counter ${n}, which had been replaced ${ageMs.toFixed(0)} ms ago`);
    }
  }
  const latenciesMs = answers.map(({ dueAt, endedAt }) => endedAt - dueAt);
  return {
    requests: answers.length,
    unsent,
    statuses,
    latencyMs: { ...percentilesOf(latenciesMs), p999: percentileOf(latenciesMs, 0.999) },
    lateMs: percentilesOf(answers.map(({ dueAt, sentAt }) => sentAt - dueAt)),
    hitRatio: answers.length === 0 ? 0 : hits / answers.length,
    oldShare: answers.length === 0 ? 0 : agesMs.length / answers.length,
    oldMs: percentilesOf(agesMs),
    faults: faults.slice(0, FAULTS_MAX),
  };
}

export function percentilesOf(values: readonly number[]): Percentiles {
  return { p50: percentileOf(values, 0.5), p99: percentileOf(values, 0.99), max: percentileOf(values, 1) };
}
