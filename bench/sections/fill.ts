/** Misses: how many a second, how many reach MySQL when all want the same row, and how a cold cache becomes warm. */
import type { LoadSeen, LoadSpec } from '../generators/load-spec.ts';
import { runGenerator } from '../generators/run-generator.ts';
import type { BenchWorld } from '../harness/bench-world.ts';
import { allBelieved } from '../harness/gateways-believe.ts';
import { Installation } from '../harness/installation.ts';
import { createItems, sizeOf, type Sizes } from '../harness/items.ts';
import { cpuSeconds } from '../harness/processor.ts';
import { barOf, toldWithSpread } from '../harness/rounds.ts';
import type { ScaleName, Section, SectionResult } from '../harness/section.ts';
import { loopback } from '../../stack/ports.ts';
import { type Peer, pidsOf } from '../peers/peer.ts';
import { startNodePeer } from '../peers/start-peer.ts';

interface Scale {
  readonly rounds: number;
  /** Rows that each peer reads in a round, and nobody before. */
  readonly rowsARound: number;
  readonly coldKeys: number;
  readonly coldSeconds: number;
  readonly coldPerSecond: number;
}

const SCALES: Readonly<Record<ScaleName, Scale>> = {
  full: { rounds: 7, rowsARound: 30_000, coldKeys: 100_000, coldSeconds: 60, coldPerSecond: 5_000 },
  quick: { rounds: 3, rowsARound: 10_000, coldKeys: 100_000, coldSeconds: 15, coldPerSecond: 4_000 },
  tiny: { rounds: 1, rowsARound: 300, coldKeys: 1_000, coldSeconds: 0.6, coldPerSecond: 500 },
};
const CONNECTIONS = 256;
const COLD_CONNECTIONS = 64;
const ZIPF_EXPONENTS = [1, 1.3, 1.6] as const;
const FIXED: Sizes = { kind: 'fixed', bytes: 150 };
const SPREAD: Sizes = { kind: 'spread', min: 50, max: 2_048 };
const STEPS = 30;
const READY_WITHIN_MS = 60_000;

export const fill: Section = {
  name: 'fill',
  title: 'Misses',
  about:
    'Rows of 150 B that nobody has read before, each asked for once, at 256 connections: by ringfill with sync on (lease, ' +
    'batched proved read, fill), and by Fastify with one SELECT and one SET a miss over a pool of as many connections. Both read the same rows ' +
    'in a round, in turn first. Then 256 clients that want one cold row at once. Then a cold start: 100,000 keys of 50 B to 2 KB at a fixed rate ' +
    'under Zipf 1.0 to 1.6, within what is published of caches at Twitter (J. Yang, Y. Yue, K. V. Rashmi, “A large scale analysis of ' +
    'hundreds of in-memory cache clusters at Twitter”, OSDI 2020).',
  run: measureFill,
};

/** A peer that counts what it asks MySQL for. */
interface CountingPeer extends Peer {
  readonly asked: () => Promise<Asked>;
}

interface Asked {
  readonly selects: number;
  readonly rows: number;
}

interface Filled {
  readonly perSecond: number;
  readonly cpuMicros: number;
  /** Rows that it asked MySQL for, by its own count, over those that were asked of it; and its SELECTs. */
  readonly originRows: number;
  readonly selects: number;
}

