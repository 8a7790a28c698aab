/** The dashboard's figures: what two readings of the counters say of the time between. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { figuresBetween, readCounts } from '../../gateway/operations/counts.ts';
import { quantile } from '../../gateway/operations/quantile.ts';
import { GatewayTelemetry } from '../../gateway/telemetry.ts';
import { createLog } from '../../shared/telemetry/log.ts';

describe('a quantile of a histogram', () => {
  const buckets = [
    { le: 0.001, count: 0 },
    { le: 0.002, count: 80 },
    { le: 0.01, count: 99 },
    { le: Infinity, count: 100 },
  ];

  test('is linear within its bucket', () => {
    assert.equal(quantile(0.4, buckets), 0.0015);
    assert.equal(quantile(0.8, buckets), 0.002);
  });

  test('beyond the last bound, it is that bound', () => assert.equal(quantile(0.999, buckets), 0.01));

  test('of nothing there is none', () => {
    assert.equal(quantile(0.5, [{ le: Infinity, count: 0 }]), undefined);
    assert.equal(quantile(0.5, []), undefined);
  });
});

describe('figures between two readings', () => {
  const place = { layer: 0, shard: 'r1' };
  const hit = { outcome: 'hit', place, ageSeconds: 0 } as const;
  const stored = { outcome: 'stored', place, fwd: 'miss' } as const;
  const mirrors = new Set(['shop.orders']);

  async function figures(between: (telemetry: GatewayTelemetry) => void) {
    const telemetry = new GatewayTelemetry(createLog('error'), () => 3);
    // What was before does not count.
    telemetry.answered('test.users', hit);
    telemetry.took('row', 2);
    telemetry.failed('internal');
    const before = await readCounts(telemetry.registry, mirrors);
    between(telemetry);
    const after = await readCounts(telemetry.registry, mirrors);
    return figuresBetween({ ...before, readAt: 0 }, { ...after, readAt: 2_000 }, 1);
  }

  test('are rates a second, told apart by what kind of table was read', async () => {
    const seen = await figures((telemetry) => {
      for (let n = 0; n < 6; n += 1) telemetry.answered('test.users', n < 3 ? hit : stored);
      for (let n = 0; n < 4; n += 1) telemetry.answered('shop.orders', hit);
      for (let n = 0; n < 8; n += 1) telemetry.took(n < 4 ? 'row' : 'batch', 0.0015);
      telemetry.originRead('test.users', 'primary', 3, 0.001);
      telemetry.failed('bad-id');
      telemetry.failed('row-not-found');
    });
    assert.deepEqual(seen, {
      at: 1,
      requests: 4,
      rows: 5,
      hitRatio: 0.7,
      errors: 0.5,
      originReads: 0.5,
      originRows: 1.5,
      stored: 1.5,
      p50Ms: 1.5,
      p99Ms: 1.99,
      waiting: 3,
      throughRows: 3,
      throughHitRatio: 0.5,
      mirrorRows: 2,
      mirrorHitRatio: 1,
    });
  });

  test('of a second in which nothing happened: no rate, and no ratio of nothing', async () => {
    const { requests, hitRatio, p50Ms, p99Ms } = await figures(() => undefined);
    assert.deepEqual({ requests, hitRatio, p50Ms, p99Ms }, { requests: 0, hitRatio: null, p50Ms: null, p99Ms: null });
  });
});
