/** Which architecture, when: the same workloads on a mirror, on read-through with sync, on a TTL alone, and on no cache. */
import { Architecture } from '../comparison/architecture.ts';
import { comparisonBlocks } from '../comparison/comparison-blocks.ts';
import {
  ARCHITECTURE_WORDS,
  type ArchitectureFigures,
  type ArchitectureName,
  ARCHITECTURES,
} from '../comparison/figures.ts';
import { whichWhen } from '../comparison/which-when.ts';
import { Workloads } from '../comparison/workloads.ts';
import type { BenchWorld } from '../harness/bench-world.ts';
import { RedisShards } from '../harness/redis-shards.ts';
import type { ScaleName, Section, SectionResult } from '../harness/section.ts';

interface Scale {
  /** Of the table. */
  readonly rows: number;
  readonly warmRows: number;
  /** At most half of any workload's time but the burst's, so that rows are seen to expire. */
  readonly ttlSeconds: number;
  /** Reads a second; one write for every twenty. */
  readonly rates: readonly { readonly perSecond: number; readonly seconds: number }[];
  /** Of the workloads after the first. */
  readonly perSecond: number;
  readonly tailSeconds: number;
  readonly burstSeconds: number;
  readonly burstRowsATransaction: number;
  readonly coldSeconds: number;
  readonly lostSeconds: number;
  readonly probes: number;
}

const SCALES: Readonly<Record<ScaleName, Scale>> = {
  full: {
    rows: 200_000,
    warmRows: 10_000,
    ttlSeconds: 15,
    rates: [
      { perSecond: 500, seconds: 30 },
      { perSecond: 1_500, seconds: 20 },
    ],
    perSecond: 500,
    tailSeconds: 30,
    burstSeconds: 10,
    burstRowsATransaction: 4_000,
    coldSeconds: 25,
    lostSeconds: 30,
    probes: 150,
  },
  quick: {
    rows: 40_000,
    warmRows: 4_000,
    ttlSeconds: 2,
    rates: [
      { perSecond: 300, seconds: 4 },
      { perSecond: 900, seconds: 2 },
    ],
    perSecond: 300,
    tailSeconds: 4,
    burstSeconds: 2,
    burstRowsATransaction: 2_000,
    coldSeconds: 5,
    lostSeconds: 7,
    probes: 60,
  },
  tiny: {
    rows: 400,
    warmRows: 100,
    ttlSeconds: 2,
    rates: [{ perSecond: 100, seconds: 0.5 }],
    perSecond: 100,
    tailSeconds: 0.5,
    burstSeconds: 0.8,
    burstRowsATransaction: 20,
    coldSeconds: 1,
    lostSeconds: 2,
    probes: 5,
  },
};
const READS_A_WRITE = 20;
const TAIL_READS_A_WRITE = 100;

export const comparison: Section = {
  name: 'comparison',
  title: 'Which architecture, when',
  about:
    'The same workloads on four architectures, each with a table of its own: a mirror (every row in Redis, written by the sync worker alone), ' +
    'read-through with sync, read-through by a TTL alone, and no cache (Fastify with one SELECT a request over a pool of connections). Every setting ' +
    'is at its default but the table’s mode, and the TTL of the third. Reads with writes: Zipf 1.0 over the rows that are cached, one write for twenty reads. Long tail: ' +
    'the same over all rows, one write for a hundred. Write burst: a transaction of many of the rows that are read, each tenth of a second, for half of the time. Cold start: every ' +
    'Redis is emptied after a quarter of the time. Lost shard: kill -9 of one of three at that time; it comes back, empty. All are open loops, with latencies from the due time. ' +
    'Every answer was held against what had been committed when. Queries and rows are by MySQL’s own count (Com_select, Handler_read_key and _next), whoever asked: ' +
    'fills, the sync worker’s audit of 20 rows/s, snapshots.',
  run: measureComparison,
};

async function measureComparison(world: BenchWorld, scaleName: ScaleName): Promise<SectionResult> {
  const scale = SCALES[scaleName];
  const { rows, warmRows, ttlSeconds } = scale;
  const settings = { rows, warmRows, ttlSeconds };
  const shards = world.keep(new RedisShards(world.ground));
  const figures: ArchitectureFigures[] = [];
  const wrong: string[] = [];
  for (const name of ARCHITECTURES) {
    world.say(`  ${ARCHITECTURE_WORDS[name]}`);
    const architecture = await Architecture.start({ world, shards, name, settings, probeRows: scale.probes });
    const workloads = new Workloads({ world, architecture, ...settings });
    try {
      figures.push(await measureOne(name, architecture, workloads, shards, scale));
    } finally {
      wrong.push(...workloads.wrong);
      await workloads.stop();
    }
    await architecture.stop();
  }
  return {
    ratios: [],
    blocks: [
      { kind: 'sentences', caption: 'Which, when', sentences: whichWhen(settings, figures) },
      ...comparisonBlocks(settings, figures),
    ],
    notes: [
      `${rows.toLocaleString('en-US')} rows of about 180 B of JSON, of which the ${warmRows.toLocaleString('en-US')} that are read most were cached at first; three Redis, and two in the ` +
        `fallback ring. The TTL of the third is ${ttlSeconds} s: what is told of it grows and shrinks with that. A mirror keeps every row twice (copies: 2) and says 503 where it cannot know ` +
        '(onIncomplete: unavailable); both are settings.',
      'The architectures were measured one after the other, not interleaved: what else the machine did meanwhile is in the differences between them.',
    ],
    wrong,
    figures: { ...settings, architectures: Object.fromEntries(figures.map((one) => [one.name, one])) },
  };
}

async function measureOne(
  name: ArchitectureName,
  architecture: Architecture,
  workloads: Workloads,
  shards: RedisShards,
  scale: Scale,
): Promise<ArchitectureFigures> {
  const { rows, warmRows, perSecond, rates } = scale;
  const [first, ...others] = rates.map((rate) => ({
    name: 'reads with writes',
    readsPerSecond: rate.perSecond,
    writesPerSecond: rate.perSecond / READS_A_WRITE,
    seconds: rate.seconds,
    keys: warmRows,
  }));
  if (first === undefined) throw new Error('there is no rate');
  const { workload, visibleMs } = await workloads.readsAndVisibility(first, rows + 1, scale.probes);
  const reads = [workload];
  for (const rate of others) reads.push(await workloads.reads(rate));
  const shape = { readsPerSecond: perSecond, writesPerSecond: perSecond / READS_A_WRITE, keys: warmRows };
  const tail = await workloads.reads({
    name: 'long tail',
    readsPerSecond: perSecond,
    writesPerSecond: perSecond / TAIL_READS_A_WRITE,
    seconds: scale.tailSeconds,
    keys: rows,
  });
  const burst = await workloads.burst(
    { ...shape, name: 'write burst', writesPerSecond: 0, seconds: scale.burstSeconds },
    scale.burstRowsATransaction,
  );
  const sync = workloads.sync();
  const measured = {
    name,
    visibleMs,
    reads,
    tail,
    burst,
    ...(architecture.redisBytesARow === undefined ? {} : { redisBytesARow: architecture.redisBytesARow }),
    ...(sync === undefined ? {} : { sync }),
  };
  if (name === 'none') return measured;
  const cold = await workloads.coldStart({ ...shape, name: 'cold start', seconds: scale.coldSeconds }, () =>
    shards.flush(),
  );
  await architecture.warm();
  const lost = await workloads.lostShard({ ...shape, name: 'lost shard', seconds: scale.lostSeconds });
  return { ...measured, cold, lost };
}
