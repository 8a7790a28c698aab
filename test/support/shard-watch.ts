/** What a gateway says of a shard, as time goes on. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

interface Ring {
  readonly layers: readonly { readonly shards: readonly { readonly shard: string; readonly state: string }[] }[];
}

const LOOK_EVERY_MS = 10;

export async function shardState(url: string, name: string): Promise<string> {
  const { layers } = (await (await fetch(`${url}/-/ring`)).json()) as Ring;
  const shard = layers.flatMap((layer) => layer.shards).find((candidate) => candidate.shard === name);
  assert.ok(shard !== undefined, `${name} is in no ring`);
  return shard.state;
}

/** @returns after how many ms it was in one of the states, and which. Throws if it is not within `withinMs`. */
export async function untilShardIs(
  url: string,
  name: string,
  states: readonly string[],
  withinMs: number,
): Promise<{ readonly state: string; readonly afterMs: number }> {
  const started = performance.now();
  for (;;) {
    const state = await shardState(url, name);
    const afterMs = performance.now() - started;
    if (states.includes(state)) return { state, afterMs };
    assert.ok(afterMs < withinMs, `${name} is ${state}, and not ${states.join(' or ')}, after ${withinMs} ms`);
    await sleep(LOOK_EVERY_MS);
  }
}
