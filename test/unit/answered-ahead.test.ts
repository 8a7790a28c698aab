import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answered, AnsweredAhead, type Reached } from '../../gateway/journey/answered-ahead.ts';
import { versionOf } from '../../shared/version/version.ts';

const READ_MS_MAX = 9_000;

const at = (position: number) => versionOf(1, { file: 'b.1', position });
const reached = (position: number, asOf: number): Reached => ({ to: at(position), asOf });
const exact = (position: number, readAtMs = 50_000): Answered => ({
  kind: 'row',
  exactness: 'exact',
  isSecondHand: false,
  version: at(position),
  readAtMs,
});
const copied = (position: number): Answered => ({ ...exact(position), isSecondHand: true });
/** Of a replica. */
const inexact = (position: number, readAtMs = 50_000): Answered => ({
  ...exact(position, readAtMs),
  exactness: 'inexact',
  isSecondHand: true,
});

/** One shard and key. */
class Shard {
  readonly ahead = new AnsweredAhead();

  note(entry: Answered, by: Reached): void {
    this.ahead.note('r1', 'key', entry, READ_MS_MAX, by);
  }

  mayFollow(entry: Answered, by: Reached): boolean {
    return this.ahead.mayFollow('r1', 'key', entry, READ_MS_MAX, by);
  }
}

test('an exact answer ahead of the stamp is followed by nothing older, until the stamp has come to it', () => {
  const shard = new Shard();
  shard.note(exact(300), reached(100, 50_000));
  assert.equal(shard.mayFollow(exact(200), reached(200, 51_000)), false);
  assert.equal(shard.mayFollow(inexact(200), reached(200, 51_000)), false);
  assert.equal(shard.mayFollow(exact(300), reached(200, 51_000)), true);
  assert.equal(shard.mayFollow(inexact(400), reached(200, 51_000)), true);
  assert.equal(shard.mayFollow(exact(200), reached(300, 51_000)), true, 'whatever counts there now includes it');
});

test('an inexact answer is followed by itself or what is first-hand, until the shard has heard of all that it may include', () => {
  const shard = new Shard();
  const answered = inexact(100);
  shard.note(answered, reached(100, 49_900));
  const soon = reached(400, 58_999);
  assert.equal(shard.mayFollow({ ...answered }, soon), true);
  assert.equal(shard.mayFollow({ ...answered, kind: 'negative' }, soon), false);
  assert.equal(shard.mayFollow({ ...answered, readAtMs: answered.readAtMs + 1 }, soon), false);
  assert.equal(shard.mayFollow(copied(100), soon), false, 'it may be as of the stamp');
  assert.equal(shard.mayFollow(copied(400), soon), false, 'a newer version may still include less');
  assert.equal(shard.mayFollow(exact(100), soon), true, 'read from the primary since');
  assert.equal(shard.mayFollow({ ...inexact(100), isSecondHand: false }, soon), true, 'likewise, "no such row"');
  assert.equal(shard.ahead.isAhead('r1', 'key', soon), true);

  const later = reached(500, 59_000);
  assert.equal(shard.mayFollow(copied(100), later), true);
  assert.equal(shard.ahead.isAhead('r1', 'key', soon), false, 'nothing need be remembered any more');
});

test('an inexact answer ahead of the stamp by its version waits for that, too', () => {
  const shard = new Shard();
  shard.note(inexact(300), reached(100, 50_000));
  assert.equal(shard.mayFollow(copied(200), reached(200, 59_000)), false);
  assert.equal(shard.mayFollow(exact(200), reached(200, 59_000)), false);
  assert.equal(shard.mayFollow(copied(200), reached(300, 59_000)), true);
});

test('what the stamp covers already is not remembered', () => {
  const shard = new Shard();
  shard.note(exact(100), reached(100, 50_000));
  shard.note(inexact(100, 41_000), reached(100, 50_000));
  assert.equal(shard.ahead.isAhead('r1', 'key', reached(0, 0)), false);
});

test('each answer takes the place of the one before; none is weakened by one that came late', () => {
  const shard = new Shard();
  shard.note(exact(200), reached(100, 50_000));
  shard.note(inexact(300), reached(100, 50_000));
  assert.equal(shard.mayFollow(copied(400), reached(200, 50_000)), false);
  shard.note(copied(150), reached(100, 50_000));
  assert.equal(shard.mayFollow(copied(400), reached(200, 50_000)), false);
});

test('what was read from the primary since is followed by its version', () => {
  const shard = new Shard();
  shard.note(inexact(300), reached(100, 50_000));
  shard.ahead.forget('r1', 'key');
  shard.note(exact(200), reached(100, 50_000));
  assert.equal(shard.mayFollow(inexact(300), reached(100, 50_000)), true);
  assert.equal(shard.mayFollow(exact(100), reached(100, 50_000)), false);
});

test('other keys and other shards go by their own', () => {
  const { ahead } = new Shard();
  ahead.note('r1', 'key', inexact(300), READ_MS_MAX, reached(100, 50_000));
  assert.equal(ahead.mayFollow('r1', 'other', copied(100), READ_MS_MAX, reached(100, 50_000)), true);
  assert.equal(ahead.mayFollow('r2', 'key', copied(100), READ_MS_MAX, reached(100, 50_000)), true);
  assert.equal(ahead.isAhead('r2', 'key', reached(100, 50_000)), false);
});

test('of very many the oldest are forgotten, and those that the stamp has come to go first', () => {
  const { ahead } = new Shard();
  const before = reached(100, 50_000);
  const isAhead = (key: number) => ahead.isAhead('r1', String(key), before);
  for (let key = 0; key < 100_010; key += 1) ahead.note('r1', String(key), inexact(100), READ_MS_MAX, before);
  assert.equal(isAhead(0), false);
  assert.equal(isAhead(100_009), true);
  assert.equal(isAhead(50_000), true);
  // Two go for each that comes.
  for (let key = 0; key < 1_000; key += 1)
    ahead.note('r1', `late ${key}`, inexact(100, 60_000), READ_MS_MAX, reached(100, 59_000));
  assert.equal(isAhead(1_500), false);
  assert.equal(isAhead(50_000), true);
});
