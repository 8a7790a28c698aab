/** What the comparison says, from figures made up: it has to say what they say, and to turn when they do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ArchitectureFigures,
  type ArchitectureName,
  ARCHITECTURES,
  type Harmed,
  type Workload,
} from '../../bench/comparison/figures.ts';
import { judgeAnswers } from '../../bench/comparison/judge-answers.ts';
import type { ReadAnswer } from '../../bench/comparison/read-spec.ts';
import { whichWhen } from '../../bench/comparison/which-when.ts';
import { Ledger } from '../../bench/watch/ledger.ts';

const SETTINGS = { rows: 50_000, warmRows: 5_000, ttlSeconds: 30 };
const NONE_OLD = { p50: 0, p99: 0, max: 0 };

const workload: Workload = {
  readsPerSecond: 400,
  writesPerSecond: 20,
  requests: 2_000,
  unsent: 0,
  statuses: { 200: 2_000 },
  latencyMs: { p50: 1, p99: 10, p999: 20, max: 30 },
  lateMs: NONE_OLD,
  hitRatio: 1,
  origin: { queries: 5, rows: 25 },
  oldShare: 0,
  oldMs: NONE_OLD,
  cpu: { gatewayMicrosARequest: 50, gatewayWaited: 0.05, mysql: 0.02, redis: 0.01, worker: 0.05, broker: 0.02 },
};

const harmed: Harmed = {
  ...workload,
  errors: 0,
  errorsUntilMs: 0,
  figures: {
    hitRatioBefore: 1,
    hitRatioWorst: 0.5,
    hitRatioBackMs: 1_500,
    detectedMs: undefined,
    originRowsPerSecondBefore: 10,
    originRowsWorstSecond: 100,
    originRowsWorstSecondAtFirst: 100,
    originRowsWorstSecondLater: 0,
    p99BeforeMs: 10,
    p99WorstMs: 20,
  },
  course: { stepSeconds: 0.5, hitRatio: [1], originRows: [10] },
};

const alike: Omit<ArchitectureFigures, 'name'> = {
  visibleMs: { p50: 10, p99: 40, max: 50 },
  reads: [workload],
  tail: workload,
  burst: {
    ...workload,
    writesPerSecond: 2_000,
    changes: 10_000,
    lastVisibleMs: 60,
    cpu: { ...workload.cpu, worker: 0.09, broker: 0.03 },
  },
  cold: harmed,
  lost: harmed,
  redisBytesARow: 400,
  sync: { workerMebibytes: 200, brokerMebibytes: 120 },
};

type Changes = Partial<Record<ArchitectureName, Partial<ArchitectureFigures>>>;

/** All alike, but for what is said. */
function said(about: string, changes: Changes = {}): string {
  const figures = ARCHITECTURES.map((name) => ({ ...alike, name, ...changes[name] }));
  const sentence = whichWhen(SETTINGS, figures).find((one) => one.startsWith(`${about}.`));
  assert.ok(sentence !== undefined, `nothing is said about ${about}`);
  return sentence;
}

test('who is fresh is who was seen to be', () => {
  assert.match(
    said('Freshness'),
    /TTL alone 10 ms and 40 ms.*: mirror, read-through with sync, TTL alone and no cache\.$/,
  );
  const late = said('Freshness', { ttl: { visibleMs: { p50: 12_000, p99: 24_300, max: 25_000 } } });
  assert.match(late, /TTL alone 12 s and 24\.3 s.*: mirror, read-through with sync and no cache; not TTL alone\.$/);
  const worse = said('Freshness', { mirror: { visibleMs: { p50: 900, p99: 1_200, max: 1_300 } } });
  assert.match(worse, /; not mirror\.$/);
});

test('who spares MySQL is who was seen to, and by how much', () => {
  const asking = (queries: number) => ({ reads: [{ ...workload, origin: { queries, rows: queries } }] });
  const spared = said('Load on MySQL', { none: asking(400), ttl: asking(20), synced: asking(10), mirror: asking(5) });
  assert.match(spared, /Mirror spared it most: 80 times fewer/);
  assert.match(spared, /asked 2 times as often as with sync/);
  const turned = said('Load on MySQL', { none: asking(400), ttl: asking(5), synced: asking(50), mirror: asking(50) });
  assert.match(turned, /TTL alone spared it most: 80 times fewer/);
  assert.match(turned, /With sync, read-through asked 10 times as often/);
  const nothing = said('Load on MySQL');
  assert.match(nothing, /No cache spared it anything to speak of/);
  assert.match(nothing, /sync bought freshness, and no load/);
});

