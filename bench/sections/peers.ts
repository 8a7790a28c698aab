/** Hits, beside what a team would pick instead. */
import { join } from 'node:path';
import { type ClosedLoopSeen, isWrkInstalled, runClosedLoop } from '../generators/closed-loop.ts';
import type { LoadSeen } from '../generators/load-spec.ts';
import { runGenerator } from '../generators/run-generator.ts';
import type { BenchWorld } from '../harness/bench-world.ts';
import { profileTable } from '../harness/cpu-profile.ts';
import { type RatioKey, verdictOf } from '../harness/goals.ts';
import type { Sizes } from '../harness/items.ts';
import { cpuSeconds } from '../harness/processor.ts';
import { barOf, medianOf, toldWithSpread } from '../harness/rounds.ts';
import type { Block, MeasuredRatio, ScaleName, Section, SectionResult } from '../harness/section.ts';
import { type LineUp, type PeerName, startLineUp } from '../peers/line-up.ts';
import { type Peer, pidsOf } from '../peers/peer.ts';

interface Scale {
  readonly rows: number;
  readonly rounds: number;
  /** Of one measurement. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly openRounds: number;
  readonly openSeconds: number;
}

const SCALES: Readonly<Record<ScaleName, Scale>> = {
  full: { rows: 10_000, rounds: 7, seconds: 4, warmUpSeconds: 6, openRounds: 5, openSeconds: 8 },
  quick: { rows: 10_000, rounds: 3, seconds: 2, warmUpSeconds: 3, openRounds: 3, openSeconds: 4 },
  tiny: { rows: 300, rounds: 1, seconds: 0.2, warmUpSeconds: 1, openRounds: 1, openSeconds: 0.3 },
};
const SIZES: Sizes = { kind: 'fixed', bytes: 150 };
const CONNECTIONS = [1, 32, 256] as const;
const BATCHES = [1, 10, 100] as const;
/** Of the batches, single rows included. */
const BATCH_CONNECTIONS = 32;
const OPEN_CONNECTIONS = 128;
const CHECK_CONNECTIONS = 16;
/** An open loop beyond what a peer can do tells nothing but that. */
const CAPACITY_SHARE_MAX = 0.9;

/** Of one peer in one round. */
interface Measured {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

interface Open extends Pick<LoadSeen, 'latencyMs' | 'lateMs' | 'unsent'> {
  readonly perSecond: number;
}

/** One figure a round. */
type Rounds<Figure> = Map<PeerName, Figure[]>;

export const peers: Section = {
  name: 'peers',
  title: 'Hits, beside what a team would pick instead',
  about:
    'The same 10,000 rows of 150 B of JSON in the same three Redis, read at random: by ringfill with every feature on and all ' +
    'settings at their defaults (sync through a real MySQL, RabbitMQ and sync worker, a fallback ring, stamps, versions, ETag, ' +
    'breakers, metrics), and by what a team would write or configure itself. Each peer is one process on one core. In every round all of ' +
    'them are measured in turn, and each ratio is of two figures of the same round. CPU a request is what the kernel has ' +
    'accounted to the peer’s own processes, over the requests answered; Redis is not in it.',
  run: measurePeers,
};

async function measurePeers(world: BenchWorld, scaleName: ScaleName): Promise<SectionResult> {
  const scale = SCALES[scaleName];
  const lineUp = await startLineUp(world, { rows: scale.rows, sizes: SIZES, connectionsMax: Math.max(...CONNECTIONS) });
  const bench = new PeersBench(world, scale, lineUp.peers);
  await bench.check();
  await bench.warmUp();
  const closed = new Map<number, Rounds<Measured>>();
  for (const connections of CONNECTIONS) closed.set(connections, new Map());
  const batches = new Map<number, Rounds<Measured>>(BATCHES.map((batch) => [batch, new Map()]));
  for (let round = 1; round <= scale.rounds; round += 1) {
    world.say(`  round ${round} of ${scale.rounds}, closed loop`);
    for (const connections of CONNECTIONS) {
      for (const peer of lineUp.peers) {
        add(closed.get(connections), peer, await bench.closed(peer, connections, 1, round));
      }
    }
    for (const batch of BATCHES) {
      for (const peer of lineUp.peers.filter(isRingfill)) {
        add(batches.get(batch), peer, await bench.closed(peer, BATCH_CONNECTIONS, batch, round));
      }
    }
  }
  const most = closed.get(256) as Rounds<Measured>;
  const capacityOf = (name: PeerName) => medianOf((most.get(name) ?? []).map(({ perSecond }) => perSecond));
  const commonRate = Math.round(capacityOf('ringfill') / 2);
  const atCommon: Rounds<Open> = new Map();
  const atOwn: Rounds<Open> = new Map();
  for (let round = 1; round <= scale.openRounds; round += 1) {
    world.say(`  round ${round} of ${scale.openRounds}, open loop`);
    for (const peer of lineUp.peers) {
      const capacity = capacityOf(nameOf(peer));
      if (commonRate <= capacity * CAPACITY_SHARE_MAX) add(atCommon, peer, await bench.open(peer, commonRate, round));
      // For ringfill it is the same rate.
      const own = peer.name === 'ringfill' ? atCommon.get('ringfill')?.at(-1) : undefined;
      add(atOwn, peer, own ?? (await bench.open(peer, Math.round(capacity / 2), round)));
    }
  }
  await bench.check();
  const ratios = ratiosOf(closed, batches, atCommon);
  const missed = ratios.filter(({ key, rounds }) => verdictOf(key, medianOf(rounds)) === 'missed');
  return {
    ratios,
    blocks: [
      ...blocksOf(lineUp, closed, batches, atCommon, atOwn, commonRate),
      ...(missed.length === 0 ? [] : await bench.profiles(lineUp, missed)),
    ],
    notes: [
      ...lineUp.notes,
      isWrkInstalled()
        ? 'Closed loops: wrk, one thread, requests made beforehand. Open loops: the bench’s own generator.'
        : 'Closed and open loops: the bench’s own generator, for wrk is not installed. It takes more of a core for a request than wrk.',
      'Every answer’s status was looked at; the bodies of all rows were compared before and after the closed loops, and in the open loops those of all answers.',
    ],
    wrong: bench.wrong,
    figures: {
      rows: scale.rows,
      commonRate,
      closed: plain(closed),
      batches: plain(batches),
      openAtCommonRate: Object.fromEntries(atCommon),
      openAtHalfOfOwnCapacity: Object.fromEntries(atOwn),
    },
  };
}

class PeersBench {
  readonly wrong: string[] = [];
  readonly #world: BenchWorld;
  readonly #scale: Scale;
  readonly #peers: readonly Peer[];

