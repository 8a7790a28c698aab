/** What prom-client itself would tell, told of plain numbers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Counter, Histogram, Registry } from 'prom-client';
import { TallyCounter, TallyHistogram } from '../../shared/telemetry/tallies.ts';

const ABOUT = { name: 'x_total', help: 'X.', labelNames: ['a', 'b'] as const };
const label = fc.constantFrom('p', 'q', 'r"s');

test('a counter tells what prom-client’s own would', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(label, label), { maxLength: 50 }), async (incs) => {
      const [ours, theirs] = [new Registry(), new Registry()];
      const tally = new TallyCounter({ ...ABOUT, registry: ours });
      const counter = new Counter({ ...ABOUT, registers: [theirs] });
      for (const [a, b] of incs) {
        tally.inc(a, b);
        counter.inc({ a, b });
      }
      assert.deepEqual(lines(await ours.metrics()), lines(await theirs.metrics()));
      // Asked again, it tells the same.
      assert.deepEqual(lines(await ours.metrics()), lines(await theirs.metrics()));
    }),
  );
});

test('a histogram tells what prom-client’s own would, bounds included', async () => {
  const buckets = [0.5, 1, 2.5];
  const value = fc.constantFrom(0, 0.25, 0.5, 0.75, 1, 2.5, 3, 100);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(label, label, value), { maxLength: 50 }), async (observed) => {
      const [ours, theirs] = [new Registry(), new Registry()];
      const tally = new TallyHistogram({ ...ABOUT, name: 'x_seconds', buckets, registry: ours });
      const histogram = new Histogram({ ...ABOUT, name: 'x_seconds', buckets, registers: [theirs] });
      for (const [a, b, seconds] of observed) {
        tally.of(a, b).observe(seconds);
        histogram.observe({ a, b }, seconds);
      }
      assert.deepEqual(lines(await ours.metrics()), lines(await theirs.metrics()));
      const [json] = await ours.getMetricsAsJSON();
      assert.equal(json?.values.length, new Set(observed.map(([a, b]) => `${a} ${b}`)).size * (buckets.length + 3));
    }),
  );
});

/** In any order, and labels in any order. */
function lines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').toSorted().join(',')}}`))
    .toSorted();
}