test('latency is a reason for a cache where it was', () => {
  const late = (p99: number) => ({ reads: [{ ...workload, latencyMs: { ...workload.latencyMs, p99 } }] });
  assert.match(said('Latency'), /latency is no reason to build one/);
  assert.match(said('Latency', { none: late(45) }), /4\.5 times that of mirror: at this rate, latency is a reason/);
  assert.match(
    said('Latency', { none: late(45), mirror: late(60), synced: late(15), ttl: late(15.5) }),
    /3 times that of read-through with sync/,
  );
});

test('who takes less memory depends on what a row was seen to take', () => {
  const dear = said('Many rows, seldom read', { mirror: { redisBytesARow: 1_600 } });
  assert.match(dear, /1,526 MiB of Redis in the mirror, and 381 MiB/);
  assert.match(dear, /whatever is read: all rows cached are 25 % of the mirror/);
  const cheap = said('Many rows, seldom read', { mirror: { redisBytesARow: 100 } });
  assert.match(cheap, /while under 25 % of the rows have been read; above that the mirror does/);
});

test('from how many writes on sync takes more than it spares', () => {
  const mysql = (share: number) => ({ reads: [{ ...workload, cpu: { ...workload.cpu, mysql: share } }] });
  // 100 µs a read less 50; 0.05 of a core for 2,000 changes a second: 25 µs.
  const some = said('Many writes', { none: mysql(0.04) });
  assert.match(
    some,
    /mirror 25 µs a change, 50 µs spared a read, so it takes more than it spares above 2\.0 writes for a read/,
  );
  const few = said('Many writes', { none: mysql(0.022) });
  assert.match(few, /read-through with sync 25 µs a change, 5 µs spared a read, so it .* above a write for 5\.0 reads/);
  assert.match(
    said('Many writes', { none: mysql(0.01) }),
    /mirror 25 µs a change, 0 µs spared.* at any share of writes/,
  );
  const seldom = said('Many writes', { mirror: { burst: { ...alike.burst, changes: 100 } } });
  assert.match(seldom, /mirror too little a change to be seen in so short a time, 0 µs spared a read;/);
});

test('a burst is felt by those whose p99 doubled', () => {
  assert.match(said('Write bursts'), /Nobody’s p99 doubled/);
  const burst = { ...alike.burst, latencyMs: { ...workload.latencyMs, p99: 35 }, oldMs: { ...NONE_OLD, max: 4_000 } };
  const felt = said('Write bursts', { synced: { burst } });
  assert.match(felt, /more than doubled with read-through with sync and not with mirror, TTL alone or no cache/);
  assert.match(
    felt,
    /no answer was 1 s old with mirror, TTL alone and no cache; some were with read-through with sync\./,
  );
});

test('latencies of gateways that something else kept from their core are no ground for a choice', () => {
  const cpu = { ...workload.cpu, gatewayWaited: 0.4 };
  const latency = said('Latency', { ttl: { reads: [{ ...workload, cpu }] } });
  assert.match(latency, /more of the machine than of them: 40 % of the time the gateway of TTL alone/);
  assert.doesNotMatch(latency, /reason to build/);
  const burst = said('Write bursts', { mirror: { burst: { ...alike.burst, cpu } } });
  assert.match(burst, /the gateway of mirror wanted its core.* Amid it no answer was 1 s old/);
  assert.doesNotMatch(burst, /doubled/);
});

