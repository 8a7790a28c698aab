/** Up to when all changes are known: never by the clock, only by a place that was asked for and then passed. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import fc from 'fast-check';
import type { LogPosition } from '../../shared/version/version.ts';
import { Heartbeat } from '../../sync-worker/capture/heartbeat.ts';

const at = (position: number): LogPosition => ({ file: 'mysql-bin.000001', position });
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

interface Asked {
  heartbeat: Heartbeat;
  wentBack: string[];
  tick(nowMs: number, end: number, read?: number): Promise<void>;
}

/** Asks with each tick of a clock of its own. */
function beating(): Asked {
  mock.timers.enable({ apis: ['setInterval'] });
  const state = { nowMs: 0, end: 0, read: undefined as number | undefined };
  const wentBack: string[] = [];
  const heartbeat = new Heartbeat({
    everyMs: 500,
    ask: () => Promise.resolve({ position: at(state.end), executed: '' }),
    now: () => state.nowMs,
    position: () => (state.read === undefined ? undefined : at(state.read)),
    onBeat: () => undefined,
    onEnd: () => undefined,
    onWentBack: (to, from) => wentBack.push(`${from.position} -> ${to.position}`),
    onTrouble: () => undefined,
  });
  let started = false;
  return {
    heartbeat,
    wentBack,
    async tick(nowMs, end, read) {
      Object.assign(state, { nowMs, end, read });
      if (started) mock.timers.tick(500);
      else heartbeat.start();
      started = true;
      await settled();
    },
  };
}

function over(t: { after(done: () => void): void }, { heartbeat }: Asked): void {
  t.after(() => {
    heartbeat.stop();
    mock.timers.reset();
  });
}

test('asOf is the time of the question, once the place in its answer is passed', async (t) => {
  const asked = beating();
  over(t, asked);
  const { heartbeat } = asked;
  await asked.tick(1_000, 100);
  assert.equal(heartbeat.asOf, 0);
  assert.equal(heartbeat.passed(at(99)), undefined);
  assert.equal(heartbeat.asOf, 0);
  assert.deepEqual(heartbeat.passed(at(100)), { position: at(100), executed: '' });
  assert.equal(heartbeat.asOf, 1_000);
  assert.equal(heartbeat.passed(at(200)), undefined, 'nothing new is proved');
});

test('a capture that is ten minutes behind looks ten minutes behind, however often it asks', async (t) => {
  const asked = beating();
  over(t, asked);
  const { heartbeat } = asked;
  const beats = 1_200;
  // The origin writes 10 bytes a beat; the reader is at the first of them.
  for (let beat = 1; beat <= beats; beat += 1) await asked.tick(beat * 500, beat * 10, 10);
  heartbeat.passed(at(10));
  assert.equal(heartbeat.asOf, 500);
  assert.ok(heartbeat.waitingMs > 580_000, String(heartbeat.waitingMs));
  // It catches up: as it passes place after place, so does asOf, in steps that are small beside the lag.
  for (let beat = 1; beat <= beats; beat += 1) {
    heartbeat.passed(at(beat * 10));
    assert.ok(beat * 500 - heartbeat.asOf < 15_000, `${beat * 500} - ${heartbeat.asOf}`);
  }
  assert.equal(heartbeat.asOf, beats * 500);
});

test('a binlog that ends before what was read of it is another one', async (t) => {
  const asked = beating();
  over(t, asked);
  await asked.tick(1_000, 400, 300);
  await asked.tick(1_500, 200, 300);
  assert.deepEqual(asked.wentBack, ['300 -> 200']);
  assert.equal(asked.heartbeat.passed(at(300)), undefined, 'its end proves nothing');
  assert.equal(asked.heartbeat.asOf, 0);
});

test('asOf never lies: it is no later than the newest question whose answer is passed', async () => {
  const step = fc.record({ writes: fc.nat({ max: 30 }), reads: fc.nat({ max: 40 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 400 }), async (steps) => {
      const asked = beating();
      let [end, read, nowMs] = [10, 0, 0];
      const truth: { askedAt: number; end: number }[] = [];
      for (const { writes, reads } of steps) {
        end += writes;
        nowMs += 500;
        truth.push({ askedAt: nowMs, end });
        await asked.tick(nowMs, end, read);
        read = Math.min(end, read + reads);
        asked.heartbeat.passed(at(read));
        const latest = Math.max(0, ...truth.filter((one) => one.end <= read).map(({ askedAt }) => askedAt));
        assert.ok(asked.heartbeat.asOf <= latest);
        // Whoever has read everything knows it.
        if (read === end) assert.equal(asked.heartbeat.asOf, latest);
      }
      asked.heartbeat.stop();
      mock.timers.reset();
    }),
    { numRuns: 40 },
  );
});
