/**
 * Read your own write: a read of a shard that waits, no longer than the bound, until the shard has applied the client's
 * own write, as long as it vouches for itself.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Candidate } from '../../shared/ring/layers.ts';
import type { ShardRead } from '../../shared/shard/read-batch.ts';
import type { SeenStamp } from '../../shared/stamp/stamp-reader.ts';
import { includesWrite, type WritePosition } from '../../shared/stamp/write-position.ts';
import type { Ports } from './ports.ts';
import type { ShardPort } from './shard-port.ts';
import type { RowRequest } from './row-request.ts';
import { type Standing, standingOf } from './trust.ts';

/** Looking again whether a write has reached the shard: it mostly does within a few ms. */
const LOOK_FOR_WRITE_MS = 3;

/** @param read the shard, with its stamp. Throws ShardUnavailable. */
export async function readAfterWrite<Stored>(
  ports: Ports,
  request: RowRequest,
  candidate: Candidate<ShardPort>,
  read: () => Promise<ShardRead<Stored>>,
): Promise<ShardRead<Stored>> {
  const { table, terms } = request;
  const first = await read();
  if (terms.after === undefined || !table.settings.follow) return first;
  const giveUpAt = ports.now() + ports.writeWaitMs;
  for (let seen = first.seen; ; seen = await candidate.shard.seenStamp()) {
    if (seen !== undefined && includesWrite(seen.stamp, terms.after)) break;
    if (standingIn(ports, request, candidate, seen).kind !== 'vouches' || ports.now() >= giveUpAt) return first;
    await sleep(LOOK_FOR_WRITE_MS);
  }
  return includes(first.seen, terms.after) ? first : read();
}

export function includes(seen: SeenStamp | undefined, write: WritePosition): boolean {
  return seen !== undefined && includesWrite(seen.stamp, write);
}

/** What this shard's stamp is worth for this table. */
export function standingIn(
  ports: Ports,
  { table }: RowRequest,
  { rings }: Candidate<ShardPort>,
  seen: SeenStamp | undefined,
): Standing {
  return standingOf(seen, table, ports.trustRules, rings, ports.now());
}