for (const [about, of] of [
  ['Cold start', 'cold'],
  ['A lost shard', 'lost'],
] as const) {
  test(`${about}: who answered everything, and whom MySQL felt`, () => {
    assert.match(
      said(about),
      /answered all the same: mirror, read-through with sync and TTL alone; MySQL felt it about as much/,
    );
    const failing = { ...harmed, errors: 150, errorsUntilMs: 2_100 };
    const quiet = { ...harmed, figures: { ...harmed.figures, originRowsPerSecondBefore: 0, originRowsWorstSecond: 0 } };
    const { hitRatioBackMs: _, ...neverBack } = harmed.figures;
    const heavy = { ...harmed, figures: { ...neverBack, hitRatioBackMs: undefined, originRowsWorstSecond: 900 } };
    const turned = said(about, {
      mirror: { [of]: { ...quiet, ...failing, figures: quiet.figures } },
      ttl: { [of]: heavy },
    });
    assert.match(
      turned,
      /mirror 150 of 2,000 requests failed, for 2\.1 s, hits back at 100 % after 1\.5 s, 0 row reads in MySQL in the worst second;/,
    );
    assert.match(
      turned,
      /TTL alone every request answered, hits not back at 100 % by the end, 900 row reads in MySQL in the worst second, 90 times/,
    );
    assert.match(
      turned,
      /: read-through with sync and TTL alone, not mirror; where MySQL must not feel it: mirror rather than TTL alone\.$/,
    );
    const unfelt = { ...harmed, figures: { ...harmed.figures, hitRatioWorst: 0.99 } };
    assert.match(said(about, { mirror: { [of]: unfelt } }), /mirror every request answered, hits did not fall/);
    const all = said(about, { mirror: { [of]: failing }, synced: { [of]: failing }, ttl: { [of]: failing } });
    assert.match(all, /None of them answered everything/);
  });
}

test('what sync is kept for', () => {
  const old = (oldShare: number, max: number) => ({ reads: [{ ...workload, oldShare, oldMs: { ...NONE_OLD, max } }] });
  assert.match(
    said('Upkeep', { ttl: old(0.125, 28_000) }),
    /12\.5 % of them were by a TTL of 30 s alone \(the oldest by 28 s\), 0 % with sync/,
  );
  assert.match(said('Upkeep', { synced: old(0.02, 100) }), /In this run it bought no fresher answers/);
});

test('figures that are all nothing make sentences all the same', () => {
  const zero = <Value>(value: Value): Value =>
    (typeof value === 'number'
      ? 0
      : Array.isArray(value)
        ? value.map(zero)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value).map(([key, inner]) => [key, key === 'readsPerSecond' ? inner : zero(inner)]),
            )
          : value) as Value;
  const nothing = zero(alike);
  for (const sentence of whichWhen(
    SETTINGS,
    ARCHITECTURES.map((name) => ({ ...nothing, name })),
  )) {
    assert.doesNotMatch(sentence, /NaN|Infinity|undefined/);
  }
});

test('answers are held against what had been committed when they were asked for', () => {
  const ledger = new Ledger();
  for (const at of [100, 200]) ledger.committed(7, ledger.issue(7), at);
  const answer = (sentAt: number, n: number | undefined, more: Partial<ReadAnswer> = {}): ReadAnswer => {
    const dueAt = sentAt - 1;
    return { id: 7, dueAt, sentAt, endedAt: sentAt + 4, status: 200, n, isHit: true, isSyncLost: false, ...more };
  };
  const answers = [
    answer(150, 1),
    answer(250, 1),
    answer(250, 2),
    answer(1_300, 1),
    answer(1_300, 1, { isSyncLost: true }),
    answer(300, 3),
    answer(300, undefined),
    answer(300, undefined, { status: 503, isHit: false }),
  ];
  const judged = judgeAnswers({ answers, unsent: 1 }, ledger, 1_000);
  assert.deepEqual(judged.statuses, { 200: 7, 503: 1 });
  assert.equal(judged.hitRatio, 7 / 8);
  assert.equal(judged.oldShare, 3 / 8);
  assert.equal(judged.oldMs.max, 1_100);
  assert.equal(judged.latencyMs.max, 5);
  assert.equal(judged.faults.length, 3);
  assert.match(judged.faults[0] ?? '', /counter 1, which had been replaced 1100 ms ago/);
  assert.match(judged.faults[1] ?? '', /counter 3, which nobody wrote/);
  assert.match(judged.faults[2] ?? '', /counter undefined/);
});
