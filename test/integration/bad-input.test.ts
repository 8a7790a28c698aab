/**
 * Whatever a client sends is answered with 4xx and a code of the catalogue, or legitimately; never 5xx, never SQL of its
 * own, and nothing is broken afterwards. RINGFILL_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { catalogue } from '../../shared/errors/catalogue.ts';
import { startGateway } from '../support/gateway.ts';
import { statementsDuring } from '../support/general-log.ts';
import { testStack } from '../support/stack.ts';

const RUNS = 1_500;
const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

const stack = await testStack();
const DENIED = 'password_hash';
const tables = {
  'test.users': {},
  'shop.customers': { columns: { deny: [DENIED] } },
  'shop.products': {},
  'shop.vouchers': {},
  'shop.translations': {},
  'shop.order_items': {},
  'shop.assets': {},
  'shop.tokens': {},
  'shop.holidays': {},
  'shop.readings': {},
  'shop.tariffs': {},
  'shop.altitudes': {},
  'shop.ledger': {},
};
const gateway = await startGateway(stack, { tables });
const { hostname, port } = new URL(gateway.url);
const prototypeBefore = Reflect.ownKeys(Object.prototype);
const counts = new Map<string, number>();

process.stdout.write(`bad-input: seed ${seed}\n`);
after(() => {
  const shown = [...counts].toSorted(([a], [b]) => a.localeCompare(b)).map(([answer, count]) => `${answer} ${count}`);
  process.stdout.write(
    `bad-input: ${[...counts.values()].reduce((sum, count) => sum + count, 0)} answers: ${shown.join(', ')}\n`,
  );
});

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Sends bytes as they are, and reads until the server closes; nothing where it closes without a word. */
function exchange(bytes: Buffer | string): Promise<Answer | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    const chunks: Buffer[] = [];
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer within 10 s')));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // The server may close while we still write; what it said before that counts.
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
    });
    socket.on('close', () => resolve(parseAnswer(Buffer.concat(chunks))));
    socket.write(bytes);
  });
}

function parseAnswer(received: Buffer): Answer | undefined {
  if (received.length === 0) return undefined;
  const text = received.toString('utf8').replace('HTTP/1.1 100 Continue\r\n\r\n', '');
  const end = text.indexOf('\r\n\r\n');
  const status = /^HTTP\/1\.1 ([0-9]{3}) /.exec(text)?.[1];
  assert.ok(end > 0 && status !== undefined, text.slice(0, 200));
  const head = text.slice(0, end);
  return { status: Number(status), type: /^content-type: *(.*)$/im.exec(head)?.[1] ?? '', body: text.slice(end + 4) };
}

const requestBytes = (target: string, method = 'GET', headers = '') =>
  Buffer.from(`${method} ${target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n${headers}\r\n`, 'latin1');

const STATUS_OF = new Map<string, number>(
  Object.entries(catalogue).flatMap(([code, entry]) => ('status' in entry ? [[code, entry.status] as const] : [])),
);

/** The answer is one that a client may be given, and says nothing of what is denied. */
function isLegitimate(answer: Answer | undefined, what: string, head = false): Answer {
  assert.ok(answer !== undefined, `closed without an answer: ${what}`);
  const { status, type, body } = answer;
  assert.ok(status < 500, `${status} to ${what}: ${body}`);
  // As a member or a value of a row; a refusal may quote what was typed.
  assert.doesNotMatch(body, /"password_hash":|\$2b\$10\$/, what);
  let label = String(status);
  if (status >= 400) {
    assert.equal(type, 'application/problem+json', `${status} to ${what}: ${body}`);
    if (!head) {
      const { code } = JSON.parse(body) as { code: string };
      assert.equal(STATUS_OF.get(code), status, `${code} to ${what}`);
      label = code;
    }
  } else {
    assert.ok(status === 200 || status === 304, `${status} to ${what}`);
  }
  counts.set(label, (counts.get(label) ?? 0) + 1);
  return answer;
}

// ---- what the server was asked

