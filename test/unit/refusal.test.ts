import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReplyError } from 'ioredis';
import { type RefusalMeans, refusalIn } from '../../shared/shard/refusal.ts';
import { WriteGate } from '../../shared/shard/write-gate.ts';
import { SlowQuota } from '../../shared/shard/slow-quota.ts';

const reply = (text: string): Error => new (ReplyError as new (message: string) => Error)(text);

test('what a reply that says no means for the commands after it', () => {
  const means: [reply: string, means: RefusalMeans][] = [
    ['LOADING Redis is loading the dataset in memory', 'out-of-use'],
    ['BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.', 'out-of-use'],
    ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 'out-of-use'],
    ['NOAUTH Authentication required.', 'out-of-use'],
    ["OOM command not allowed when used memory > 'maxmemory'.", 'refuses-writes'],
    ['MISCONF Redis is configured to save RDB snapshots, but it is unable to persist on disk.', 'refuses-writes'],
    ['NOREPLICAS Not enough good replicas to write.', 'refuses-writes'],
    ["READONLY You can't write against a read only replica.", 'refuses-writes'],
    ['NOPERM this user has no permissions to access one of the keys used as arguments', 'refuses-this'],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 'refuses-this'],
    ['ERR LOADING is not a word at the beginning', 'refuses-this'],
  ];
  for (const [text, expected] of means) assert.deepEqual(refusalIn(reply(text), false), { means: expected, why: text });
});

test('the place in the script is no part of the reason; a transaction’s is that of its first refused command', () => {
  const oom = "OOM command not allowed when used memory > 'maxmemory'.";
  assert.equal(refusalIn(reply(`${oom} script: 6b2c, on @user_script:12.`), false)?.why, oom);
  const aborted = Object.assign(reply('EXECABORT Transaction discarded because of previous errors.'), {
    previousErrors: [reply('LOADING Redis is loading the dataset in memory')],
  });
  assert.equal(refusalIn(aborted, false)?.means, 'out-of-use');
});

test('READONLY means deposed where Sentinels know a master', () => {
  assert.equal(refusalIn(reply('READONLY You can’t write against a read only replica.'), true)?.means, 'out-of-use');
});

test('silence is no refusal', () => {
  assert.equal(refusalIn(new Error('no answer within 250 ms'), false), undefined);
  assert.equal(refusalIn(new Error('LOADING'), false), undefined);
});

test('a shard that refused a write is tried once a second, until it takes one', () => {
  let now = 0;
  const told: (string | undefined)[] = [];
  const gate = new WriteGate(
    (why) => told.push(why),
    () => now,
  );
  assert.equal(gate.whyNot(), undefined);
  gate.refused('OOM');
  assert.equal(gate.whyNot(), 'OOM');
  now += 999;
  assert.equal(gate.whyNot(), 'OOM');
  now += 1;
  assert.equal(gate.whyNot(), undefined, 'one is let through');
  assert.equal(gate.whyNot(), 'OOM', 'and the others are not');
  gate.refused('OOM');
  now += 1_000;
  assert.equal(gate.whyNot(), undefined);
  gate.taken();
  assert.equal(gate.whyNot(), undefined);
  assert.deepEqual(told, ['OOM', undefined]);
});

test('at most half of the shards, rounded up, leave for being slow', () => {
  for (const [shards, mayLeave] of [
    [1, 1],
    [2, 1],
    [3, 2],
    [5, 3],
  ] as const) {
    const quota = new SlowQuota();
    const all = Array.from({ length: shards }, () => ({ leftForSlowness: false }));
    for (const shard of all) quota.count(shard);
    let left = 0;
    for (const shard of all) {
      if (!quota.mayOneMoreLeave) break;
      shard.leftForSlowness = true;
      left += 1;
    }
    assert.equal(left, mayLeave, `of ${shards}`);
  }
});
