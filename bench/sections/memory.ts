/** What a cached row takes in Redis, beside its bare JSON. */
import { Redis } from 'ioredis';
import type { BenchWorld } from '../harness/bench-world.ts';
import { allBelieved } from '../harness/gateways-believe.ts';
import { Installation } from '../harness/installation.ts';
import { createItems, itemJson, sizeOf, type Sizes } from '../harness/items.ts';
import { readRows } from '../harness/read-rows.ts';
import { barOf, medianOf } from '../harness/rounds.ts';
import type { ScaleName, Section, SectionResult } from '../harness/section.ts';

const ROWS: Readonly<Record<ScaleName, number>> = { full: 20_000, quick: 5_000, tiny: 1_000 };
/** Around a size rather than of it: what an allocator rounds up to would decide alone. The exact ones are told beside them. */
const SIZES = [
  { name: '150 B, exactly', isJudged: false, sizes: { kind: 'fixed', bytes: 150 } },
  { name: '1 KB, exactly', isJudged: false, sizes: { kind: 'fixed', bytes: 1_024 } },
  { name: 'around 150 B', isJudged: true, sizes: { kind: 'spread', min: 120, max: 187 } },
  { name: 'around 1 KB', isJudged: true, sizes: { kind: 'spread', min: 820, max: 1_270 } },
] as const satisfies readonly { readonly name: string; readonly isJudged: boolean; readonly sizes: Sizes }[];
/** One ratio for each: the rows are the same, their keys and ids are not. */
const PARTS = 5;
/** Of the same Redis; Redis has 16 by default. */
const PLAIN_DATABASE = 15;
const READY_WITHIN_MS = 60_000;

interface Sized {
  readonly name: string;
  readonly isJudged: boolean;
  /** MEMORY USAGE, on average, of each part. */
  readonly entry: readonly number[];
  readonly plain: readonly number[];
  /** What all Redis took more for a row, by their own account of all their memory. */
  readonly usedForEntry: number;
  readonly usedForPlain: number;
}

export const memory: Section = {
  name: 'memory',
  title: 'What a row takes in Redis',
  about:
    'Rows of about 150 B (120 to 187) and about 1 KB (820 to 1,270) of JSON, cached by ringfill with sync on, and the same JSON in a bare string under the same key ' +
    'in another database of the same Redis. By MEMORY USAGE of each key; and by what used_memory grew for a row, which also has the ' +
    'hash tables, and the table of expiry times that ringfill’s entries stand in and the bare strings do not.',
  run: measureMemory,
};

async function measureMemory(world: BenchWorld, scale: ScaleName): Promise<SectionResult> {
  const tableOf = (index: number) => `${world.db}.rows_${index}`;
  const tables = Object.fromEntries(SIZES.map((_, index) => [tableOf(index), {}]));
  const installation = new Installation({ world, name: 'memory', tables });
  for (const [index, { sizes }] of SIZES.entries()) {
    await createItems(world.admin, tableOf(index), ROWS[scale], sizeOf(sizes));
  }
  await installation.startWorker();
  const gateway = await installation.startGateway('gateway');
  await allBelieved([gateway], READY_WITHIN_MS, world.signal);
  const shards = world.primary.map(({ server: { host, port } }) => ({
    cache: new Redis({ host, port }),
    plain: new Redis({ host, port, db: PLAIN_DATABASE }),
  }));
  const wrong: string[] = [];
  const sized: Sized[] = [];
  try {
    const usedMemory = async () => {
      const used = shards.map(async ({ cache }) => Number(/^used_memory:(\d+)/m.exec(await cache.info('memory'))?.[1]));
      return (await Promise.all(used)).reduce((sum, bytes) => sum + bytes, 0);
    };
    for (const [index, { name, isJudged, sizes }] of SIZES.entries()) {
      const count = ROWS[scale];
      const keyPrefix = `${installation.keyPrefix}${tableOf(index).replace('.', '_')}_`;
      const size = sizeOf(sizes);
      const before = await usedMemory();
      await readRows({ url: gateway.url, table: tableOf(index), first: 1, count, signal: world.signal });
      const cached = await usedMemory();
      const entry: number[] = [];
      const plain: number[] = [];
      for (let part = 0; part < PARTS; part += 1) {
        const [length, from] = [count / PARTS, 1 + (part * count) / PARTS];
        const pairs = await Promise.all(
          Array.from({ length }, async (_, place) => {
            const key = `${keyPrefix}${from + place}`;
            const usages = await Promise.all(shards.map(({ cache }) => cache.memory('USAGE', key)));
            const holder = shards[usages.findIndex((one) => one !== null)];
            if (holder === undefined) throw new Error(`no shard of the primary ring holds ${key}`);
            const json = itemJson(from + place, size);
            if (!(await holder.cache.get(key))?.endsWith(json)) wrong.push(`${key} does not hold its row`);
            await holder.plain.set(key, json);
            return [
              Number(usages.find((one) => one !== null)),
              Number(await holder.plain.memory('USAGE', key)),
            ] as const;
          }),
        );
        entry.push(meanOf(pairs.map(([one]) => one)));
        plain.push(meanOf(pairs.map(([, one]) => one)));
      }
      const doubled = await usedMemory();
      sized.push({
        name,
        isJudged,
        entry,
        plain,
        usedForEntry: (cached - before) / count,
        usedForPlain: (doubled - cached) / count,
      });
    }
  } finally {
    for (const { cache, plain } of shards) [cache, plain].forEach((redis) => redis.disconnect());
  }
  const ratiosOf = ({ entry, plain }: Sized) => entry.map((one, part) => one / (plain[part] as number));
  const ratios = sized.filter(({ isJudged }) => isJudged).map(ratiosOf);
  const rounds = Array.from({ length: PARTS }, (_, part) => meanOf(ratios.map((one) => one[part] as number)));
  return {
    ratios: [{ key: 'memory_to_json', rounds }],
    blocks: [
      {
        kind: 'bars',
        chart: {
          title: 'MEMORY USAGE of a row',
          unit: 'B',
          series: ['bare JSON', 'ringfill'],
          groups: sized.map(({ name, entry, plain }) => ({
            name,
            bars: [plain, entry].map(barOf),
          })),
        },
      },
      {
        kind: 'table',
        table: {
          caption: 'Bytes a row, on average',
          columns: [
            'JSON',
            'ringfill, MEMORY USAGE',
            'bare, MEMORY USAGE',
            'ratio',
            'ringfill, used_memory',
            'bare, used_memory',
          ],
          rows: sized.map((one) => [
            one.name,
            medianOf(one.entry).toFixed(1),
            medianOf(one.plain).toFixed(1),
            medianOf(ratiosOf(one)).toFixed(3),
            one.usedForEntry.toFixed(1),
            one.usedForPlain.toFixed(1),
          ]),
        },
      },
    ],
    notes: [],
    wrong: wrong.slice(0, 5),
    figures: { rows: ROWS[scale], sized },
  };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
