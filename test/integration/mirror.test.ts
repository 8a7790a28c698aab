/** A mirrored table where nothing breaks: every row lies in Redis, readers never touch MySQL, and changes arrive. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { until } from '../support/broker.ts';
import { MirrorWorld } from '../support/mirror-world.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const world = await MirrorWorld.open({
  stack,
  columns: 'id INT PRIMARY KEY, name VARCHAR(60), note TEXT, n BIGINT NOT NULL DEFAULT 0',
  filledBy: [
    `INSERT INTO items SELECT seq, CONCAT('name ', seq), IF(seq % 3 = 0, NULL, ''), seq * 10000000000 FROM (
       WITH RECURSIVE numbers (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM numbers WHERE seq < 900) SELECT seq FROM numbers
     ) AS s`,
  ],
});

before(() => world.complete());

test('every row is there after the first snapshot, twice, and no other', async () => {
  assert.deepEqual(await world.wrong(2), []);
});

test('a row is answered from Redis, as MySQL has it; NULL and an empty text are told apart', async () => {
  const answer = await world.get(7);
  assert.equal(answer.status, 200);
  assert.equal(await answer.text(), '{"id":7,"name":"name 7","note":"","n":"70000000000"}');
  assert.match(String(answer.headers.get('cache-status')), /^ringfill; hit; key="[^"]+"; detail="r\d\/0"$/);
  assert.equal(await (await world.get(9)).text(), '{"id":9,"name":"name 9","note":null,"n":"90000000000"}');
});

test('as any Redis client reads it: a hash of the columns’ texts, NULL left out', async () => {
  const [one, two, ...others] = Object.values(await world.hashes(9));
  assert.deepEqual(one, { id: '9', name: 'name 9', n: '90000000000' });
  assert.deepEqual(two, one);
  assert.deepEqual(others, []);
});

test('a row that is not there is 404, said by a complete shard', async () => {
  const answer = await world.get(100_000);
  assert.equal(answer.status, 404);
  assert.match(String(answer.headers.get('cache-status')), /; hit; .*detail="r\d\/0"/);
});

describe('changes arrive', () => {
  const seen = async (id: number, wanted: Record<string, string> | undefined) =>
    until(`row ${id} is ${JSON.stringify(wanted)}`, async () => {
      const hashes = Object.values(await world.hashes(id));
      if (wanted === undefined) return hashes.length === 0;
      return hashes.length === 2 && hashes.every((columns) => JSON.stringify(columns) === JSON.stringify(wanted));
    });

  test('INSERT, UPDATE, to NULL and to an empty text, another key, DELETE', async () => {
    await world.run(`INSERT INTO items VALUES (1001, 'it''s "ü" 🎉 \\\\', NULL, -1)`);
    await seen(1001, { id: '1001', name: 'it\'s "ü" 🎉 \\', n: '-1' });
    await world.run("UPDATE items SET note = '' WHERE id = 1001", 'UPDATE items SET name = NULL WHERE id = 1001');
    await seen(1001, { id: '1001', note: '', n: '-1' });
    await world.run('UPDATE items SET id = 1002 WHERE id = 1001');
    await seen(1001, undefined);
    await seen(1002, { id: '1002', note: '', n: '-1' });
    assert.equal((await world.get(1001)).status, 404);
    await world.run('DELETE FROM items WHERE id = 1002');
    await seen(1002, undefined);
    assert.equal((await world.get(1002)).status, 404);
    assert.deepEqual(await world.wrong(2), []);
  });

  test('TRUNCATE, ALTER and rows after it: the mirror is made again, and is right', async () => {
    await world.run('TRUNCATE items', "INSERT INTO items VALUES (1, 'after', NULL, 1)");
    await world.applied();
    await world.complete();
    assert.deepEqual(await world.wrong(2), []);
    await world.run(
      "ALTER TABLE items ADD COLUMN more VARCHAR(5) DEFAULT 'x' FIRST",
      'INSERT INTO items (id, n) VALUES (2, 2)',
    );
    await world.applied();
    await world.complete();
    assert.deepEqual(await world.wrong(2), []);
    await until('the gateway knows the column', async () => (await (await world.get(1)).text()).includes('"more":"x"'));
  });
});
