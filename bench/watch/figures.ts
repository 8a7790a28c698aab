/** What a timeline amounts to: how soon a fault was known, when hits were back, and what the origin bore. */
import { type Recorded, type StateChange, STEP_MS, type Step } from './timeline.ts';

export interface Harm {
  /** Since the watch began. ms. */
  readonly atMs: number;
  /** `primary r2`: those that gateways should stop using. */
  readonly shards: readonly string[];
  /** The gateways that should; all of them if it is missing. */
  readonly gateways?: readonly string[] | undefined;
}

export interface Figures {
  /** Before the fault, of all answers. */
  readonly hitRatioBefore: number;
  /** In the worst half second after it. */
  readonly hitRatioWorst: number;
  /** From the fault until the ratio is back for a second, within two hundredths; nothing where it never was. ms. */
  readonly hitRatioBackMs: number | undefined;
  /** From the fault until every gateway said so of every shard that it should; nothing where one never did. ms. */
  readonly detectedMs: number | undefined;
  readonly originRowsPerSecondBefore: number;
  readonly originRowsWorstSecond: number;
  /** In the first 5 s after the fault; and later than 30 s after it. */
  readonly originRowsWorstSecondAtFirst: number;
  readonly originRowsWorstSecondLater: number;
  readonly p99BeforeMs: number;
  /** In the worst step after the fault. */
  readonly p99WorstMs: number;
}

const HIT_RATIO_MARGIN = 0.02;
const HALF_SECOND = 500 / STEP_MS;
const SECOND = 1_000 / STEP_MS;
/** What comes before is the first seconds of processes that have just been started. */
const BEFORE_MS_MAX = 2_000;
/** Few rows are asked of the origin in a second, and those seconds differ. */
const ORIGIN_BEFORE_MS_MAX = 20_000;

/** @param harm nothing where no fault has a beginning; figures after it are then of the whole time. */
export function figuresOf({ steps, states }: Recorded, harm: Harm | undefined, gateways: readonly string[]): Figures {
  const faultAt = harm === undefined ? 0 : Math.floor(harm.atMs / STEP_MS);
  const beforeOf = (milliseconds: number) => steps.slice(Math.max(0, faultAt - milliseconds / STEP_MS), faultAt);
  const before = beforeOf(BEFORE_MS_MAX);
  const originBefore = beforeOf(ORIGIN_BEFORE_MS_MAX);
  // The last step may be a part of one.
  const after = steps.slice(faultAt, -1);
  const hitRatioBefore = ratioOf(before);
  return {
    hitRatioBefore,
    hitRatioWorst: Math.min(...windows(after, HALF_SECOND).map(ratioOf), 1),
    hitRatioBackMs: harm && hitRatioBack(after, hitRatioBefore - HIT_RATIO_MARGIN),
    detectedMs: harm && detected(states, harm, harm.gateways ?? gateways),
    originRowsPerSecondBefore:
      originBefore.length === 0 ? 0 : (sum(originBefore, 'originRows') * SECOND) / originBefore.length,
    originRowsWorstSecond: worstSecond(after),
    originRowsWorstSecondAtFirst: worstSecond(after.slice(0, 5 * SECOND)),
    originRowsWorstSecondLater: worstSecond(after.slice(30 * SECOND)),
    p99BeforeMs: median(before.map(({ p99 }) => p99)),
    p99WorstMs: Math.max(0, ...after.map(({ p99 }) => p99)),
  };
}

/** The first moment after the fault from which on the ratio is good for a second. */
function hitRatioBack(after: readonly Step[], enough: number): number | undefined {
  const index = windows(after, SECOND).findIndex((window) =>
    windows(window, HALF_SECOND).every((half) => ratioOf(half) >= enough),
  );
  return index === -1 ? undefined : index * STEP_MS;
}

function detected(states: readonly StateChange[], harm: Harm, gateways: readonly string[]): number | undefined {
  let latest: number | undefined;
  for (const gateway of gateways) {
    for (const shard of harm.shards) {
      const first = states.find(
        (change) =>
          change.gateway === gateway && change.shard === shard && change.atMs >= harm.atMs && change.state !== 'ok',
      );
      if (first === undefined) return undefined;
      latest = Math.max(latest ?? 0, first.atMs - harm.atMs);
    }
  }
  return latest;
}

function windows(steps: readonly Step[], length: number): readonly (readonly Step[])[] {
  return Array.from({ length: Math.max(0, steps.length - length + 1) }, (_, from) => steps.slice(from, from + length));
}

function worstSecond(steps: readonly Step[]): number {
  return Math.max(0, ...windows(steps, SECOND).map((window) => sum(window, 'originRows')));
}

/** 1 where nobody asked. */
function ratioOf(steps: readonly Step[]): number {
  const requests = sum(steps, 'requests');
  return requests === 0 ? 1 : sum(steps, 'hits') / requests;
}

function sum(steps: readonly Step[], of: 'requests' | 'hits' | 'originRows'): number {
  return steps.reduce((total, step) => total + step[of], 0);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
