/** `ringfill drill --against`: as a process, over a gateway that follows no changes, so that its answers grow old. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommand } from '../support/cli.ts';
import { startGateway } from '../support/gateway.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { mysqlUrl } from '../support/least-privilege.ts';

const ROWS = 200;
const stack = await testStack();
const db = `d${randomBytes(4).toString('hex')}`;
const table = `${db}.ringfill_drill`;
/** Of who writes. */
const administrator = `mysql://root@${stack.mysql.host}:${stack.mysql.port}`;
const folder = temporaryFolder();

const mysql = new MysqlClient(stack);
await mysql.ownDatabase(db);
const values = Array.from({ length: ROWS }, (_, index) => `(${index + 1}, 7)`).join(', ');
await mysql.run(`CREATE TABLE ${table} (id INT PRIMARY KEY, n INT NOT NULL)`);
await mysql.run(`INSERT INTO ${table} VALUES ${values}`);
const gateway = await startGateway(stack, { origin: { url: mysqlUrl(stack.mysql) }, tables: { [table]: {} } });

const drill = (...more: string[]) => runCommand(['drill', '--against', gateway.url, '--table', table, ...more]);

test('nobody pulls a plug and nobody writes: nothing is flagged', async () => {
  const json = join(folder, 'seen.json');
  const { code, stdout, stderr } = await drill('--rows', String(ROWS), '--seconds', '2', '--json', json);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /drill .* held/);
  const { passed, seen } = JSON.parse(readFileSync(json, 'utf8')) as {
    passed: boolean;
    seen: { answers: { requests: number } };
  };
  assert.equal(passed, true);
  assert.ok(seen.answers.requests > 100, String(seen.answers.requests));
});

test('answers that are older than the bound are flagged, and the exit code says so', async () => {
  const html = join(folder, 'report.html');
  const load = ['--rows', String(ROWS), '--seconds', '4', '--html', html];
  const { code, stdout } = await drill(...load, '--origin', administrator, '--writes', '100', '--bound', '500');
  assert.equal(code, 1);
  assert.match(stdout, /FAILED/);
  assert.match(stdout, /stale at .* replaced \d+ ms ago/);
  assert.match(readFileSync(html, 'utf8'), /<h1>ringfill drills<\/h1>/);
});

test('a row that is not there, and a table that is not exposed, are told before anything is loaded', async () => {
  const missing = await drill('--rows', String(ROWS + 1), '--seconds', '1');
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, new RegExp(`${table} has no row ${ROWS + 1}`));
  const unexposed = await runCommand(['drill', '--against', gateway.url, '--table', `${db}.other`, '--seconds', '1']);
  assert.equal(unexposed.code, 1);
  assert.match(unexposed.stderr, /table-not-exposed/);
});
