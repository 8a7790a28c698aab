/**
 * Two definitions of a ring -> which part of its keys another shard owns under the second one. Exact: the arcs of both
 * are laid over each other, so it takes a step a point, and no key is tried.
 */
import { type Arc, type Continuum, HASH_SPACE } from './continuum.ts';

/** Keys that move between one shard and another. */
export interface Move {
  readonly from: string;
  readonly to: string;
  /** Of the whole hash space, above 0 and up to 1. */
  readonly share: number;
}

/** Largest first. */
export function movedKeys(before: Continuum, after: Continuum): readonly Move[] {
  const places = new Map<string, Map<string, number>>();
  eachCommonArc([before, after], (length, [from = '', to = '']) => {
    if (from === to) return;
    const heirs = places.get(from) ?? new Map<string, number>();
    places.set(from, heirs.set(to, (heirs.get(to) ?? 0) + length));
  });
  return [...places]
    .flatMap(([from, heirs]) => [...heirs].map(([to, count]) => ({ from, to, share: count / HASH_SPACE })))
    .toSorted((a, b) => b.share - a.share);
}

/** The part of the hash space that some dropped definition gives to a shard which no kept one gives it to, 0 to 1. */
export function ownedOnlyUnder(dropped: readonly Continuum[], kept: readonly Continuum[]): number {
  let places = 0;
  eachCommonArc([...dropped, ...kept], (length, owners) => {
    const staying = owners.slice(dropped.length);
    if (owners.slice(0, dropped.length).some((owner) => !staying.includes(owner))) places += length;
  });
  return places / HASH_SPACE;
}

/**
 * The least that has to move if both definitions share the keys out evenly: 1/n for one shard more or fewer, where n
 * counts it. What really moves may be a little less, as no ring is quite even.
 */
export function leastToMove(before: readonly string[], after: readonly string[]): number {
  const kept = after.filter((shard) => before.includes(shard)).length;
  const gainOfKept = Math.max(0, 1 / after.length - 1 / before.length);
  return (after.length - kept) / after.length + kept * gainOfKept;
}

/** Calls for each stretch of the hash space that has one owner under each of the continua, in order, with its places. */
function eachCommonArc(
  continua: readonly Continuum[],
  visit: (length: number, owners: readonly string[]) => void,
): void {
  if (continua.length === 0) return;
  const remaining = continua.map((continuum) => continuum.arcs());
  const current = remaining.map(nextArc);
  let passed = -1;
  while (passed < HASH_SPACE - 1) {
    const last = Math.min(...current.map((arc) => arc.last));
    // Of two points at one place the first has the keys, and the other's arc is empty.
    if (last > passed) {
      visit(
        last - passed,
        current.map(({ shard }) => shard),
      );
    }
    passed = Math.max(passed, last);
    for (const [index, arcs] of remaining.entries()) {
      if ((current[index] as Arc).last === last && last < HASH_SPACE - 1) current[index] = nextArc(arcs);
    }
  }
}

function nextArc(arcs: Generator<Arc, void>): Arc {
  const { value } = arcs.next();
  if (value === undefined) throw new Error('a continuum ended before the hash space did');
  return value;
}
