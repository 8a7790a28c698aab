/** What must hold, in words and as predicates. */
import type { Claim } from './drill.ts';
import { HEARTBEAT_MS, STALENESS_BOUND_MS } from './world.ts';

/** For the timers and the clock of the machine that watches: a busy one looks later than it thinks. ms. */
export const ALLOWANCE_MS = 250;
export const BOUND_MS = STALENESS_BOUND_MS + HEARTBEAT_MS + ALLOWANCE_MS;
/** What is told as an aim in the issue that asked for drills. */
const DETECTED_WITHIN_MS = 500;
/** Some drills also ask for rows that were not cached. */
const HITS_BEFORE = 0.9;
/** For a mended shard to be believed again after the load. ms. */
export const BELIEVED_WITHIN_MS = 30_000;

const noErrors: Claim = {
  words: 'every answer is 200 and right (503 with Retry-After, for rows that were not cached, is counted apart)',
  judge: ({ seen: { answers, overruns } }) => {
    const { error, wrong } = answers.faults;
    const statuses = Object.entries(answers.statuses).map(([status, times]) => `${status}: ${times}`);
    const unsent = overruns === 0 ? '' : `; ${overruns} not sent, too many were under way`;
    return { holds: error + wrong + overruns === 0, seen: `${statuses.join(', ')}; ${wrong} wrong rows${unsent}` };
  },
};

const noneShed: Claim = {
  words: 'no 503 for rows that were not cached, either: the origin is well',
  judge: ({ seen: { answers } }) => ({ holds: answers.shed === 0, seen: String(answers.shed) }),
};

const nothingStale: Claim = {
  words: `no answer is older than ${BOUND_MS} ms: stalenessBoundMs, a heartbeat, and ${ALLOWANCE_MS} for the watching machine`,
  judge: ({ seen: { answers } }) => ({
    holds: answers.faults.stale === 0,
    seen:
      `${answers.faults.stale}; the oldest answer ${answers.oldestMs.toFixed(0)} ms` +
      (answers.staleAndSaysSo === 0 ? '' : `; ${answers.staleAndSaysSo} more that say sync-lost`),
  }),
};

const nothingBackward: Claim = {
  words: 'no answer goes back, per gateway and shard',
  judge: ({ seen: { answers } }) => ({ holds: answers.faults.backward === 0, seen: String(answers.faults.backward) }),
};

const trustedAfterwards: Claim = {
  words: `within ${BELIEVED_WITHIN_MS / 1000} s of the end, every gateway believes every shard again`,
  judge: ({ afterwards: { doubts, believedAfterMs } }) => ({
    holds: doubts === undefined,
    seen: doubts ?? `after ${believedAfterMs.toFixed(0)} ms`,
  }),
};

const rightAfterwards: Claim = {
  words: 'then every gateway answers every row as MySQL has it',
  judge: ({ afterwards: { wrong } }) => ({
    holds: wrong.length === 0,
    seen: wrong.length === 0 ? 'all right' : `${wrong.length} wrong: ${wrong.slice(0, 3).join('; ')}`,
  }),
};

/** Else nothing that follows would say anything. */
const itWasACache: Claim = {
  words: `before the harm, ${percent(HITS_BEFORE)} of the answers and more were hits; there were commits to judge by`,
  judge: ({ seen: { answers, written, figures } }) => ({
    holds: figures.hitRatioBefore >= HITS_BEFORE && answers.requests > 0 && written.commits > 0,
    seen: `${percent(figures.hitRatioBefore)} of ${answers.requests} requests, ${written.commits} commits`,
  }),
};

/** Of every drill. */
export const ALWAYS: readonly Claim[] = [
  noErrors,
  nothingStale,
  nothingBackward,
  trustedAfterwards,
  rightAfterwards,
  itWasACache,
];

/** Of every drill that leaves the origin alone. */
export const ORIGIN_WELL: readonly Claim[] = [...ALWAYS, noneShed];

/** Of a shard that is gone. */
export const detected: Claim = {
  words: `every gateway knows within ${DETECTED_WITHIN_MS} ms`,
  isAim: true,
  judge: ({ seen: { figures } }) => ({
    holds: figures.detectedMs !== undefined && figures.detectedMs <= DETECTED_WITHIN_MS,
    seen: figures.detectedMs === undefined ? 'never seen' : `${figures.detectedMs.toFixed(0)} ms`,
  }),
};

/** That gateways stop using the shards named to `harmed`, however late. */
export const noticed: Claim = {
  words: 'every gateway stops using the shard',
  judge: ({ seen: { figures } }) => ({
    holds: figures.detectedMs !== undefined,
    seen: figures.detectedMs === undefined ? 'never seen' : `after ${figures.detectedMs.toFixed(0)} ms`,
  }),
};

export const hitsBack: Claim = {
  words: 'the hit ratio comes back within the drill',
  isAim: true,
  judge: ({ seen: { figures } }) => ({
    holds: figures.hitRatioBackMs !== undefined,
    seen:
      `${percent(figures.hitRatioBefore)} before, ${percent(figures.hitRatioWorst)} at worst, ` +
      (figures.hitRatioBackMs === undefined ? 'not back' : `back after ${figures.hitRatioBackMs} ms`),
  }),
};

/** What losing a shard costs the origin, in rows that it is asked for in a second, as multiples of before. */
export function originQuiet(atFirstMax: number, laterMax: number): Claim {
  return {
    words: `the origin is asked for at most ${atFirstMax} times the rows in the worst of the first 5 s, and ${laterMax} times after 30 s`,
    judge: ({ seen: { figures } }) => {
      const before = figures.originRowsPerSecondBefore;
      const atFirst = figures.originRowsWorstSecondAtFirst / before;
      const later = figures.originRowsWorstSecondLater / before;
      return {
        holds: atFirst <= atFirstMax && later <= laterMax,
        seen: `${before.toFixed(1)} rows/s before; ${atFirst.toFixed(1)} times at first, ${later.toFixed(1)} times later`,
      };
    },
  };
}

function percent(ratio: number): string {
  return `${(100 * ratio).toFixed(1)} %`;
}
