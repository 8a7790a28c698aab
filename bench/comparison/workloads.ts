/** The workloads, each the same for every architecture: a load, writers beside it, and what is done amid it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { kill } from '../../stack/faults.ts';
import { ALLOWANCE_MS, BOUND_MS } from '../drills/harness/claims.ts';
import type { BenchWorld } from '../harness/bench-world.ts';
import { pin, residentMebibytes, waitedSeconds, withChildren } from '../harness/processor.ts';
import { seededRandom } from '../load/random.ts';
import { zipfSampler } from '../load/zipf.ts';
import { figuresOf } from '../watch/figures.ts';
import { Ledger } from '../watch/ledger.ts';
import { type Recorded, STEP_MS, Timeline } from '../watch/timeline.ts';
import { Writer } from '../watch/writer.ts';
import type { Architecture } from './architecture.ts';
import { CpuAccounts } from './cpu-accounts.ts';
import type { ArchitectureName, Burst, Course, Harmed, Percentiles, Sync, Workload } from './figures.ts';
import { judgeAnswers, percentilesOf } from './judge-answers.ts';
import { type OriginCount, OriginWatch } from './origin-count.ts';
import { type Reading, startReading } from './read.ts';
import type { ReadAnswer } from './read-spec.ts';
import { Visibility } from './visibility.ts';

export interface WorkloadsOptions {
  readonly world: BenchWorld;
  readonly architecture: Architecture;
  readonly rows: number;
  readonly warmRows: number;
  readonly ttlSeconds: number;
}

interface LoadShape {
  readonly name: string;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  readonly seconds: number;
  /** Ids from 1 to this one. */
  readonly keys: number;
}

interface Ran {
  readonly workload: Workload;
  readonly answers: readonly ReadAnswer[];
  readonly counts: readonly OriginCount[];
}

export const ZIPF = 1;
const VISIBLE_WITHIN_MS = 30_000;
/** Between the clocks of two threads of one machine. */
const CLOCKS_MS = 5;
const COUNT_EVERY_MS = 100;
/** So many writes go to rows as the readers want them; the others to any. */
const WRITES_LIKE_READS = 0.5;
const BURST_EVERY_MS = 100;
/** Of the timeline, in one of the course. */
const COURSE_STEPS = 5;
const LOST = 'r2';
/** Of the load's time: when the harm is done, and when what was lost is there again. */
const HARM_AT = 0.25;
const RETURN_AT = 0.55;

export class Workloads {
  /** Answers that were not right, in words. */
  readonly wrong: string[] = [];
  readonly #options: WorkloadsOptions;
  readonly #ledger = new Ledger();
  readonly #visibility: Visibility;

