/** The rows as bare JSON in plain strings, for the peers that read Redis themselves. */
import { crc32 } from 'node:zlib';
import { Redis } from 'ioredis';

export interface PlainRows {
  /** What a row's id is put behind. */
  readonly keyPrefix: string;
  readonly count: number;
  readonly jsonOf: (id: number) => string;
  /** A hash of the key chooses one. */
  readonly redis: readonly { readonly host: string; readonly port: number }[];
  /** Redis itself, or a proxy: that understands few commands, and none that greets. */
  readonly isProxy: boolean;
}

const ROWS_AT_ONCE = 1_000;
const PROXY_OPTIONS = { protocol: 2, enableReadyCheck: false, disableClientInfo: true } as const;

export async function writePlainRows({ keyPrefix, count, jsonOf, redis, isProxy }: PlainRows): Promise<void> {
  const shards = redis.map((server) => new Redis({ ...server, ...(isProxy ? PROXY_OPTIONS : {}) }));
  try {
    for (let first = 1; first <= count; first += ROWS_AT_ONCE) {
      const length = Math.min(ROWS_AT_ONCE, count - first + 1);
      const ids = Array.from({ length }, (_, index) => first + index);
      await Promise.all(
        ids.map((id) => {
          const key = `${keyPrefix}${id}`;
          return (shards[crc32(key) % shards.length] as Redis).set(key, jsonOf(id));
        }),
      );
    }
  } finally {
    for (const shard of shards) shard.disconnect();
  }
}
