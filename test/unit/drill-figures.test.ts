import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figuresOf } from '../../bench/watch/figures.ts';
import { toldStory } from '../../bench/watch/story.ts';
import type { Recorded, Step } from '../../bench/watch/timeline.ts';
import { cacheStatus } from '../../gateway/http/cache-status.ts';

const place = { shard: 'r2', layer: 0 };
const NO_LATENCIES = { p50: 0, p99: 0, p999: 0, max: 0 };

/** Ten steps a second; each of ten requests, with so many hits. */
function recorded(hits: readonly number[], states: Recorded['states'] = []): Recorded {
  const steps = hits.map((count): Step => {
    return { requests: 10, errors: 0, shed: 0, hits: count, originRows: 10 - count, originSelects: 1, p50: 1, p99: 2 };
  });
  return { steps, marks: [], states, latencyMs: NO_LATENCIES };
}

const times = (count: number, hits: number) => Array.from({ length: count }, () => hits);

test('the hit ratio is back once it is good for a second', () => {
  const dipped = [...times(30, 10), ...times(10, 5), ...times(5, 10), ...times(5, 5), ...times(20, 10)];
  const figures = figuresOf(recorded(dipped), { atMs: 3_000, shards: [] }, ['g']);
  assert.equal(figures.hitRatioBefore, 1);
  assert.equal(figures.hitRatioWorst, 0.5);
  assert.equal(figures.hitRatioBackMs, 2_000);
  assert.equal(figures.originRowsPerSecondBefore, 0);
  assert.equal(figures.originRowsWorstSecond, 50);
});

test('a hit ratio that does not come back has no time', () => {
  const figures = figuresOf(recorded([...times(30, 10), ...times(40, 8)]), { atMs: 3_000, shards: [] }, ['g']);
  assert.equal(figures.hitRatioBackMs, undefined);
});

test('a fault is detected once every gateway says so of every shard', () => {
  const at = (atMs: number, gateway: string, shard: string, state: string) => ({ atMs, gateway, shard, state });
  const known = [
    at(5, 'g1', 'primary r1', 'ok'),
    at(2_900, 'g1', 'primary r2', 'down'),
    at(3_080, 'g1', 'primary r1', 'down'),
    at(3_200, 'g2', 'primary r1', 'behind'),
  ];
  const detected = (states: Recorded['states'], ...gateways: string[]) =>
    figuresOf(recorded(times(60, 10), states), { atMs: 3_000, shards: ['primary r1'], gateways }, ['g1', 'g2'])
      .detectedMs;
  assert.equal(detected(known, 'g1', 'g2'), 200);
  assert.equal(detected(known, 'g1'), 80);
  assert.equal(detected(known.slice(0, 3), 'g1', 'g2'), undefined);
});

test('every story of a gateway is understood', () => {
  const told = (story: Parameters<typeof cacheStatus>[0]) => toldStory(cacheStatus(story, 'db_items_7'));
  const ages = { place, freshSeconds: 3, ageSeconds: 1 };
  assert.deepEqual(told({ outcome: 'hit', ...ages }), { outcome: 'hit', place: 'r2/0', syncLost: false });
  assert.deepEqual(told({ outcome: 'hit', ...ages, syncLost: 'behind' }), {
    outcome: 'hit',
    place: 'r2/0',
    syncLost: true,
  });
  assert.equal(told({ outcome: 'expired', ...ages, because: 'origin-timeout' })?.outcome, 'expired');
  assert.equal(told({ outcome: 'stored', place, fwd: 'miss' })?.outcome, 'stored');
  assert.equal(told({ outcome: 'collapsed', place, fwd: 'stale' })?.outcome, 'collapsed');
  assert.deepEqual(told({ outcome: 'unstored', fwd: 'bypass', because: 'no-shard' }), {
    outcome: 'unstored',
    syncLost: false,
  });
  assert.equal(told({ outcome: 'unstored', place, fwd: 'miss', because: 'too-large' })?.place, 'r2/0');
  assert.equal(toldStory('nginx; hit'), undefined);
  assert.equal(toldStory(undefined), undefined);
});
