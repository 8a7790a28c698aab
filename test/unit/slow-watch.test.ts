import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LoopDelay } from '../../shared/lifecycle/loop-delay.ts';
import { SlowWatch } from '../../shared/lifecycle/slow-watch.ts';

const SLOW_MS = 100;

/** A watch on a clock that the test moves: `pass` as time passes, `block` as a loop that runs nothing meanwhile. */
function watch(t: TestContext, isOnTrial = false) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let now = 50_000;
  const reasons: string[] = [];
  const subject = new SlowWatch({
    slowMs: SLOW_MS,
    onSlow: (why) => reasons.push(why),
    isOnTrial: () => isOnTrial,
    now: () => now,
  });
  t.after(() => subject.forget());
  return {
    subject,
    reasons,
    pass: (ms: number) => {
      for (let passed = 0; passed < ms; passed += 1) {
        now += 1;
        t.mock.timers.tick(1);
      }
    },
    /** The timers that became due meanwhile run once, and before the sockets are read. */
    block: (ms: number) => {
      now += ms;
      t.mock.timers.tick(10);
    },
  };
}

test('a server that hangs is slow before a single answer came, and before a deadline of 250 ms has passed thrice', (t) => {
  const { subject, reasons, pass } = watch(t);
  for (let n = 0; n < 100; n += 1) {
    const asked = subject.asked();
    pass(2);
    subject.answered(asked);
  }
  for (let n = 0; n < 3; n += 1) {
    subject.asked();
    pass(5);
  }
  pass(270);
  assert.deepEqual(reasons, []);
  pass(100);
  assert.match(reasons[0] ?? '', /^slow: answers took longer than 100 ms during [0-9]+ of the last 500 ms$/);
});

test('answers of 150 ms are slow ones; answers of 90 ms are not', (t) => {
  for (const [tookMs, isSlow] of [
    [90, false],
    [150, true],
  ] as const) {
    const { subject, reasons, pass } = watch(t);
    for (let n = 0; n < 10; n += 1) {
      const asked = subject.asked();
      pass(tookMs);
      subject.answered(asked);
    }
    assert.equal(reasons.length > 0, isSlow, `${tookMs} ms`);
    t.mock.timers.reset();
  }
});

test('a loop that is blocked for 300 ms again and again blames nobody; what the server takes beyond that counts', (t) => {
  for (const [serverMs, isSlow] of [
    [1, false],
    [450, true],
  ] as const) {
    const { subject, reasons, pass, block } = watch(t);
    for (let n = 0; n < 20; n += 1) {
      const asked = [subject.asked(), subject.asked(), subject.asked()];
      block(300);
      pass(serverMs);
      for (const one of asked) subject.answered(one);
    }
    assert.equal(reasons.length > 0, isSlow, `${serverMs} ms`);
    t.mock.timers.reset();
  }
});

test('one that has just come back is slow with its first late answer', (t) => {
  const { subject, reasons, pass } = watch(t, true);
  const asked = subject.asked();
  pass(90);
  assert.deepEqual(reasons, []);
  pass(30);
  assert.match(reasons[0] ?? '', /^slow: answers took longer than 100 ms as soon as it was used again$/);
  subject.answered(asked);
});

test('no timer runs while nothing is unanswered', (t) => {
  const { subject, reasons, pass } = watch(t);
  const asked = subject.asked();
  pass(150);
  subject.givenUp(asked);
  pass(10_000);
  const again = subject.asked();
  pass(20);
  subject.answered(again);
  pass(10_000);
  assert.deepEqual(reasons, []);
});

test('a loop that was really blocked is told to have lost about that long, and an idle one next to nothing', async () => {
  const delay = new LoopDelay();
  delay.start();
  try {
    const before = delay.lostUntil(performance.now());
    const blockedAt = performance.now();
    while (performance.now() - blockedAt < 300);
    const lost = delay.lostUntil(performance.now()) - before;
    assert.ok(lost >= 280, `lost ${lost} ms of 300`);
    await sleep(30);
    assert.ok(delay.lostUntil(performance.now()) - before >= 280);
  } finally {
    delay.stop();
  }
});
