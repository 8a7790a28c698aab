import { ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { clientOf } from './harness/dumps.ts';
import { CLOSED_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const replica: Drill = {
  name: 'replica',
  title: 'a shard turned into the read-only replica of another',
  done: 'REPLICAOF r3 on r2, by mistake: it takes what r3 holds, stamp and all, and no write. Later REPLICAOF NO ONE.',
  world: THREE_AND_TWO,
  load: CLOSED_LOOP,
  coldShare: 0.05,
  seconds: 12,
  claims: ORIGIN_WELL,
  run: async ({ world, harmed, mark, until }) => {
    const { host, port } = world.shard('r3').server;
    const redis = clientOf(world.shard('r2').server);
    await redis.replicaof(host, port);
    harmed('r2 follows r3');
    await until(0.5);
    await redis.replicaof('NO', 'ONE');
    redis.disconnect();
    mark('r2 is on its own again');
  },
};
