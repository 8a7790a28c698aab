import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { KeptRows } from '../../client/kept-rows.ts';
import { type SeenRequest, scriptedServer, sendJson, sendProblem } from '../support/scripted-server.ts';

/** One row whose text is `version`, with an ETag. */
function versioned(version: () => string) {
  return ({ headers }: SeenRequest, response: ServerResponse) => {
    const etag = `"${version()}"`;
    if (headers['if-none-match'] === etag) response.writeHead(304, { etag }).end();
    else sendJson(response, { version: version(), tags: ['a'] }, { etag });
  };
}

interface Versioned {
  version: string;
  tags: string[];
}

test('a row that has not changed is not sent again', async () => {
  const server = await scriptedServer(versioned(() => 'one'));
  const client = server.client();
  const first = await client.get('test', 'rows', 1);
  const second = await client.get('test', 'rows', 1);
  assert.deepEqual(second, first);
  assert.deepEqual(
    server.requests.map(({ headers }) => headers['if-none-match']),
    [undefined, '"one"'],
  );
});

test('a row that has changed is the new one, and is asked for by its new tag', async () => {
  let version = 'one';
  const server = await scriptedServer(versioned(() => version));
  const client = server.client();
  await client.get('test', 'rows', 1);
  version = 'two';
  assert.equal((await client.get<Versioned>('test', 'rows', 1))?.version, 'two');
  await client.get('test', 'rows', 1);
  assert.equal(server.requests[2]?.headers['if-none-match'], '"two"');
});

test('what a caller does to its row is nobody else’s', async () => {
  const server = await scriptedServer(versioned(() => 'one'));
  const client = server.client();
  const mine = (await client.get<Versioned>('test', 'rows', 1)) as Versioned;
  mine.version = 'mine';
  mine.tags.push('mine');
  const again = await client.get('test', 'rows', 1);
  assert.deepEqual(again, { version: 'one', tags: ['a'] });
});

test('the same id in two tables is two rows', async () => {
  const server = await scriptedServer(versioned(() => 'one'));
  const client = server.client();
  await client.get('test', 'rows', 1);
  await client.get('test', 'others', 1);
  assert.equal(server.requests[1]?.headers['if-none-match'], undefined);
});

test('a row that is gone is forgotten', async () => {
  let gone = false;
  const present = versioned(() => 'one');
  const server = await scriptedServer((request, response) => {
    if (gone) sendProblem(response, 404, 'row-not-found');
    else present(request, response);
  });
  const client = server.client();
  await client.get('test', 'rows', 1);
  gone = true;
  assert.equal(await client.get('test', 'rows', 1), undefined);
  await client.get('test', 'rows', 1);
  assert.equal(server.requests[2]?.headers['if-none-match'], undefined);
});

test('with etags: false nothing is kept', async () => {
  const server = await scriptedServer(versioned(() => 'one'));
  const client = server.client({ etags: false });
  await client.get('test', 'rows', 1);
  await client.get('test', 'rows', 1);
  assert.equal(server.requests[1]?.headers['if-none-match'], undefined);
});

test('kept rows are bounded in number and in bytes', () => {
  const few = new KeptRows({ entriesMax: 2, bytesMax: 1_000_000 });
  for (const path of ['/a', '/b', '/c']) few.keep(path, { etag: '"x"', text: '{}' });
  assert.deepEqual(
    ['/a', '/b', '/c'].map((path) => few.find(path) !== undefined),
    [false, true, true],
  );
  const small = new KeptRows({ entriesMax: 100, bytesMax: 1000 });
  small.keep('/large', { etag: '"x"', text: 'x'.repeat(500) });
  assert.equal(small.find('/large'), undefined);
  for (let index = 0; index < 10; index += 1) small.keep(`/${index}`, { etag: '"x"', text: 'x'.repeat(100) });
  const kept = Array.from({ length: 10 }, (_, index) => small.find(`/${index}`)).filter((row) => row !== undefined);
  assert.equal(kept.length, 4);
});
