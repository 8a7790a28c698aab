/** What gateways and the sync worker call a ring's definition, so that they know whether they place keys alike. */
import { hash } from 'node:crypto';
import type { Placement } from './continuum.ts';

/** Of a ring's members and their placement; its name and its shards' addresses place no key. */
export function ringHash(shards: Iterable<string>, placement: Placement): string {
  return hash('sha256', JSON.stringify([placement, [...shards].toSorted()]), 'base64url').slice(0, 12);
}
