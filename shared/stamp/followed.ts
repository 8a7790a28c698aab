/**
 * What a gateway and a capture must agree on for an entry to hear of its changes: by which ring it is placed, under which
 * key columns its table is followed, and, of a mirror, where its rows lie. Both stand in the stamp under these names.
 */
import type { TableSchema } from '../origin/table-schema.ts';
import { EVERY_LAYER, type Route } from '../ring/route.ts';

/**
 * `test.users(uid)`; of a mirror, `test.users(uid) mirror x2` or `test.users(uid) mirror @r1`. With other key columns the
 * same rows have other keys; with another mode or route they lie elsewhere, or as something else.
 */
export function followedName(label: string, schema: Pick<TableSchema, 'key'>, mirrored: Route | undefined): string {
  const name = `${label}(${schema.key.map((part) => part.column).join(',')})`;
  if (mirrored === undefined) return name;
  return `${name} mirror ${mirrored.kind === 'shard' ? `@${mirrored.name}` : `x${mirrored.count}`}`;
}

// A read-through table's name ends with a parenthesis, whatever its columns are called.
const MIRRORED = / mirror (?:x([0-9]+)|@([^ )]+))$/;

/** Where the rows of the table of this followed name may lie. */
export function routeOfFollowed(name: string): Route {
  const [, count, shard] = MIRRORED.exec(name) ?? [];
  if (shard !== undefined) return { kind: 'shard', name: shard };
  return count === undefined ? EVERY_LAYER : { kind: 'layers', count: Number(count) };
}
