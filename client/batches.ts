/**
 * Which ids go into one `?ids=` request.
 *
 * The list on the wire is flat, `1001,1,1001,2`, and only the gateway knows how many parts the table's key has; if we are
 * wrong about it, rows could be told off to the wrong ids. So ids share a request only if
 *
 * - they have as many parts: then as many rows as ids come back exactly if the number of parts is the key's;
 * - no part has a comma in it: for keys without text the gateway takes an encoded comma for a separator.
 */

/** The gateway's own bound. */
export const IDS_MAX = 1_000;

/**
 * Of one request's path and query. The gateway takes 16 KiB of URL and headers together, but many proxies in front of
 * gateways take no request line over 8 KiB.
 */
export const TARGET_BYTES_MAX = 7_500;

/** Positions in `segments`, request by request. `pathBytes` counts all that precedes the ids. */
export function batchesOf(segments: readonly string[], pathBytes: number): number[][] {
  const batches: number[][] = [];
  const open = new Map<number, { positions: number[]; bytes: number }>();
  for (const [position, segment] of segments.entries()) {
    if (segment.includes('%2C')) {
      batches.push([position]);
      continue;
    }
    const partCount = segment.split(',').length;
    let batch = open.get(partCount);
    const bytes = segment.length + 1;
    if (batch === undefined || batch.positions.length === IDS_MAX || batch.bytes + bytes > TARGET_BYTES_MAX) {
      batch = { positions: [], bytes: pathBytes };
      open.set(partCount, batch);
      batches.push(batch.positions);
    }
    batch.positions.push(position);
    batch.bytes += bytes;
  }
  return batches;
}