const LITERAL = String.raw`(?:-?[0-9]+(?:\.[0-9]+)?|'[-0-9:. ]+'|X'(?:[0-9a-f]{2})*'|_utf8mb4 X'(?:[0-9a-f]{2})*')`;
const NAME = '`[a-z0-9_]+`';
const EQUALITIES = String.raw`\(${NAME} = ${LITERAL}(?: AND ${NAME} = ${LITERAL})*\)`;
const IN_LIST = `${NAME} IN \\(${LITERAL}(?:, ${LITERAL})*\\)`;
const MARK = `IF\\((?:${IN_LIST}|${EQUALITIES}), [0-9]+, NULL\\)`;
const ROW_READ = new RegExp(
  `^SELECT ${NAME}(?: \\* 1e0)?(?:, ${NAME}(?: \\* 1e0)?)*(?:, CONCAT_WS\\(',', ${MARK}(?:, ${MARK})*\\))? ` +
    `FROM (${NAME}\\.${NAME}) WHERE (?:${IN_LIST}|${EQUALITIES}(?: OR ${EQUALITIES})*)$`,
);
const EXPOSED = new Set(Object.keys(tables).map((name) => `\`${name.replace('.', '`.`')}\``));
const OTHERS = new Set([
  "SET time_zone = '+00:00', sql_mode = '', autocommit = 1 " +
    '/*M!100600 , max_statement_time = 2 */ /*!80000 , max_execution_time = 2000 */',
  'SELECT 1',
  'SET GLOBAL general_log = OFF',
]);

/** While it runs, the server hears row reads of exposed tables made of literals, and nothing else. */
async function asksOnlyForRows(during: () => Promise<void>): Promise<void> {
  const statements = await statementsDuring(stack, during);
  let reads = 0;
  for (const statement of statements) {
    assert.doesNotMatch(statement, new RegExp(DENIED), statement);
    if (OTHERS.has(statement)) continue;
    const table = ROW_READ.exec(statement)?.[1];
    assert.ok(table !== undefined && EXPOSED.has(table), `an unexpected statement: ${statement}`);
    reads += 1;
  }
  assert.ok(reads > 0, 'the log was not on');
}

async function isUnharmed(): Promise<void> {
  assert.deepEqual(Reflect.ownKeys(Object.prototype), prototypeBefore);
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  const response = await gateway.get('/test/users/8');
  assert.equal(response.status, 200);
  assert.equal(((await response.json()) as { username: string }).username, 'duobao153713223');
  const ready = await gateway.get('/-/ready');
  assert.equal(await ready.text(), '{"ready":true}');
}

// ---- the cases that have names

