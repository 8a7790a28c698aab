/** What is a plain request: only what Node's HTTP would read the same way; and all that clients mostly send. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { plainHeaders, plainTarget } from '../../shared/listener/plain-request.ts';

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 30));
process.stdout.write(`plain requests: seed ${seed}\n`);

function plain(head: string): { url: string; headers: IncomingHttpHeaders } | undefined {
  const first = plainTarget(head);
  const headers = first && plainHeaders(head.slice(first.fieldsAt));
  return first && headers && { url: first.target, headers: { ...headers } };
}

const RUNS = 3_000;
const LINE = 'GET /shop/users/1 HTTP/1.1\r\n';
const HOST = 'Host: a\r\n';

test('what clients send is plain: its target as it stands, header names in lower case, values without the space around', () => {
  const head = `${LINE}Host: localhost:8080\r\nUser-Agent: autocannon/8 (x)\r\nAccept:*/*\r\nConnection: Keep-Alive\r\nX-Empty:\r\nIf-None-Match: "a", W/"b" \t\r\n\r\n`;
  assert.deepEqual(plain(head), {
    url: '/shop/users/1',
    headers: {
      host: 'localhost:8080',
      'user-agent': 'autocannon/8 (x)',
      accept: '*/*',
      connection: 'Keep-Alive',
      'x-empty': '',
      'if-none-match': '"a", W/"b"',
    },
  });
});

const NOT_PLAIN: readonly (readonly [what: string, head: string])[] = [
  ['half a head', `${LINE}${HOST}`],
  ['half a line', 'GET /shop/users/1 HT'],
  ['something behind it', `${LINE}${HOST}\r\nGET`],
  ['a body', `${LINE}${HOST}Content-Length: 1\r\n\r\nx`],
  ['a body of no bytes', `${LINE}${HOST}Content-Length: 0\r\n\r\n`],
  ['chunks', `${LINE}${HOST}Transfer-Encoding: chunked\r\n\r\n`],
  ['another method', `HEAD /shop/users/1 HTTP/1.1\r\n${HOST}\r\n`],
  ['an older version', `GET /shop/users/1 HTTP/1.0\r\n${HOST}\r\n`],
  ['a whole URL', `GET http://a/shop/users/1 HTTP/1.1\r\n${HOST}\r\n`],
  ['a space in the target', `GET /shop/users/1 2 HTTP/1.1\r\n${HOST}\r\n`],
  ['a fragment', `GET /shop/users/1#2 HTTP/1.1\r\n${HOST}\r\n`],
  ['a byte outside ASCII in the target', `GET /shop/users/\xe9 HTTP/1.1\r\n${HOST}\r\n`],
  ['no host', `${LINE}Accept: */*\r\n\r\n`],
  ['two hosts', `${LINE}${HOST}${HOST}\r\n`],
  ['a name twice, in another case', `${LINE}${HOST}Accept: a\r\naccept: b\r\n\r\n`],
  ['a folded line', `${LINE}${HOST}Accept: a\r\n b\r\n\r\n`],
  ['a space before the colon', `${LINE}${HOST}Accept : a\r\n\r\n`],
  ['a line without a name', `${LINE}${HOST}: a\r\n\r\n`],
  ['a bare line feed', `${LINE}Host: a\nAccept: b\r\n\r\n`],
  ['a bare carriage return', `${LINE}Host: a\rAccept: b\r\n\r\n`],
  ['a NUL', `${LINE}${HOST}Accept: a\0b\r\n\r\n`],
  ['a byte outside ASCII in a value', `${LINE}${HOST}Accept: \xe9\r\n\r\n`],
  ['a connection that is to be closed', `${LINE}${HOST}Connection: close\r\n\r\n`],
  ['an upgrade', `${LINE}${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`],
  ['an expectation', `${LINE}${HOST}Expect: 100-continue\r\n\r\n`],
];

for (const [what, head] of NOT_PLAIN) {
  test(`not plain: ${what}`, () => assert.equal(plain(head), undefined));
}

test('__proto__ is a header like any other', () => {
  const { headers } = plain(`${LINE}${HOST}__proto__: a\r\nconstructor: b\r\n\r\n`) ?? assert.fail('it is plain');
  assert.deepEqual(Object.keys(headers), ['host', '__proto__', 'constructor']);
  assert.equal(({} as Record<string, unknown>)['a'], undefined);
});

test('whatever is plain, Node’s HTTP reads the same', async () => {
  const server = createServer((request, response) => {
    response.end(JSON.stringify({ url: request.url, headers: { ...request.headers } }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const readByNode = async (head: string): Promise<unknown> => {
    const socket = connect(port, '127.0.0.1');
    socket.write(head, 'latin1');
    let text = '';
    for await (const chunk of socket) {
      text += String(chunk);
      const [, body] = text.split('\r\n\r\n');
      const length = Number(/^content-length: (\d+)/im.exec(text)?.[1] ?? Number.NaN);
      if (body !== undefined && body.length >= length) break;
    }
    assert.match(text, /^HTTP\/1\.1 200 /, `${JSON.stringify(head)}: ${text}`);
    return JSON.parse(text.slice(text.indexOf('\r\n\r\n')));
  };
  const marks = [
    'Host',
    'a',
    'Accept',
    'X-b',
    ':',
    ': ',
    ' ',
    '\t',
    '\r\n',
    '\r',
    '\n',
    '"',
    '\0',
    '\xe9',
    '%2F',
    '/',
    '?',
  ];
  const words = [
    ',',
    ';',
    '~',
    '!',
    '0',
    'keep-alive',
    'Connection',
    'Content-Length',
    'GET ',
    ' HTTP/1.1',
    '__proto__',
  ];
  const piece = fc.constantFrom(...marks, ...words, '\r\n\r\n');
  const noise = fc.array(piece, { maxLength: 2 }).map((pieces) => pieces.join(''));
  const field = fc.tuple(fc.constantFrom('Accept', 'X-b', 'If-None-Match', '~'), noise, noise);
  let plainOnes = 0;
  try {
    await fc.assert(
      fc.asyncProperty(noise, fc.array(field, { maxLength: 2 }), noise, async (target, fields, last) => {
        const lines = fields.map(([name, more, value]) => `${name}${more}:${value}\r\n`).join('');
        const head = `GET /${target} HTTP/1.1\r\nHost: a\r\n${lines}${last}\r\n`;
        const own = plain(head);
        if (own === undefined) return;
        plainOnes += 1;
        assert.deepEqual(own, await readByNode(head));
      }),
      { seed, numRuns: RUNS },
    );
    assert.ok(plainOnes > RUNS / 20, `${plainOnes} of ${RUNS} were plain`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