async function measureFill(world: BenchWorld, scaleName: ScaleName): Promise<SectionResult> {
  const scale = SCALES[scaleName];
  const [items, cold] = [`${world.db}.items`, `${world.db}.cold`];
  const { rounds, rowsARound, coldKeys } = scale;
  const warmUpFrom = rounds * rowsARound + 1;
  const stampedeFrom = warmUpFrom + rowsARound;
  await createItems(world.admin, items, stampedeFrom + rounds, sizeOf(FIXED));
  await createItems(world.admin, cold, coldKeys * ZIPF_EXPONENTS.length, sizeOf(SPREAD));
  const installation = new Installation({ world, name: 'fill', tables: { [items]: {}, [cold]: {} } });
  await installation.startWorker();
  const gateway = await installation.startGateway('ringfill');
  const naive = await startNodePeer(world, 'naive', 'naive-fill.ts', {
    keyPrefix: 'naive:',
    redis: world.primary.map(({ server: { host, port } }) => ({ host, port })),
    originUrl: installation.originUrl,
    connections: installation.config.origin.connections,
    ttlSeconds: installation.config.defaults.followedTtlSeconds,
  });
  await allBelieved([gateway], READY_WITHIN_MS, world.signal);
  const targetOf = ({ host, port }: typeof gateway | typeof naive) => {
    return { host, port, path: `/${world.db}/items`, expect: { kind: 'row', sizes: FIXED } } as const;
  };
  const ringfill: CountingPeer = {
    name: 'ringfill',
    what: 'ringfill, with sync',
    target: targetOf(gateway),
    processes: [gateway],
    asked: () => askedByGateway(gateway.url),
  };
  const plain: CountingPeer = {
    name: 'naive',
    what: 'Fastify, one SELECT and one SET a miss',
    target: targetOf(naive),
    processes: [naive],
    asked: () => askedByNaive(naive.port),
  };
  const bench = new FillBench(world);

  world.say('  warming up');
  for (const peer of [ringfill, plain]) await bench.fill(peer, warmUpFrom, rowsARound);
  const filled = { ringfill: [] as Filled[], naive: [] as Filled[] };
  const stampedes = { ringfill: [] as number[], naive: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    world.say(`  round ${round + 1} of ${rounds}`);
    const order = [ringfill, plain];
    for (const peer of round % 2 === 0 ? order : order.toReversed()) {
      filled[peer === ringfill ? 'ringfill' : 'naive'].push(await bench.fill(peer, 1 + round * rowsARound, rowsARound));
    }
    const id = stampedeFrom + round;
    stampedes.ringfill.push(await bench.stampede(ringfill, id));
    stampedes.naive.push(await bench.stampede(plain, id));
  }
  const coldStarts: ColdStart[] = [];
  for (const [index, exponent] of ZIPF_EXPONENTS.entries()) {
    world.say(`  cold start, Zipf ${exponent}`);
    const target = { ...ringfill.target, path: `/${world.db}/cold`, expect: { kind: 'row', sizes: SPREAD } as const };
    coldStarts.push(await bench.coldStart({ ...ringfill, target }, 1 + index * coldKeys, exponent, scale));
  }
  const ratios = filled.ringfill.map(({ perSecond }, round) => perSecond / (filled.naive[round] as Filled).perSecond);
  return {
    ratios: [{ key: 'fills_to_naive', rounds: ratios }],
    blocks: blocksOf([ringfill, plain], filled, stampedes, coldStarts, scale),
    notes: ['The bench’s own generator was used, for each row may be asked for only once; it compared every answer.'],
    wrong: bench.wrong,
    figures: { ...scale, filled, stampedes, coldStarts },
  };
}

type Point = readonly [seconds: number, value: number];

interface ColdStart {
  readonly exponent: number;
  /** Of each step, at its end; steps without requests are left out. s. */
  readonly hitRatio: readonly Point[];
  readonly originRowsPerSecond: readonly Point[];
  readonly latencyMs: LoadSeen['latencyMs'];
  readonly requests: number;
  readonly unsent: number;
}

class FillBench {
  readonly wrong: string[] = [];
  readonly #world: BenchWorld;

  constructor(world: BenchWorld) {
    this.#world = world;
  }

  async fill(peer: CountingPeer, first: number, count: number): Promise<Filled> {
    const pids = pidsOf(peer);
    const [cpu, before] = [cpuSeconds(pids), await peer.asked()];
    const seen = await this.#load(peer, CONNECTIONS, { kind: 'each', first, count });
    const cpuMicros = (1e6 * (cpuSeconds(pids) - cpu)) / count;
    const after = await peer.asked();
    const originRows = (after.rows - before.rows) / count;
    if (originRows < 1) this.wrong.push(`${peer.name}: not all rows were cold`);
    return {
      perSecond: count / seen.seconds,
      cpuMicros,
      originRows,
      selects: (after.selects - before.selects) / count,
    };
  }

  /** @returns the SELECTs that it took. */
  async stampede(peer: CountingPeer, id: number): Promise<number> {
    const { selects } = await peer.asked();
    await this.#load(peer, CONNECTIONS, { kind: 'repeated', first: id, count: CONNECTIONS });
    return (await peer.asked()).selects - selects;
  }

  async coldStart(peer: CountingPeer, first: number, exponent: number, scale: Scale): Promise<ColdStart> {
    const { coldKeys, coldSeconds, coldPerSecond } = scale;
    const stepMs = (coldSeconds * 1_000) / STEPS;
    const endOf = (step: number) => ((step + 1) * stepMs) / 1_000;
    const rows: number[] = [(await peer.asked()).rows];
    // The generator takes a moment to come up: its steps and these are each of the same width, and begin nearly together.
    const look = async () => rows.push((await peer.asked()).rows);
    // One that fails is one step fewer.
    const watch = setInterval(() => void look().catch(() => undefined), stepMs);
    try {
      const wanted = { kind: 'zipf', first, count: coldKeys, exponent } as const;
      const seen = await this.#load(peer, COLD_CONNECTIONS, wanted, {
        loop: { kind: 'open', perSecond: coldPerSecond },
        seconds: coldSeconds,
        stepMs,
      });
      return {
        exponent,
        hitRatio: seen.steps
          .slice(0, STEPS)
          .flatMap(({ hits, requests }, step): Point[] => (requests === 0 ? [] : [[endOf(step), hits / requests]])),
        originRowsPerSecond: rows
          .slice(1, STEPS + 1)
          .map((read, step): Point => [endOf(step), ((read - (rows[step] as number)) * 1_000) / stepMs]),
        latencyMs: seen.latencyMs,
        requests: seen.requests,
        unsent: seen.unsent,
      };
    } finally {
      clearInterval(watch);
    }
  }

  async #load(
    { name, target }: Peer,
    connections: number,
    ids: LoadSpec['ids'],
    more: Partial<LoadSpec> = {},
  ): Promise<LoadSeen> {
    const seen = await runGenerator(this.#world, {
      ...target,
      connections,
      loop: { kind: 'closed' },
      ids,
      batch: 1,
      seed: this.#world.seed,
      ...more,
    });
    if (seen.wrong > 0) this.wrong.push(`${name}: ${seen.wrong} wrong answers, such as ${seen.examples.join(' | ')}`);
    return seen;
  }
}

