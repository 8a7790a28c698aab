/**
 * One row has one entry, under the key made from its own columns, whatever clients type: DESIGN.md, "Keys".
 */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { cacheStatusOf, startGateway } from '../support/gateway.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { RedisEntries } from '../support/redis-entries.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const client = new MysqlClient(stack);
const isMariadb = stack.mysql.flavour === 'mariadb';
/** MariaDB and MySQL name their no-pad binary collations differently. */
const BYTEWISE = isMariadb ? 'utf8mb4_nopad_bin' : 'utf8mb4_0900_bin';

await client.ownDatabase('spelling', [
  'CREATE TABLE names (name VARCHAR(60) COLLATE utf8mb4_general_ci PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
  "INSERT INTO names VALUES ('Foo', 1), ('Müller', 2), ('resume', 3), ('two words', 4), ('a,b', 5), ('50%', 6), ('a/b', 7), ('日本', 8), ('a+b', 9)",
  'CREATE TABLE padded (name VARCHAR(60) COLLATE utf8mb4_bin PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
  "INSERT INTO padded VALUES ('Foo', 1), ('foo', 2)",
  // 8.0.15 has no utf8mb4_0900_bin yet: there `binary` text does not exist, and the test skips.
  ...(isMariadb
    ? [
        `CREATE TABLE exact (name VARCHAR(60) COLLATE ${BYTEWISE} PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB`,
        "INSERT INTO exact VALUES ('Foo', 1), ('foo ', 2)",
      ]
    : []),
  'CREATE TABLE pairs (a VARCHAR(40) COLLATE utf8mb4_general_ci, b INT, c DECIMAL(6,2), n INT NOT NULL, PRIMARY KEY (a, b, c)) ENGINE=InnoDB',
  "INSERT INTO pairs VALUES ('x,y/z', -1, 0.50, 1), ('x', 0, -2.00, 2), ('50%', 7, 12.30, 3)",
  'CREATE TABLE latin (code VARCHAR(20) CHARACTER SET latin1 PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
  "INSERT INTO latin VALUES ('é', 1), ('plain', 2), ('?', 3)",
  'CREATE TABLE old_utf8 (code VARCHAR(20) CHARACTER SET utf8mb3 PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
  "INSERT INTO old_utf8 VALUES ('é', 1), ('?', 2)",
  "CREATE TABLE choices (size ENUM('small','Large') PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB",
  "INSERT INTO choices VALUES ('small', 1), ('Large', 2)",
  'CREATE TABLE spans (span TIME(3) PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
  "INSERT INTO spans VALUES ('12:30:00', 1), ('-100:00:00.500', 2), ('838:59:59', 3)",
  'CREATE TABLE moments (at TIMESTAMP(3) PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
  "INSERT INTO moments VALUES ('2024-03-31 02:30:00', 1)",
  'CREATE TABLE years (y YEAR PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
  'INSERT INTO years VALUES (1970, 1), (2000, 2), (0, 3)',
  'CREATE TABLE flags (f BIT(40) PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
  "INSERT INTO flags VALUES (b'0', 1), (b'101', 2), (1099511627775, 3)",
  'CREATE TABLE filled (id INT(8) ZEROFILL PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
  'INSERT INTO filled VALUES (0, 1), (42, 2)',
  ...(isMariadb
    ? [
        'CREATE TABLE uuids (id UUID PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
        "INSERT INTO uuids VALUES ('6ccd780c-baba-1026-9564-5b8c656024db', 1)",
        'CREATE TABLE hosts (ip INET6 PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
        "INSERT INTO hosts VALUES ('2001:db8::1', 1)",
      ]
    : []),
]);

const own = [
  'names',
  'padded',
  'pairs',
  'latin',
  'old_utf8',
  'choices',
  'spans',
  'moments',
  'years',
  'flags',
  'filled',
];
const mariadbOnly = ['exact', 'uuids', 'hosts'];
const demo = [
  'test.users',
  'shop.altitudes',
  'shop.ledger',
  'shop.tariffs',
  'shop.holidays',
  'shop.readings',
  'shop.assets',
  'shop.tokens',
  'shop.vouchers',
  'shop.translations',
  'shop.order_items',
];
const names = [...demo, ...[...own, ...(isMariadb ? mariadbOnly : [])].map((table) => `spelling.${table}`)];
const gateway = await startGateway(stack, { tables: Object.fromEntries(names.map((name) => [name, {}])) });
const entries = new RedisEntries(stack, gateway.keyPrefix);