  constructor(options: WorkloadsOptions) {
    this.#options = options;
    const { world, architecture, ttlSeconds } = options;
    this.#visibility = new Visibility({
      url: architecture.url,
      table: architecture.table,
      admin: world.admin,
      ledger: this.#ledger,
      withinMs: ttlSeconds * 1_000 + VISIBLE_WITHIN_MS,
      signal: world.signal,
    });
  }

  async stop(): Promise<void> {
    await this.#visibility.stop();
  }

  async reads(shape: LoadShape): Promise<Workload> {
    return (await this.#run(shape)).workload;
  }

  /** Reads with writes, and beside them rows of their own that are changed and looked for. */
  async readsAndVisibility(
    shape: LoadShape,
    firstProbe: number,
    probes: number,
  ): Promise<{ readonly workload: Workload; readonly visibleMs: Percentiles }> {
    const { ttlSeconds } = this.#options;
    // Within a time in which a row that has a TTL is not read again by itself: 80 % of it, less 10 % at random.
    const overMs = 1_000 * Math.min(shape.seconds, 0.7 * ttlSeconds);
    const visible = this.#visibility.measure(firstProbe, probes, overMs);
    const [{ workload }, visibleMs] = await Promise.all([this.#run(shape), visible]);
    return { workload, visibleMs: percentilesOf(visibleMs) };
  }

  /** Every tenth of a second a transaction changes so many of the rows that are read. */
  async burst(shape: LoadShape, rowsATransaction: number): Promise<Burst> {
    const { world, architecture, warmRows } = this.#options;
    const transactions = Math.max(1, Math.floor((shape.seconds * 1_000 * 0.5) / BURST_EVERY_MS));
    let lastVisible: Promise<number> | undefined;
    const { workload } = await this.#run(shape, async ({ startedAt }) => {
      for (let index = 0; index < transactions; index += 1) {
        const dueAt = startedAt + shape.seconds * 250 + index * BURST_EVERY_MS;
        await sleep(Math.max(0, dueAt - performance.now()), undefined, { signal: world.signal });
        const first = 1 + ((index * rowsATransaction) % (warmRows - rowsATransaction + 1));
        const ids = Array.from({ length: rowsATransaction }, (_, place) => first + place);
        const counters = ids.map((id) => this.#ledger.issue(id));
        await world.admin.query(
          `UPDATE ${architecture.table} SET n = n + 1 WHERE id BETWEEN ${first} AND ${first + rowsATransaction - 1}`,
        );
        const at = performance.now();
        for (const [place, id] of ids.entries()) this.#ledger.committed(id, counters[place] as number, at);
        if (index === transactions - 1) {
          const last = first + rowsATransaction - 1;
          lastVisible = this.#visibility.seen(last, counters.at(-1) as number, at);
          await lastVisible;
        }
      }
    });
    const lastVisibleMs = (await lastVisible) ?? 0;
    return { ...workload, changes: transactions * rowsATransaction, lastVisibleMs };
  }

  /** Every Redis is emptied, stamps and all. */
  async coldStart(shape: LoadShape, flush: () => Promise<void>): Promise<Harmed> {
    return await this.#harmed(shape, async () => await flush());
  }

  /** kill -9 of one of three, and its return, empty. */
  async lostShard(shape: LoadShape): Promise<Harmed> {
    const { world } = this.#options;
    const server = world.primary.find(({ name }) => name === LOST)?.server;
    if (server === undefined) throw new Error(`there is no shard ${LOST}`);
    return await this.#harmed(
      shape,
      () => kill(server),
      async () => {
        await server.restart();
        await pin(server.pid, world.cores.servers);
      },
    );
  }

  /** What sync keeps running besides, at this moment. Nothing without it. */
  sync(): Sync | undefined {
    const { workerPid } = this.#options.architecture;
    if (workerPid === undefined) return undefined;
    const { rabbitmq } = this.#options.world.ground;
    return {
      workerMebibytes: residentMebibytes([workerPid]),
      brokerMebibytes: residentMebibytes(withChildren(rabbitmq.pid)),
    };
  }

  async #harmed(shape: LoadShape, harm: () => Promise<void>, mend?: () => Promise<void>): Promise<Harmed> {
    const { signal } = this.#options.world;
    let beganAt = 0;
    let harmedAt = 0;
    const { workload, answers, counts } = await this.#run(shape, async ({ startedAt }) => {
      const until = async (share: number) => {
        const at = startedAt + share * shape.seconds * 1_000;
        await sleep(Math.max(0, at - performance.now()), undefined, { signal });
      };
      beganAt = startedAt;
      await until(HARM_AT);
      harmedAt = performance.now();
      await harm();
      await until(RETURN_AT);
      await mend?.();
    });
    const failed = answers.filter(({ status }) => status !== 200);
    const recorded = recordedOf(answers, counts, beganAt);
    return {
      ...workload,
      errors: failed.length,
      errorsUntilMs: Math.max(0, ...failed.map(({ endedAt }) => endedAt - harmedAt)),
      figures: figuresOf(recorded, { atMs: harmedAt - beganAt, shards: [] }, []),
      course: courseOf(recorded),
    };
  }

  async #run(shape: LoadShape, amid?: (reading: Reading) => Promise<void>): Promise<Ran> {
    const { world, architecture } = this.#options;
    const { table, url, workerPid } = architecture;
    const { name, readsPerSecond, writesPerSecond, seconds, keys } = shape;
    world.say(`    ${name}: ${readsPerSecond} reads/s, ${writesPerSecond} writes/s, ${seconds} s`);
    const writer = writesPerSecond === 0 ? undefined : this.#writer(writesPerSecond);
    const { mysql, rabbitmq, shards } = world.ground;
    const watch = new OriginWatch(world.admin, COUNT_EVERY_MS);
    const spec = { url, table, perSecond: readsPerSecond, seconds, keys, zipf: ZIPF, seed: world.seed };
    const reading = await startReading(spec, world.signal);
    writer?.start();
    const accounts = new CpuAccounts({
      gateway: architecture.gatewayPids,
      mysql: [mysql.pid],
      redis: shards.map(({ server }) => server.pid),
      worker: workerPid === undefined ? [] : [workerPid],
      broker: workerPid === undefined ? [] : withChildren(rabbitmq.pid),
    });
    const waitedBefore = waitedSeconds(architecture.gatewayPid);
    const changesBefore = this.#ledger.commits;
    const [seen] = await Promise.all([reading.seen, amid?.(reading)]);
    await writer?.stop();
    const counts = await watch.stop();
    const used = accounts.since();
    const changes = this.#ledger.commits - changesBefore;
    const tookSeconds = (performance.now() - reading.startedAt) / 1_000;
    const { faults, ...judged } = judgeAnswers(seen, this.#ledger, this.#mayBeOldMs(architecture.name));
    this.wrong.push(...faults.map((words) => `${architecture.name}, ${name}: ${words}`));
    const from = counts.findLast(({ at }) => at <= reading.startedAt) ?? (counts[0] as OriginCount);
    const to = counts.at(-1) as OriginCount;
    const countedSeconds = (to.at - from.at) / 1_000;
    return {
      answers: seen.answers,
      counts: withoutWrites(counts, changes / tookSeconds),
      workload: {
        readsPerSecond,
        writesPerSecond: changes / tookSeconds,
        ...judged,
        origin: {
          queries: (to.queries - from.queries) / countedSeconds,
          rows: Math.max(0, to.rows - from.rows - changes) / countedSeconds,
        },
        cpu: {
          gatewayMicrosARequest: (1e6 * used.gateway) / Math.max(1, judged.requests),
          gatewayWaited: (waitedSeconds(architecture.gatewayPid) - waitedBefore) / tookSeconds,
          mysql: used.mysql / tookSeconds,
          redis: used.redis / tookSeconds,
          worker: used.worker / tookSeconds,
          broker: used.broker / tookSeconds,
        },
      },
    };
  }

  #writer(perSecond: number): Writer {
    const { world, architecture, warmRows } = this.#options;
    const { host, port } = world.ground.mysql;
    const random = seededRandom(world.seed + 1);
    const popular = zipfSampler(warmRows, ZIPF, random);
    return new Writer({
      origin: { host, port, user: 'root' },
      table: architecture.table,
      ledger: this.#ledger,
      perSecond,
      nextRow: () => (random() < WRITES_LIKE_READS ? popular() : 1 + Math.floor(random() * warmRows)),
    });
  }

  #mayBeOldMs(name: ArchitectureName): number {
    switch (name) {
      case 'mirror':
      case 'synced':
        return BOUND_MS;
      case 'ttl':
        return this.#options.ttlSeconds * 1_000 + ALLOWANCE_MS;
      case 'none':
        return CLOCKS_MS;
    }
  }
}

