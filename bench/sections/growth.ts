/** What grows how: with shards, keys, connections and processes. */
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ManyRowsCache } from '../growth/cache-many.ts';
import { lookUpNanos } from '../growth/look-up.ts';
import { createManyItems } from '../growth/many-items.ts';
import { HitsMeasurer, type HitsToMeasure } from '../growth/measure-hits.ts';
import { growthBlocks, type GrowthPoint, growthSentence, type GrowthSeries } from '../growth/series.ts';
import type { BenchWorld } from '../harness/bench-world.ts';
import { allBelieved } from '../harness/gateways-believe.ts';
import { Installation } from '../harness/installation.ts';
import { itemJson, sizeOf, type Sizes } from '../harness/items.ts';
import { pin } from '../harness/processor.ts';
import { readRows } from '../harness/read-rows.ts';
import { RedisShards } from '../harness/redis-shards.ts';
import type { ScaleName, Section, SectionResult } from '../harness/section.ts';
import { startRedis } from '../../stack/redis.ts';
import type { RingfillProcess } from '../../stack/ringfill-process.ts';

interface Scale {
  /** But where keys grow. */
  readonly rows: number;
  readonly shards: readonly number[];
  readonly keys: readonly number[];
  readonly connections: readonly number[];
  readonly processes: readonly number[];
  readonly rounds: number;
  /** Of a round. */
  readonly seconds: number;
  /** Keys that are not cached by then are left out. */
  readonly fillSecondsMax: number;
}

const SCALES: Readonly<Record<ScaleName, Scale>> = {
  full: {
    rows: 10_000,
    shards: [1, 2, 4, 8, 16],
    keys: [10_000, 100_000, 1_000_000, 10_000_000],
    connections: [1, 4, 16, 64, 256, 1_024],
    processes: [1, 2],
    rounds: 3,
    seconds: 3,
    fillSecondsMax: 200,
  },
  quick: {
    rows: 10_000,
    shards: [1, 4, 16],
    keys: [10_000, 100_000, 1_000_000],
    connections: [1, 8, 64, 256, 1_024],
    processes: [1, 2],
    rounds: 3,
    seconds: 1,
    fillSecondsMax: 60,
  },
  tiny: {
    rows: 200,
    shards: [1, 2],
    keys: [100, 400],
    connections: [1, 8],
    processes: [1, 2],
    rounds: 1,
    seconds: 0.2,
    fillSecondsMax: 30,
  },
};
const ROW_BYTES = 80;
const SIZES: Sizes = { kind: 'fixed', bytes: ROW_BYTES };
/** Where connections do not grow. */
const CONNECTIONS = 64;
const READY_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 50;
const READY_IN_A_ROW = 4;
/** That the gateway itself caches of the many: some in every shard. */
const CACHED_BY_GATEWAY = 50;
/** What clients take is left out of what Redis uses, and Redis counts that once a second. */
const REDIS_COUNTS_EVERY_MS = 1_200;

export const growth: Section = {
  name: 'growth',
  title: 'What grows how',
  about:
    `Hits on rows of ${ROW_BYTES} B of JSON with sync on, closed loop, at ${CONNECTIONS} connections but where those grow: more shards in one ring, each a Redis of its own; more cached ` +
    'keys, all as likely to be asked for, most of which the bench has written as the gateway writes them (by the bench’s own generator; the others by wrk, where it is installed); more connections; more processes of one gateway, which then have every core, as does the one ' +
    'that they are compared with. Medians of the rounds. The look-up is of a key’s owner in the ring alone, in a process that does nothing else. Exponents are of the power that fits best: 1 is in ' +
    'proportion, 0 is not at all.',
  run: measureGrowth,
};

