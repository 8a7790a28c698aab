import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from '../../gateway/journey/answer.ts';
import { Flights } from '../../gateway/journey/flights.ts';

const place = { layer: 0, shard: 'r1' };
const stored: Answer = { found: { kind: 'absent' }, story: { outcome: 'stored', place, fwd: 'miss' } };
const unstored: Answer = {
  found: { kind: 'absent' },
  story: { outcome: 'unstored', place, fwd: 'miss', because: 'lease-lost' },
};

/** A flight whose read begins and ends when the test says so. */
function controlled(answer: Answer) {
  const landing = Promise.withResolvers<void>();
  let begin = (): void => assert.fail('not started');
  let started = 0;
  return {
    get started() {
      return started;
    },
    readBegins: () => begin(),
    land: () => landing.resolve(),
    crash: (error: Error) => landing.reject(error),
    fly: async (readBegins: () => void) => {
      started += 1;
      begin = readBegins;
      await landing.promise;
      return answer;
    },
  };
}

test('whoever comes before the read begins shares its answer, stored or not', async () => {
  const flights = new Flights();
  const flight = controlled(unstored);
  const first = flights.join('k', flight.fly);
  const second = flights.join('k', () => assert.fail('a second read'));
  flight.readBegins();
  flight.land();
  assert.deepEqual(await first, { answer: unstored, joined: false });
  assert.deepEqual(await second, { answer: unstored, joined: true });
});

test('whoever comes after the read began shares it only if it was stored', async () => {
  const flights = new Flights();
  const flight = controlled(stored);
  void flights.join('k', flight.fly);
  flight.readBegins();
  const late = flights.join('k', () => assert.fail('a second read'));
  flight.land();
  assert.deepEqual(await late, { answer: stored, joined: true });
});

test('those who came too late for an unstored read form one next flight together', async () => {
  const flights = new Flights();
  const [first, next] = [controlled(unstored), controlled(unstored)];
  void flights.join('k', first.fly);
  first.readBegins();
  const late = Array.from({ length: 50 }, () => flights.join('k', next.fly));
  next.land();
  first.land();
  const answers = await Promise.all(late);
  assert.equal(next.started, 1);
  assert.equal(answers.filter(({ joined }) => !joined).length, 1);
});

test('a flight that fails fails for all aboard, and the next one starts afresh', async () => {
  const flights = new Flights();
  const flight = controlled(stored);
  const aboard = [flights.join('k', flight.fly), flights.join('k', flight.fly)];
  flight.crash(new Error('MySQL is away'));
  for (const passenger of aboard) await assert.rejects(passenger, /MySQL is away/);
  assert.equal(flights.isUnderway('k'), false);
  const after = controlled(stored);
  after.land();
  assert.deepEqual(await flights.join('k', after.fly), { answer: stored, joined: false });
});
