/** What lies in the shards, entry by entry, and whether it counts: by the stamp beside it, as a gateway would judge. */
import { decodeEntry, type Entry } from '../../../shared/entry/entry.ts';
import { stampKey } from '../../../shared/key/cache-key.ts';
import type { Layers } from '../../../shared/ring/layers.ts';
import { layersOf, ringHashOf } from '../../../shared/shard/shard-layers.ts';
import { decodeStamp, floorOf, isTrusted, type Stamp } from '../../../shared/stamp/stamp.ts';
import type { Installation, InstalledShard } from './installation.ts';
import type { DrillShard } from './schedule.ts';
import type { TrueRow, Truth } from './truth.ts';

export interface Held {
  readonly key: string;
  readonly shard: DrillShard;
  readonly entry: Entry;
  /** Nothing where it counts. */
  readonly untrusted: 'floor' | 'hole' | 'shape' | undefined;
}

export interface ShardInventory {
  readonly shard: DrillShard;
  readonly stamp: Stamp;
  readonly entries: ReadonlyMap<string, Held>;
  /** Of the keys that there are, those that this shard owns. */
  readonly owned: readonly TrueRow[];
  /** What should not be there: bytes that are no entry, keys that are nobody's, keys of another shard. */
  readonly strange: readonly string[];
}

export async function takeInventory(installation: Installation, truth: Truth): Promise<ShardInventory[]> {
  const { config, shards } = installation;
  const isIt = (ring: string, name: string) => (shard: InstalledShard) => shard.ring === ring && shard.name === name;
  const layers = layersOf(config, (ring, name) => shards.find(isIt(ring.name, name)) as InstalledShard);
  return await Promise.all(shards.map((shard) => inventoryOf(shard, installation, layers, truth)));
}

export async function stampIn(shard: InstalledShard, keyPrefix: string): Promise<Stamp | undefined> {
  const stored = await shard.redis.getBuffer(stampKey(keyPrefix));
  return stored === null ? undefined : decodeStamp(stored);
}

async function inventoryOf(
  shard: InstalledShard,
  { config }: Installation,
  layers: Layers<InstalledShard>,
  truth: Truth,
): Promise<ShardInventory> {
  const layer = config.rings.findIndex(({ name }) => name === shard.ring);
  const ring = ringHashOf(config.rings[layer] as (typeof config.rings)[number]);
  const stamp = await stampIn(shard, config.keyPrefix);
  if (stamp === undefined) throw new Error(`${shard.name} has no stamp`);
  const isOwner = (key: string) => layers.owner(key, layer).shard === shard;
  const entries = new Map<string, Held>();
  const strange: string[] = [];
  for (const [key, bytes] of await entriesIn(shard, config.keyPrefix)) {
    const entry = decodeEntry(bytes);
    const row = truth.rows.get(key);
    if (entry === undefined) strange.push(`${shard.name}: ${key} is no entry`);
    else if (row === undefined) strange.push(`${shard.name}: ${key} is nobody's`);
    else if (!isOwner(key)) strange.push(`${shard.name}: ${key} belongs to another shard`);
    else entries.set(key, { key, shard: shard.name, entry, untrusted: whyUntrusted(entry, row, stamp, ring) });
  }
  return {
    shard: shard.name,
    stamp,
    entries,
    owned: [...truth.rows.values()].filter(({ key }) => isOwner(key)),
    strange,
  };
}

function whyUntrusted(entry: Entry, { exposed }: TrueRow, stamp: Stamp, ring: string): Held['untrusted'] {
  if (entry.shape !== exposed.schema.shape) return 'shape';
  const floor = floorOf(stamp, exposed.followedName, ring);
  if (floor === undefined || entry.version < floor) return 'floor';
  return isTrusted(entry, stamp, floor) ? undefined : 'hole';
}

async function entriesIn({ redis }: InstalledShard, keyPrefix: string): Promise<[key: string, bytes: Buffer][]> {
  const keys = new Set<string>();
  let cursor = '0';
  do {
    const [next, some] = await redis.scan(cursor, 'MATCH', `${keyPrefix}*`, 'COUNT', 1_000);
    cursor = next;
    // Names and ids are percent-encoded: the prefix aside, a colon is ringfill's own.
    for (const key of some) if (!key.slice(keyPrefix.length).includes(':')) keys.add(key);
  } while (cursor !== '0');
  const names = [...keys];
  const values = names.length === 0 ? [] : await redis.mgetBuffer(names);
  return names.flatMap((key, index): [string, Buffer][] => {
    const bytes = values[index];
    return bytes === null || bytes === undefined ? [] : [[key, bytes]];
  });
}