  constructor(world: BenchWorld, scale: Scale, among: readonly Peer[]) {
    this.#world = world;
    this.#scale = scale;
    this.#peers = among;
  }

  /** Every row of every peer, once alone, and of those that take batches once in a batch. */
  async check(): Promise<void> {
    for (const peer of this.#peers) {
      for (const batch of isRingfill(peer) ? [1, Math.max(...BATCHES)] : [1]) {
        const seen = await runGenerator(this.#world, {
          ...peer.target,
          connections: CHECK_CONNECTIONS,
          loop: { kind: 'closed' },
          ids: { kind: 'each', first: 1, count: this.#scale.rows },
          batch,
          seed: this.#world.seed,
        });
        this.#note(peer, seen.wrong, seen.examples);
        if (seen.rows !== this.#scale.rows)
          this.#note(peer, this.#scale.rows - seen.rows, ['not all rows were answered']);
      }
    }
  }

  /** So that the first round finds compiled code, and connections to Redis. */
  async warmUp(): Promise<void> {
    this.#world.say('  warming up');
    for (const peer of this.#peers) {
      await this.#load(peer, 256, 1, this.#scale.warmUpSeconds, 0);
      if (isRingfill(peer)) await this.#load(peer, BATCH_CONNECTIONS, 100, this.#scale.warmUpSeconds, 0);
    }
  }

  async closed(peer: Peer, connections: number, batch: number, round: number): Promise<Measured> {
    const pids = pidsOf(peer);
    const before = cpuSeconds(pids);
    const { requests, perSecond } = await this.#load(peer, connections, batch, this.#scale.seconds, round);
    return { perSecond, cpuMicros: (1e6 * (cpuSeconds(pids) - before)) / requests };
  }

  async open(peer: Peer, perSecond: number, round: number): Promise<Open> {
    const seen = await runGenerator(this.#world, {
      ...peer.target,
      connections: OPEN_CONNECTIONS,
      loop: { kind: 'open', perSecond },
      ids: { kind: 'random', first: 1, count: this.#scale.rows },
      batch: 1,
      seconds: this.#scale.openSeconds,
      seed: this.#world.seed + round,
    });
    this.#note(peer, seen.wrong, seen.examples);
    const { latencyMs, lateMs, unsent } = seen;
    return { perSecond: seen.requests / seen.seconds, latencyMs, lateMs, unsent };
  }

  /** Of gateways under the loads whose ratios were missed. */
  async profiles({ startProfiled }: LineUp, missed: readonly MeasuredRatio[]): Promise<Block[]> {
    const ofBatches = missed.filter(({ key }) => key === 'batch100_to_single');
    const ofNear = missed.filter(({ key }) => key === 'near_to_fastify');
    const others = missed.filter((ratio) => !ofBatches.includes(ratio) && !ofNear.includes(ratio));
    const loads = [
      { words: 'single rows at 256 connections', like: 'ringfill', connections: 256, batch: 1, among: others },
      { words: 'near-cache hits at 256 connections', like: 'near', connections: 256, batch: 1, among: ofNear },
      {
        words: `batches of 100 at ${BATCH_CONNECTIONS} connections`,
        like: 'ringfill',
        connections: BATCH_CONNECTIONS,
        batch: 100,
        among: ofBatches,
      },
    ] as const;
    const blocks: Block[] = [];
    for (const { words, like, connections, batch, among } of loads.filter((load) => load.among.length > 0)) {
      this.#world.say(`  profile of ${words}, for what was missed`);
      const folder = join(this.#world.folder, `profile-${like}-${batch}`);
      const peer = await startProfiled(like, folder);
      await this.#load(peer, connections, batch, this.#scale.warmUpSeconds, 0);
      await peer.stop();
      const names = among.map(({ key }) => key).join(', ');
      const caption = `Where its time went, its start included: ${words}, by V8’s samples; for what was missed: ${names}`;
      blocks.push({ kind: 'table', table: profileTable(folder, caption) });
    }
    return blocks;
  }

  async #load(
    { name, target }: Peer,
    connections: number,
    batch: number,
    seconds: number,
    round: number,
  ): Promise<ClosedLoopSeen> {
    const seed = this.#world.seed + round;
    const seen = await runClosedLoop(this.#world, {
      target,
      first: 1,
      count: this.#scale.rows,
      connections,
      batch,
      seconds,
      seed,
    });
    if (seen.wrong > 0) this.wrong.push(`${name}: ${seen.wrong} failed requests at ${connections} connections`);
    return seen;
  }

