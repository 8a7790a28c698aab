/** A shard's dump, taken and put back. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { kill } from '../../../stack/faults.ts';
import type { RedisServer } from '../../../stack/redis.ts';
import type { Drill } from './drill.ts';

/** Settles when it lies in a file, which is returned. */
export async function takeDump(server: RedisServer): Promise<string> {
  const redis = clientOf(server);
  try {
    await redis.save();
  } finally {
    redis.disconnect();
  }
  const kept = join(server.folder, 'kept.rdb');
  copyFileSync(join(server.folder, 'dump.rdb'), kept);
  return kept;
}

/** Settles when the shard holds what it held then, and nothing of what came later. */
export async function putDumpBack(server: RedisServer, dump: string): Promise<void> {
  await kill(server);
  copyFileSync(dump, join(server.folder, 'dump.rdb'));
  await server.restart();
}

/** r2 comes back with a dump of that age; the harm of a drill. */
export function restoreAfter(ageMs: number): Drill['run'] {
  return async ({ world, harmed, mark, wait }) => {
    const { server } = world.shard('r2');
    const dump = await takeDump(server);
    mark('r2 has written a dump');
    await wait(ageMs);
    await putDumpBack(server, dump);
    harmed('r2 is back, with the dump', { shards: ['r2'] });
  };
}

/** One that does not try again by itself; to be disconnected. */
export function clientOf({ host, port }: RedisServer): Redis {
  const redis = new Redis({ host, port, retryStrategy: () => null });
  // What a command is refused with is its own rejection.
  redis.on('error', () => undefined);
  return redis;
}
