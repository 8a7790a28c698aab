/** What a command does to the rings of a configuration, what it refuses, and how long what was before is kept. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { expiredBy, longestLifeSeconds } from '../../cli/ring/longest-life.ts';
import { coldShare, movementsOf, movementsUnderWay } from '../../cli/ring/movement.ts';
import { changeRings, parsePlacement, parseShard, parseShardAt, type RingChange } from '../../cli/ring/ring-change.ts';
import { parseConfig } from '../../shared/config/load.ts';
import type { Config, RingConfig } from '../../shared/config/schema.ts';
import { SetupError } from '../../shared/errors/errors.ts';

const UNTIL = '2026-11-24T10:00:00Z';

function configWith(rings: readonly RingConfig[], more: Readonly<Record<string, unknown>> = {}): Config {
  const config = { origin: { url: 'mysql://o' }, rings, tables: { 'test.users': {} }, ...more };
  return parseConfig(JSON.stringify(config), 'test', {});
}

function ring(name: string, ...shards: readonly string[]): RingConfig {
  return { name, shards: Object.fromEntries(shards.map((shard) => [shard, `redis://${shard}`])) };
}

function changed(rings: readonly RingConfig[], ...changes: readonly RingChange[]): readonly RingConfig[] {
  return changeRings(configWith(rings), rings, changes, UNTIL);
}

const add = (text: string) => parseShardAt('add', text);
const replace = (text: string) => parseShardAt('replace', text);
const threeShards = [ring('primary', 'r1', 'r2', 'r3'), ring('fallback', 'f1', 'f2')];
const { shards: three } = threeShards[0] as RingConfig;

test('one more: the ring as it was is its newest former definition, and the others are as they were', () => {
  const [primary, fallback] = changed(threeShards, add('primary/r4=redis://r4'), add('primary/r5=unix:///r5?db=1'));
  assert.deepEqual(primary, {
    name: 'primary',
    shards: { ...three, r4: 'redis://r4', r5: 'unix:///r5?db=1' },
    former: [{ shards: three, until: UNTIL }],
  });
  assert.equal(fallback, threeShards[1]);
});

test('one fewer, and another placement: the same, once for all that is changed together', () => {
  const [primary] = changed(threeShards, parseShard('primary/r2'), parsePlacement('primary=ketama'));
  assert.deepEqual(primary, {
    name: 'primary',
    placement: 'ketama',
    shards: { r1: 'redis://r1', r3: 'redis://r3' },
    former: [{ shards: three, until: UNTIL }],
  });
});

test('a change on top of a change: the newest first; and back again', () => {
  const once = changed(threeShards, add('primary/r4=redis://r4'));
  const twice = changed(once, parseShard('primary/r1'));
  const former = twice[0]?.former?.map(({ shards }) => Object.keys(shards));
  assert.deepEqual(former, [
    ['r1', 'r2', 'r3', 'r4'],
    ['r1', 'r2', 'r3'],
  ]);
  const back = changed(once, parseShard('primary/r4'));
  assert.deepEqual(back[0]?.shards, three);
  assert.deepEqual(
    back[0]?.former?.map(({ shards }) => Object.keys(shards)),
    [['r1', 'r2', 'r3', 'r4']],
    'what the ring is again is no former definition',
  );
});

test('another server under the same name: in every definition, and none is added', () => {
  const once = changed(threeShards, add('primary/r4=redis://r4'));
  const [primary] = changed(once, replace('primary/r2=redis://elsewhere'));
  assert.equal(primary?.shards['r2'], 'redis://elsewhere');
  assert.equal(primary?.former?.length, 1);
  assert.deepEqual(primary?.former?.[0]?.shards, { ...three, r2: 'redis://elsewhere' });
});

describe('refused', () => {
  const fourFormers = Array.from({ length: 4 }, (_, index) => ({ shards: { [`x${index}`]: `redis://x${index}` } }));
  for (const [claim, rings, change, message] of [
    ['a ring that is not there', threeShards, add('nix/r4=redis://r4'), /no ring nix.*\n.*primary, fallback/],
    ['a shard that is there', threeShards, add('primary/r1=redis://z'), /r1 is in it already.*\n.*ring replace/],
    ['a shard that is not there', threeShards, parseShard('primary/f1'), /no shard f1.*\n.*r1, r2, r3/],
    ['another server for none', threeShards, replace('primary/r9=redis://r9'), /no shard r9/],
    ['the server that it has', threeShards, replace('primary/r1=redis://r1'), /r1 has that address already/],
    ['the placement that it has', threeShards, parsePlacement('primary=balanced'), /is balanced already/],
    ['the last shard', [ring('primary', 'r1')], parseShard('primary/r1'), /last shard/],
    [
      'a fifth former definition',
      [{ ...ring('primary', 'r1'), former: fourFormers }],
      add('primary/r2=redis://r2'),
      /4 former definitions already.*\n.*settle primary --now/,
    ],
  ] as const) {
    test(claim, () => {
      assert.throws(
        () => changed(rings, change),
        (error: unknown) => {
          assert.ok(error instanceof SetupError);
          assert.equal(error.code, 'ring-change-refused');
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }

  test('all that is wrong, at once', () => {
    assert.throws(
      () => changed(threeShards, parseShard('nix/a'), parseShard('primary/b'), parseShard('fallback/c')),
      (error: unknown) => error instanceof SetupError && error.problems.length === 3,
    );
  });

  test('what is not RING/NAME=URL, without quoting it', () => {
    for (const [parse, text] of [
      [add, 'r4=redis://:hunter2@h'],
      [add, 'primary/r4'],
      [add, '/r4=redis://:hunter2@h'],
      [replace, 'primary/=redis://:hunter2@h'],
      [parseShard, 'primary'],
      [parseShard, 'primary/r4=redis://:hunter2@h'],
      [parsePlacement, 'primary=modula'],
    ] as const) {
      assert.throws(
        () => parse(text),
        (error: unknown) => error instanceof SetupError && !error.message.includes('hunter2'),
        text,
      );
    }
  });
});

test('what was before is kept for the longest life of a cached row', () => {
  const life = (more: Readonly<Record<string, unknown>>) => longestLifeSeconds(configWith(threeShards, more));
  assert.equal(life({}), 300 + 3_600, 'by TTL and grace without sync');
  const sync = { broker: { url: 'amqp://b' } };
  assert.equal(life({ sync }), 86_400 + 3_600, 'by followedTtlSeconds with it');
  assert.equal(life({ sync, defaults: { follow: false, graceSeconds: 0 } }), 300);
  assert.equal(life({ sync, tables: { 'a.b': { mode: 'mirror' } } }), 3_600, 'an hour for the snapshot');
  assert.equal(life({ tables: { 'a.b': { ttlSeconds: 10 }, 'a.c': { ttlSeconds: 5_000, graceSeconds: 7 } } }), 5_007);
  assert.equal(life({ tables: { 'a.b': { ttlSeconds: 1, graceSeconds: 0, negativeTtlSeconds: 60 } } }), 60);
  const at = Date.parse('2026-11-23T10:00:00.001Z');
  assert.equal(expiredBy(configWith(threeShards), at), '2026-11-23T11:05:01Z');
});

test('what moves, what is filled again, and which mirrors are read again', () => {
  const sync = { broker: { url: 'amqp://b' } };
  const tables = {
    'a.two': { mode: 'mirror' },
    'a.one': { mode: 'mirror', copies: 1 },
    'a.pinned': { mode: 'mirror', shard: 'f1' },
    'a.cached': {},
  };
  const before = configWith(threeShards, { sync, tables });
  const after = (change: RingChange) => configWith(changeRings(before, threeShards, [change], UNTIL), { sync, tables });

  const [primary, fallback] = movementsOf(before, after(add('primary/r4=redis://r4')));
  assert.ok(primary && fallback);
  assert.ok(Math.abs(primary.movedShare - 0.25) < 0.0125, String(primary.movedShare));
  assert.equal(primary.leastShare, 0.25);
  const all = ['r1', 'r2', 'r3', 'r4'];
  assert.deepEqual(primary.snapshots, [
    { table: 'a.two', shards: all },
    { table: 'a.one', shards: all },
  ]);
  assert.deepEqual([fallback.moves, fallback.snapshots], [[], []]);

  const [, less] = movementsOf(before, after(parseShard('fallback/f2')));
  assert.deepEqual(less?.snapshots, [
    { table: 'a.two', shards: ['f1'] },
    { table: 'a.pinned', shards: ['f1'] },
  ]);

  const [elsewhere] = movementsOf(before, after(replace('primary/r2=redis://z')));
  assert.deepEqual(elsewhere?.moves, []);
  assert.deepEqual(elsewhere?.replaced, ['r2']);
  assert.deepEqual(
    elsewhere?.snapshots.map(({ shards }) => shards),
    [['r2'], ['r2']],
  );

  const underWay = movementsUnderWay(after(add('primary/r4=redis://r4')));
  assert.deepEqual(underWay[0]?.moves, primary.moves);
  assert.deepEqual(movementsUnderWay(before)[0]?.moves, []);
});

test('what goes cold is what no kept definition places alike', () => {
  const [was, is] = [ring('a', 'r1', 'r2'), ring('a', 'r1', 'r2', 'r3')];
  const third = coldShare([was], [is]);
  assert.ok(Math.abs(third - 1 / 3) < 0.02, String(third));
  assert.equal(coldShare([was], [is, ring('a', 'r2', 'r1')]), 0);
  assert.equal(coldShare([], [is]), 0);
});
