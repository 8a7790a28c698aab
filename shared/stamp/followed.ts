/**
 * What a gateway and a capture must agree on for an entry to hear of its changes: by which ring it is placed, and under
 * which key columns its table is followed. Both stand in the stamp under these names.
 */
import { hash } from 'node:crypto';
import type { TableSchema } from '../origin/table-schema.ts';
import type { Placement } from '../ring/continuum.ts';

/** Of a ring's members and their placement; its name and its shards' addresses place no key. */
export function ringHash(shards: Iterable<string>, placement: Placement): string {
  return hash('sha256', JSON.stringify([placement, [...shards].toSorted()]), 'base64url').slice(0, 12);
}

/** `test.users(uid)`: with other key columns, the same rows have other keys. */
export function followedName(label: string, schema: Pick<TableSchema, 'key'>): string {
  return `${label}(${schema.key.map((part) => part.column).join(',')})`;
}
