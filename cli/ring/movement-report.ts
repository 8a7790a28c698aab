/** What ring changes move, as lines for people and as JSON for scripts. */
import { alignedTable } from '../aligned-table.ts';
import type { KeysHeld } from './keys-held.ts';
import type { Definition, RingMovement } from './movement.ts';

/** By ring and shard; rings whose shards were not asked are missing. */
export type HeldByRing = ReadonlyMap<string, ReadonlyMap<string, KeysHeld>>;

export function movementsText(movements: readonly RingMovement[], held: HeldByRing = new Map()): string {
  return movements.map((movement) => movementText(movement, held.get(movement.ring))).join('');
}

function movementText(movement: RingMovement, held: ReadonlyMap<string, KeysHeld> | undefined): string {
  const { ring, layer, moves, movedShare, leastShare, shares, replaced, snapshots } = movement;
  const head = `ring ${ring}, layer ${layer}: ${describeChange(movement)}\n`;
  const lines: string[] = [];
  if (moves.length > 0) {
    lines.push(`${percent(movedShare)} of its keys move; evenly shared, ${percent(leastShare)} is the least\n`);
    const isCounted = held !== undefined;
    const table = moves.map(({ from, to, share }) => [
      from,
      to,
      percent(share).padStart(8),
      ...(isCounted ? [keysMoving(share / (shares.get(from) ?? 1), held.get(from))] : []),
    ]);
    const columns = ['from', 'to', 'share', ...(isCounted ? ['keys, about'] : [])];
    lines.push(...alignedTable([columns, ...table]).split(/(?<=\n)/));
    if (isCounted) lines.push(...describeHeld(movement, held));
  }
  for (const shard of replaced) {
    const share = percent(shares.get(shard) ?? 0);
    lines.push(
      `no key moves for ${shard}; its new server begins empty: ${share} of the ring's keys are filled again\n`,
    );
  }
  for (const { table, shards } of snapshots)
    lines.push(`the mirror ${table} is read again into ${shards.join(', ')}\n`);
  return head + lines.map((line) => `  ${line}`).join('');
}

export function movementsJson(movements: readonly RingMovement[], held: HeldByRing): object {
  return {
    rings: movements.map((movement) => {
      const { ring, layer, before, after, moves, movedShare, leastShare, shares, replaced, snapshots } = movement;
      const counted = held.get(ring);
      return {
        ring,
        layer,
        before,
        after,
        movedShare,
        leastShare,
        moves: moves.map(({ from, to, share }) => {
          const keys = keysIn(counted?.get(from));
          const part = share / (shares.get(from) ?? 1);
          return { from, to, share, ...(counted && { keys: keys === undefined ? null : Math.round(part * keys) }) };
        }),
        ...(counted && { held: Object.fromEntries([...counted].map(([shard, of]) => [shard, keysIn(of) ?? null])) }),
        replaced,
        snapshots,
      };
    }),
  };
}

/** 0.2513 -> `25.1 %`; what is there is never 0. */
export function percent(share: number): string {
  if (share > 0 && share < 0.0005) return '< 0.1 %';
  return `${(100 * share).toFixed(1)} %`;
}

function describeChange({ before, after, moves, replaced }: RingMovement): string {
  if (moves.length === 0 && replaced.length === 0) return 'nothing moves';
  if (moves.length === 0) return `${replaced.join(', ')} elsewhere`;
  const added = after.shards.filter((shard) => !before.shards.includes(shard));
  const removed = before.shards.filter((shard) => !after.shards.includes(shard));
  return [
    ...(added.length > 0 ? [`${added.join(', ')} added`] : []),
    ...(removed.length > 0 ? [`${removed.join(', ')} removed`] : []),
    ...(replaced.length > 0 ? [`${replaced.join(', ')} elsewhere`] : []),
    `${countOf(before)} -> ${countOf(after)}`,
  ].join(', ');
}

function countOf({ shards, placement }: Definition): string {
  return `${shards.length} ${shards.length === 1 ? 'shard' : 'shards'} ${placement}`;
}

function describeHeld({ moves, shares }: RingMovement, held: ReadonlyMap<string, KeysHeld>): string[] {
  const known = [...held.values()].map(keysIn).filter((keys) => keys !== undefined);
  const total = known.reduce((sum, keys) => sum + keys, 0);
  const moving = moves.reduce((sum, { from, share }) => {
    return sum + (share / (shares.get(from) ?? 1)) * (keysIn(held.get(from)) ?? 0);
  }, 0);
  const silent = [...held].flatMap(([shard, of]) =>
    'unknown' in of ? [`${shard} does not say: ${of.unknown}\n`] : [],
  );
  if (known.length === 0) return silent;
  const whose = silent.length === 0 ? '' : ' of those that answer';
  return [`about ${Math.round(moving)} of ${total} keys held, by DBSIZE${whose}\n`, ...silent];
}

function keysMoving(part: number, held: KeysHeld | undefined): string {
  const keys = keysIn(held);
  return keys === undefined ? 'not known' : String(Math.round(part * keys));
}

function keysIn(held: KeysHeld | undefined): number | undefined {
  return held !== undefined && 'keys' in held ? held.keys : undefined;
}
