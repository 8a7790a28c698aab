import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answered, type Asked, Checker } from '../../bench/watch/checker.ts';
import { Ledger } from '../../bench/watch/ledger.ts';

const BOUND_MS = 2_750;
const HIT = 'ringfill; hit; ttl=27; key="db_items_7"; detail="r2/0"';
const FROM_FALLBACK = 'ringfill; hit; ttl=27; key="db_items_7"; detail="f1/1"';
const UNSTORED = 'ringfill; fwd=miss; key="db_items_7"; detail="r2/0 unstored=lease-lost"';
const SYNC_LOST = 'ringfill; hit; ttl=27; key="db_items_7"; detail="r2/0 sync-lost=behind"';

/** A row that has held 0, from 1,000 ms on 1, and from 2,000 ms on 2. */
function checker(): Checker {
  const ledger = new Ledger();
  for (const at of [1_000, 2_000]) ledger.committed(7, ledger.issue(7), at);
  return new Checker({ ledger, boundMs: BOUND_MS, startedAt: 0 });
}

function asked(sentAt: number, { gateway = 'gateway-1#1', isWarm = true }: Partial<Asked> = {}): Asked {
  return { id: 7, gateway, isWarm, sentAt };
}

function row(n: unknown, endedAt: number, cacheStatus = HIT, id: unknown = 7): Answered {
  const body = JSON.stringify({ id, n, filler: 'x' });
  return { kind: 'answer', status: 200, cacheStatus, retryAfter: undefined, body, endedAt };
}

function refusal(status: number, retryAfter?: string): Answered {
  return { kind: 'answer', status, cacheStatus: undefined, retryAfter, body: '{"code":"x"}', endedAt: 1 };
}

test('what MySQL says, from wherever it comes, has no fault', () => {
  const judge = checker();
  for (const [at, n, story] of [
    [500, 0, HIT],
    [1_500, 1, HIT],
    [2_500, 2, HIT],
    [2_600, 2, FROM_FALLBACK],
    [2_700, 2, UNSTORED],
  ] as const) {
    assert.equal(judge.judge(asked(at), row(n, at + 1, story)).outcome, 'answered');
  }
  const { faults, requests, oldestMs } = judge.seen();
  assert.deepEqual(faults, { error: 0, wrong: 0, stale: 0, backward: 0 });
  assert.deepEqual([requests, oldestMs], [5, 0]);
});

test('an answer is as old as the commit that took its place, and stale past the bound', () => {
  const judge = checker();
  judge.judge(asked(2_000 + BOUND_MS), row(1, 5_000));
  assert.equal(judge.seen().faults.stale, 0);
  assert.equal(judge.seen().oldestMs, BOUND_MS);
  judge.judge(asked(2_001 + BOUND_MS), row(1, 5_000));
  // That there was a 2 meanwhile does not matter: the 0 was replaced by the 1.
  judge.judge(asked(1_001 + BOUND_MS, { gateway: 'gateway-2#1' }), row(0, 5_000));
  const { faults, oldestMs, examples } = judge.seen();
  assert.equal(faults.stale, 2);
  assert.equal(oldestMs, BOUND_MS + 1);
  assert.match(examples[0]?.what ?? '', /counter 1, replaced 2751 ms ago; now 2/);
  assert.equal(examples[0]?.cacheStatus, HIT);
});

test('an old answer that says sync-lost itself is counted apart', () => {
  const judge = checker();
  judge.judge(asked(9_000), row(1, 9_001, SYNC_LOST));
  const { faults, staleAndSaysSo, oldestMs } = judge.seen();
  assert.deepEqual([faults.stale, staleAndSaysSo, oldestMs], [0, 1, 0]);
});

test('a write in doubt may be answered, and replaces nothing', () => {
  const ledger = new Ledger();
  ledger.committed(7, ledger.issue(7), 1_000);
  const inDoubt = ledger.issue(7);
  const judge = new Checker({ ledger, boundMs: BOUND_MS, startedAt: 0 });
  judge.judge(asked(90_000), row(1, 90_001));
  judge.judge(asked(90_002), row(inDoubt, 90_003));
  assert.deepEqual(judge.seen().faults, { error: 0, wrong: 0, stale: 0, backward: 0 });
  ledger.committed(7, ledger.issue(7), 91_000);
  judge.judge(asked(99_000), row(inDoubt, 99_001));
  assert.equal(judge.seen().faults.stale, 1);
});

test('an answer goes back if the same gateway and shard had answered with more to a request that had ended', () => {
  const judge = checker();
  judge.judge(asked(2_100), row(2, 2_200));
  judge.judge(asked(2_300), row(1, 2_301));
  const { faults, examples } = judge.seen();
  assert.equal(faults.backward, 1);
  assert.match(examples[0]?.what ?? '', /counter 1 after 2, which had been answered 100 ms ago/);
});

test('nothing goes back from an answer that was under way at the same time, or came from elsewhere, or was not stored', () => {
  const judge = checker();
  judge.judge(asked(2_100), row(2, 2_200));
  judge.judge(asked(2_150), row(1, 2_201));
  judge.judge(asked(2_300), row(1, 2_301, FROM_FALLBACK));
  judge.judge(asked(2_300, { gateway: 'gateway-2#1' }), row(1, 2_301));
  judge.judge(asked(2_300, { gateway: 'gateway-1#2' }), row(1, 2_301));
  assert.equal(judge.seen().faults.backward, 0);
  const other = checker();
  other.judge(asked(2_100), row(2, 2_200, UNSTORED));
  other.judge(asked(2_300), row(1, 2_301));
  assert.equal(other.seen().faults.backward, 0);
});

test('any answer but 200 is an error; for a row that was not cached, 503 with Retry-After is counted apart', () => {
  const judge = checker();
  const cold = asked(1, { isWarm: false });
  assert.equal(judge.judge(asked(1), refusal(503, '1')).outcome, 'error');
  assert.equal(judge.judge(cold, refusal(503)).outcome, 'error');
  assert.equal(judge.judge(cold, refusal(504, '1')).outcome, 'error');
  assert.equal(judge.judge(asked(1), refusal(404)).outcome, 'error');
  assert.equal(judge.judge(cold, { kind: 'failed', why: 'ECONNRESET: gone', endedAt: 2 }).outcome, 'error');
  assert.equal(judge.judge(cold, refusal(503, '1')).outcome, 'shed');
  const { faults, shed, statuses } = judge.seen();
  assert.equal(faults.error, 5);
  assert.equal(shed, 1);
  assert.deepEqual(statuses, { '503': 3, '504': 1, '404': 1, 'ECONNRESET: gone': 1 });
});

test('another row, a counter that no write gave, no JSON, and no story are wrong answers', () => {
  const judge = checker();
  for (const answer of [
    row(2, 2_501, HIT, 8),
    row(3, 2_501),
    row('2', 2_501),
    row(2, 2_501, ''),
    { ...refusal(200), cacheStatus: HIT },
    { ...refusal(200), cacheStatus: HIT, body: 'gibberish' },
  ]) {
    assert.equal(judge.judge(asked(2_500), answer).outcome, 'error');
  }
  assert.equal(judge.seen().faults.wrong, 6);
});

test('a thousand faults are counted, and some of each kind kept', () => {
  const judge = checker();
  for (let times = 0; times < 1_000; times += 1) {
    judge.judge(asked(1), refusal(500));
    judge.judge(asked(90_000), row(0, 90_001));
  }
  const { faults, examples } = judge.seen();
  assert.deepEqual([faults.error, faults.stale], [1_000, 1_000]);
  assert.equal(examples.length, 40);
});
