/** `ringfill check` on mirrors: what their keys and their shards have to be like. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Finding } from '../../cli/check/finding.ts';
import type { Config } from '../../shared/config/schema.ts';
import { startRedis } from '../../stack/redis.ts';
import { runCommand, writeConfig } from '../support/cli.ts';
import { gatewayConfig } from '../support/gateway.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { mysqlUrl } from '../support/least-privilege.ts';

const stack = await testStack();
const folder = temporaryFolder();
const client = new MysqlClient(stack);
await client.ownDatabase('checked');
await client.run(`CREATE TABLE checked.by_code (code VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY);
  CREATE TABLE checked.by_kind (kind ENUM('b', 'a') PRIMARY KEY);
  CREATE TABLE checked.plain (id INT PRIMARY KEY)`);
const evicting = await startRedis({
  folder,
  name: 'e1',
  args: ['--maxmemory', '64mb', '--maxmemory-policy', 'allkeys-lru'],
});
const keeping = await startRedis({
  folder,
  name: 'k1',
  args: ['--maxmemory', '64mb', '--maxmemory-policy', 'volatile-lru'],
});
after(() => Promise.all([evicting.stop(), keeping.stop()]));
const rings: Config['rings'] = [
  { name: 'primary', shards: { k1: keeping.url } },
  { name: 'fallback', shards: { e1: evicting.url } },
];

let configs = 0;

async function check(tables: Config['tables']): Promise<readonly Finding[]> {
  const origin = { url: mysqlUrl(stack.mysql) };
  const { text } = gatewayConfig(stack, { tables, rings, origin, sync: {} });
  const file = writeConfig(folder, `${(configs += 1)}.yml`, text);
  const { code, stdout } = await runCommand(['check', '--json', '--config', file]);
  const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: Finding[] };
  assert.equal(code, ok ? 0 : 1);
  return findings;
}

function find(findings: readonly Finding[], group: RegExp, requirement: string, verdict?: string): Finding {
  const found = findings.find(
    (finding) =>
      group.test(finding.group) &&
      finding.requirement === requirement &&
      (verdict ?? finding.verdict) === finding.verdict,
  );
  assert.ok(found, `${String(group)} ${requirement} ${verdict ?? ''} among ${JSON.stringify(findings, undefined, 1)}`);
  return found;
}

test('a shard that evicts any key is no place for a mirror; one that does not hold the table may', async () => {
  const both = await check({ 'checked.plain': { mode: 'mirror', copies: 2 } });
  const wrong = find(both, /^shard e1/, 'eviction');
  assert.equal(wrong.verdict, 'unmet');
  assert.match(wrong.found, /allkeys-lru, and rows of checked\.plain lie here$/);
  assert.match(String(wrong.mend?.[0]), /CONFIG SET maxmemory-policy volatile-lru$/);
  assert.equal(find(both, /^shard k1/, 'eviction').verdict, 'met');
  for (const elsewhere of [{ copies: 1 }, { shard: 'k1' }] as const) {
    const findings = await check({ 'checked.plain': { mode: 'mirror', ...elsewhere } });
    assert.equal(find(findings, /^shard e1/, 'eviction').verdict, 'met', JSON.stringify(elsewhere));
  }
  const cached = await check({ 'checked.plain': {} });
  assert.equal(find(cached, /^shard e1/, 'eviction').verdict, 'met');
});

test('a mirror goes by the bytes of a text; a key that has no order cannot be one', async () => {
  const findings = await check({
    'checked.by_code': { mode: 'mirror', copies: 1 },
    'checked.by_kind': { mode: 'mirror', copies: 1 },
  });
  const note = find(findings, /^tables$/, 'checked.by_code', 'note');
  assert.equal(note.found, 'several spellings find one row by code (utf8mb4_general_ci)');
  assert.match(String(note.why), /A mirror goes by the bytes/);
  assert.match(find(findings, /^tables$/, 'checked.by_kind', 'unmet').found, /kind is an ENUM: .* \[key-unsuitable\]$/);
});
