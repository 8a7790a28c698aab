/**
 * The whole of sync, end to end, where nothing breaks: what SQL can do to a row or to its table, under a gateway that
 * answers from the shards. After each, every answer and every entry that counts is what MySQL says.
 */
import assert from 'node:assert/strict';
import { before, describe, test, type TestContext } from 'node:test';
import { until } from '../support/broker.ts';
import { testStack } from '../support/stack.ts';
import { createItems, insertItems, ROWS, SyncWorld } from '../support/sync-world.ts';

/** Until when a gateway has looked at its tables' columns again; a second, and a busy machine. */
const COLUMNS_KNOWN_WITHIN_MS = 15_000;
const WRITERS = 4;
const READERS = 4;
const COLUMN_CHANGES = 6;
/** From here on no row has been deleted. */
const FIRST_OF_ALL = 60;

const stack = await testStack();
const world = await SyncWorld.open({ stack });

before(async () => {
  await world.caughtUp();
  await world.warm();
});

interface Wanted {
  readonly ids?: readonly string[];
  /** How many entries there must be to look at, so that the audit is one. */
  readonly trustedLeast?: number;
}

/**
 * Worker and gateways may know a table's columns a little late, and until then nothing is stored; but whatever lies in the
 * shards is right at once.
 */
async function assertRight(t: TestContext, { ids, trustedLeast = 2 * ROWS }: Wanted = {}): Promise<void> {
  await world.caughtUp();
  assert.deepEqual((await world.entries()).wrong, [], 'entries that MySQL contradicts');
  const startedAt = performance.now();
  const isKnown = async () => {
    const wrong = await world.wrongAnswers(ids).catch((error: unknown) => [String(error)]);
    return wrong.length === 0 && (await world.entries()).trusted >= trustedLeast;
  };
  await until('the columns are known', isKnown, COLUMNS_KNOWN_WITHIN_MS).catch(() => undefined);
  const knownAfterMs = performance.now() - startedAt;
  const { wrong, trusted } = await world.audit(ids);
  assert.deepEqual(wrong, [], 'answers and entries that MySQL contradicts');
  assert.ok(trusted >= trustedLeast, `${trusted} entries to audit`);
  t.diagnostic(`${trusted} entries and all answers right; the columns were known after ${knownAfterMs.toFixed(0)} ms`);
}

async function tableAnew(columns?: string): Promise<void> {
  await world.run('DROP TABLE items', createItems(world.db, columns));
  if (columns === undefined) await world.run(insertItems(world.db));
}

test('rows are inserted, updated, deleted and given other keys: their entries follow', async (t) => {
  await world.run(
    "INSERT INTO items VALUES (201, 'inserted', 1), (202, 'inserted, deleted', 1)",
    "UPDATE items SET v = 'updated' WHERE id BETWEEN 1 AND 50",
    'DELETE FROM items WHERE id IN (51, 52, 202)',
    'UPDATE items SET id = 203 WHERE id = 53',
    "REPLACE INTO items VALUES (54, 'replaced', 2)",
    "INSERT INTO items VALUES (55, '', 0) ON DUPLICATE KEY UPDATE v = 'upserted'",
    'START TRANSACTION',
    "UPDATE items SET v = 'rolled back' WHERE id = 56",
    'ROLLBACK',
  );
  await world.seen('updated', 50);
  const floors = await world.floors();
  await assertRight(t);
  assert.deepEqual(await world.floors(), floors);
  assert.deepEqual((await world.held(51)).length, 2, 'a deleted row leaves its absence behind');
});

