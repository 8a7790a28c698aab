/**
 * "The origin is never stampeded": counted in the server's own general log.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import autocannon from 'autocannon';
import { Agent, request } from 'undici';
import { rowReadsOf, statementsDuring } from '../support/general-log.ts';
import { startGateway } from '../support/gateway.ts';
import { startGatewayProcesses } from '../support/gateway-processes.ts';
import { testStack } from '../support/stack.ts';

const stack = await testStack();
const TABLE = '`test`.`users`';

/** Sends `paths`, at most `connections` at once, and checks that every answer is 200. */
async function getAll(urls: readonly string[], connections: number): Promise<string[]> {
  const dispatcher = new Agent({ connections, pipelining: 1 });
  const bodies: string[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < urls.length; index = next++) {
      const { statusCode, headers, body } = await request(urls[index] as string, { dispatcher });
      bodies[index] = await body.text();
      assert.equal(statusCode, 200, `${urls[index]}: ${String(headers['cache-status'])} ${bodies[index]}`);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(connections, urls.length) }, worker));
  } finally {
    await dispatcher.close();
  }
  return bodies;
}

test('200 concurrent reads of one cold key over two gateway processes make exactly one SELECT', async () => {
  const { gateways } = await startGatewayProcesses(stack, { tables: { 'test.users': {} } }, 2);
  const urls = Array.from({ length: 200 }, (_, index) => `${gateways[index % 2]?.url}/test/users/17`);
  let bodies: string[] = [];
  const statements = await statementsDuring(stack, async () => {
    bodies = await getAll(urls, 200);
  });
  assert.equal(new Set(bodies).size, 1);
  assert.equal(rowReadsOf(statements, TABLE).length, 1, rowReadsOf(statements, TABLE).join('\n'));
});

test('a batch of 200 text ids, of which 100 are other spellings and 50 are absent, makes at most two SELECTs a shard', async () => {
  const gateway = await startGateway(stack, { tables: { 'shop.products': {} } });
  const sku = (n: number) => `SKU-${String(n).padStart(5, '0')}`;
  const ids = Array.from({ length: 200 }, (_, n) =>
    n < 50 ? sku(n + 101) : n < 150 ? sku(n + 101).toLowerCase() : `none-${n}`,
  );
  let rows: ({ sku: string } | null)[] = [];
  const statements = await statementsDuring(stack, async () => {
    ({ rows } = (await (await gateway.get(`/shop/products?ids=${ids.join(',')}`)).json()) as { rows: typeof rows });
  });
  assert.deepEqual(
    rows.map((row) => row?.sku),
    ids.map((id) => (id.startsWith('none') ? undefined : id.toUpperCase())),
  );
  // Each shard's leases come in a tick of their own.
  const reads = rowReadsOf(statements, '`shop`.`products`').length;
  assert.ok(reads <= 2 * 3, `${reads} SELECTs`);
});

test('1,000 reads of different cold keys over 100 connections make at most 20 SELECTs', async (t) => {
  const { gateways } = await startGatewayProcesses(stack, { tables: { 'test.users': {} } }, 1);
  const url = `${gateways[0]?.url}`;
  // A process that has just started answers slower than 100 connections ask.
  await autocannon({ url: `${url}/test/users/10000`, connections: 100, amount: 3_000 });
  // Whatever else runs on the machine stretches a round and tears it apart; the least of three is the gateway's own.
  const rounds: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const sizes = await selectSizesOfColdReads(url, round * 1_000 + 1);
    t.diagnostic(`${sizes.length} SELECTs, of ${sizes.join(', ')} rows`);
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      1_000,
      'each row is asked for once',
    );
    rounds.push(sizes.length);
  }
  assert.ok(Math.min(...rounds) <= 20);
});

/** How many rows each SELECT asked for, while 1,000 rows from `firstUid` on were read over 100 connections. */
async function selectSizesOfColdReads(url: string, firstUid: number): Promise<number[]> {
  const statements = await statementsDuring(stack, async () => {
    let uid = firstUid;
    const result = await autocannon({
      url,
      connections: 100,
      amount: 1_000,
      requests: [{ setupRequest: (cold) => ({ ...cold, path: `/test/users/${uid++}` }) }],
    });
    assert.deepEqual([result['2xx'], result.non2xx, result.errors], [1_000, 0, 0]);
  });
  return rowReadsOf(statements, TABLE).map(
    (statement) => statement.slice(statement.indexOf(' IN (')).split(',').length,
  );
}