async function askedByGateway(url: string): Promise<Asked> {
  const lines = (await (await fetch(`${url}/-/metrics`)).text()).split('\n');
  const sumOf = (name: string) =>
    lines
      .filter((line) => line.startsWith(`${name}{`))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  return { selects: sumOf('ringfill_origin_reads_total'), rows: sumOf('ringfill_origin_rows_asked_total') };
}

async function askedByNaive(port: number): Promise<Asked> {
  const answer = await fetch(`http://${loopback}:${port}/-/selects`);
  const { selects } = (await answer.json()) as { selects: number };
  return { selects, rows: selects };
}

function blocksOf(
  among: readonly Peer[],
  filled: Readonly<Record<'ringfill' | 'naive', readonly Filled[]>>,
  stampedes: Readonly<Record<'ringfill' | 'naive', readonly number[]>>,
  coldStarts: readonly ColdStart[],
  { coldPerSecond }: Scale,
): SectionResult['blocks'] {
  const of = ({ name }: Peer) => filled[name === 'ringfill' ? 'ringfill' : 'naive'];
  const told = (peer: Peer, figure: keyof Filled, digits: number) =>
    toldWithSpread(
      of(peer).map((one) => one[figure]),
      digits,
    );
  const lines = (title: string, y: string, pointsOf: (start: ColdStart) => readonly Point[]) =>
    ({
      kind: 'lines',
      chart: {
        title,
        x: 's',
        y,
        lines: coldStarts.map((start) => ({ name: `Zipf ${start.exponent}`, points: pointsOf(start) })),
      },
    }) as const;
  const at = (points: readonly Point[], share: number) => points[Math.floor((points.length - 1) * share)]?.[1] ?? 0;
  return [
    {
      kind: 'bars',
      chart: {
        title: 'Cold reads',
        unit: 'fills/s',
        series: among.map(({ name }) => name),
        groups: [
          {
            name: `${CONNECTIONS} connections`,
            bars: among.map((peer) => barOf(of(peer).map((one) => one.perSecond))),
          },
        ],
      },
    },
    {
      kind: 'table',
      table: {
        caption: 'Cold reads: median (least to most); and a stampede of 256 clients on one cold row',
        columns: [
          'peer',
          'what',
          'fills/s',
          'CPU a fill, µs',
          'rows asked of MySQL a fill',
          'SELECTs a fill',
          'SELECTs of a stampede',
        ],
        rows: among.map((peer) => [
          peer.name,
          peer.what,
          told(peer, 'perSecond', 0),
          told(peer, 'cpuMicros', 1),
          told(peer, 'originRows', 2),
          told(peer, 'selects', 3),
          toldWithSpread(stampedes[peer.name === 'ringfill' ? 'ringfill' : 'naive']),
        ]),
      },
    },
    lines('Cold start: hit ratio', 'of requests', ({ hitRatio }) => hitRatio),
    lines('Cold start: what MySQL is asked for', 'rows/s', ({ originRowsPerSecond }) => originRowsPerSecond),
    {
      kind: 'table',
      table: {
        caption: `Cold start of 100,000 keys of 50 B to 2 KB at ${coldPerSecond} requests/s (open loop, latencies from the due time)`,
        columns: [
          'Zipf',
          'requests',
          'due, not sent',
          'hits in the 1st step',
          'at a quarter',
          'at half',
          'at the end',
          'origin rows/s at first',
          'at the end',
          'p50 ms',
          'p99 ms',
        ],
        rows: coldStarts.map(({ exponent, requests, unsent, hitRatio, originRowsPerSecond, latencyMs }) => [
          exponent,
          requests,
          unsent,
          ...[0, 0.25, 0.5, 1].map((share) => `${(100 * at(hitRatio, share)).toFixed(1)} %`),
          Math.round(Math.max(0, ...originRowsPerSecond.slice(0, 3).map(([, value]) => value))),
          Math.round(at(originRowsPerSecond, 1)),
          latencyMs.p50.toFixed(2),
          latencyMs.p99.toFixed(2),
        ]),
      },
    },
  ];
}