async function measureGrowth(world: BenchWorld, scaleName: ScaleName): Promise<SectionResult> {
  const bench = new GrowthBench(world, SCALES[scaleName]);
  const series = [await bench.shards(), ...(await bench.connectionsProcessesAndKeys())];
  const sentences = series.map(growthSentence).filter((sentence) => sentence !== undefined);
  return {
    ratios: [],
    blocks: [{ kind: 'sentences', caption: 'What grows how', sentences }, ...series.flatMap(growthBlocks)],
    notes: bench.notes,
    wrong: bench.measurer.wrong,
    figures: { series: Object.fromEntries(series.map(({ of, points }) => [of, points])) },
  };
}

class GrowthBench {
  readonly notes: string[] = [];
  readonly measurer: HitsMeasurer;
  readonly #world: BenchWorld;
  readonly #scale: Scale;

  constructor(world: BenchWorld, scale: Scale) {
    this.#world = world;
    this.#scale = scale;
    this.measurer = new HitsMeasurer(world);
  }

  async shards(): Promise<GrowthSeries> {
    const { rows, shards: counts } = this.#scale;
    const world = this.#world;
    const table = await this.#createTable('shards', rows);
    const { folder, signal } = world;
    const servers = await Promise.all(
      Array.from({ length: Math.max(...counts) }, async (_, index) => {
        const server = world.keep(await startRedis({ folder, name: `s${index + 1}`, signal }));
        await pin(server.pid, world.cores.servers);
        return server;
      }),
    );
    const points: GrowthPoint[] = [];
    for (const count of counts) {
      world.say(`  ${count} shards`);
      const shards = Object.fromEntries(servers.slice(0, count).map(({ name, url }) => [name, url]));
      const installation = new Installation({
        world,
        name: `shards${count}`,
        tables: { [table]: {} },
        settings: { rings: [{ name: 'primary', shards }] },
      });
      const { gateway, stop } = await this.#start(installation);
      await readRows({ url: gateway.url, table, first: 1, count: rows, signal });
      points.push(await this.measurer.measure(count, this.#hitsOf(gateway, table, rows)));
      await stop();
    }
    for (const server of servers) await server.stop();
    return { of: 'shards', points };
  }

  /** Keys last, for so many of them are in nobody's way then. */
  async connectionsProcessesAndKeys(): Promise<GrowthSeries[]> {
    const world = this.#world;
    const { rows, keys } = this.#scale;
    const table = await this.#createTable('items', rows);
    const manyRows = await this.#createTable('many_items', Math.max(...keys));
    const installation = new Installation({ world, name: 'growth', tables: { [table]: {}, [manyRows]: {} } });
    const { gateway, stop } = await this.#start(installation);
    await readRows({ url: gateway.url, table, first: 1, count: rows, signal: world.signal });
    const series = [
      await this.#connections(gateway, table),
      await this.#processes(installation, table),
      await this.#keys(gateway, manyRows, installation.keyPrefix),
    ];
    await stop();
    return series;
  }

  async #keys(gateway: RingfillProcess, table: string, keyPrefix: string): Promise<GrowthSeries> {
    const world = this.#world;
    const { keys: counts, fillSecondsMax } = this.#scale;
    const redis = world.keep(new RedisShards(world.ground));
    const emptyBytes = await redis.usedBytes();
    await readRows({ url: gateway.url, table, first: 1, count: CACHED_BY_GATEWAY, signal: world.signal });
    const rowsKeyPrefix = `${keyPrefix}${table.replace('.', '_')}_`;
    const cache = world.keep(
      await ManyRowsCache.open({
        shards: world.primary,
        keyPrefix: rowsKeyPrefix,
        cached: CACHED_BY_GATEWAY,
        jsonOf: (id) => itemJson(id, sizeOf(SIZES)),
        signal: world.signal,
      }),
    );
    let leftMs = fillSecondsMax * 1_000;
    const points: GrowthPoint[] = [];
    let cached = CACHED_BY_GATEWAY;
    for (const count of counts) {
      world.say(`  ${count.toLocaleString('en-US')} keys`);
      const startedAt = performance.now();
      cached = await cache.cache(cached + 1, count, startedAt + leftMs);
      leftMs -= performance.now() - startedAt;
      if (cached < count) {
        this.notes.push(
          `${count.toLocaleString('en-US')} keys were left out: ${cached.toLocaleString('en-US')} were cached within the ${fillSecondsMax} s that there were for it.`,
        );
        break;
      }
      await sleep(REDIS_COUNTS_EVERY_MS, undefined, { signal: world.signal });
      const redisMebibytes = Math.max(0, (await redis.usedBytes()) - emptyBytes) / 2 ** 20;
      const point = await this.measurer.measure(count, { ...this.#hitsOf(gateway, table, count), isAnyRow: true });
      const names = world.primary.map(({ name }) => name);
      points.push({ ...point, redisMebibytes, lookUpNanos: lookUpNanos(names, count, rowsKeyPrefix, world.seed) });
    }
    return { of: 'keys', points };
  }

  async #connections(gateway: RingfillProcess, table: string): Promise<GrowthSeries> {
    const { rows, connections: counts } = this.#scale;
    const points: GrowthPoint[] = [];
    for (const connections of counts) {
      this.#world.say(`  ${connections} connections`);
      points.push(await this.measurer.measure(connections, { ...this.#hitsOf(gateway, table, rows), connections }));
    }
    return { of: 'connections', points };
  }

  async #processes(installation: Installation, table: string): Promise<GrowthSeries> {
    const world = this.#world;
    const { rows, processes: counts } = this.#scale;
    const points: GrowthPoint[] = [];
    for (const count of counts) {
      world.say(`  ${count} processes`);
      const gateway = await installation.startGateway(
        `processes${count}`,
        {},
        { args: ['--processes', String(count)] },
      );
      await allReady(gateway, count, world.signal);
      await pin(gateway.pid, world.cores.all);
      await allBelieved([gateway], READY_WITHIN_MS, world.signal);
      points.push(await this.measurer.measure(count, this.#hitsOf(gateway, table, rows)));
      await gateway.stop();
    }
    return { of: 'processes', points };
  }

  /** Before anybody follows, so that nobody is behind because of it. */
  async #createTable(name: string, rows: number): Promise<string> {
    const { admin, db, signal } = this.#world;
    const table = `${db}.${name}`;
    await createManyItems(admin, table, rows, ROW_BYTES, signal);
    return table;
  }

  async #start(
    installation: Installation,
  ): Promise<{ readonly gateway: RingfillProcess; readonly stop: () => Promise<void> }> {
    const [gateway, worker] = await Promise.all([installation.startGateway('gateway'), installation.startWorker()]);
    await allBelieved([gateway], READY_WITHIN_MS, this.#world.signal);
    const stop = async () => {
      await gateway.stop();
      await worker.stop();
    };
    return { gateway, stop };
  }

  #hitsOf(gateway: RingfillProcess, table: string, rows: number): HitsToMeasure {
    const { rounds, seconds } = this.#scale;
    const expect = { kind: 'row', sizes: SIZES } as const;
    return { gateway, path: `/${table.replace('.', '/')}`, expect, rows, connections: CONNECTIONS, rounds, seconds };
  }
}

/** The port answers as soon as one of them listens; new connections go to them in turn. */
async function allReady({ host, port }: RingfillProcess, processes: number, signal: AbortSignal): Promise<void> {
  for (let inARow = 0; inARow < READY_IN_A_ROW * processes;) {
    const status = await new Promise<number | undefined>((resolve) => {
      // A connection of its own.
      const asked = get({ host, port, path: '/-/ready', agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      asked.once('error', () => resolve(undefined));
    });
    const metrics = await (await fetch(`http://${host}:${port}/-/metrics`)).text();
    const started = Number(/^ringfill_gateway_processes (\d+)$/m.exec(metrics)?.[1] ?? 1);
    inARow = status === 200 && started >= processes ? inARow + 1 : 0;
    if (inARow === 0) await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}
