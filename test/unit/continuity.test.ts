/** Whether capture may read on: every decision, with every reason. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { epochOf, epochStart, versionOf } from '../../shared/version/version.ts';
import type { Checkpoint, FoundCheckpoint } from '../../sync-worker/capture/continuity/checkpoint.ts';
import {
  bridgeCrash,
  type ContinuityQuestion,
  decideContinuity,
  type OriginState,
  type PositionTrouble,
} from '../../sync-worker/capture/continuity/continuity.ts';
import { FollowedGtids, hasExecuted, provesContinuity } from '../../sync-worker/capture/continuity/continuity-gtid.ts';
import { highestOf, nextEpoch, nextPlan, NOTHING_SEEN } from '../../sync-worker/capture/continuity/plan.ts';

const UUID = '3e11fa47-71ca-11e1-9e33-c80aa9429562';
const UUID2 = '2c256447-3f0d-431b-9a25-bddf1f1f6ef6';
const EPOCH = 1_000;
const NOW_MS = 2_000_000;
const at = (file: number, position: number) => ({ file: `mysql-bin.${String(file).padStart(6, '0')}`, position });

const checkpoint: Checkpoint = {
  origin: 'mariadb:1:/data/mysql-bin',
  position: at(5, 700),
  restart: at(5, 700),
  fileCreatedAt: 900,
  epoch: EPOCH,
  plan: 17,
  gtid: '0-1-50',
  to: versionOf(EPOCH, at(5, 700)),
  savedAt: 1_999_000,
};

const origin: OriginState = {
  identity: checkpoint.origin,
  logs: [
    { file: 'mysql-bin.000004', bytes: 1_000 },
    { file: 'mysql-bin.000005', bytes: 1_000 },
    { file: 'mysql-bin.000006', bytes: 300 },
  ],
  end: at(6, 400),
  gtids: { flavour: 'mariadb', executed: '0-1-60', purged: '' },
};

const other = 'mariadb:2:/data/mysql-bin';

function found(changed: Partial<Checkpoint> = {}): FoundCheckpoint {
  return { kind: 'found', checkpoint: { ...checkpoint, ...changed } };
}

function decide(question: Partial<ContinuityQuestion> = {}) {
  return decideContinuity({ found: found(), origin, highest: NOTHING_SEEN, nowMs: NOW_MS, ...question });
}

describe('resume', () => {
  test('the same binlog goes on: same epoch, read on and published on from the checkpoint', () => {
    const decision = decide({ highest: { epoch: EPOCH, plan: 99 } });
    assert.equal(decision.kind, 'resume');
    assert.equal(decision.epoch, EPOCH);
    assert.equal(decision.from, checkpoint.to);
    assert.deepEqual(decision.readFrom, { kind: 'position', position: checkpoint.restart });
    assert.ok(!('hole' in decision));
  });

  test('with a prepared XA transaction it reads on before what was read', () => {
    const decision = decide({ found: found({ restart: at(4, 200) }) });
    assert.equal(decision.kind, 'resume');
    assert.deepEqual(decision.readFrom, { kind: 'position', position: at(4, 200) });
    assert.equal(decision.from, checkpoint.to);
  });

  test('at the very end of the last file, which has grown since its length was read', () => {
    assert.equal(decide({ found: found({ position: at(6, 400), restart: at(6, 400) }) }).kind, 'resume');
  });

  test('a GTID that MySQL does not call executed yet is no reason against it', () => {
    const gtids = { flavour: 'mysql', executed: `${UUID}:1-49`, purged: '' } as const;
    assert.equal(decide({ found: found({ gtid: `${UUID}:1-50` }), origin: { ...origin, gtids } }).kind, 'resume');
  });
});

describe('bridge', () => {
  test('a shard has heard of a later epoch: read on, under a new one, and distrust all above the checkpoint', () => {
    const decision = decide({ highest: { epoch: EPOCH + 5_000, plan: 0 } });
    assert.equal(decision.kind, 'bridge');
    assert.equal(decision.epoch, EPOCH + 5_001);
    assert.equal(decision.from, checkpoint.to);
    assert.deepEqual('hole' in decision && decision.hole, [checkpoint.to, epochStart(EPOCH + 5_001)]);
  });

  test('a crash in the stream: the hole begins where the old file was read up to', () => {
    const { epoch, hole } = bridgeCrash({
      passed: at(5, 800),
      epoch: EPOCH,
      highest: { epoch: EPOCH, plan: 0 },
      nowMs: NOW_MS,
    });
    assert.equal(epoch, 2_000);
    assert.deepEqual(hole, [versionOf(EPOCH, at(5, 800)), epochStart(2_000)]);
  });

  test('two crashes within a second, by the clock, make two epochs', () => {
    const rotation = { passed: at(5, 800), highest: NOTHING_SEEN, nowMs: NOW_MS };
    const first = bridgeCrash({ ...rotation, epoch: EPOCH });
    const second = bridgeCrash({ ...rotation, epoch: first.epoch });
    assert.ok(second.epoch > first.epoch);
  });
});

describe('resume-by-gtid', () => {
  for (const [what, changed, reason] of [
    ['another server', { identity: other }, 'another-server'],
    [
      'another base name',
      { end: { file: 'binlog.000002', position: 90 }, logs: [{ file: 'binlog.000002', bytes: 90 }] },
      'renamed',
    ],
  ] as const) {
    test(`${what} with the same history: a new epoch, the old "to", a hole above it`, () => {
      const decision = decide({ origin: { ...origin, ...changed } });
      assert.equal(decision.kind, 'resume-by-gtid');
      assert.equal(decision.reason, reason);
      assert.equal(decision.from, checkpoint.to);
      assert.ok(decision.epoch > EPOCH);
      assert.deepEqual(decision.readFrom, { kind: 'gtid', gtid: '0-1-50' });
      assert.deepEqual('hole' in decision && decision.hole, [checkpoint.to, epochStart(decision.epoch)]);
    });
  }
});

describe('begin', () => {
  const reasons: readonly (readonly [string, Partial<ContinuityQuestion>])[] = [
    ['no-checkpoint', { found: { kind: 'none' } }],
    ['checkpoint-unreadable', { found: { kind: 'unreadable', why: 'it is torn' } }],
    // Another server: without GTIDs, without ours among them, with ours gone, or after it refused.
    ['another-server', { origin: { ...origin, identity: other, gtids: undefined } }],
    ['another-server', { origin: { ...origin, identity: other }, found: found({ gtid: null }) }],
    ['another-server', { origin: { ...origin, identity: other, gtids: mariadb('0-1-49') } }],
    ['another-server', { origin: { ...origin, identity: other, gtids: mariadb('0-2-60') } }],
    ['another-server', { origin: { ...origin, identity: other, gtids: mariadb('0-1-60', '0-1-51') } }],
    ['another-server', { origin: { ...origin, identity: other, gtids: mysql(`${UUID}:1-60`) } }],
    ['another-server', { origin: { ...origin, identity: other }, refuted: { gtid: true } }],
    ['renamed', { origin: { ...origin, end: { file: 'binlog.000002', position: 90 }, gtids: undefined } }],
    // The same server. There GTIDs prove nothing: after a reset it gives them to other transactions.
    ['purged', { found: found({ position: at(3, 10), restart: at(3, 10) }) }],
    ['purged', { found: found({ restart: at(3, 10) }) }],
    ['purged', { refuted: { position: 'purged' } }],
    ['reset', { found: found({ position: at(7, 4), restart: at(7, 4) }) }],
    ['reset', { refuted: { position: 'reset' } }],
    ['reset', { origin: { ...origin, gtids: mariadb('0-1-49') } }],
    ['bad-position', { found: found({ position: at(5, 1_001), restart: at(5, 1_001) }) }],
    ['bad-position', { found: found({ position: at(6, 401), restart: at(6, 401) }) }],
    ['bad-position', { refuted: { position: 'bad-position' } }],
    ['undecodable', { refuted: { position: 'undecodable', gtid: true } }],
  ];
  for (const [reason, question] of reasons) {
    test(`${reason}: ${JSON.stringify(Object.keys(question))}`, () => {
      const highest = { epoch: 3_000, plan: 0 };
      const decision = decide({ highest, ...question });
      assert.equal(decision.kind, 'begin');
      assert.equal(decision.reason, reason);
      // Above every epoch that anybody has heard of, and beyond what any shard has: each finds a gap.
      assert.equal(decision.epoch, 3_001);
      const { end } = question.origin ?? origin;
      assert.equal(decision.from, versionOf(3_001, end));
      assert.deepEqual(decision.readFrom, { kind: 'position', position: end });
      assert.ok(decision.from > checkpoint.to);
    });
  }

  test('every reason has its case', () => {
    const wanted: Record<PositionTrouble, true> = {
      'another-server': true,
      renamed: true,
      purged: true,
      reset: true,
      'bad-position': true,
      undecodable: true,
    };
    const had = new Set(reasons.map(([reason]) => reason));
    for (const reason of Object.keys(wanted)) assert.ok(had.has(reason), reason);
  });
});

function mariadb(executed: string, purged = '') {
  return { flavour: 'mariadb', executed, purged } as const;
}

function mysql(executed: string, purged = '') {
  return { flavour: 'mysql', executed, purged } as const;
}

describe('GTIDs', () => {
  test('MySQL: all of ours executed, and all of the others still to be read', () => {
    const set = `${UUID}:1-50`;
    assert.ok(provesContinuity(set, mysql(`${UUID}:1-60,${UUID2}:1-3`, `${UUID}:1-50`)));
    assert.ok(!provesContinuity(set, mysql(`${UUID}:1-49`)));
    assert.ok(!provesContinuity(set, mysql(`${UUID}:1-60`, `${UUID}:1-51`)));
    assert.ok(!provesContinuity(set, mysql(`${UUID}:1-60,${UUID2}:1-3`, `${UUID2}:1`)));
    assert.ok(provesContinuity('', mysql(`${UUID}:1-60`)));
    assert.ok(!provesContinuity(undefined, mysql(`${UUID}:1-60`)));
    assert.ok(!provesContinuity(set, undefined));
  });

  test('MariaDB: by domain and server; the state has the last of each server, the position that of each domain', () => {
    assert.ok(provesContinuity('0-1-50,7-3-9', mariadb('0-1-50,0-2-80,7-3-9')));
    assert.ok(!provesContinuity('0-1-50,7-3-9', mariadb('0-1-50,0-2-80')));
    assert.ok(provesContinuity('0-1-50', mariadb('0-1-60,7-3-9')));
    assert.ok(!provesContinuity('0-1-50', mariadb('0-1-60,7-3-9', '7-3-1')), 'of domain 7 the beginning is gone');
    assert.ok(hasExecuted(mariadb('0-1-18446744073709551615'), '0-1-18446744073709551614'));
  });

  test('what cannot be read as GTIDs of this server proves nothing', () => {
    assert.ok(!provesContinuity('0-1-50', mysql(`${UUID}:1-60`)));
    assert.ok(!provesContinuity(`${UUID}:1-60`, mariadb('0-1-50')));
  });

  test('transactions are counted by runs, with holes, tags and sets that come later', () => {
    const gtids = new FollowedGtids('mysql', `${UUID}:1-10`);
    for (const number of [11, 12, 14, 15, 13, 20]) gtids.add(`${UUID}:${number}`);
    gtids.add(`${UUID2}:1`);
    gtids.add(`${UUID}:tagged:1`);
    gtids.merge(`${UUID}:18-19,\n${UUID2}:1-2`);
    assert.equal(gtids.text, `${UUID2}:1-2,${UUID}:1-15:18-20:tagged:1`);
    gtids.add(`${UUID}:21`);
    assert.equal(gtids.text, `${UUID2}:1-2,${UUID}:1-15:18-21:tagged:1`);
  });

  test('a transaction without a GTID ends the count', () => {
    const gtids = new FollowedGtids('mysql', `${UUID}:1-10`);
    gtids.add(undefined);
    gtids.add(`${UUID}:11`);
    gtids.merge(`${UUID}:1-11`);
    assert.equal(gtids.text, undefined);
  });

  test('MariaDB: the last of each domain counts, whatever server it is of', () => {
    const gtids = new FollowedGtids('mariadb', '0-1-5,1-1-7');
    gtids.add('0-2-4');
    gtids.add('3-1-1');
    assert.equal(gtids.text, '0-2-4,1-1-7,3-1-1');
  });
});

describe('plan and epoch', () => {
  test('they come from the clock, and never go back with it', () => {
    assert.equal(nextEpoch(5_999, 3), 5);
    assert.equal(nextEpoch(5_999, 8, 7), 9);
    assert.equal(nextPlan(5_999, 3), 5_999);
    assert.equal(nextPlan(5_999, 5_999, 7), 6_000);
  });

  test('the highest of the stamps; shards without one count nothing', () => {
    const to = versionOf(1_234, at(1, 1));
    assert.equal(epochOf(to), 1_234);
    assert.deepEqual(highestOf([undefined, { to, plan: 3 }, { to: versionOf(7, at(9, 9)), plan: 8 }]), {
      epoch: 1_234,
      plan: 8,
    });
    assert.deepEqual(highestOf([]), NOTHING_SEEN);
  });
});
