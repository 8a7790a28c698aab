/**
 * Tables change while the gateway runs: never a value under a wrong name or of a wrong type, and never a 500.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cacheStatusOf, startGateway } from '../support/gateway.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const client = new MysqlClient(stack);
await client.ownDatabase('altering');

/** What an ALTER TABLE does to `id INT PRIMARY KEY, …` with one row, and what the next read of the row must say. */
interface Change {
  readonly what: string;
  readonly columns: string;
  readonly values: string;
  readonly alter: string;
  readonly before: object;
  readonly after: object;
}

const changes: readonly Change[] = [
  {
    what: 'a dropped column is not in the next answer',
    columns: 'a INT, b VARCHAR(20)',
    values: "1, 'two'",
    alter: 'DROP COLUMN a',
    before: { id: 7, a: 1, b: 'two' },
    after: { id: 7, b: 'two' },
  },
  {
    what: 'a renamed column has its new name',
    columns: 'a INT, b VARCHAR(20)',
    values: "1, 'two'",
    alter: 'CHANGE a c INT',
    before: { id: 7, a: 1, b: 'two' },
    after: { id: 7, c: 1, b: 'two' },
  },
  {
    what: 'an INT that becomes a BIGINT is a string, exact past 2^53',
    columns: 'a INT',
    values: '1',
    alter: 'MODIFY a BIGINT; UPDATE ?? SET a = 9007199254740993',
    before: { id: 7, a: 1 },
    after: { id: 7, a: '9007199254740993' },
  },
  {
    what: 'a number that becomes a text is a text, also where it still looks like a number',
    columns: 'a INT',
    values: '12',
    alter: 'MODIFY a VARCHAR(20)',
    before: { id: 7, a: 12 },
    after: { id: 7, a: '12' },
  },
  {
    what: 'a number that becomes a text is a text, whatever stands in it',
    columns: 'a INT',
    values: '12',
    alter: "MODIFY a VARCHAR(20); UPDATE ?? SET a = 'twelve'",
    before: { id: 7, a: 12 },
    after: { id: 7, a: 'twelve' },
  },
  {
    what: 'a text that becomes a number is a number',
    columns: 'a VARCHAR(20)',
    values: "'12'",
    alter: 'MODIFY a INT',
    before: { id: 7, a: '12' },
    after: { id: 7, a: 12 },
  },
  {
    what: 'a text that becomes bytes is base64',
    columns: 'a VARCHAR(20)',
    values: "'12'",
    alter: 'MODIFY a VARBINARY(20)',
    before: { id: 7, a: '12' },
    after: { id: 7, a: 'MTI=' },
  },
  {
    what: 'a BIT that grows past 32 bits is a string',
    columns: 'a BIT(8)',
    values: "b'101'",
    alter: 'MODIFY a BIT(64); UPDATE ?? SET a = 18446744073709551615',
    before: { id: 7, a: 5 },
    after: { id: 7, a: '18446744073709551615' },
  },
  {
    what: 'a FLOAT that becomes a DOUBLE has all its digits',
    columns: 'a FLOAT',
    values: '0.1',
    alter: 'MODIFY a DOUBLE; UPDATE ?? SET a = 0.30000000000000004',
    before: { id: 7, a: 0.1 },
    after: { id: 7, a: 0.300_000_000_000_000_04 },
  },
  {
    what: 'a DOUBLE that becomes a FLOAT is the shortest of its kind',
    columns: 'a DOUBLE',
    values: '0.1',
    alter: 'MODIFY a FLOAT',
    before: { id: 7, a: 0.1 },
    after: { id: 7, a: 0.1 },
  },
  {
    what: 'a column that is replaced by another of its name is that other',
    columns: 'a INT, b INT',
    values: '1, 2',
    alter: "DROP COLUMN a, ADD COLUMN a2 INT; ALTER TABLE ?? CHANGE a2 a DATE; UPDATE ?? SET a = '2024-02-29'",
    before: { id: 7, a: 1, b: 2 },
    after: { id: 7, b: 2, a: '2024-02-29' },
  },
  {
    what: 'a DECIMAL with more digits has them',
    columns: 'a DECIMAL(6,2)',
    values: '1.25',
    alter: 'MODIFY a DECIMAL(8,4)',
    before: { id: 7, a: '1.25' },
    after: { id: 7, a: '1.2500' },
  },
  {
    what: 'a TINYINT key that becomes a BIGINT is found and is a string',
    columns: 'a INT',
    values: '1',
    alter: 'MODIFY id BIGINT NOT NULL',
    before: { id: 7, a: 1 },
    after: { id: '7', a: 1 },
  },
];

