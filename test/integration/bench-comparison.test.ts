/** The bench's comparison of architectures and its growth at their smallest: every figure is there, every answer was right. No timing. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { type ArchitectureFigures, ARCHITECTURES } from '../../bench/comparison/figures.ts';
import type { GrowthPoint } from '../../bench/growth/series.ts';
import { benchHtml, benchText } from '../../bench/harness/bench-report.ts';
import { benchJson, type BenchResult, runBench } from '../../bench/harness/run-bench.ts';
import { comparison } from '../../bench/sections/comparison.ts';
import { growth } from '../../bench/sections/growth.ts';
import { oddNumbers } from '../support/odd-numbers.ts';
import { temporaryFolder } from '../support/stack.ts';

const SEED = 20_261_123;
const folder = temporaryFolder();
let result: BenchResult;

before(async () => {
  result = await runBench({
    sections: [comparison, growth],
    scale: 'tiny',
    seed: SEED,
    folder,
    onProgress: () => undefined,
    say: () => undefined,
    signal: new AbortController().signal,
  });
});

test('both were done, and every answer was right', (t) => {
  t.diagnostic(benchText(result));
  t.diagnostic(result.sections.map(({ name, seconds }) => `${name}: ${seconds.toFixed(0)} s`).join(', '));
  assert.deepEqual(result.notDone, []);
  assert.deepEqual(
    result.sections.flatMap(({ wrong }) => wrong),
    [],
  );
});

test('every figure is a finite number, and not negative', () => {
  assert.deepEqual(oddNumbers(benchJson(result), []), []);
  assert.doesNotMatch(JSON.stringify(benchJson(result)), /null/);
});

test('each architecture answered everything while nothing was lost, from where it should', () => {
  for (const { name, reads, tail, burst } of architectures()) {
    for (const workload of [...reads, tail, burst]) {
      assert.deepEqual(workload.statuses, { 200: workload.requests }, name);
      assert.ok(workload.requests > 0 && workload.writesPerSecond > 0, name);
      assert.equal(workload.unsent, 0, name);
      if (name === 'mirror') assert.equal(workload.hitRatio, 1);
      if (name === 'none') {
        assert.equal(workload.hitRatio, 0);
        assert.equal(workload.oldShare, 0, 'MySQL itself is never behind');
        assert.ok(workload.origin.queries > 0);
      }
    }
    assert.ok(burst.changes > 0);
  }
});

test('what was lost was missed where something was cached, and the table could not be asked in place of a mirror', () => {
  const [mirror, synced, ttl, none] = architectures();
  // What has only a TTL may have run out of it just before.
  for (const harmed of [mirror?.cold, synced?.cold]) {
    assert.ok(harmed !== undefined && harmed.figures.hitRatioWorst < harmed.figures.hitRatioBefore);
  }
  for (const harmed of [mirror?.lost, synced?.lost, ttl?.cold, ttl?.lost])
    assert.ok(harmed !== undefined && harmed.requests > 0);
  assert.ok((mirror?.cold?.statuses['503'] ?? 0) > 0);
  assert.equal(synced?.cold?.errors, 0);
  assert.equal(none?.cold, undefined);
  for (const one of [mirror, synced]) assert.ok(one?.sync !== undefined && (one.redisBytesARow ?? 0) > 0, one?.name);
});

test('each series has every point', () => {
  const { series } = figuresOf(growth.name) as { series: Record<string, GrowthPoint[]> };
  const at = Object.fromEntries(Object.entries(series).map(([of, points]) => [of, points.map((point) => point.at)]));
  assert.deepEqual(at, { shards: [1, 2], connections: [1, 8], processes: [1, 2], keys: [100, 400] });
  for (const { perSecond, mebibytes } of Object.values(series).flat()) assert.ok(perSecond > 0 && mebibytes > 0);
  const [few, many] = series['keys'] ?? [];
  assert.ok((many?.redisMebibytes ?? 0) > (few?.redisMebibytes ?? 0));
});

test('the report says which, when, and what grows how', () => {
  const html = benchHtml(result);
  assert.match(html, /<h3>Which, when<\/h3><ul><li>Freshness\./);
  assert.match(html, /<h3>What grows how<\/h3><ul><li>From 1 to 2 shards: /);
  assert.doesNotMatch(html, /NaN|undefined|Infinity/);
});

function architectures(): ArchitectureFigures[] {
  const figures = figuresOf(comparison.name) as { architectures: Record<string, ArchitectureFigures> };
  return ARCHITECTURES.map((name) => figures.architectures[name]).filter((one) => one !== undefined);
}

function figuresOf(name: string): unknown {
  return result.sections.find((section) => section.name === name)?.figures;
}
