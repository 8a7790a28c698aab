/** Whether gateways believe all of their shards, by what their own `/-/ring` says. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { GatewayTarget } from '../watch/gateways.ts';

const LOOK_EVERY_MS = 50;

/** Settles when every gateway believes every shard; rejects with what they think, past the time. */
export async function allBelieved(
  gateways: readonly GatewayTarget[],
  withinMs: number,
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const doubts = await doubtsOf(gateways);
    if (doubts.length === 0) return;
    if (performance.now() > deadline) throw new Error(doubts.join('; '));
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

async function doubtsOf(gateways: readonly GatewayTarget[]): Promise<string[]> {
  const doubts = gateways.map(async ({ name, url }) => {
    try {
      const answer = await fetch(`${url}/-/ring`, { signal: AbortSignal.timeout(2_000) });
      const { layers } = (await answer.json()) as { layers: { shards: { shard: string; state: string }[] }[] };
      return layers.flatMap(({ shards }) =>
        shards.flatMap(({ shard, state }) => (state === 'ok' ? [] : [`${name}: ${shard} is ${state}`])),
      );
    } catch (error) {
      return [`${name}: ${error instanceof Error ? error.message : 'no answer'}`];
    }
  });
  return (await Promise.all(doubts)).flat();
}
