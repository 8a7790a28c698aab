/** A shard's dump, taken and put back. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { kill } from '../../../stack/faults.ts';
import type { RedisServer } from '../../../stack/redis.ts';

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

/** One that does not try again by itself; to be disconnected. */
export function clientOf({ host, port }: RedisServer): Redis {
  const redis = new Redis({ host, port, retryStrategy: () => null });
  // What a command is refused with is its own rejection.
  redis.on('error', () => undefined);
  return redis;
}