const LONG = 10_000;
const named: [target: string, code: string][] = [
  ['/test/users/__proto__', 'bad-id'],
  ['/test/users/constructor', 'bad-id'],
  ["/test/users/1'", 'bad-id'],
  ['/test/users/1%27%20OR%20%271%27=%271', 'bad-id'],
  ['/test/users/1;DROP%20TABLE%20users', 'bad-id'],
  ['/test/users/1--', 'bad-id'],
  ['/test/users/%00', 'bad-id'],
  ['/test/users/8%00', 'bad-id'],
  ['/test/users/../customers/1', 'route-not-found'],
  ['/test/../shop/customers', 'route-not-found'],
  ['/test/users/..', 'bad-id'],
  ['/test/users/%2e%2e%2f1', 'bad-id'],
  ['/../../etc/passwd', 'route-not-found'],
  [`/test/users/${'9'.repeat(LONG)}`, 'bad-id'],
  [`/shop/vouchers/${'x'.repeat(LONG)}`, 'bad-id'],
  [`/shop/vouchers/${'%41'.repeat(LONG / 3)}`, 'bad-id'],
  [`/shop/tokens/${'ab'.repeat(LONG / 2)}`, 'bad-id'],
  [`/shop/tariffs/${'1'.repeat(LONG)}.0000`, 'bad-id'],
  [`/shop/vouchers/${'x'.repeat(17_000)}`, 'uri-too-long'],
  [`/shop/vouchers/${'x'.repeat(70_000)}`, 'uri-too-long'],
  [`/test/users?ids=${'1,'.repeat(1_000)}1`, 'too-many-ids'],
  [`/test/users?ids=${'1%2C'.repeat(1_000)}1`, 'too-many-ids'],
  ['/test/users/1,2', 'bad-id'],
  ['/test/users/null', 'bad-id'],
  ['/test/users/NaN', 'bad-id'],
  ['/test/users/true', 'bad-id'],
  ['/test/users/[1]', 'bad-id'],
  ['/test/users/%7B%22uid%22:1%7D', 'bad-id'],
  ['/test/users/%', 'bad-encoding'],
  ['/test/users/%4', 'bad-encoding'],
  ['/test/users/%zz', 'bad-encoding'],
  ['/shop/vouchers/%FF', 'bad-encoding'],
  ['/shop/vouchers/%C3%28', 'bad-encoding'],
  ['/shop/vouchers/%ED%A0%80', 'bad-encoding'],
  ['/shop/vouchers/%C0%80', 'bad-encoding'],
  ['/shop/vouchers/%F8%88%80%80%80', 'bad-encoding'],
  ['/shop/vouchers?ids=%', 'bad-encoding'],
  ['/shop/vouchers?ids=a,%FF', 'bad-encoding'],
  ['/shop/vouchers?%=a', 'bad-encoding'],
  ['/%zz/users/1', 'bad-encoding'],
  ['/-/ring/owner?key=%', 'bad-encoding'],
  ['/shop/vouchers/a%00b', 'bad-id'],
  ['/shop/vouchers?ids=a%00b', 'bad-id'],
  ['/test/users?ids=1&ids=2', 'repeated-parameter'],
  ['/test/users?ids=1&ids=1', 'repeated-parameter'],
  ['/test/users?__proto__=1', 'unknown-parameter'],
  ['/test/users?ids[]=1', 'unknown-parameter'],
  ['/test/users?ids=1&constructor=2', 'unknown-parameter'],
  ['/test/users/8?debug=1', 'unknown-parameter'],
  ['/test/users', 'ids-missing'],
  ['/test/users?ids', 'bad-id'],
  ['/__proto__/constructor/1', 'table-not-exposed'],
  ['/constructor/prototype/1', 'table-not-exposed'],
  ['/test/__proto__/1', 'table-not-exposed'],
  ['/mysql/user/root', 'table-not-exposed'],
  ['/information_schema/TABLES/1', 'table-not-exposed'],
  ['/test/users%60/1', 'table-not-exposed'],
  ['/test.users/x/1', 'table-not-exposed'],
  ['/%00/%00/1', 'table-not-exposed'],
  ['/shop/orders/1', 'table-not-exposed'],
  ['/shop/customers/password_hash', 'bad-id'],
  ['/shop/customers/1?columns=password_hash', 'unknown-parameter'],
  ['/shop/holidays/2024-02-30', 'bad-id'],
  ['/shop/readings/now()', 'bad-id'],
  ['/shop/translations/de', 'bad-id'],
  ['/shop/translations/de,a,b', 'bad-id'],
  ['/shop/order_items/1', 'bad-id'],
  ['/shop/order_items?ids=1', 'bad-id'],
  ['/shop/assets/zz', 'bad-id'],
  ['/-/ring/owner', 'missing-parameter'],
  ['/-/ring/owner?key=a&key=b', 'repeated-parameter'],
  ['/-/docs/../../package.json', 'route-not-found'],
  ['/-/docs/static/..%2f..%2f..%2f..%2fpackage.json', 'route-not-found'],
  ['/-/docs/%2e%2e/%2e%2e/package.json', 'route-not-found'],
  ['/-/docs/static/%00', 'bad-request'],
];

test('what clients get wrong has a code, and reaches no statement', async () => {
  await asksOnlyForRows(async () => {
    for (const [target, code] of named) {
      const shown = target.length > 80 ? `${target.slice(0, 80)}…` : target;
      const answer = isLegitimate(await exchange(requestBytes(target)), shown);
      assert.equal((JSON.parse(answer.body) as { code?: string }).code, code, shown);
    }
    await isUnharmed();
    await exchange(requestBytes('/test/users/4242'));
  });
});

test('odd texts are ids like any other where the key is a text', async () => {
  await asksOnlyForRows(async () => {
    for (const text of [
      '__proto__',
      'constructor',
      "O'Reilly",
      '"quoted"',
      'back\\slash',
      '%41',
      'null',
      '007',
      "'; DROP TABLE vouchers; --",
      '${7*7}',
      '../x',
      '\u2028',
      '`',
    ]) {
      const answer = isLegitimate(await exchange(requestBytes(`/shop/vouchers/${encodeURIComponent(text)}`)), text);
      if (answer.status === 200) assert.equal((JSON.parse(answer.body) as { code: string }).code, text);
      else assert.equal(answer.status, 404, text);
    }
    await isUnharmed();
  });
});

