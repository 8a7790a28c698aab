/** MySQL killed and hung: what is cached is still served, what is not is refused politely, and it comes back by itself. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { loadDemoData } from '../../stack/demo-data/load.ts';
import { hang, kill, resume } from '../../stack/faults.ts';
import { startMysql } from '../../stack/mysql.ts';
import { cacheStatusOf, startGateway, type TestGateway } from '../support/gateway.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const TIMEOUT_MS = 400;

const stack = await testStack();
const mysql = await startMysql({ folder: temporaryFolder(), name: 'origin' });
after(() => mysql.stop());
await loadDemoData(mysql);
const origin = { url: `mysql://ringfill:ringfill@127.0.0.1:${mysql.port}`, timeoutMs: TIMEOUT_MS };

/** Settles when an uncached row can be read again. */
async function readableAgain(gateway: TestGateway, uid: number): Promise<void> {
  const giveUpAt = performance.now() + 15_000;
  for (;;) {
    const response = await gateway.get(`/test/users/${uid}`);
    if (response.status === 200) return;
    assert.equal(response.status, 503);
    assert.ok(performance.now() < giveUpAt, 'MySQL is back, and the gateway has not noticed');
  }
}

for (const [how, harm, mend] of [
  ['killed', () => kill(mysql), () => mysql.restart()],
  ['hung', async () => hang(mysql), async () => resume(mysql)],
] as const) {
  test(`MySQL ${how}: cached rows are 200, others 503 with Retry-After and a code, until it is back`, async () => {
    const gateway = await startGateway(stack, { tables: { 'test.users': {} }, origin });
    for (let uid = 1; uid <= 50; uid += 1) assert.equal((await gateway.get(`/test/users/${uid}`)).status, 200);

    await harm();
    try {
      for (let uid = 1; uid <= 50; uid += 1) {
        const cached = await gateway.get(`/test/users/${uid}`);
        assert.equal(cached.status, 200);
        assert.ok(cacheStatusOf(cached).hit);
      }
      const started = performance.now();
      for (let uid = 1_001; uid <= 1_020; uid += 1) {
        const uncached = await gateway.get(`/test/users/${uid}`);
        assert.equal(uncached.status, 503);
        assert.ok(Number(uncached.headers.get('retry-after')) >= 1);
        assert.match(((await uncached.json()) as { code: string }).code, /^origin-(?:unreachable|timeout)$/);
      }
      // Three find out, at most a deadline each; the breaker answers the rest.
      assert.ok(performance.now() - started < 20 * TIMEOUT_MS);
      const batch = await gateway.get('/test/users?ids=1,2,1001');
      assert.equal(batch.status, 503, 'null would say that the row does not exist');
    } finally {
      await mend();
    }
    await readableAgain(gateway, 2_001);
    await gateway.stop();
  });
}

test('past its TTL a row is served within grace while MySQL is away, and says so; past grace it is not', async () => {
  const tables = { 'test.users': { ttlSeconds: 1, ttlJitterPercent: 0, graceSeconds: 3 } };
  const gateway = await startGateway(stack, { tables, origin });
  assert.equal((await gateway.get('/test/users/8')).status, 200);
  assert.equal((await gateway.get('/test/users/4000000000')).status, 404);
  await kill(mysql);
  try {
    const seen: string[] = [];
    const giveUpAt = performance.now() + 20_000;
    for (let status = 200; status === 200;) {
      const response = await gateway.get('/test/users/8');
      status = response.status;
      const story = status === 200 ? cacheStatusOf(response).text.replace(/ttl=.*detail=/, '') : String(status);
      if (seen.at(-1) !== story) seen.push(story);
      assert.ok(performance.now() < giveUpAt, seen.join(' | '));
    }
    assert.match(seen[0] ?? '', /^ringfill; hit; "r[123]\/0"$/);
    assert.match(seen[1] ?? '', /^ringfill; hit; "r[123]\/0 expired=origin-unreachable"$/);
    assert.deepEqual(seen.slice(2), ['503']);
  } finally {
    await mysql.restart();
  }
});
