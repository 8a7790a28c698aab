import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlowVotes } from '../../shared/lifecycle/slow-votes.ts';

const START_MS = 1_000_000;

/** Answers at an even rate from one moment to another, each quick or slow. */
function answers(votes: SlowVotes, fromMs: number, toMs: number, everyMs: number, kind: 'quick' | 'slow'): void {
  for (let at = fromMs; at < toMs; at += everyMs) {
    if (kind === 'quick') votes.quick(START_MS + at);
    else votes.slow(START_MS + at, true);
  }
}

/** When the verdict is first that it is slow, looked at every 10 ms. */
function slowSince(votes: SlowVotes, fromMs: number, toMs: number, everyMs: number): number | undefined {
  for (let at = fromMs; at < toMs; at += 10) {
    answers(votes, at, at + 10, everyMs, 'slow');
    if (votes.verdict(START_MS + at) !== undefined) return at;
  }
  return undefined;
}

test('slow answers that follow a thousand quick ones a second are told within 300 ms, however few they are', () => {
  for (const everyMs of [1, 10, 40]) {
    const votes = new SlowVotes();
    answers(votes, 0, 2_000, 1, 'quick');
    const at = slowSince(votes, 2_100, 4_000, everyMs);
    assert.ok(at !== undefined && at <= 2_400, `every ${everyMs} ms: ${at}`);
  }
});

test('one stall of 150 ms, all of whose answers come at once, is let pass', () => {
  const votes = new SlowVotes();
  answers(votes, 0, 1_000, 5, 'quick');
  // Unanswered for more than 100 ms: looked at until the answers come.
  answers(votes, 1_100, 1_150, 10, 'slow');
  for (let n = 0; n < 500; n += 1) votes.slow(START_MS + 1_150, true);
  for (let at = 1_150; at < 2_000; at += 5) {
    votes.quick(START_MS + at);
    assert.equal(votes.verdict(START_MS + at), undefined, `at ${at}`);
  }
});

test('where quick answers are the larger part of most slices, slow ones among them are let pass', () => {
  const votes = new SlowVotes();
  for (let at = 0; at < 3_000; at += 1) {
    if (at % 3 === 0) votes.slow(START_MS + at, true);
    else votes.quick(START_MS + at);
    assert.equal(votes.verdict(START_MS + at), undefined, `at ${at}`);
  }
});

test('two late answers are too few, however long they are waited for', () => {
  const votes = new SlowVotes();
  votes.slow(START_MS, true);
  votes.slow(START_MS, true);
  for (let at = 10; at < 490; at += 10) {
    votes.slow(START_MS + at, false);
    assert.equal(votes.verdict(START_MS + at), undefined, `at ${at}`);
  }
  votes.slow(START_MS + 490, true);
  assert.notEqual(votes.verdict(START_MS + 490), undefined);
});

test('what is older than half a second is forgotten', () => {
  const votes = new SlowVotes();
  answers(votes, 0, 1_000, 10, 'slow');
  assert.notEqual(votes.verdict(START_MS + 1_000), undefined);
  assert.equal(votes.verdict(START_MS + 1_500), undefined);
  assert.equal(votes.verdict(START_MS + 60_000), undefined);
});

test('on trial one slow slice is enough, and a late answer among many quick ones is not', () => {
  const votes = new SlowVotes();
  answers(votes, 0, 45, 1, 'quick');
  votes.slow(START_MS + 45, true);
  assert.equal(votes.verdictOnTrial(START_MS + 49), undefined);
  votes.slow(START_MS + 50, true);
  assert.notEqual(votes.verdictOnTrial(START_MS + 50), undefined);
});
