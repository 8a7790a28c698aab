/** How many keys each of some shards holds, as far as they say so at once. Nothing is scanned. */
import { messageOf } from '../../shared/errors/errors.ts';
import { withinDeadline } from '../../shared/lifecycle/deadline.ts';
import { connect } from '../../shared/shard/connect.ts';
import type { Endpoint } from '../../shared/shard/endpoint.ts';

/** Of its database, whoever wrote them; or why it is not known, in an operator's words. */
export type KeysHeld = { readonly keys: number } | { readonly unknown: string };

/** To connect, and then to answer. */
const DEADLINE_MS = 1_000;
/** What `connect` takes is the time of one command; it gives itself four of them. */
const CONNECT_DEADLINES = 4;

/** All at once. */
export async function keysHeldAt(shards: ReadonlyMap<string, Endpoint>): Promise<ReadonlyMap<string, KeysHeld>> {
  return new Map(
    await Promise.all([...shards].map(async ([name, endpoint]) => [name, await countKeys(endpoint)] as const)),
  );
}

async function countKeys(endpoint: Endpoint): Promise<KeysHeld> {
  try {
    const { redis } = await connect(endpoint, 0, DEADLINE_MS / CONNECT_DEADLINES);
    try {
      const late = () => new Error(`no answer within ${DEADLINE_MS} ms`);
      return { keys: await withinDeadline(redis.dbsize(), DEADLINE_MS, late) };
    } finally {
      redis.disconnect();
    }
  } catch (error) {
    return { unknown: messageOf(error).trim() };
  }
}
