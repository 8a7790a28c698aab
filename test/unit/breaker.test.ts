import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Backoff } from '../../shared/lifecycle/backoff.ts';
import { Breaker } from '../../shared/lifecycle/breaker.ts';

function breaker(t: TestContext, probe: () => Promise<void>) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const changes: string[] = [];
  const subject = new Breaker({
    failuresToOpen: 3,
    probe,
    onChange: (state, why) => changes.push(`${state}: ${why}`),
    backoff: new Backoff(100, 400, () => 1),
  });
  t.after(() => subject.stop());
  return { subject, changes };
}

/** Lets what has been resolved run. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test('opens after so many failures in a row; a success in between starts the count again', (t) => {
  const { subject, changes } = breaker(t, () => Promise.resolve());
  subject.failed('late');
  subject.failed('late');
  subject.succeeded();
  subject.failed('late');
  subject.failed('late');
  assert.equal(subject.state, 'closed');
  subject.failed('late');
  assert.equal(subject.state, 'open');
  assert.deepEqual(changes, ['open: late']);
});

test('closes by its own probe, which waits twice as long after each failure, up to a limit', async (t) => {
  let well = false;
  let probes = 0;
  const { subject, changes } = breaker(t, () => {
    probes += 1;
    return well ? Promise.resolve() : Promise.reject(new Error('still away'));
  });
  subject.trip('connection closed');
  for (const [waitMs, expectedProbes] of [
    [99, 0],
    [1, 1],
    [199, 1],
    [1, 2],
    [399, 2],
    [1, 3],
    [399, 3],
    [1, 4],
  ] as const) {
    t.mock.timers.tick(waitMs);
    await settle();
    assert.equal(probes, expectedProbes);
  }
  well = true;
  t.mock.timers.tick(400);
  await settle();
  assert.equal(subject.state, 'closed');
  assert.deepEqual(changes, ['open: connection closed', 'closed: answers again']);
});

test('a server that fails again right after its probe is kept out longer, not as short as at first', async (t) => {
  let probes = 0;
  const { subject } = breaker(t, () => {
    probes += 1;
    return Promise.resolve();
  });
  subject.trip('closed');
  t.mock.timers.tick(100);
  await settle();
  subject.trip('closed again');
  t.mock.timers.tick(100);
  await settle();
  assert.equal(probes, 1);
  t.mock.timers.tick(100);
  await settle();
  assert.equal(probes, 2);
});

test('just after its probe passed one failure opens it again; later it takes as many as ever', async (t) => {
  let now = 0;
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const subject = new Breaker({
    failuresToOpen: 3,
    trialMs: 1_000,
    now: () => now,
    probe: () => Promise.resolve(),
    onChange: () => undefined,
    backoff: new Backoff(100, 400, () => 1),
  });
  t.after(() => subject.stop());
  subject.failed('late');
  assert.equal(subject.state, 'closed', 'at first there was no trial');
  subject.trip('connection closed');
  t.mock.timers.tick(100);
  await settle();
  assert.equal(subject.isOnTrial, true);
  now += 999;
  subject.failed('late');
  assert.equal(subject.state, 'open');
  t.mock.timers.tick(400);
  await settle();
  assert.equal(subject.state, 'closed');
  now += 1_000;
  subject.failed('late');
  subject.failed('late');
  assert.equal(subject.state, 'closed');
  subject.failed('late');
  assert.equal(subject.state, 'open');
});

test('a stopped breaker probes no more', async (t) => {
  let probes = 0;
  const { subject } = breaker(t, () => {
    probes += 1;
    return Promise.resolve();
  });
  subject.trip('closed');
  subject.stop();
  t.mock.timers.tick(10_000);
  await settle();
  assert.equal(probes, 0);
});