  #note({ name }: Peer, wrong: number, examples: readonly string[]): void {
    if (wrong > 0) this.wrong.push(`${name}: ${wrong} wrong answers, such as ${examples.join(' | ')}`);
  }
}

function nameOf({ name }: Peer): PeerName {
  return name as PeerName;
}

function isRingfill({ name }: Peer): boolean {
  return name === 'ringfill' || name === 'near';
}

function add<Figure>(rounds: Rounds<Figure> | undefined, peer: Peer, figure: Figure): void {
  const name = nameOf(peer);
  rounds?.set(name, [...(rounds.get(name) ?? []), figure]);
}

function ratiosOf(
  closed: ReadonlyMap<number, Rounds<Measured>>,
  batches: ReadonlyMap<number, Rounds<Measured>>,
  open: Rounds<Open>,
): MeasuredRatio[] {
  const figures = (connections: number, name: PeerName, of: keyof Measured) =>
    (closed.get(connections)?.get(name) ?? []).map((measured) => measured[of]);
  const ratio = (key: RatioKey, over: readonly number[], under: readonly number[]): MeasuredRatio[] =>
    over.length === 0 || under.length === 0
      ? []
      : [{ key, rounds: over.map((figure, round) => figure / (under[round] as number)) }];
  const rowsPerSecond = (batch: number) =>
    (batches.get(batch)?.get('ringfill') ?? []).map(({ perSecond }) => perSecond * batch);
  const p99 = (name: PeerName) => (open.get(name) ?? []).map(({ latencyMs }) => latencyMs.p99);
  return [
    ...ratio('hits_to_nginx', figures(256, 'ringfill', 'perSecond'), figures(256, 'nginx', 'perSecond')),
    ...ratio('hits32_to_nginx', figures(32, 'ringfill', 'perSecond'), figures(32, 'nginx', 'perSecond')),
    ...ratio('hit_cpu_to_fastify', figures(256, 'ringfill', 'cpuMicros'), figures(256, 'fastify', 'cpuMicros')),
    ...ratio('near_to_fastify', figures(256, 'near', 'perSecond'), figures(256, 'fastify', 'perSecond')),
    ...ratio('batch100_to_single', rowsPerSecond(100), rowsPerSecond(1)),
    ...ratio('p99_to_fastify', p99('ringfill'), p99('fastify')),
  ];
}

function blocksOf(
  { peers: among, nginxConfiguration }: LineUp,
  closed: ReadonlyMap<number, Rounds<Measured>>,
  batches: ReadonlyMap<number, Rounds<Measured>>,
  atCommon: Rounds<Open>,
  atOwn: Rounds<Open>,
  commonRate: number,
): Block[] {
  const of = (rounds: Rounds<Measured> | undefined, peer: Peer, figure: keyof Measured) =>
    (rounds?.get(nameOf(peer)) ?? []).map((measured) => measured[figure]);
  const told = (values: readonly number[], digits = 0) =>
    values.length === 0 ? 'left out' : toldWithSpread(values, digits);
  const columns = ['peer', 'what', ...CONNECTIONS.map((connections) => `${connections} connections`)];
  const bars = (figure: keyof Measured) =>
    CONNECTIONS.map((connections) => ({
      name: `${connections} connections`,
      bars: among.map((peer) => barOf(of(closed.get(connections), peer, figure))),
    }));
  const series = among.map(({ name }) => name);
  const byConnections = (figure: keyof Measured, digits: number) =>
    among.map((peer) => [
      peer.name,
      peer.what,
      ...CONNECTIONS.map((connections) => told(of(closed.get(connections), peer, figure), digits)),
    ]);
  const openRows = (rounds: Rounds<Open>) =>
    among.map((peer) => {
      const seen = rounds.get(nameOf(peer)) ?? [];
      const latency = (name: 'p50' | 'p99' | 'p999') =>
        told(
          seen.map(({ latencyMs }) => latencyMs[name]),
          2,
        );
      return [
        peer.name,
        told(seen.map(({ perSecond }) => perSecond)),
        latency('p50'),
        latency('p99'),
        latency('p999'),
        told(
          seen.map(({ lateMs }) => lateMs.p99),
          2,
        ),
        told(seen.map(({ unsent }) => unsent)),
      ];
    });
  const openColumns = ['peer', 'requests/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'sent late, p99 ms', 'not sent'];
  const commonBars = (['p50', 'p99', 'p999'] as const).map((name) => ({
    name: name === 'p999' ? 'p99.9' : name,
    bars: among.map((peer) => {
      const seen = atCommon.get(nameOf(peer));
      return seen && barOf(seen.map(({ latencyMs }) => latencyMs[name]));
    }),
  }));
  const batched = among.filter(isRingfill);
  const rowsPerSecond = (batch: number, peer: Peer) =>
    of(batches.get(batch), peer, 'perSecond').map((perSecond) => perSecond * batch);
  return [
    {
      kind: 'bars',
      chart: { title: 'Throughput, closed loop', unit: 'requests/s', series, groups: bars('perSecond') },
    },
    {
      kind: 'table',
      table: { caption: 'Requests/s: median (least to most)', columns, rows: byConnections('perSecond', 0) },
    },
    { kind: 'bars', chart: { title: 'CPU a request', unit: 'µs', series, groups: bars('cpuMicros') } },
    {
      kind: 'table',
      table: { caption: 'CPU a request, µs: median (least to most)', columns, rows: byConnections('cpuMicros', 1) },
    },
    {
      kind: 'bars',
      chart: { title: `Latency at ${commonRate} requests/s, open loop`, unit: 'ms', series, groups: commonBars },
    },
    {
      kind: 'table',
      table: {
        caption: `Latency from the due time at the same rate for all, half of ringfill’s capacity: ${commonRate} requests/s. Left out: whose capacity that nearly is.`,
        columns: openColumns,
        rows: openRows(atCommon),
      },
    },
    {
      kind: 'table',
      table: {
        caption: 'Latency from the due time, each at half of its own capacity (at 256 connections)',
        columns: openColumns,
        rows: openRows(atOwn),
      },
    },
    {
      kind: 'bars',
      chart: {
        title: 'Batches',
        unit: 'rows/s',
        series: batched.map(({ name }) => name),
        groups: BATCHES.map((batch) => ({
          name: `${batch} ids`,
          bars: batched.map((peer) => barOf(rowsPerSecond(batch, peer))),
        })),
      },
    },
    {
      kind: 'table',
      table: {
        caption: `Rows/s by ids in a request, at ${BATCH_CONNECTIONS} connections`,
        columns: ['peer', ...BATCHES.map(String)],
        rows: batched.map((peer) => [peer.name, ...BATCHES.map((batch) => told(rowsPerSecond(batch, peer)))]),
      },
    },
    ...(nginxConfiguration === undefined
      ? []
      : [{ kind: 'text', caption: 'nginx’s configuration', text: nginxConfiguration } as const]),
  ];
}

function plain(byNumber: ReadonlyMap<number, Rounds<Measured>>): object {
  return Object.fromEntries([...byNumber].map(([number, rounds]) => [number, Object.fromEntries(rounds)]));
}
