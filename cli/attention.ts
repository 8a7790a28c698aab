/** What of a gateway's status somebody should look at: the reasons why `ringfill status` ends with 1. */
import type { Status } from '../client/index.ts';

/** None where all is well. docs/operations.md has the list; the alerts know more, such as how long it has been so. */
export function attentionOf({ whyNotReady, isOriginUp, layers, worker }: Status): readonly string[] {
  const shards = layers.flatMap((layer) => layer.shards);
  return [
    ...(whyNotReady === null ? [] : [`the gateway is not ready: ${whyNotReady}`]),
    ...(isOriginUp ? [] : ['MySQL does not answer; what is cached is served']),
    ...shards.filter(({ state }) => state !== 'ok').map(({ shard, state }) => `shard ${shard} is ${state}`),
    ...(worker === null || FOLLOWS.has(worker.state) ? [] : [`the sync worker is ${worker.state}`]),
  ];
}

/** Another one follows while it waits for the lock: the shards would tell if none did. */
const FOLLOWS: ReadonlySet<string> = new Set(['following', 'waiting-for-lock']);
