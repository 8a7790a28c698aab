/** What the audit says of one key in one shard, by its position. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Held, type HeldEntry, markOf, NOTHING } from '../../sync-worker/audit/held.ts';
import { isPlainlyRight, judge, type Look, type Verdict } from '../../sync-worker/audit/judge.ts';
import type { OriginWord } from '../../sync-worker/audit/origin-word.ts';
import type { Standing } from '../../sync-worker/audit/audited-shard.ts';
import type { Stamp } from '../../shared/stamp/stamp.ts';
import { versionOf } from '../../shared/version/version.ts';

const EPOCH = 1_795_000_000;
const SHAPE = 'shape---';
const ORIGIN = 'server';

const place = (n: number) => ({ file: 'mysql-bin.000001', position: n });
const at = (n: number, epoch = EPOCH) => versionOf(epoch, place(n));

const stamp = (to: number, more: Partial<Stamp> = {}): Stamp => ({
  plan: 1,
  to: at(to),
  floor: at(10),
  asOf: 0,
  origin: ORIGIN,
  gtid: '',
  rings: {},
  tables: {},
  holes: [],
  complete: {},
  ...more,
});

const vouches = (to: number, isComplete = true, more: Partial<Stamp> = {}): Standing => ({
  kind: 'vouches',
  stamp: stamp(to, more),
  floor: at(10),
  isComplete,
});

const mirrored = (version: string, name = 'right', more: Partial<HeldEntry> = {}): HeldEntry => ({
  kind: 'row',
  version,
  exactness: 'exact',
  shape: SHAPE,
  content: { kind: 'texts', texts: new Map([['name', name]]) },
  ...more,
});

const cached = (version: string, body = 'right', more: Partial<HeldEntry> = {}): HeldEntry => ({
  kind: 'row',
  version,
  exactness: 'exact',
  shape: SHAPE,
  content: { kind: 'json', body: Buffer.from(body), stored: Buffer.from(body) },
  ...more,
});

const negative = (version: string, exactness: 'exact' | 'inexact') =>
  cached(version, '', { kind: 'negative', exactness });

/** MySQL has it, exactly as of there. */
const row = (n: number, more: object = {}): OriginWord => ({
  kind: 'row',
  body: Buffer.from('right'),
  texts: { name: 'right' },
  isTooLarge: false,
  from: place(n),
  upTo: place(n),
  origin: ORIGIN,
  ...more,
});

const absent = (from: number, upTo: number): OriginWord => ({
  kind: 'absent',
  from: place(from),
  upTo: place(upTo),
  origin: ORIGIN,
});

function look(held: Held, more: Partial<Look> = {}): Look {
  const mode = more.mode ?? 'mirror';
  return {
    held,
    mark: markOf(held, mode === 'mirror'),
    standing: vouches(100),
    before: stamp(90),
    belongs: true,
    mode,
    shape: SHAPE,
    word: row(100),
    end: undefined,
    earlier: { absences: 0, mark: undefined },
    ...more,
  };
}

function says(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'fault':
      return verdict.fault;
    case 'look-again':
    case 'not-compared':
      return `${verdict.kind}: ${verdict.because}`;
    case 'right':
    case 'left-over':
      return verdict.kind;
  }
}

const seen = (held: Held, mode: Look['mode'] = 'mirror') => ({ absences: 0, mark: markOf(held, mode === 'mirror') });
const list: Held = { kind: 'foreign', what: 'list', isOfOtherMode: false };
const string: Held = { kind: 'foreign', what: 'string', isOfOtherMode: true };

