/** What is aimed at, in one table. Each is a ratio of two figures of one run. */
export interface Goal {
  readonly what: string;
  /** Whether more or less of it is better. */
  readonly better: 'more' | 'less';
  readonly goal: number;
  readonly stretch: number;
}

export const GOALS = {
  hits_to_nginx: {
    what: 'hits from Redis at 256 connections, requests/s, to nginx + Lua + Redis',
    better: 'more',
    goal: 1.5,
    stretch: 1.8,
  },
  hits32_to_nginx: { what: 'the same at 32 connections', better: 'more', goal: 1.2, stretch: 1.4 },
  hit_cpu_to_fastify: {
    what: 'hits from Redis at 256 connections, CPU a request, to bare Fastify',
    better: 'less',
    goal: 1.5,
    stretch: 1.3,
  },
  near_to_fastify: {
    what: 'near-cache hits at 256 connections, requests/s, to bare Fastify',
    better: 'more',
    goal: 0.9,
    stretch: 1,
  },
  batch100_to_single: { what: 'batches of 100, rows/s, to single reads', better: 'more', goal: 10, stretch: 20 },
  fills_to_naive: { what: 'cold fills/s, to one SELECT a miss', better: 'more', goal: 3, stretch: 5 },
  p99_to_fastify: {
    what: 'p99 at half of capacity, to bare Fastify’s at the same rate',
    better: 'less',
    goal: 2,
    stretch: 1.5,
  },
  backlog_to_reader: {
    what: 'backlog, rows/s to the last stamp, to the bare binlog reader',
    better: 'more',
    goal: 0.12,
    stretch: 0.25,
  },
  memory_to_json: {
    what: 'Redis memory a row of 150 B and of 1 KB (the mean of both ratios), to the bare JSON in a string',
    better: 'less',
    goal: 1.25,
    stretch: 1.15,
  },
} as const satisfies Readonly<Record<string, Goal>>;

export type RatioKey = keyof typeof GOALS;

export type Verdict = 'stretch' | 'met' | 'missed';

export function verdictOf(key: RatioKey, median: number): Verdict {
  const { better, goal, stretch }: Goal = GOALS[key];
  const reaches = (bar: number) => (better === 'more' ? median >= bar : median <= bar);
  return reaches(stretch) ? 'stretch' : reaches(goal) ? 'met' : 'missed';
}