let tables = 0;

/** @returns the table's name. */
async function create(columns: string, values: string): Promise<string> {
  tables += 1;
  const name = `altering.t${tables}`;
  await client.run(
    `CREATE TABLE ${name} (id INT NOT NULL PRIMARY KEY, ${columns}) ENGINE=InnoDB; INSERT INTO ${name} VALUES (7, ${values})`,
  );
  return name;
}

const pathOf = (table: string) => `/${table.replace('.', '/')}/7`;
const NO_CACHE = { headers: { 'cache-control': 'no-cache' } };

for (const { what, columns, values, alter, before, after } of changes) {
  for (const known of ['after it was read', 'before it was ever read']) {
    test(`${what}: changed ${known}`, async () => {
      const table = await create(columns, values);
      const gateway = await startGateway(stack, { tables: { [table]: {} } });
      if (known === 'after it was read') {
        const first = await gateway.get(pathOf(table));
        assert.deepEqual(await first.json(), before);
      }
      await client.run(`ALTER TABLE ${table} ${alter.replaceAll('??', table)}`);
      const fresh = await gateway.get(pathOf(table), NO_CACHE);
      assert.equal(fresh.status, 200);
      // The order of the members, too.
      assert.equal(await fresh.text(), JSON.stringify(after));
      const cached = await gateway.get(pathOf(table));
      assert.ok(cacheStatusOf(cached).hit, cacheStatusOf(cached).text);
      assert.equal(await cached.text(), JSON.stringify(after));
      await gateway.stop();
    });
  }
}

test('two columns that swap their names keep their values', async () => {
  const table = await create('a INT, b INT', '1, 2');
  const gateway = await startGateway(stack, { tables: { [table]: {} } });
  assert.deepEqual(await (await gateway.get(pathOf(table))).json(), { id: 7, a: 1, b: 2 });
  await client.run(`ALTER TABLE ${table} CHANGE a b INT, CHANGE b a INT`);
  assert.deepEqual(await (await gateway.get(pathOf(table), NO_CACHE)).json(), { id: 7, a: 2, b: 1 });
});

test('a column added in front moves no value, and appears once the schema is read again', async () => {
  const table = await create('a INT, b INT', '1, 2');
  const gateway = await startGateway(stack, { tables: { [table]: {} }, origin: { schemaReloadSeconds: 1 } });
  assert.deepEqual(await (await gateway.get(pathOf(table))).json(), { id: 7, a: 1, b: 2 });
  await client.run(`ALTER TABLE ${table} ADD COLUMN z INT NOT NULL DEFAULT 9 FIRST`);
  const giveUpAt = Date.now() + 10_000;
  for (;;) {
    const row: unknown = await (await gateway.get(pathOf(table), NO_CACHE)).json();
    if (JSON.stringify(row) === '{"z":9,"id":7,"a":1,"b":2}') break;
    assert.deepEqual(row, { id: 7, a: 1, b: 2 });
    assert.ok(Date.now() < giveUpAt, 'the new column has not appeared within 10 s');
  }
  const cached = await gateway.get(pathOf(table));
  assert.equal(await cached.text(), '{"z":9,"id":7,"a":1,"b":2}');
});

async function refusal(
  gateway: { get: (path: string, init?: RequestInit) => Promise<Response> },
  path: string,
  init?: RequestInit,
): Promise<string> {
  const response = await gateway.get(path, init);
  const body = await response.text();
  return response.status === 200 ? body : `${response.status} ${(JSON.parse(body) as { code: string }).code}`;
}

test('a dropped table answers 503 to what is not cached, and its cached rows until they expire', async () => {
  const table = await create('a INT', '1');
  const gateway = await startGateway(stack, { tables: { [table]: {} } });
  assert.equal((await gateway.get(pathOf(table))).status, 200);
  await client.run(`DROP TABLE ${table}`);
  assert.equal((await gateway.get(pathOf(table))).status, 200);
  assert.equal(await refusal(gateway, `${pathOf(table)}1`), '503 origin-refused');
  assert.equal(await refusal(gateway, `/${table.replace('.', '/')}?ids=71,72`), '503 origin-refused');
  await client.run(
    `CREATE TABLE ${table} (id INT NOT NULL PRIMARY KEY, other VARCHAR(9)) ENGINE=InnoDB; INSERT INTO ${table} VALUES (71, 'new')`,
  );
  assert.equal(await (await gateway.get(`${pathOf(table)}1`)).text(), '{"id":71,"other":"new"}');
});

