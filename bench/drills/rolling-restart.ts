import { ORIGIN_WELL } from './harness/claims.ts';
import type { Drill } from './harness/drill.ts';
import { OPEN_LOOP, THREE_AND_TWO } from './harness/shapes.ts';

export const rollingRestart: Drill = {
  name: 'rolling-restart',
  title: 'two gateways restarted one after the other',
  done:
    'SIGTERM of gateway-1, and its start when it has ended; then the same of gateway-2. http.drainMs is 1,000; the load ' +
    'goes to the gateways whose /-/ready says yes, asked every 100 ms.',
  world: { ...THREE_AND_TWO, gateways: 2, http: { drainMs: 1_000 } },
  load: OPEN_LOOP,
  seconds: 12,
  claims: ORIGIN_WELL,
  run: async ({ world, harmed, mark, wait }) => {
    for (const gateway of world.gateways) {
      harmed(`SIGTERM of ${gateway.name}`);
      await gateway.restart();
      mark(`${gateway.name} is ready again`);
      await wait(1_000);
    }
  },
};