beforeEach(() => entries.clear());

async function get(path: string) {
  const response = await gateway.get(path);
  const text = await response.text();
  return {
    status: response.status,
    text,
    code: response.status >= 400 ? (JSON.parse(text) as { code: string }).code : undefined,
    location: response.headers.get('content-location'),
    story: cacheStatusOf(response).text,
  };
}

/** Each of `others` answers with the row at `own`, says where it is, and stores nothing; the row's own entry is the only one. */
async function findsTheSameRow(ownPath: string, ownKey: string, others: readonly string[]): Promise<void> {
  // Before the row is cached: other spellings leave nothing behind.
  for (const other of others) {
    const answer = await get(other);
    assert.equal(answer.status, 200, `${other}: ${answer.text}`);
    assert.equal(answer.location, ownPath, other);
    assert.match(answer.story, /^ringfill; fwd=miss; .*unstored=other-spelling"$/, other);
    assert.deepEqual(await entries.keys(), [], other);
  }
  const first = await get(ownPath);
  assert.match(first.story, /; stored; /, ownPath);
  assert.equal(first.location, null);
  for (const other of others) {
    const answer = await get(other);
    assert.equal(answer.text, first.text, other);
    assert.equal(answer.location, ownPath, other);
    assert.deepEqual(await entries.keys(), [ownKey], other);
  }
  const again = await get(ownPath);
  assert.match(again.story, /; hit; /);
  assert.equal(again.text, first.text);
}

/** Every one of `paths` is the row's own spelling: the first stores, the others hit, and there is one entry. */
async function isOneSpelling(paths: readonly string[], ownKey: string): Promise<void> {
  const bodies = new Set<string>();
  for (const [index, path] of paths.entries()) {
    const answer = await get(path);
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    assert.match(answer.story, index === 0 ? /; stored; / : /; hit; /, path);
    assert.equal(answer.location, null, path);
    assert.deepEqual(await entries.keys(), [ownKey], path);
    bodies.add(answer.text);
  }
  assert.equal(bodies.size, 1);
}

async function isRefused(path: string, code = 'bad-id'): Promise<void> {
  const answer = await get(path);
  assert.equal(answer.status, 400, `${path}: ${answer.text}`);
  assert.equal(answer.code, code, path);
  assert.deepEqual(await entries.keys(), [], path);
}

test('a number has one spelling; every other is refused', async () => {
  await isOneSpelling(['/test/users/7', '/test/users/%37', '/%74est/us%65rs/7'], 'test_users_7');
  await entries.clear();
  for (const other of [
    '07',
    '+7',
    '7.0',
    '%207',
    '7%20',
    '0x7',
    '7e0',
    '-0',
    '-7',
    '٧',
    '７',
    '7%00',
    '7;',
    '1e1',
    '',
    '4294967296',
    '99999999999999999999999',
  ]) {
    await isRefused(`/test/users/${other}`);
  }
  for (const other of ['-0', '-01', '+1', '2147483648', '-2147483649']) await isRefused(`/shop/altitudes/${other}`);
  for (const other of ['18446744073709551616', '-1', '01']) await isRefused(`/shop/ledger/${other}`);
});

test('negative numbers and the ends of their ranges are keys as they stand', async () => {
  for (const [id, table] of [
    ['-2147483648', 'altitudes'],
    ['2147483647', 'altitudes'],
    ['0', 'altitudes'],
    ['18446744073709551615', 'ledger'],
    ['9007199254740993', 'ledger'],
  ]) {
    await entries.clear();
    await isOneSpelling([`/shop/${table}/${id}`, `/shop/${table}/${id}`], `shop_${table}_${id}`);
  }
});

test('a ZEROFILL number is spelled without its zeros', async () => {
  await isOneSpelling(['/spelling/filled/42', '/spelling/filled/42'], 'spelling_filled_42');
  await entries.clear();
  await isRefused('/spelling/filled/00000042');
});

test('under a case-insensitive, padding collation other spellings find the row, say where it is, and are not stored', async () => {
  await findsTheSameRow('/spelling/names/Foo', 'spelling_names_Foo', [
    '/spelling/names/foo',
    '/spelling/names/FOO',
    '/spelling/names/Foo%20',
    '/spelling/names/foo%20%20',
  ]);
});

test('accents that the collation does not tell apart find the row, unstored', async () => {
  await findsTheSameRow('/spelling/names/M%C3%BCller', 'spelling_names_M%C3%BCller', [
    '/spelling/names/Muller',
    '/spelling/names/M%C3%9CLLER',
  ]);
  await entries.clear();
  await findsTheSameRow('/spelling/names/resume', 'spelling_names_resume', ['/spelling/names/r%C3%A9sum%C3%A9']);
});

test('percent-encodings of the same bytes are one spelling', async () => {
  const same: [key: string, ...spellings: string[]][] = [
    ['Foo', 'Foo', '%46oo', '%46%6f%6F'],
    ['M%C3%BCller', 'M%C3%BCller', 'M%c3%bcller', 'M%C3%BCll%65r'],
    ['two%20words', 'two%20words', 'tw%6F%20words'],
    ['a%2Cb', 'a%2Cb', 'a%2cb', '%61%2cb'],
    ['50%25', '50%25', '%350%25'],
    ['a%2Fb', 'a%2Fb', 'a%2fb'],
    ['%E6%97%A5%E6%9C%AC', '%E6%97%A5%E6%9C%AC', '%e6%97%a5%e6%9c%ac'],
    ['a%2Bb', 'a+b', 'a%2Bb', 'a%2bb'],
  ];
  for (const [key, ...spellings] of same) {
    await entries.clear();
    await isOneSpelling(
      spellings.map((spelling) => `/spelling/names/${spelling}`),
      `spelling_names_${key}`,
    );
  }
});

test('under utf8mb4_bin case counts, and trailing spaces do not', async () => {
  await isOneSpelling(['/spelling/padded/Foo', '/spelling/padded/Foo'], 'spelling_padded_Foo');
  await entries.clear();
  await findsTheSameRow('/spelling/padded/foo', 'spelling_padded_foo', ['/spelling/padded/foo%20']);
  await entries.clear();
  assert.equal((await get('/spelling/padded/FOO')).status, 404);
});

test('an absent text is remembered only under a binary collation without padding', async () => {
  const unprovable = [
    '/spelling/names/absent',
    '/spelling/padded/absent',
    '/shop/vouchers/absent',
    '/spelling/latin/absent',
    '/spelling/choices/absent',
    '/spelling/pairs/absent,1,1.00',
  ];
  for (const path of unprovable) {
    for (const attempt of ['first', 'second']) {
      const answer = await get(path);
      assert.equal(answer.status, 404, `${attempt} ${path}: ${answer.text}`);
      assert.match(answer.story, /fwd=miss; .*unstored=absence-unprovable"$/, path);
    }
  }
  assert.deepEqual(await entries.keys(), []);
});

test(
  'an absent text under a binary no-pad collation is remembered, and its neighbours are not',
  { skip: !isMariadb },
  async () => {
    assert.match((await get('/spelling/exact/foo')).story, /; stored; /);
    assert.deepEqual(await entries.keys(), ['spelling_exact_foo']);
    const again = await get('/spelling/exact/foo');
    assert.equal(again.status, 404);
    assert.match(again.story, /; hit; /);
    assert.equal((await get('/spelling/exact/foo%20')).status, 200);
    assert.equal((await get('/spelling/exact/Foo')).status, 200);
    assert.deepEqual(await entries.keys(), ['spelling_exact_Foo', 'spelling_exact_foo', 'spelling_exact_foo%20']);
  },
);

test('a remembered absence never outlives a row that any spelling of it would find', async () => {
  assert.equal((await get('/spelling/names/Newcomer')).status, 404);
  await client.run("INSERT INTO spelling.names VALUES ('newcomer', 10)");
  try {
    assert.equal((await get('/spelling/names/Newcomer')).location, '/spelling/names/newcomer');
  } finally {
    await client.run("DELETE FROM spelling.names WHERE name = 'newcomer'");
  }
});

test('dates and times have one spelling', async () => {
  await isOneSpelling(['/shop/holidays/2024-02-29', '/shop/holidays/2024%2D02%2D29'], 'shop_holidays_2024-02-29');
  await entries.clear();
  for (const other of [
    '2024-2-29',
    '20240229',
    '24-02-29',
    '2024-02-30',
    '2024-02-29%2000:00:00',
    '2023-02-29',
    '%202024-02-29',
    '2024-13-01',
    '0000-00-32',
  ]) {
    await isRefused(`/shop/holidays/${other}`);
  }
  const key = 'shop_readings_2024-02-29%2012%3A00%3A00.100000';
  await isOneSpelling(
    ['/shop/readings/2024-02-29%2012:00:00.100000', '/shop/readings/2024-02-29%2012%3a00%3A00.100000'],
    key,
  );
  await entries.clear();
  for (const other of [
    '2024-02-29%2012:00:00',
    '2024-02-29%2012:00:00.1',
    '2024-02-29T12:00:00.100000',
    '2024-02-29%2024:00:00.000000',
    '2024-02-29+12:00:00.100000',
  ]) {
    await isRefused(`/shop/readings/${other}`);
  }
  await isOneSpelling(
    ['/spelling/moments/2024-03-31%2002:30:00.000'],
    'spelling_moments_2024-03-31%2002%3A30%3A00.000',
  );
  for (const [id, key2] of [
    ['12:30:00.000', '12%3A30%3A00.000'],
    ['-100:00:00.500', '-100%3A00%3A00.500'],
    ['838:59:59.000', '838%3A59%3A59.000'],
  ]) {
    await entries.clear();
    await isOneSpelling([`/spelling/spans/${id}`, `/spelling/spans/${id}`], `spelling_spans_${key2}`);
  }
  await entries.clear();
  for (const other of ['12:30:00', '012:30:00.000', '1:30:00.000', '839:00:00.000', '-00:00:00.000', '12:60:00.000'])
    await isRefused(`/spelling/spans/${other}`);
  for (const id of ['1970', '2000', '0000']) {
    await entries.clear();
    await isOneSpelling([`/spelling/years/${id}`, `/spelling/years/${id}`], `spelling_years_${id}`);
  }
  await entries.clear();
  for (const other of ['70', '0', '00', '1900', '2156', '01970']) await isRefused(`/spelling/years/${other}`);
});

test('decimals have one spelling', async () => {
  for (const id of ['7.0000', '0.0000', '-0.5000', '12345678.9000', '-99999999.9999']) {
    await entries.clear();
    await isOneSpelling([`/shop/tariffs/${id}`, `/shop/tariffs/${id}`], `shop_tariffs_${id}`);
  }
  await entries.clear();
  for (const other of [
    '7',
    '7.0',
    '7.00000',
    '07.0000',
    '+7.0000',
    '7e0',
    '-0.0000',
    '.5000',
    '123456789.0000',
    '7,0000',
  ])
    await isRefused(`/shop/tariffs/${other}`);
});

test('bits are whole numbers', async () => {
  for (const id of ['0', '5', '1099511627775']) {
    await entries.clear();
    await isOneSpelling([`/spelling/flags/${id}`, `/spelling/flags/${id}`], `spelling_flags_${id}`);
  }
  await entries.clear();
  for (const other of ['05', '-1', '1099511627776', "b'101'", '0x5']) await isRefused(`/spelling/flags/${other}`);
});

test('bytes are lower-case hex', async () => {
  const zeros = '00'.repeat(16);
  await isOneSpelling([`/shop/assets/${zeros}`, `/shop/assets/${zeros}`], `shop_assets_${zeros}`);
  await entries.clear();
  for (const other of ['FF'.repeat(16), 'ff', '0x00', 'zz'.repeat(16), `${zeros}00`, ''])
    await isRefused(`/shop/assets/${other}`);
  for (const id of ['00', '0000', '61', '6120', '41']) {
    await entries.clear();
    await isOneSpelling([`/shop/tokens/${id}`, `/shop/tokens/${id}`], `shop_tokens_${id}`);
  }
  await entries.clear();
  for (const other of ['6', 'FF', '0g', '6'.repeat(130)]) await isRefused(`/shop/tokens/${other}`);
});

test('ENUM keys are found by member, not by number', async () => {
  await findsTheSameRow('/spelling/choices/Large', 'spelling_choices_Large', [
    '/spelling/choices/large',
    '/spelling/choices/LARGE%20',
  ]);
  await entries.clear();
  assert.equal((await get('/spelling/choices/1')).status, 404);
});

test('UUID and INET6 keys are stored as the server writes them', { skip: !isMariadb }, async () => {
  const uuid = '6ccd780c-baba-1026-9564-5b8c656024db';
  await findsTheSameRow(`/spelling/uuids/${uuid}`, `spelling_uuids_${uuid}`, [
    `/spelling/uuids/${uuid.toUpperCase()}`,
    `/spelling/uuids/${uuid.replaceAll('-', '')}`,
  ]);
  await entries.clear();
  await findsTheSameRow('/spelling/hosts/2001%3Adb8%3A%3A1', 'spelling_hosts_2001%3Adb8%3A%3A1', [
    '/spelling/hosts/2001:DB8::1',
    '/spelling/hosts/2001:db8:0:0:0:0:0:1',
  ]);
  for (const path of [
    '/spelling/uuids/no-uuid',
    '/spelling/uuids/',
    '/spelling/hosts/no-host',
    '/spelling/hosts/%F0%9F%98%80',
  ]) {
    const answer = await get(path);
    assert.equal(answer.status, 404, `${path}: ${answer.text}`);
  }
});

test('a text that the column cannot hold is absent, not an error', async () => {
  for (const path of [
    '/spelling/latin/%E6%97%A5',
    '/spelling/latin/%F0%9F%98%80',
    '/spelling/old_utf8/%F0%9F%98%80',
    '/shop/translations/%C3%A9,x',
    '/spelling/choices/%F0%9F%98%80',
  ]) {
    const answer = await get(path);
    assert.equal(answer.status, 404, `${path}: ${answer.text}`);
  }
  const together = await gateway.get('/spelling/old_utf8?ids=%F0%9F%98%80,%C3%A9,%3F');
  assert.deepEqual(await together.json(), { rows: [null, { code: 'é', n: 1 }, { code: '?', n: 2 }] });
  const latin = await gateway.get('/spelling/latin?ids=%E6%97%A5,%C3%A9,%3F,plain');
  assert.deepEqual(await latin.json(), {
    rows: [null, { code: 'é', n: 1 }, { code: '?', n: 3 }, { code: 'plain', n: 2 }],
  });
});

test('in a composite id commas part, and encoded commas, slashes and percent signs belong to their part', async () => {
  await isOneSpelling(
    ['/spelling/pairs/x%2Cy%2Fz,-1,0.50', '/spelling/pairs/%78%2cy%2fz,%2D1,0%2E50'],
    'spelling_pairs_x%2Cy%2Fz,-1,0.50',
  );
  await entries.clear();
  await isOneSpelling(
    ['/spelling/pairs/50%25,7,12.30', '/spelling/pairs/50%25,7,12.30'],
    'spelling_pairs_50%25,7,12.30',
  );
  await entries.clear();
  await findsTheSameRow('/spelling/pairs/x,0,-2.00', 'spelling_pairs_x,0,-2.00', [
    '/spelling/pairs/X,0,-2.00',
    '/spelling/pairs/x%20,0,-2.00',
  ]);
  await entries.clear();
  for (const other of ['x', 'x,0', 'x%2C0%2C-2.00', 'x,0,-2.00,', ',x,0,-2.00', 'x,00,-2.00', 'x,0,-2.0', 'x,0,2'])
    await isRefused(`/spelling/pairs/${other}`);
  const rows: [term: string, key: string][] = [
    ['de,Gr%C3%BC%C3%9Fe%2C%20alle', 'de,Gr%C3%BC%C3%9Fe%2C%20alle'],
    ['de,100%20%25', 'de,100%20%25'],
    ['de,und%2Foder', 'de,und%2Foder'],
    ['de,und%252Foder', 'de,und%252Foder'],
    ['en,a%2Cb', 'en,a%2Cb'],
    ['en,a%252Cb', 'en,a%252Cb'],
    ['en,%2C', 'en,%2C'],
    ['en,%20%20indented', 'en,%20%20indented'],
    ['zh-CN,%E4%BD%A0%E5%A5%BD%2C%E4%B8%96%E7%95%8C', 'zh-CN,%E4%BD%A0%E5%A5%BD%2C%E4%B8%96%E7%95%8C'],
  ];
  for (const [id, key] of rows) {
    await entries.clear();
    await isOneSpelling(
      [
        `/shop/translations/${id}`,
        `/shop/translations/${id.replaceAll(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase())}`,
      ],
      `shop_translations_${key}`,
    );
  }
});

test('ids= takes plain and encoded commas for numbers, in the order asked, twice if asked twice', async () => {
  const uids = async (ids: string) => {
    const response = await gateway.get(`/test/users?ids=${ids}`);
    assert.equal(response.status, 200, ids);
    return ((await response.json()) as { rows: ({ uid: number } | null)[] }).rows.map((row) => row?.uid ?? null);
  };
  assert.deepEqual(await uids('3,1,2'), [3, 1, 2]);
  assert.deepEqual(await uids('3%2C1%2c2'), [3, 1, 2]);
  assert.deepEqual(await uids('1,1,4000000000,1,%33'), [1, 1, null, 1, 3]);
  assert.deepEqual(await entries.keys(), ['test_users_1', 'test_users_2', 'test_users_3', 'test_users_4000000000']);
  for (const ids of ['', '1,', ',1', '1,,2', '01', '1,%202', '1+2']) {
    const response = await gateway.get(`/test/users?ids=${ids}`);
    assert.equal(response.status, 400, ids);
    await response.body?.cancel();
  }
});

test('ids= of composite keys are read part by part', async () => {
  const rows = async (path: string) =>
    ((await (await gateway.get(path)).json()) as { rows: ({ line_no: number } | null)[] }).rows;
  const plain = await rows('/shop/order_items?ids=1,1,2,1,1,99');
  assert.deepEqual(
    plain.map((row) => row?.line_no ?? null),
    [1, 1, null],
  );
  assert.deepEqual(await rows('/shop/order_items?ids=1%2C1%2C2%2C1%2C1%2C99'), plain);
  const odd = await gateway.get('/shop/order_items?ids=1,1,2');
  assert.equal(odd.status, 400);
  await odd.body?.cancel();
  const terms = await gateway.get('/shop/translations?ids=en,%2C,en,a%2Cb,de,und%2Foder,en,absent');
  const found = ((await terms.json()) as { rows: ({ term: string } | null)[] }).rows.map((row) => row?.term ?? null);
  assert.deepEqual(found, [',', 'a,b', 'und/oder', null]);
});

test('case, accent and space variants in one ids= are all answered right', async () => {
  const ids = ['foo', 'Foo', 'FOO', 'Foo%20', 'absent', 'Muller', 'M%C3%BCller', 'ABSENT', 'foo', 'a%2Cb', 'A%2CB'];
  for (const attempt of ['cold', 'warm']) {
    const response = await gateway.get(`/spelling/names?ids=${ids.join(',')}`);
    const found = ((await response.json()) as { rows: ({ n: number } | null)[] }).rows.map((row) => row?.n ?? null);
    assert.deepEqual(found, [1, 1, 1, 1, null, 2, 2, null, 1, 5, 5], attempt);
    assert.deepEqual(await entries.keys(), [
      'spelling_names_Foo',
      'spelling_names_M%C3%BCller',
      'spelling_names_a%2Cb',
    ]);
  }
});

test('variants asked for at once, each by a GET of its own, are all answered right', async () => {
  const paths = ['foo', 'Foo', 'FOO', 'Foo%20', 'absent', 'fo%6F', 'Muller', 'M%C3%BCller', 'absent%20'];
  const answers = await Promise.all(paths.map((path) => get(`/spelling/names/${path}`)));
  const found = answers.map(({ status, text }) => (status === 200 ? (JSON.parse(text) as { n: number }).n : status));
  assert.deepEqual(found, [1, 1, 1, 1, 404, 1, 2, 2, 404]);
  assert.deepEqual(
    answers.map(({ location }) => location?.split('/').at(-1)),
    ['Foo', undefined, 'Foo', 'Foo', undefined, 'Foo', 'M%C3%BCller', undefined, undefined],
  );
  assert.deepEqual(await entries.keys(), ['spelling_names_Foo', 'spelling_names_M%C3%BCller']);
});
