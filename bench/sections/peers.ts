/** Hits, beside what a team would pick instead. */
import { join } from 'node:path';
import { type ClosedLoopSeen, isWrkInstalled, runClosedLoop } from '../generators/closed-loop.ts';
import { runGenerator } from '../generators/run-generator.ts';
import type { BenchWorld } from '../harness/bench-world.ts';
import { profileTable } from '../harness/cpu-profile.ts';
import { verdictOf } from '../harness/goals.ts';
import type { Sizes } from '../harness/items.ts';
import { cpuSeconds } from '../harness/processor.ts';
import { medianOf } from '../harness/rounds.ts';
import type { Block, MeasuredRatio, ScaleName, Section, SectionResult } from '../harness/section.ts';
import { type LineUp, type PeerName, startLineUp } from '../peers/line-up.ts';
import {
  BATCH_CONNECTIONS,
  BATCHES,
  CONNECTIONS,
  isRingfill,
  type Measured,
  nameOf,
  type Open,
  type PeersMeasured,
  ratiosOf,
  type Rounds,
} from '../peers/measured.ts';
import { type Peer, pidsOf } from '../peers/peer.ts';
import { blocksOf } from '../peers/peers-report.ts';

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
const OPEN_CONNECTIONS = 128;
const CHECK_CONNECTIONS = 16;
/** An open loop beyond what a peer can do tells nothing but that. */
const CAPACITY_SHARE_MAX = 0.9;

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
  // A rate at which either can be compared with the other.
  const commonRate = Math.round(Math.min(capacityOf('ringfill'), capacityOf('fastify')) / 2);
  const atCommonRate: Rounds<Open> = new Map();
  const atOwnRate: Rounds<Open> = new Map();
  for (let round = 1; round <= scale.openRounds; round += 1) {
    world.say(`  round ${round} of ${scale.openRounds}, open loop`);
    for (const peer of lineUp.peers) {
      const capacity = capacityOf(nameOf(peer));
      if (commonRate <= capacity * CAPACITY_SHARE_MAX)
        add(atCommonRate, peer, await bench.open(peer, commonRate, round));
      const ownRate = Math.round(capacity / 2);
      const same = ownRate === commonRate ? atCommonRate.get(nameOf(peer))?.at(-1) : undefined;
      add(atOwnRate, peer, same ?? (await bench.open(peer, ownRate, round)));
    }
  }
  await bench.check();
  const measured: PeersMeasured = { closed, batches, commonRate, atCommonRate, atOwnRate };
  const ratios = ratiosOf(measured);
  const missed = ratios.filter(({ key, rounds }) => verdictOf(key, medianOf(rounds)) === 'missed');
  return {
    ratios,
    blocks: [...blocksOf(lineUp, measured), ...(missed.length === 0 ? [] : await bench.profiles(lineUp, missed))],
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
      openAtCommonRate: Object.fromEntries(atCommonRate),
      openAtHalfOfOwnCapacity: Object.fromEntries(atOwnRate),
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
      const caption = `Where its time went: ${words}, by V8’s samples; for what was missed: ${names}`;
      blocks.push({ kind: 'table', table: profileTable(folder, caption, this.#scale.warmUpSeconds) });
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

function add<Figure>(rounds: Rounds<Figure> | undefined, peer: Peer, figure: Figure): void {
  const name = nameOf(peer);
  rounds?.set(name, [...(rounds.get(name) ?? []), figure]);
}

function plain(byNumber: ReadonlyMap<number, Rounds<Measured>>): object {
  return Object.fromEntries([...byNumber].map(([number, rounds]) => [number, Object.fromEntries(rounds)]));
}
