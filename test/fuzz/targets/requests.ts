/** What a client sends, part by part: targets, ids of each kind of key, lists of them, headers. */
import assert from 'node:assert/strict';
import { termsOf } from '../../../gateway/http/cache-control.ts';
import { matchesAny } from '../../../gateway/http/if-none-match.ts';
import { originForm, parseTarget, refuseUnknownParameters } from '../../../gateway/http/request-target.ts';
import { RequestRefused } from '../../../shared/errors/errors.ts';
import { type KeyPart, type KeyPartType, sqlLiteral } from '../../../shared/key/key-part.ts';
import { parseRowId, splitRowIds } from '../../../shared/key/row-id.ts';
import { HEAD_BYTES_MAX, plainHeaders, plainTarget } from '../../../shared/listener/plain-request.ts';
import { decodeStamp, type Stamp } from '../../../shared/stamp/stamp.ts';
import { includesWrite, parseWritePosition } from '../../../shared/stamp/write-position.ts';
import { corpusOf, type Target, unlessRefused } from '../target.ts';

const TYPES: readonly KeyPartType[] = [
  { kind: 'integer', min: -(2n ** 63n), max: 2n ** 63n - 1n },
  { kind: 'integer', min: 0n, max: 255n },
  { kind: 'decimal', precision: 10, scale: 2, unsigned: false },
  { kind: 'decimal', precision: 65, scale: 30, unsigned: true },
  { kind: 'bit', width: 64 },
  { kind: 'year' },
  { kind: 'date' },
  { kind: 'time', fraction: 6 },
  { kind: 'datetime', fraction: 3 },
  { kind: 'binary', bytesMax: 16, fixed: true },
  { kind: 'binary', bytesMax: 255, fixed: false },
  { kind: 'text', bytewise: true },
  { kind: 'text', bytewise: false },
];
const KEYS: readonly (readonly KeyPart[])[] = [
  ...TYPES.map((type) => [{ column: 'a', type }]),
  [
    { column: 'a', type: TYPES[0] as KeyPartType },
    { column: 'b', type: TYPES[11] as KeyPartType },
  ],
];
/** There is nothing to escape in it: digits, quoted digits, hex. */
const LITERAL = /^(?:-?[0-9]+(?:\.[0-9]+)?|'[-0-9:. ]+'|X'(?:[0-9a-f]{2})*'|_utf8mb4 X'(?:[0-9a-f]{2})*')$/;

const rowId: Target = {
  name: 'row-id',
  words: [
    '%2C',
    '%00',
    '%ff',
    '%E4%BD%A0',
    ',',
    '%',
    '-0',
    '2024-02-29',
    '838:59:59',
    ' ',
    '%20',
    "'",
    'X',
    '18446744073709551616',
  ],
  bytesMax: 16_384,
  run(input) {
    const segment = input.toString('latin1');
    for (const key of KEYS) {
      const id = unlessRefused(() => parseRowId(key, segment), RequestRefused);
      if (id === undefined) continue;
      assert.match(id.segment, /^[A-Za-z0-9\-._~%,]*$/);
      assert.equal(parseRowId(key, id.segment).segment, id.segment, 'it is canonical');
      for (const [index, { type }] of key.entries()) {
        const literal = sqlLiteral(type, id.parts[index] as string);
        if (!LITERAL.test(literal)) assert.fail(literal);
      }
    }
  },
};

const idList: Target = {
  name: 'id-list',
  words: [',', '%2C', '%2c', ',,', '1,2,3', '%252C', 'a'],
  run(input) {
    for (const key of [KEYS[0], KEYS[11], KEYS.at(-1)]) {
      const ids = unlessRefused(() => splitRowIds(key as readonly KeyPart[], input.toString('latin1')), RequestRefused);
      for (const id of (ids ?? []).slice(0, 1_000)) {
        unlessRefused(() => parseRowId(key as readonly KeyPart[], id), RequestRefused);
      }
    }
  },
};

const target: Target = {
  name: 'request-target',
  words: ['?', '&', '=', '+', '%', '%2F', '//', 'http://', 'https://a:b@c/', '/-/', 'ids=', '#', '*', '..'],
  run(input) {
    const text = input.toString('latin1');
    originForm(text);
    const parsed = unlessRefused(() => parseTarget(text), RequestRefused);
    if (parsed !== undefined) unlessRefused(() => refuseUnknownParameters(parsed, ['ids']), RequestRefused);
  },
};

const headers: Target = {
  name: 'headers',
  words: ['no-cache', 'no-store', 'max-age=', 'only-if-cached', ',', '=', '"', 'W/', '*', ' ', '\t', 'max-age="1"'],
  run(input) {
    const text = input.toString('latin1');
    const terms = termsOf(text, undefined);
    assert.ok(terms.maxAgeSeconds >= 0);
    termsOf(undefined, text);
    matchesAny(text, '"aaaaaaaaaaaaaaaaaaaa"');
  },
};

const stamps = corpusOf('stamp')
  .map(decodeStamp)
  .filter((stamp): stamp is Stamp => stamp !== undefined);

const writePosition: Target = {
  name: 'write-position',
  words: [
    ',',
    ':',
    '-',
    '.',
    'mysql-bin.000001:4',
    '0-1-42',
    ':1-5',
    '3e11fa47-71ca-11e1-9e33-c80aa9429562:',
    '18446744073709551615',
  ],
  run(input) {
    const position = parseWritePosition(input.toString('latin1'));
    if (position !== undefined) for (const stamp of stamps) includesWrite(stamp, position);
  },
};

const plainRequest: Target = {
  name: 'plain-request',
  words: [
    'GET ',
    ' HTTP/1.1',
    '\r\n',
    '\r\n\r\n',
    '\r',
    '\n',
    ':',
    ' ',
    '\t',
    'Host: a',
    'Content-Length: 1',
    'chunked',
    '\0',
  ],
  bytesMax: HEAD_BYTES_MAX,
  run(input) {
    const head = input.toString('latin1');
    const first = plainTarget(head);
    const fields = first && plainHeaders(head.slice(first.fieldsAt));
    if (first === undefined || fields === undefined) return;
    assert.match(first.target, /^\/[!-~]*$/);
    assert.equal(head.indexOf('\r\n\r\n'), head.length - 4, 'nothing is behind it');
    assert.ok(!('content-length' in fields) && !('transfer-encoding' in fields));
    for (const value of Object.values(fields)) assert.match(value, /^[\t -~]*$/);
  },
};

export const REQUESTS: readonly Target[] = [rowId, idList, target, headers, plainRequest, writePosition];