describe('the table changes', () => {
  test('while the worker is away: rows, a column in front of all others, more rows; then it is started', async (t) => {
    await world.worker.stop();
    await world.change('before the column', 1, 2, 3, 4, 5, 120);
    await world.run("ALTER TABLE items ADD COLUMN first VARCHAR(20) NOT NULL DEFAULT 'new' FIRST");
    await world.change('after the column', 4, 5, 6, 7, 121);
    // The shards may still be believed, and be filled with what is newer than all that they hear of next.
    await world.warm();
    await world.run("UPDATE items SET first = 'changed' WHERE id IN (6, 8, 122)");
    await world.startWorker();
    assert.deepEqual(world.decisions(), ['resume same-binlog']);
    await assertRight(t);
    await world.change('with the worker', 6, 9, 121);
    await world.applied();
    await assertRight(t);
    await world.run('ALTER TABLE items DROP COLUMN first');
    await assertRight(t);
  });

  test('under writers and readers, again and again', async (t) => {
    let isOver = false;
    const statuses: Record<number, number> = {};
    const writing = Array.from({ length: WRITERS }, async (_, writer) => {
      for (let n = 0; !isOver; n += 1)
        await world.change(`writer ${writer}, ${n}`, FIRST_OF_ALL + ((writer + n * 7) % 100));
    });
    const reading = Array.from({ length: READERS }, async (_, reader) => {
      for (let n = 0; !isOver; n += 1) {
        const url = world.gateways[n % world.gateways.length] as string;
        const answer = await fetch(`${url}/${world.db}/items/${FIRST_OF_ALL + ((reader + n * 3) % 100)}`);
        await answer.arrayBuffer();
        statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
      }
    });
    const changes = [
      'ADD COLUMN a INT NOT NULL DEFAULT 7 FIRST',
      'MODIFY n BIGINT NOT NULL',
      'ADD COLUMN b VARCHAR(10) AFTER id',
      'DROP COLUMN a',
      'MODIFY n INT NOT NULL',
      'DROP COLUMN b',
    ];
    try {
      for (let n = 0; n < COLUMN_CHANGES; n += 1) {
        await world.run(`ALTER TABLE items ${changes[n % changes.length]}`);
        await world.applied();
      }
    } finally {
      isOver = true;
    }
    await Promise.all([...writing, ...reading]);
    t.diagnostic(`answers meanwhile: ${JSON.stringify(statuses)}`);
    assert.deepEqual(Object.keys(statuses), ['200']);
    await assertRight(t);
  });

  test('places with another by RENAME, and back', async (t) => {
    await world.run(
      'CREATE TABLE other LIKE items',
      "INSERT INTO other SELECT id, 'of the other', 9 FROM items WHERE id > 3",
      'RENAME TABLE items TO aside, other TO items',
    );
    await assertRight(t);
    await world.change('in the other', 4, 5);
    await world.run("UPDATE aside SET v = 'nobody sees it' WHERE id IN (6, 7)");
    await world.applied();
    await assertRight(t);
    await world.run('RENAME TABLE items TO other, aside TO items', 'DROP TABLE other');
    await assertRight(t);
  });

  test('is dropped, and made anew with other rows and its columns in another order', async (t) => {
    await tableAnew('n INT NOT NULL, v VARCHAR(60) NOT NULL, id INT PRIMARY KEY');
    await world.run("INSERT INTO items VALUES (0, 'anew', 1), (0, 'anew', 2), (0, 'anew', 150)");
    await assertRight(t);
    await world.change('anew, and changed', 2);
    await world.applied();
    await assertRight(t);
    await tableAnew();
    await assertRight(t);
  });

  test('is emptied by TRUNCATE, and filled again', async (t) => {
    await world.run('TRUNCATE TABLE items');
    await assertRight(t);
    await world.run(insertItems(world.db, 'after TRUNCATE'));
    await world.applied();
    await assertRight(t);
  });

  test('the type of its key: INT, BIGINT, text, and INT again', async (t) => {
    await world.run('ALTER TABLE items MODIFY id BIGINT NOT NULL');
    await world.change('by BIGINT', 1, 2, 3, 120);
    await world.applied();
    await assertRight(t);

    await world.run('ALTER TABLE items MODIFY id VARCHAR(20) NOT NULL');
    await world.change('by text', 2, 3, 4, 121);
    await assertRight(t);
    await world.run("INSERT INTO items VALUES ('007', 'another than 7', 0), ('x y/z', 'a text', 0)");
    const ids = ['1', '2', '3', '7', '007', 'x%20y%2Fz'];
    await world.applied();
    assert.equal(
      JSON.stringify((await world.read(world.gateways[0] as string, ids.slice(3, 5)))[0]).includes('007'),
      false,
    );
    await world.run("UPDATE items SET v = 'changed, too' WHERE id IN ('7', '007', 'x y/z')");
    await assertRight(t, { ids: ids.slice(0, 5) });

    await world.run("DELETE FROM items WHERE id IN ('007', 'x y/z')", 'ALTER TABLE items MODIFY id INT NOT NULL');
    await world.change('by INT again', 3, 4, 5, 7, 122);
    await assertRight(t);
  });

  test('its key columns: rows are found by another column, and told apart from those of before', async (t) => {
    await world.run('UPDATE items SET n = id + 10', 'ALTER TABLE items DROP PRIMARY KEY, ADD PRIMARY KEY (n)');
    world.keyColumn = 'n';
    await assertRight(t);
    await world.run("UPDATE items SET v = 'by n' WHERE n IN (11, 12, 200)");
    await world.applied();
    await assertRight(t);
    const { gaps, deadLetters } = (await world.status()).shards.reduce((sum, shard) => ({
      ...sum,
      gaps: sum.gaps + shard.gaps,
      deadLetters: sum.deadLetters + shard.deadLetters,
    }));
    assert.deepEqual([gaps, deadLetters], [0, 0]);
  });
});
