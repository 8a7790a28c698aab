/** What grows how, from points made up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exponentOf, growthWords } from '../../bench/growth/exponent.ts';
import { growthBlocks, growthSentence } from '../../bench/growth/series.ts';

const XS = [1, 2, 4, 16, 64];

for (const exponent of [-0.5, 0, 0.5, 1, 2]) {
  test(`the exponent of 3 x^${exponent} is ${exponent}`, () => {
    const found = exponentOf(XS.map((x) => [x, 3 * x ** exponent] as const));
    assert.ok(found !== undefined && Math.abs(found - exponent) < 1e-9, String(found));
  });
}

test('of one point, and of what has no logarithm, there is no exponent', () => {
  assert.equal(exponentOf([[4, 5]]), undefined);
  assert.equal(exponentOf([]), undefined);
  assert.equal(
    exponentOf([
      [1, 5],
      [2, 0],
    ]),
    undefined,
  );
});

test('an exponent is told for what it is', () => {
  assert.equal(growthWords(0.05, 'keys'), 'hardly changes with keys (exponent 0.05)');
  assert.equal(growthWords(0.95, 'keys'), 'grows in proportion to keys (exponent 0.95)');
  assert.equal(growthWords(0.4, 'keys'), 'grows more slowly than keys (exponent 0.40)');
  assert.equal(growthWords(1.3, 'keys'), 'grows faster than keys (exponent 1.30)');
  assert.equal(growthWords(-0.4, 'keys'), 'falls with keys (exponent -0.40)');
});

test('a series is told figure by figure, those that it has', () => {
  const pointAt = (at: number) => ({
    at,
    perSecond: 1_000 * at,
    p99Ms: 2,
    cpuMicros: 100 / at,
    mebibytes: 200,
    waited: 0,
  });
  const points = [1, 2, 4].map(pointAt);
  const sentence = growthSentence({ of: 'processes', points }) ?? '';
  assert.match(
    sentence,
    /^From 1 to 4 processes: throughput grows in proportion to processes \(exponent 1\.00\), 1,000 to 4,000 requests\/s; /,
  );
  assert.match(sentence, /p99 hardly changes with processes/);
  assert.match(sentence, /CPU a request falls with processes \(exponent -1\.00\), 100\.0 to 25\.0 µs/);
  assert.doesNotMatch(sentence, /Redis|look-up/);
  assert.equal(growthSentence({ of: 'processes', points: points.slice(0, 1) }), undefined);
  const disturbed = points.map((point) => ({ ...point, waited: point.at === 2 ? 0.35 : 0.1 }));
  const careful = growthSentence({ of: 'processes', points: disturbed }) ?? '';
  assert.match(careful, /^From 1 to 4 processes: CPU a request falls/);
  assert.match(careful, /this run does not say: at 2 the gateway wanted a core for 35 % of the time/);
  const [chart, table] = growthBlocks({ of: 'keys', points: points.map((point) => ({ ...point, lookUpNanos: 50 })) });
  assert.ok(chart?.kind === 'lines' && table?.kind === 'table');
  assert.deepEqual(chart.chart.lines[0]?.points, [
    [1, 1],
    [2, 2],
    [4, 4],
  ]);
  assert.deepEqual(table.table.columns.slice(-2), ['look-up of an owner, ns', 'waited for a core']);
});
