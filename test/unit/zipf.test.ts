import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../bench/load/random.ts';
import { zipfSampler } from '../../bench/load/zipf.ts';

const SEED = 20_260_101;
const SAMPLES = 200_000;

function exactDistribution(keys: number, exponent: number): number[] {
  const weights = Array.from({ length: keys }, (_, index) => (index + 1) ** -exponent);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/** Pearson's statistic over bins of at least 20 expected samples each, and its degrees of freedom. */
function chiSquare(counts: readonly number[], distribution: readonly number[]): { statistic: number; freedom: number } {
  let [statistic, bins, seen, expected] = [0, 0, 0, 0];
  for (const [index, probability] of distribution.entries()) {
    seen += counts[index] as number;
    expected += probability * SAMPLES;
    if (expected < 20 && index < distribution.length - 1) continue;
    statistic += (seen - expected) ** 2 / expected;
    bins += 1;
    [seen, expected] = [0, 0];
  }
  return { statistic, freedom: bins - 1 };
}

for (const keys of [2, 10, 1000, 10_000]) {
  for (const exponent of [0, 0.5, 0.99, 1, 1.1, 2, 5]) {
    test(`${keys} keys with exponent ${exponent} come as often as k^-${exponent} says (seed ${SEED})`, () => {
      const sample = zipfSampler(keys, exponent, seededRandom(SEED));
      const counts: number[] = Array.from({ length: keys }, () => 0);
      for (let drawn = 0; drawn < SAMPLES; drawn += 1) {
        const index = sample() - 1;
        assert.ok(index in counts, `key ${index + 1} of ${keys}`);
        counts[index] = (counts[index] as number) + 1;
      }
      const { statistic, freedom } = chiSquare(counts, exactDistribution(keys, exponent));
      // Mean and deviation of chi-square are `freedom` and sqrt(2 freedom); 4.5 deviations, and something for few bins.
      const limit = freedom + 4.5 * Math.sqrt(2 * freedom) + 6;
      assert.ok(statistic < limit, `chi-square ${statistic.toFixed(1)} with ${freedom} degrees of freedom`);
    });
  }
}

test('one key is always itself, and a billion keys need no table', () => {
  const one = zipfSampler(1, 1.1, seededRandom(SEED));
  for (let drawn = 0; drawn < 100; drawn += 1) assert.equal(one(), 1);
  const many = zipfSampler(1_000_000_000, 0.5, seededRandom(SEED));
  for (let drawn = 0; drawn < 10_000; drawn += 1) {
    const key = many();
    assert.ok(Number.isInteger(key) && key >= 1 && key <= 1_000_000_000);
  }
});

test('no keys and exponents below 0 are refused', () => {
  assert.throws(() => zipfSampler(0, 1, Math.random), RangeError);
  assert.throws(() => zipfSampler(10, -1, Math.random), RangeError);
  assert.throws(() => zipfSampler(10, Number.NaN, Math.random), RangeError);
});

test('the same seed gives the same keys, another seed others', () => {
  const keys = (seed: number) => {
    const sample = zipfSampler(1000, 1.1, seededRandom(seed));
    return Array.from({ length: 50 }, sample);
  };
  assert.deepEqual(keys(1), keys(1));
  assert.notDeepEqual(keys(1), keys(2));
});

test('the source of randomness fills [0, 1) evenly', () => {
  for (const seed of [0, 1, SEED, 2 ** 32 - 1]) {
    const random = seededRandom(seed);
    const bins: number[] = Array.from({ length: 100 }, () => 0);
    for (let drawn = 0; drawn < SAMPLES; drawn += 1) {
      const value = random();
      assert.ok(value >= 0 && value < 1);
      bins[Math.floor(value * 100)] = (bins[Math.floor(value * 100)] as number) + 1;
    }
    const { statistic } = chiSquare(
      bins,
      bins.map(() => 0.01),
    );
    assert.ok(statistic < 99 + 4.5 * Math.sqrt(198), `seed ${seed}: chi-square ${statistic}`);
  }
});
