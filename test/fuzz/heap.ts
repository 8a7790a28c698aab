/** What is left in memory after a collection. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes that are in use, buffers with them. */
export function heapBytes(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const MEBIBYTE = 2 ** 20;
/** Code that is compiled late, caches that fill. */
const MAY_GROW_BYTES = 24 * MEBIBYTE;

/** @param samples over a run, in order; the first third is warming up. */
export function isFlat(samples: readonly number[]): boolean {
  const third = Math.max(1, Math.floor(samples.length / 3));
  const warm = Math.max(...samples.slice(0, third * 2));
  return Math.max(...samples.slice(-third)) <= warm + MAY_GROW_BYTES;
}
