/** What the order of the walk's two reads is for: a meeting of four others' steps, too rare to be waited for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextKeys } from './key-walk.ts';
import { MIRRORED_ROWS, type RowKey } from './keys.ts';
import type { Mistake } from './mistakes.ts';
import { Origin } from './origin.ts';
import { Random } from './random.ts';

const [{ mirrored }] = MIRRORED_ROWS as [(typeof MIRRORED_ROWS)[number]];
const [row] = mirrored as [RowKey];

/** The row's INSERT is in the binlog; it becomes visible, and its delete begins, between the reads. */
async function isTold(mistakes: readonly Mistake[]): Promise<boolean> {
  const origin = originWithHiddenInsert();
  const walk = nextKeys(origin, mirrored, undefined, 10, new Set(mistakes));
  await walk.next();
  origin.showAll();
  while (origin.dirty(row) !== undefined) {
    origin.showAll();
    origin.hold(row);
  }
  const { value } = await walk.next();
  // What was held rolls back: the row has been there all the time.
  origin.showAll();
  assert.notEqual(origin.visible(row).content, undefined);
  return value?.keys.includes(row) ?? false;
}

function originWithHiddenInsert(): Origin {
  for (let seed = 0; ; seed += 1) {
    const origin = new Origin(mirrored, new Random(seed), new Set());
    if (origin.visible(row).content !== undefined) continue;
    origin.commit(row, 1);
    return origin;
  }
}

test('a row is told whose INSERT becomes visible and whose delete rolls back between the two reads', async () => {
  assert.equal(await isTold([]), true);
});

test('it is missed where the committed read comes first', async () => {
  assert.equal(await isTold(['the committed keys first']), false);
});
