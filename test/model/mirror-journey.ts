/**
 * The request's journey for a mirrored row, as gateway/journey/mirror.ts does it: each of the shards where the row may lie
 * is asked for the row and its stamp at once; whatever none of them knows stays unknown.
 */
import type { MirrorEntry } from '../../shared/entry/mirror-entry.ts';
import type { Stamp } from '../../shared/stamp/stamp.ts';
import { epochOf } from '../../shared/version/version.ts';
import type { GatewayPorts } from './gateway.ts';
import type { Said } from './judge.ts';
import { ownersOf, type Ring, type RowKey } from './keys.ts';
import { type ModelShard, SHAPE } from './shard.ts';
import type { TrustRule } from './trust-rule.ts';

interface Asking {
  readonly name: string;
  readonly layers: readonly (readonly Ring[])[];
  readerOf(shard: ModelShard): InstanceType<TrustRule['StampReader']>;
}

export type Word =
  | { readonly kind: 'row'; readonly row: MirrorEntry }
  /** There is a row: nobody is told more, nor that there is none. */
  | { readonly kind: 'too-large' }
  | { readonly kind: 'absent' | 'unknown' };

/** What a shard knows of a row, by its own stamp. */
export function wordOf(
  { floorOf, oldestFloorOf, isTrusted, isComplete }: TrustRule,
  rings: readonly Ring[],
  { table }: RowKey,
  row: MirrorEntry | null,
  stamp: Stamp,
): Word {
  const hashes = rings.map(({ hash }) => hash);
  const oldest = oldestFloorOf(stamp, table, hashes);
  if (oldest === undefined) return { kind: 'unknown' };
  if (row === null || !isTrusted({ version: row.version, exactness: 'exact' }, stamp, oldest.floor)) {
    const knowsAll = hashes.some((hash) => {
      const floor = floorOf(stamp, table, hash);
      return floor !== undefined && isComplete(stamp, table, hash, SHAPE, floor);
    });
    return { kind: knowsAll ? 'absent' : 'unknown' };
  }
  return row.kind === 'row' ? { kind: 'row', row } : { kind: 'too-large' };
}

export async function* mirrorJourney(gateway: Asking, key: RowKey, ports: GatewayPorts): AsyncGenerator<void, void> {
  const { random, shards, judge, trust, now, stalenessBoundMs, servesLost, count, trace, mistakes } = ports;
  const { name } = gateway;
  const lost: (() => void)[] = [];
  for (const place of gateway.layers.flatMap((rings) => ownersOf(rings, key))) {
    // A breaker is open: the next copy is asked.
    if (random.chance(0.15)) continue;
    const shard = shards.get(place.shard) as ModelShard;
    const begun = judge.begins(name, shard.name, key);
    const losses = judge.lossesOf(shard.name, key);
    const read = yield* readOf(shard, key, mistakes);
    const seen = gateway.readerOf(shard).read(read.stamp);
    if (seen === undefined) continue;
    const { stamp, wentBack } = seen;
    judge.saw(name, shard.name, stamp);
    const word = wordOf(trust, place.rings, key, read.row, stamp);
    const answer = (kind: string, until: number | undefined) => {
      const where = `${name}, ${kind} in ${shard.name}:`;
      const isRow = word.kind === 'row';
      const said: Said = isRow
        ? judge.mirroredCounts(where, key, word.row, stamp, until)
        : judge.absenceCounts(where, key, stamp, until);
      trace(`${name} ${kind} ${shard.name} ${key.name} = ${said.content ?? 'absent'}`);
      count(`${kind}: ${isRow ? 'row' : 'no row'}`);
      if (judge.lossesOf(shard.name, key) === losses) {
        judge.answered(name, shard.name, key, said, epochOf(stamp.to), begun);
      }
    };
    const age = now() - stamp.asOf;
    const isYoung = age <= stalenessBoundMs || mistakes.has('asOf not looked at');
    if (!wentBack && stamp.again === undefined && (word.kind === 'row' || word.kind === 'absent')) {
      if (isYoung) return answer('mirror', now() - stalenessBoundMs);
      lost.push(() => answer('until lost', undefined));
    }
    yield;
  }
  const [first] = lost;
  if (servesLost && first !== undefined) first();
  else count('mirror: unknown');
}

async function* readOf(shard: ModelShard, key: RowKey, mistakes: GatewayPorts['mistakes']) {
  const together = await shard.readMirrored([key]);
  const stampFirst = mistakes.has('the stamp before the mirrored row');
  if (!stampFirst && !mistakes.has('the mirrored row before the stamp')) {
    return { stamp: together.stamp, row: together.rows[0] ?? null };
  }
  yield;
  const later = await shard.readMirrored([key]);
  const [stampOf, rowOf] = stampFirst ? [together, later] : [later, together];
  return { stamp: stampOf.stamp, row: rowOf.rows[0] ?? null };
}
