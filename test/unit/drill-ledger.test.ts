import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../bench/watch/ledger.ts';

test('a row that was never written holds the first counter, for ever', () => {
  const ledger = new Ledger();
  assert.ok(ledger.canHold(1, Ledger.FIRST));
  assert.ok(!ledger.canHold(1, 1));
  assert.equal(ledger.replacedAt(1, Ledger.FIRST), Infinity);
});

test('a counter is replaced by the first commit of a higher one', () => {
  const ledger = new Ledger();
  for (const at of [10, 20, 30]) ledger.committed(1, ledger.issue(1), at);
  assert.deepEqual(
    [0, 1, 2, 3].map((n) => ledger.replacedAt(1, n)),
    [10, 20, 30, Infinity],
  );
  assert.equal(ledger.newest(1), 3);
  assert.equal(ledger.commits, 3);
});

test('a counter whose write is in doubt can be held, and is replaced by the next commit', () => {
  const ledger = new Ledger();
  const inDoubt = ledger.issue(1);
  assert.ok(ledger.canHold(1, inDoubt));
  assert.equal(ledger.replacedAt(1, Ledger.FIRST), Infinity);
  ledger.committed(1, ledger.issue(1), 50);
  assert.equal(ledger.replacedAt(1, inDoubt), 50);
  assert.equal(ledger.replacedAt(1, Ledger.FIRST), 50);
});

test('what is kept of a row is bounded, and an age never longer than it is', () => {
  const ledger = new Ledger();
  for (let at = 1; at <= 10_000; at += 1) ledger.committed(1, ledger.issue(1), at);
  const replacedAt = ledger.replacedAt(1, 0);
  assert.ok(replacedAt > 9_000 && replacedAt < 10_000, String(replacedAt));
  assert.equal(ledger.replacedAt(1, 9_999), 10_000);
});
