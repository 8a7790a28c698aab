import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { batchesOf, IDS_MAX, TARGET_BYTES_MAX } from '../../client/batches.ts';
import { type IdPart, segmentOf } from '../../client/row-id.ts';
import { parseRowId, splitRowIds } from '../../shared/key/row-id.ts';
import type { KeyPart } from '../../shared/key/key-part.ts';
import { scriptedServer, sendProblem, sendRows } from '../support/scripted-server.ts';

const PREFIX_BYTES = '/test/users?ids='.length;

test('rows come in the order of the ids, undefined where there is none, the same id twice', async () => {
  const server = await scriptedServer(sendRows);
  const rows = await server.client().getMany('test', 'users', [3, 'absent', 1, 3]);
  assert.deepEqual(rows, [{ id: '3' }, undefined, { id: '1' }, { id: '3' }]);
  assert.notEqual(rows[0], rows[3]);
  assert.deepEqual(
    server.requests.map(({ target }) => target),
    ['/test/users?ids=3,absent,1,3'],
  );
});

test('no ids, no request', async () => {
  const server = await scriptedServer(sendRows);
  assert.deepEqual(await server.client().getMany('test', 'users', []), []);
  assert.equal(server.requests.length, 0);
});

test('2,500 ids go as three requests and come back as one list', async () => {
  const server = await scriptedServer(sendRows);
  const ids = Array.from({ length: 2500 }, (_, index) => index);
  const rows = await server.client().getMany<{ id: string }>('test', 'users', ids);
  assert.deepEqual(
    rows.map((row) => row?.id),
    ids.map(String),
  );
  assert.equal(server.requests.length, 3);
});

test('an id with a comma in it travels alone: the gateway could take the comma for a separator', async () => {
  const server = await scriptedServer(sendRows);
  await server.client().getMany('test', 'users', ['a', 'b,c', 'd']);
  assert.deepEqual(server.requests.map(({ target }) => target).toSorted(), [
    '/test/users/b%2Cc',
    '/test/users?ids=a,d',
  ]);
});

test('one failed request fails the call, and those not yet begun are not made', async () => {
  const server = await scriptedServer((request, response, index) => {
    if (index === 0) sendProblem(response, 400, 'bad-id');
    else setTimeout(() => sendRows(request, response), 50);
  });
  const ids = Array.from({ length: 20_000 }, (_, index) => index);
  await assert.rejects(server.client().getMany('test', 'users', ids), { code: 'bad-id' });
  // Four are under way at once; all would be twenty.
  assert.ok(server.requests.length <= 8, `${server.requests.length} requests`);
});

const text: KeyPart = { column: 't', type: { kind: 'text', bytewise: true } };
const integer: KeyPart = { column: 'n', type: { kind: 'integer', min: -(2n ** 63n), max: 2n ** 64n } };

test('property: the gateway reads every batch back as the very ids that were asked for', () => {
  const partOf = {
    text: fc.string({ unit: 'grapheme', maxLength: 40 }).filter((part) => !part.includes('\0')),
    integer: fc.bigInt(-(2n ** 63n), 2n ** 64n),
  };
  const shapes: { key: KeyPart[]; id: fc.Arbitrary<IdPart[]> }[] = [
    { key: [integer], id: fc.tuple(partOf.integer) },
    { key: [text], id: fc.tuple(partOf.text) },
    { key: [integer, text], id: fc.tuple(partOf.integer, partOf.text) },
  ];
  for (const { key, id } of shapes) {
    fc.assert(
      fc.property(fc.array(id, { maxLength: 400 }), (ids) => {
        const segments = ids.map((parts) => segmentOf(parts));
        const batches = batchesOf(segments, PREFIX_BYTES);
        assert.deepEqual(
          batches.flat().toSorted((a, b) => a - b),
          ids.map((_, index) => index),
        );
        for (const positions of batches) {
          const list = positions.map((position) => segments[position]).join(',');
          const read = splitRowIds(key, list).map((segment) => parseRowId(key, segment).parts);
          assert.deepEqual(
            read,
            positions.map((position) => ids[position]?.map(String)),
          );
        }
      }),
      { numRuns: 50 },
    );
  }
});

test('no request has more than 1,000 ids or a target over the bound, unless one id alone is longer', () => {
  const segments = Array.from({ length: 5000 }, (_, index) => String(10n ** 19n + BigInt(index)));
  const batches = batchesOf(segments, PREFIX_BYTES);
  for (const positions of batches) {
    const list = positions.map((position) => segments[position]).join(',');
    assert.ok(positions.length <= IDS_MAX && PREFIX_BYTES + list.length <= TARGET_BYTES_MAX);
  }
  assert.deepEqual(batchesOf(['x'.repeat(9000), 'y'], PREFIX_BYTES), [[0], [1]]);
});
