/** The JSON that others are told: the seed's, byte by byte, and what may be read as such. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EventFrame, readEvent, reloadBody, rowEventBody, timeText } from '../../shared/event/event.ts';

const end = { file: 'mysql-bin.000009', position: 1235 };
const atMicros = Date.UTC(2016, 7, 22, 17, 47, 25) * 1000 + 999_999;
const frame = new EventFrame({ end, atMicros, gtid: '0-1-42' });
const version = '0'.repeat(45);

test('an UPDATE is the seed’s line, and what is new stands behind it', () => {
  const before = '{"uid":"8","username":"duobao153713223"}';
  const body = rowEventBody({
    db: 'test',
    table: 'users',
    eventType: 'UPDATE',
    before,
    after: before,
    truncated: false,
  });
  assert.equal(
    frame.content(body, version).toString(),
    '{"binlog":"mysql-bin.000009:1235","db":"test","table":"users","eventType":"UPDATE",' +
      '"before":{"uid":"8","username":"duobao153713223"},"after":{"uid":"8","username":"duobao153713223"},' +
      `"time":"2016-08-22 17:47:25","version":"${version}","gtid":"0-1-42"}`,
  );
});

test('before is an empty text but for an UPDATE; a server without GTIDs tells none', () => {
  const body = rowEventBody({ db: 'test', table: 'users', eventType: 'DELETE', after: '{"uid":"8"}', truncated: true });
  const content = new EventFrame({ end, atMicros, gtid: undefined }).content(body, version).toString();
  const { before, gtid, truncated, after } = JSON.parse(content) as Record<string, unknown>;
  assert.deepEqual([before, gtid, truncated, after], ['', undefined, true, { uid: '8' }]);
});

test('a RELOAD has an after that can be asked, and says why', () => {
  const content = frame.content(reloadBody('test', 'users', 'gap'), version).toString();
  const { eventType, before, after, reason } = JSON.parse(content) as Record<string, unknown>;
  assert.deepEqual([eventType, before, after, reason], ['RELOAD', '', {}, 'gap']);
});

test('for all names and values: one line, no apostrophe, the same values, and so for a consumer that replaces apostrophes', () => {
  // A file's name ends with a number; apostrophes, quotes, line breaks and characters beyond the BMP on purpose.
  const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom(`'`, `"`, `\\'`, '\n', '\u2028'));
  // Not as a name: V8 13.6's JSON.parse, which judges here, takes an escaped name for one that it knows of six characters.
  const value = fc.oneof(text, fc.constantFrom('\\u0027', null));
  const row = fc.dictionary(text, value, { noNullPrototype: true });
  fc.assert(
    fc.property(text, text, row, row, (db, table, old, now) => {
      const eventType = 'UPDATE' as const;
      const [before, after] = [JSON.stringify(old), JSON.stringify(now)];
      const body = rowEventBody({ db, table, eventType, before, after, truncated: false });
      const content = frame.content(body, version).toString('utf8');
      assert.ok(!content.includes('\n') && !content.includes("'"), content);
      const value = JSON.parse(content.replaceAll("'", '"')) as Record<string, unknown>;
      assert.deepEqual([value['db'], value['table'], value['before'], value['after']], [db, table, old, now]);
    }),
    { numRuns: 500 },
  );
});

test('time is UTC, in whole seconds', () => {
  assert.equal(timeText(0), '1970-01-01 00:00:00');
  assert.equal(timeText(atMicros), '2016-08-22 17:47:25');
});

test('what canal’s client wrote is an event; its routing key is db.table.EVENT', () => {
  const line =
    '{"binlog":"mysql-bin.000009:1533","db":"test","table":"users","eventType":"DELETE","before":"",' +
    '"after":{"uid":"8"},"time":"2016-08-22 17:48:09"}';
  assert.deepEqual(readEvent(line), { kind: 'event', routingKey: 'test.users.DELETE', version: undefined });
});

for (const [claim, line, why] of [
  ['half a line', '{"db":"test","table":"us', /not JSON/],
  ['two lines', '{"db":"a",\n"table":"b"}', /more than one line/],
  ['an array', '[]', /not a JSON object/],
  ['null', 'null', /not a JSON object/],
  ['no table', '{"db":"a","eventType":"INSERT","after":{}}', /names no db and table/],
  ['no type', '{"db":"a","table":"b","after":{}}', /no eventType/],
  ['a type with a dot', '{"db":"a","table":"b","eventType":"A.B","after":{}}', /no eventType/],
  ['no row', '{"db":"a","table":"b","eventType":"INSERT","after":""}', /after is no row/],
  [
    'names too long for a routing key',
    `{"db":"${'a'.repeat(250)}","table":"b","eventType":"INSERT","after":{}}`,
    /too long/,
  ],
] as const) {
  test(`no event: ${claim}`, () => {
    const read = readEvent(line);
    assert.equal(read.kind, 'no event');
    assert.match(read.why, why);
  });
}
