/** Whether a Redis may remove mirrored rows, which have no TTL, or the stamp, to make room: then an absent row proves nothing. */
import type { Shard } from '../../shared/shard/shard.ts';

/** Throws ShardUnavailable. */
export async function evictsRows(shard: Shard): Promise<boolean> {
  const info = await shard.run('snapshot', (redis) => redis.info('memory'));
  return /^maxmemory_policy:allkeys-/m.test(info);
}