const cases: readonly [title: string, look: Look, wanted: string][] = [
  ['the same, of before', look(mirrored(at(50))), 'right'],
  ['another, of before, and all since has been applied', look(mirrored(at(50), 'wrong')), 'stale'],
  ['another, of exactly there', look(mirrored(at(100), 'wrong')), 'stale'],
  [
    'another, that came after',
    look(mirrored(at(101), 'wrong'), { end: { at: place(200), origin: ORIGIN } }),
    'look-again: changed-since',
  ],
  ['after the end of the binlog', look(mirrored(at(201)), { end: { at: place(200), origin: ORIGIN } }), 'ahead'],
  ['of a later epoch', look(mirrored(at(1, EPOCH + 1)), { end: { at: place(200), origin: ORIGIN } }), 'ahead'],
  [
    'the binlog ends before what was applied: it was reset',
    look(mirrored(at(90)), { word: row(50), standing: vouches(100), end: { at: place(60), origin: ORIGIN } }),
    'not-compared: binlog-reset',
  ],
  ['the shard has not applied all of it', look(mirrored(at(50), 'wrong'), { word: row(101) }), 'not-compared: behind'],
  [
    'of another server',
    look(mirrored(at(50), 'wrong'), { word: row(100, { origin: 'other' }) }),
    'not-compared: other-origin',
  ],
  [
    'the epoch rose while MySQL was asked',
    look(mirrored(at(50), 'wrong'), { before: { to: at(90, EPOCH - 1) } }),
    'look-again: other-epoch',
  ],
  ['there was no stamp before', look(mirrored(at(50), 'wrong'), { before: undefined }), 'look-again: other-epoch'],
  ['locked', look(mirrored(at(50), 'wrong'), { word: { kind: 'locked' } }), 'not-compared: locked'],
  ['no stamp', look(NOTHING, { standing: { kind: 'silent', because: 'no-stamp' } }), 'not-compared: no-stamp'],

  ['not there, and nothing has happened since', look(NOTHING), 'missing'],
  ['not there, and something has', look(NOTHING, { standing: vouches(101) }), 'look-again: perhaps-deleted'],
  [
    'not there, and MySQL had it at some place between two',
    look(NOTHING, { word: row(90, { upTo: place(100) }) }),
    'look-again: perhaps-deleted',
  ],
  [
    'not there, again and again',
    look(NOTHING, { standing: vouches(101), earlier: { absences: 4, mark: '' } }),
    'missing',
  ],
  ['there, but below the floor', look(mirrored(at(9))), 'missing'],
  [
    'there, but in a hole',
    look(mirrored(at(50)), { standing: vouches(100, true, { holes: [[at(40), at(60)]] }) }),
    'missing',
  ],
  ['there, but for other columns', look(mirrored(at(50), 'right', { shape: 'other---' })), 'missing'],
  [
    'not there, in a shard that does not claim to have all',
    look(NOTHING, { standing: vouches(100, false) }),
    'not-compared: incomplete',
  ],
  [
    'wrong, in a shard that does not claim to have all',
    look(mirrored(at(50), 'wrong'), { standing: vouches(100, false) }),
    'stale',
  ],

  ['MySQL does not have it', look(mirrored(at(50)), { word: absent(90, 100) }), 'orphan'],
  [
    'MySQL did not, and it came since',
    look(mirrored(at(95)), { word: absent(90, 100), end: { at: place(200), origin: ORIGIN } }),
    'look-again: changed-since',
  ],
  ['MySQL does not have it, and it is below the floor', look(mirrored(at(9)), { word: absent(90, 100) }), 'left-over'],
  ['neither has it', look(NOTHING, { word: absent(90, 100) }), 'right'],
  [
    'under another spelling',
    look(mirrored(at(50)), { word: { ...absent(90, 100), kind: 'other-spelling' } as OriginWord }),
    'orphan',
  ],
  ['in a shard where it does not belong', look(mirrored(at(50)), { belongs: false }), 'orphan'],
  ['in a shard where it does not belong, below the floor', look(mirrored(at(9)), { belongs: false }), 'left-over'],
  [
    'where it does not belong, and nothing counts',
    look(mirrored(at(50)), { belongs: false, standing: { kind: 'silent', because: 'not-followed' } }),
    'left-over',
  ],

  [
    'too large in both',
    look(mirrored(at(50), '', { kind: 'too-large' }), { word: row(100, { isTooLarge: true }) }),
    'right',
  ],
  ['too large there only', look(mirrored(at(50), '', { kind: 'too-large' })), 'stale'],
  ['a list, at first', look(list), 'look-again: unconfirmed'],
  ['a list, again', look(list, { earlier: seen(list) }), 'wrong-type'],
  [
    'a cached row, from when the table was no mirror',
    look(string, { standing: vouches(100, false), earlier: seen(string) }),
    'left-over',
  ],
  ['a cached row where all rows should be', look(string, { earlier: seen(string) }), 'wrong-type'],

  ['cached: the same', look(cached(at(50)), { mode: 'read-through' }), 'right'],
  ['cached: another', look(cached(at(50), 'wrong'), { mode: 'read-through' }), 'stale'],
  ['cached: not there', look(NOTHING, { mode: 'read-through' }), 'right'],
  ['cached: it does not count', look(cached(at(9), 'wrong'), { mode: 'read-through' }), 'left-over'],
  [
    'cached: inexact, seen for the first time',
    look(cached(at(50), 'wrong', { exactness: 'inexact' }), { mode: 'read-through' }),
    'look-again: unconfirmed',
  ],
  [
    'cached: inexact, and just so before MySQL was asked',
    look(cached(at(50), 'wrong', { exactness: 'inexact' }), {
      mode: 'read-through',
      earlier: seen(cached(at(50), 'wrong', { exactness: 'inexact' }), 'read-through'),
    }),
    'stale',
  ],
  ['cached: "no such row" of one that there is', look(negative(at(50), 'exact'), { mode: 'read-through' }), 'stale'],
  [
    'cached: "no such row", and there is none',
    look(negative(at(50), 'inexact'), { mode: 'read-through', word: absent(90, 100) }),
    'right',
  ],
  [
    'cached: a row that MySQL does not have',
    look(cached(at(50)), { mode: 'read-through', word: absent(90, 100) }),
    'orphan',
  ],
  [
    'cached: beyond the end, for other columns: no fill would replace it',
    look(cached(at(201), 'x', { shape: 'other---' }), {
      mode: 'read-through',
      end: { at: place(200), origin: ORIGIN },
    }),
    'ahead',
  ],
  [
    'cached: a mirror’s row, from when the table was one',
    look({ ...list, what: 'hash', isOfOtherMode: true }, { mode: 'read-through' }),
    'left-over',
  ],
];

for (const [title, one, wanted] of cases) test(`${title}: ${wanted}`, () => assert.equal(says(judge(one)), wanted));

test('at a first look only what is the same, counts, and was not written later is right', () => {
  const right = (held: Held, standing = vouches(60), word = row(100)) => isPlainlyRight(held, standing, word, SHAPE);
  assert.equal(right(mirrored(at(50))), true);
  assert.equal(right(mirrored(at(101))), false, 'perhaps ahead');
  assert.equal(right(mirrored(at(50), 'wrong')), false);
  assert.equal(right(mirrored(at(9))), false);
  assert.equal(
    right(
      mirrored(at(50), 'right', {
        content: {
          kind: 'texts',
          texts: new Map([
            ['name', 'right'],
            ['more', ''],
          ]),
        },
      }),
    ),
    false,
  );
  assert.equal(right(NOTHING), false);
  assert.equal(right(mirrored(at(50)), vouches(60), row(100, { origin: 'other' })), false);
  assert.equal(right(mirrored(at(50)), { kind: 'silent', because: 'no-stamp' }), false);
});
