/**
 * Continua by the members of their rings, each placed once: that takes some 20 ms for each shard, far too long for requests
 * to wait. Whoever serves while it makes a new ring has it placed in a thread beforehand.
 */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { LRUCache } from 'lru-cache';
import { Continuum, type PlacedPoints, type Placement } from './continuum.ts';

export interface RingMembers {
  /** Names. */
  readonly shards: readonly string[];
  readonly placement: Placement;
}

/** Rings of this configuration and of some before it; one of 64 shards takes 3 MB, and its remembered keys 15 MB more. */
const REMEMBERED_MAX = 32;

const remembered = new LRUCache<string, Continuum>({ max: REMEMBERED_MAX });

export function continuumOf(shards: readonly string[], placement: Placement): Continuum {
  const name = nameOf({ shards, placement });
  let continuum = remembered.get(name);
  if (continuum === undefined) remembered.set(name, (continuum = new Continuum(shards, placement)));
  return continuum;
}

/** `continuumOf` these rings takes no time afterwards. */
export async function placeBeforehand(rings: readonly RingMembers[]): Promise<void> {
  for (const ring of rings) {
    if (remembered.has(nameOf(ring))) continue;
    const placed = await placeInThread(ring);
    remembered.set(nameOf(ring), new Continuum(ring.shards, ring.placement, placed));
  }
}

// This file runs as TypeScript in a clone, and compiled in the package: the one beside it does the same.
const thread = new URL(`./continua-thread${extname(fileURLToPath(import.meta.url))}`, import.meta.url);

function placeInThread(ring: RingMembers): Promise<PlacedPoints> {
  const { promise, resolve, reject } = Promise.withResolvers<PlacedPoints>();
  const worker = new Worker(thread, { workerData: ring });
  worker.once('message', (placed: PlacedPoints) => resolve(placed));
  worker.once('error', reject);
  worker.once('exit', (code) => reject(new Error(`the thread ended with ${code}, and no ring`)));
  return promise;
}

function nameOf({ shards, placement }: RingMembers): string {
  return JSON.stringify([placement, ...shards.toSorted()]);
}