test('a denied column is neither read nor answered', async () => {
  await asksOnlyForRows(async () => {
    const ids = Array.from({ length: 50 }, (_, index) => index + 1);
    for (const target of [`/shop/customers/${ids.length + 1}`, `/shop/customers?ids=${ids.join(',')}`]) {
      const answer = isLegitimate(await exchange(requestBytes(target)), target);
      assert.equal(answer.status, 200);
      assert.match(answer.body, /"credit_limit":/);
    }
  });
});

// ---- and those that have none

const nasty = fc.constantFrom(
  '__proto__',
  'constructor',
  'toString',
  "'",
  '"',
  '`',
  '\\',
  "' OR 1=1 --",
  '0x31',
  '1e1',
  '-0',
  '+1',
  '٣',
  ' 1',
  '1 ',
  'NULL',
  '%00',
  '%',
  '%%',
  '%u0041',
  '..',
  '.',
  '%2e%2e',
  '%2F',
  ',',
  '%2C',
  ';',
  '#',
  '?',
  '&',
  '=',
  '*',
  '🍵',
  '\u0000',
  '\ud800',
);
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  nasty,
  fc.integer().map(String),
  fc.bigInt().map(String),
  fc.double().map(String),
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
);
/** Well encoded, so that it gets past the parser; or raw bytes of one line. */
const encoded = text.map((value) => encodeURIComponent(value.toWellFormed()));
const raw = fc
  .oneof(text, fc.string({ unit: 'binary-ascii', maxLength: 60 }))
  .map((value) => value.replaceAll(/[\r\n]/g, '').replaceAll(' ', '%20'));
const segment = fc.oneof({ weight: 3, arbitrary: encoded }, { weight: 1, arbitrary: raw });
const tableName = fc.constantFrom(...Object.keys(tables).map((name) => name.replace('.', '/')));
const parts = fc.array(segment, { minLength: 1, maxLength: 5 }).map((list) => list.join(','));
const target = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(tableName, parts).map(([table, id]) => `/${table}/${id}`) },
  { weight: 3, arbitrary: fc.tuple(tableName, parts).map(([table, ids]) => `/${table}?ids=${ids}`) },
  {
    weight: 1,
    arbitrary: fc.tuple(tableName, segment, segment).map(([table, name, value]) => `/${table}?${name}=${value}`),
  },
  { weight: 2, arbitrary: fc.array(segment, { maxLength: 5 }).map((segments) => `/${segments.join('/')}`) },
  { weight: 1, arbitrary: segment.map((key) => `/-/ring/owner?key=${key}`) },
  { weight: 1, arbitrary: fc.array(segment, { maxLength: 3 }).map((segments) => `/-/docs/${segments.join('/')}`) },
  { weight: 1, arbitrary: raw },
);

test('arbitrary targets are 4xx with a code or legitimately answered, and reach no statement', async () => {
  await asksOnlyForRows(async () => {
    const property = fc.asyncProperty(target, async (value) => {
      isLegitimate(await exchange(requestBytes(value)), JSON.stringify(value));
    });
    await fc.assert(property, { seed, numRuns: RUNS });
    await isUnharmed();
    await exchange(requestBytes('/test/users/4243'));
  });
});

test('arbitrary texts are found absent, or found as themselves', async () => {
  await asksOnlyForRows(async () => {
    const property = fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 60 }), async (value) => {
      const wellFormed = value.toWellFormed();
      const answer = isLegitimate(
        await exchange(requestBytes(`/shop/vouchers/${encodeURIComponent(wellFormed)}`)),
        JSON.stringify(value),
      );
      if (answer.status === 200) {
        // One of the demo's own; its collation pads.
        const { code } = JSON.parse(answer.body) as { code: string };
        assert.equal(code.trimEnd(), wellFormed.trimEnd());
      } else {
        assert.equal(answer.status, wellFormed.includes('\0') ? 400 : 404);
      }
    });
    await fc.assert(property, { seed, numRuns: RUNS / 5 });
  });
});