/** An UPDATE reads its row, too. */
function withoutWrites(counts: readonly OriginCount[], writesPerSecond: number): OriginCount[] {
  const [first] = counts as [OriginCount];
  return counts.map((count) => ({ ...count, rows: count.rows - ((count.at - first.at) / 1_000) * writesPerSecond }));
}

/** Answers and counts in one timeline, by when they were had. */
function recordedOf(answers: readonly ReadAnswer[], counts: readonly OriginCount[], beganAt: number): Recorded {
  const timeline = new Timeline(beganAt);
  let next = 0;
  for (const { dueAt, endedAt, status, isHit } of answers) {
    for (; next + 1 < counts.length && (counts[next + 1] as OriginCount).at <= endedAt; next += 1) {
      const [from, to] = [counts[next] as OriginCount, counts[next + 1] as OriginCount];
      timeline.originReads(to.at, Math.max(0, to.rows - from.rows), to.queries - from.queries);
    }
    const outcome = status === 200 ? 'answered' : 'error';
    timeline.answer({ outcome, isHit, latencyMs: endedAt - dueAt, endedAt });
  }
  return timeline.recorded();
}

function courseOf({ steps }: Recorded): Course {
  const groups = Array.from({ length: Math.floor(steps.length / COURSE_STEPS) }, (_, index) =>
    steps.slice(index * COURSE_STEPS, (index + 1) * COURSE_STEPS),
  );
  const sum = (group: Recorded['steps'], of: 'hits' | 'requests' | 'originRows') =>
    group.reduce((total, step) => total + step[of], 0);
  const stepSeconds = (COURSE_STEPS * STEP_MS) / 1_000;
  return {
    stepSeconds,
    hitRatio: groups.map((group) => sum(group, 'hits') / Math.max(1, sum(group, 'requests'))),
    originRows: groups.map((group) => sum(group, 'originRows') / stepSeconds),
  };
}
