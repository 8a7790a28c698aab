/** What is done in which round: drawn from the seed, so that a seed repeats it. */
import { seededRandom, type SeededRandom } from '../../../stack/demo-data/seeded-random.ts';

/** Where a sync worker can be killed: the stations of a change's way. */
export const STATIONS = ['decoded', 'published', 'confirmed', 'checkpoint-written', 'applied'] as const;
export type DrillStation = (typeof STATIONS)[number];

export interface KillPoint {
  readonly station: DrillStation;
  /** It dies at the n-th passing from when it is told. */
  readonly nth: number;
  /** So many turns of its event loop later: at 0 nothing that it does there has left the process. */
  readonly turns: number;
}

export const SHARDS = ['emptied', 'kept', 'reserve'] as const;
export type DrillShard = (typeof SHARDS)[number];

export type Harm =
  | { readonly kind: 'worker'; readonly at: KillPoint }
  /** `hangsFirst`: it stands still for a while before it is killed, and what it is sent meanwhile is lost with it. */
  | { readonly kind: 'broker'; readonly hangsFirst: boolean }
  /** `emptied` and `reserve` (of the fallback ring) come back with nothing; `kept` has all that it ever answered on its disk. */
  | { readonly kind: 'shard'; readonly shard: DrillShard; readonly hangsFirst: boolean }
  | { readonly kind: 'mysql' };

export interface Round {
  readonly number: number;
  readonly seed: number;
  readonly harm: Harm;
  /** Sync workers at the start. */
  readonly workers: 1 | 2;
  /** A sync worker is killed once more, while it catches up. */
  readonly again: KillPoint | undefined;
  /** Transactions before the harm, while something is away, and after it. */
  readonly commits: { readonly before: number; readonly amid: number; readonly after: number };
}

export function nameOf(harm: Harm): string {
  switch (harm.kind) {
    case 'worker':
      return `worker ${harm.at.station}`;
    case 'shard':
      return `shard ${harm.shard}${harm.hangsFirst ? ', hung' : ''}`;
    case 'broker':
      return `broker${harm.hangsFirst ? ', hung' : ''}`;
    case 'mysql':
      return harm.kind;
  }
}

type Card = DrillStation | 'broker' | 'mysql' | DrillShard;

/** Every kind comes about as often as it stands here. */
const DECK: readonly Card[] = [
  ...STATIONS,
  ...STATIONS,
  'applied',
  'published',
  'broker',
  'broker',
  'mysql',
  'mysql',
  'emptied',
  'kept',
  'reserve',
];

export function schedule(seed: number, rounds: number): Round[] {
  const random = seededRandom(seed);
  // Its first draws of seeds that lie close to each other do so too.
  for (let draw = 0; draw < 8; draw += 1) random.below(2);
  const cards: Card[] = [];
  while (cards.length < rounds) cards.push(...shuffled(DECK, random));
  return cards.slice(0, rounds).map((card, index) => ({
    number: index + 1,
    seed: random.below(2 ** 31),
    harm: harmBy(card, random),
    workers: random.below(3) === 0 ? 2 : 1,
    again: random.below(4) === 0 ? killPoint(random.oneOf(STATIONS), 6, random) : undefined,
    commits: { before: 10 + random.below(60), amid: random.below(60), after: 20 + random.below(40) },
  }));
}

function harmBy(card: Card, random: SeededRandom): Harm {
  switch (card) {
    case 'mysql':
      return { kind: card };
    case 'broker':
      return { kind: card, hangsFirst: random.below(2) === 0 };
    case 'emptied':
    case 'kept':
    case 'reserve':
      return { kind: 'shard', shard: card, hangsFirst: random.below(2) === 0 };
    default:
      return { kind: 'worker', at: killPoint(card, 40, random) };
  }
}

function killPoint(station: DrillStation, nthMax: number, random: SeededRandom): KillPoint {
  // Checkpoints are written a few times a second, and no more.
  const bound = station === 'checkpoint-written' ? 3 : nthMax;
  return { station, nth: 1 + random.below(bound), turns: random.below(4) };
}

function shuffled<Item>(items: readonly Item[], random: SeededRandom): Item[] {
  const left = [...items];
  return items.map(() => left.splice(random.below(left.length), 1)[0] as Item);
}