test('odd methods are 4xx with a code', async () => {
  for (const method of [
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'TRACE',
    'PROPFIND',
    'QUERY',
    'M-SEARCH',
    'LINK',
    'get',
    'FOO',
    'G\u0000T',
    '',
  ]) {
    for (const path of ['/test/users/8', '/test/users?ids=1', '/-/live', '/', '*']) {
      const answer = isLegitimate(await exchange(requestBytes(path, method)), `${method} ${path}`);
      assert.ok(answer.status >= 400, `${method} ${path}: ${answer.status}`);
    }
  }
  await isUnharmed();
});

test('odd headers and bodies do no harm', async () => {
  const headers = [
    'Cache-Control: no-cache=, =,,;;\r\n',
    'Cache-Control: max-age=999999999999999999999999\r\n',
    'Cache-Control: max-age=-1, max-age=abc, max-age\r\n',
    `Cache-Control: ${'no-store,'.repeat(500)}\r\n`,
    'If-None-Match: "unclosed, W/, *\r\n',
    `If-None-Match: ${'"x",'.repeat(3_000)}\r\n`,
    'Pragma: \r\n',
    'Content-Length: 5\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Expect: 100-continue\r\n',
    'Upgrade: websocket\r\nConnection: Upgrade\r\n',
    'Accept: nothing/at-all\r\nAccept-Encoding: \u00ff\r\n',
    `X-Long: ${'x'.repeat(15_000)}\r\n`,
    'X-Forwarded-Host: evil\r\nX-HTTP-Method-Override: DELETE\r\n',
    '__proto__: polluted\r\nconstructor: polluted\r\n',
  ];
  for (const header of headers) {
    const body = /^(?:Content-Length|Transfer-Encoding)/.test(header) ? '0\r\n\r\n' : '';
    const answer = isLegitimate(
      await exchange(Buffer.concat([requestBytes('/test/users/8', 'GET', header), Buffer.from(body)])),
      header.slice(0, 60),
    );
    assert.ok(answer.status === 200 || answer.status === 304, `${answer.status} with ${header.slice(0, 60)}`);
  }
  await isUnharmed();
});

test('what is not HTTP is told so', async () => {
  const garbage: [what: string, bytes: Buffer | string, code?: string][] = [
    ['a line of nothing', 'hello\r\n\r\n', 'bad-request'],
    ['TLS', Buffer.from('16030100a5010000a10303', 'hex'), 'bad-request'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n', 'bad-request'],
    ['a Redis command', '*1\r\n$4\r\nPING\r\n', 'bad-request'],
    ['HTTP/9.9', 'GET / HTTP/9.9\r\n\r\n', 'bad-request'],
    ['a header without a name', 'GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n', 'bad-request'],
    ['two lengths', 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 'bad-request'],
    [
      'length and chunks',
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      'bad-request',
    ],
    ['a bare line feed', 'GET /\nHost: x\n\n', 'bad-request'],
    ['a NUL in the target', 'GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n', 'bad-request'],
    ['a header of 100 kB', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`, 'uri-too-long'],
    ['10,000 headers', `GET / HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(20_000)}\r\n`, 'uri-too-long'],
  ];
  for (const [what, bytes, code] of garbage) {
    const answer = isLegitimate(await exchange(bytes), what);
    assert.equal((JSON.parse(answer.body) as { code: string }).code, code, what);
  }
  const bytesOfAnyKind = fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
    // Ended by what no parser takes, so that it need not wait for more.
    const answer = await exchange(Buffer.concat([bytes, Buffer.from('\r\n\r\n\0\r\n\r\n')]));
    assert.ok(answer === undefined || answer.status < 500, String(answer?.status));
  });
  await fc.assert(bytesOfAnyKind, { seed, numRuns: RUNS / 5 });
  await isUnharmed();
});

test('a client that leaves in the middle harms nobody', async () => {
  for (let index = 0; index < 50; index += 1) {
    const socket = connect(Number(port), hostname);
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write(
      requestBytes(`/test/users?ids=${Array.from({ length: 200 }, (_, at) => 5_000 + index * 10 + at).join(',')}`),
    );
    socket.resetAndDestroy();
  }
  await isUnharmed();
});