test('a table renamed away answers 503, and answers again when it is back', async () => {
  const table = await create('a INT', '1');
  const gateway = await startGateway(stack, { tables: { [table]: {} } });
  await client.run(`RENAME TABLE ${table} TO ${table}_away`);
  assert.equal(await refusal(gateway, pathOf(table)), '503 origin-refused');
  await client.run(`RENAME TABLE ${table}_away TO ${table}`);
  assert.deepEqual(await (await gateway.get(pathOf(table))).json(), { id: 7, a: 1 });
});

test('a key that cannot be one any more answers 503, not another row and not 500', async () => {
  const cases = [
    { columns: 'code INT NOT NULL', alter: 'DROP PRIMARY KEY', key: ['id'] },
    { columns: 'code INT NOT NULL', alter: 'MODIFY id DOUBLE NOT NULL', key: undefined },
    { columns: 'code INT NOT NULL', alter: 'DROP PRIMARY KEY, ADD PRIMARY KEY (code)', key: ['id'] },
    { columns: 'code INT NOT NULL', alter: 'CHANGE id name INT NOT NULL', key: ['id'] },
  ];
  for (const { columns, alter, key } of cases) {
    const table = await create(columns, '1');
    const gateway = await startGateway(stack, { tables: { [table]: key === undefined ? {} : { key } } });
    assert.equal((await gateway.get(pathOf(table))).status, 200);
    await client.run(`ALTER TABLE ${table} ${alter}`);
    assert.equal(await refusal(gateway, pathOf(table), NO_CACHE), '503 origin-refused', alter);
    assert.equal(await refusal(gateway, `/${table.replace('.', '/')}?ids=8,9`), '503 origin-refused', alter);
    await gateway.stop();
  }
});

test('a key of another type is asked for in that type', async () => {
  const table = await create('a INT', '1');
  const gateway = await startGateway(stack, { tables: { [table]: {} } });
  assert.equal((await gateway.get(pathOf(table))).status, 200);
  await client.run(
    `ALTER TABLE ${table} MODIFY id VARCHAR(20) NOT NULL; INSERT INTO ${table} VALUES ('7x', 2), ('07', 3)`,
  );
  // As a number, 7 would find all three.
  assert.equal(await (await gateway.get(pathOf(table), NO_CACHE)).text(), '{"id":"7","a":1}');
  assert.equal(await (await gateway.get(`${pathOf(table)}x`)).text(), '{"id":"7x","a":2}');
});

test('while a table is altered over and over, every answer is a row with its own values, or says to wait', async (t) => {
  const table = await create('a INT, b VARCHAR(20)', "1, 'two'");
  const gateway = await startGateway(stack, { tables: { [table]: {} } });
  const alters = [
    'MODIFY a BIGINT',
    'MODIFY b VARCHAR(20) FIRST',
    'MODIFY a VARCHAR(20)',
    'DROP COLUMN a',
    'ADD COLUMN a INT DEFAULT 1',
    'MODIFY b VARCHAR(20) AFTER id',
  ];
  let altering = true;
  const counts = { rows: 0, refused: 0 };
  const read = async (init?: RequestInit) => {
    while (altering) {
      const response = await gateway.get(pathOf(table), init);
      const body = await response.text();
      if (response.status === 503) {
        counts.refused += 1;
        assert.equal((JSON.parse(body) as { code: string }).code, 'origin-refused');
        continue;
      }
      assert.equal(response.status, 200, body);
      const { id, a = 1, b, ...others } = JSON.parse(body) as Record<string, unknown>;
      assert.deepEqual([id, Number(a), b, others], [7, 1, 'two', {}], body);
      counts.rows += 1;
    }
  };
  const readers = Promise.all([read(NO_CACHE), read(NO_CACHE), read()]);
  try {
    for (let round = 0; round < 5; round += 1)
      for (const alter of alters) await client.run(`ALTER TABLE ${table} ${alter}`);
  } finally {
    altering = false;
  }
  await readers;
  t.diagnostic(`${counts.rows} rows, ${counts.refused} refused during ${5 * alters.length} ALTERs`);
  assert.ok(counts.rows > 100);
});
