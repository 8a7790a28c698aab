/** A gateway with a near cache, and the sync worker's hand, moved by the test. */
import type { VersionedChange } from '../../shared/change/change.ts';
import { decodeEntry } from '../../shared/entry/entry.ts';
import { versionOf } from '../../shared/version/version.ts';
import { until } from './broker.ts';
import { cacheStatusOf, type GatewaySettings, startGateway, type TestGateway } from './gateway.ts';
import { RedisEntries } from './redis-entries.ts';
import { EPOCH, Stamps } from './stamps.ts';
import type { TestStack } from './stack.ts';

export const FOLLOWED = 'test.users(uid)';
export interface NearWorld {
  readonly gateway: TestGateway;
  readonly stamps: Stamps;
  readonly entries: RedisEntries;
  readonly read: (id: number, headers?: Record<string, string>) => Promise<Reading>;
  readonly ownerOf: (id: number) => Promise<string>;
  /** The row as the sync worker would write it, as of a place in the binlog beyond all others. */
  readonly changeTo: (id: number, position: number, body: string) => Promise<VersionedChange>;
  /** Reads it until it is answered out of memory. */
  readonly untilNear: (id: number) => Promise<Reading>;
}

export interface Reading {
  readonly status: number;
  readonly story: string;
  readonly body: string;
  readonly isNear: boolean;
}

export async function nearWorld(stack: TestStack, settings: Partial<GatewaySettings> = {}): Promise<NearWorld> {
  const gateway = await startGateway(stack, {
    tables: { 'test.users': { onSyncLost: 'origin' } },
    sync: {},
    nearCache: { mebibytes: 8 },
    ...settings,
  });
  const stamps = await Stamps.over(stack, gateway.keyPrefix, [FOLLOWED]);
  const entries = new RedisEntries(stack, gateway.keyPrefix);
  const read = async (id: number, headers = {}): Promise<Reading> => {
    const response = await gateway.get(`/test/users/${id}`, { headers });
    const { text: story, detail } = cacheStatusOf(response);
    return { status: response.status, story, body: await response.text(), isNear: / near\b/.test(detail) };
  };
  return {
    gateway,
    stamps,
    entries,
    read,
    async ownerOf(id) {
      const answer = await gateway.get(`/-/ring/owner?key=${gateway.keyPrefix}test_users_${id}`);
      const { candidates } = (await answer.json()) as { candidates: { shard: string }[] };
      return candidates[0]?.shard as string;
    },
    async changeTo(id, position, body) {
      const shape = decodeEntry(await entries.read(`test_users_${id}`))?.shape ?? '';
      return {
        op: 'write',
        table: FOLLOWED,
        key: `${gateway.keyPrefix}test_users_${id}`,
        shape,
        body: Buffer.from(body),
        version: versionOf(EPOCH, { file: 'x.999999', position }, 0),
      };
    },
    async untilNear(id) {
      let last = await read(id);
      await until(`row ${id} is answered out of memory`, async () => (last = await read(id)).isNear);
      return last;
    },
  };
}
