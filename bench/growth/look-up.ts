/** What it takes to find the owner of one of so many keys. */
import { Continuum } from '../../shared/ring/continuum.ts';
import { seededRandom } from '../load/random.ts';

/** More than a continuum remembers the owners of, so that remembering helps as far as it does at that many keys. */
const LOOK_UPS = 500_000;

/** @returns ns a look-up, of keys chosen evenly at random; each was looked up before. */
export function lookUpNanos(shards: readonly string[], keys: number, keyPrefix: string, seed: number): number {
  const continuum = new Continuum(shards, 'balanced');
  const random = seededRandom(seed);
  const wanted = Array.from({ length: LOOK_UPS }, () => `${keyPrefix}${1 + Math.floor(random() * keys)}`);
  for (const key of wanted) continuum.owner(key);
  const startedAt = performance.now();
  for (const key of wanted) continuum.owner(key);
  return (1e6 * (performance.now() - startedAt)) / LOOK_UPS;
}
