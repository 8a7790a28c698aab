/** The bench as a whole at its smallest, on servers of its own: every figure is there and every answer was right. No timing. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { findNginx } from '../../bench/peers/nginx.ts';
import { benchHtml, benchText } from '../../bench/harness/bench-report.ts';
import { GOALS, type RatioKey, verdictOf } from '../../bench/harness/goals.ts';
import { benchJson, type BenchResult, runBench } from '../../bench/harness/run-bench.ts';
import { ALL_SECTIONS } from '../../bench/sections/all-sections.ts';
import { comparison } from '../../bench/sections/comparison.ts';
import { growth } from '../../bench/sections/growth.ts';
import { oddNumbers } from '../support/odd-numbers.ts';
import { temporaryFolder } from '../support/stack.ts';

const SEED = 20_261_123;
/** The others are bench-comparison.test.ts's. */
const SECTIONS = ALL_SECTIONS.filter((section) => section !== comparison && section !== growth);
const folder = temporaryFolder();
let result: BenchResult;

before(async () => {
  result = await runBench({
    sections: SECTIONS,
    scale: 'tiny',
    seed: SEED,
    folder,
    onProgress: () => undefined,
    say: () => undefined,
    signal: new AbortController().signal,
  });
});

test('every section was done, and every answer of every peer was right', (t) => {
  t.diagnostic(benchText(result));
  t.diagnostic(result.sections.map(({ name, seconds }) => `${name}: ${seconds.toFixed(0)} s`).join(', '));
  assert.deepEqual(result.notDone, []);
  assert.deepEqual(
    result.sections.map(({ name }) => name),
    SECTIONS.map(({ name }) => name),
  );
  assert.deepEqual(
    result.sections.flatMap(({ wrong }) => wrong),
    [],
  );
});

test('every ratio was measured, but those of peers that are not here', () => {
  const isLeftOut = (key: RatioKey) => key.endsWith('_to_nginx') && findNginx() === undefined;
  const wanted = (Object.keys(GOALS) as RatioKey[]).filter((key) => !isLeftOut(key));
  const { ratios, spread } = benchJson(result) as {
    ratios: Record<string, number>;
    spread: Record<string, [number, number]>;
  };
  assert.deepEqual(Object.keys(ratios), wanted);
  for (const key of wanted) {
    const [min, max] = spread[key] ?? [NaN, NaN];
    const median = ratios[key] ?? NaN;
    assert.ok(Number.isFinite(median) && median > 0, `${key}: ${median}`);
    assert.ok(min <= median && median <= max, `${key}: ${median} of ${min} to ${max}`);
  }
});

test('every figure is a finite number, and not negative', () => {
  const odd = oddNumbers(benchJson(result), []);
  assert.deepEqual(odd, []);
  // What JSON cannot say would be null.
  assert.doesNotMatch(JSON.stringify(benchJson(result)), /null/);
});

test('what was counted is what was done', () => {
  const fill = figuresOf('fill') as {
    rowsARound: number;
    filled: Record<'ringfill' | 'naive', { selects: number; originRows: number }[]>;
    stampedes: Record<'ringfill' | 'naive', number[]>;
  };
  assert.deepEqual(fill.stampedes.ringfill, [1], 'one SELECT for everyone');
  assert.ok(fill.filled.naive.every(({ selects }) => selects === 1));
  assert.ok(
    fill.filled.ringfill.every(({ selects }) => selects < 1),
    'misses are gathered',
  );
  const { closed } = figuresOf('peers') as { closed: Record<string, Record<string, { perSecond: number }[]>> };
  for (const [connections, peers] of Object.entries(closed)) {
    for (const [peer, rounds] of Object.entries(peers)) {
      assert.ok(
        rounds.length > 0 && rounds.every(({ perSecond }) => perSecond > 0),
        `${peer} at ${connections} connections`,
      );
    }
  }
});

test('the report shows every section, tells what was missed, and works offline', () => {
  const html = benchHtml(result);
  for (const { name } of SECTIONS) assert.match(html, new RegExp(`<section id="${name}">`));
  for (const { key } of result.ratios) assert.match(html, new RegExp(`<code>${key}</code>`));
  assert.match(html, /<svg /);
  assert.doesNotMatch(html, /NaN|undefined|Infinity/);
  assert.doesNotMatch(html, /(?:src|href)="(?!#)/);
  const missed = { ...result, ratios: result.ratios.map((ratio) => ({ ...ratio, verdict: 'missed' as const })) };
  assert.equal(benchHtml(missed).split('MISSED').length - 1, result.ratios.length);
});

test('a goal is met from its bar on, in its own direction', () => {
  assert.equal(verdictOf('fills_to_naive', GOALS.fills_to_naive.goal), 'met');
  assert.equal(verdictOf('fills_to_naive', GOALS.fills_to_naive.goal - 0.01), 'missed');
  assert.equal(verdictOf('fills_to_naive', GOALS.fills_to_naive.stretch), 'stretch');
  assert.equal(verdictOf('p99_to_fastify', GOALS.p99_to_fastify.goal), 'met');
  assert.equal(verdictOf('p99_to_fastify', GOALS.p99_to_fastify.goal + 0.01), 'missed');
  assert.equal(verdictOf('p99_to_fastify', GOALS.p99_to_fastify.stretch), 'stretch');
});

function figuresOf(name: string): unknown {
  return result.sections.find((section) => section.name === name)?.figures;
}
