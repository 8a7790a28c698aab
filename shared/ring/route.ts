/**
 * Where a table's rows may lie, of all the layers: a route picks shards for a key, in the order in which they are asked.
 *
 * A cached row may lie in any layer, as the one above may be away when it is filled. A mirrored row lies in the first few,
 * or in one shard that all rows of the table share.
 */
export type Route =
  | { readonly kind: 'layers'; /** The first so many. */ readonly count: number }
  | { readonly kind: 'shard'; readonly name: string };

export const EVERY_LAYER: Route = { kind: 'layers', count: Infinity };
