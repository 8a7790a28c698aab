/**
 * Read your own write: after a COMMIT, a read that names it has it, whichever gateway is asked, while others write and
 * read too. RINGFILL_PAIRS makes it longer.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createPool, type PoolConnection, type RowDataPacket } from 'mysql2/promise';
import { RingfillClient } from '../../client/index.ts';
import { gatewayConfig } from '../support/gateway.ts';
import { startGatewayProcesses } from '../support/gateway-processes.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { SyncWorkerProcesses } from '../support/sync-worker-processes.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const PAIRS = Number(process.env['RINGFILL_PAIRS'] ?? 2_000);
const ROWS = 1_000;
const LOOPS = 16;

const stack = await testStack();
await new MysqlClient(stack).ownDatabase('own_write', [
  'CREATE TABLE counters (id INT PRIMARY KEY, counter INT NOT NULL) ENGINE = InnoDB',
  `INSERT INTO counters VALUES ${Array.from({ length: ROWS }, (_, id) => `(${id}, 0)`).join(', ')}`,
]);
const mysql = createPool({ host: stack.mysql.host, port: stack.mysql.port, user: 'root', connectionLimit: LOOPS });
after(() => mysql.end());

const folder = temporaryFolder();
const name = `own-${randomBytes(4).toString('hex')}`;
const settings = {
  tables: { 'own_write.counters': {} },
  keyPrefix: `${name}:`,
  sync: { name, stateFolder: join(folder, 'state') },
};
await new SyncWorkerProcesses(folder, gatewayConfig(stack, settings).text).start();
const { gateways } = await startGatewayProcesses(stack, settings, 2);
const clients = gateways.map(({ url }) => new RingfillClient({ url, etags: false }));
after(() => Promise.all(clients.map((client) => client.close())));

/** What a client knows of its write: MariaDB's GTID; on MySQL, where GTIDs may be off, the binlog's end after it. */
async function positionOfWrite(connection: PoolConnection): Promise<string> {
  const isMariadb = stack.mysql.flavour === 'mariadb';
  const query = isMariadb ? 'SELECT @@last_gtid AS gtid' : 'SHOW MASTER STATUS';
  const [[row]] = await connection.query<RowDataPacket[]>(query);
  return isMariadb ? String(row?.['gtid']) : `${String(row?.['File'])}:${String(row?.['Position'])}`;
}

test(`of ${PAIRS} reads after one's own write, none is older than the write`, async () => {
  const answeredBy = new Map<string, number>();
  const old: string[] = [];
  const addedMs: number[] = [];
  let pairs = 0;
  const loop = async (first: number) => {
    const connection = await mysql.getConnection();
    // Each loop has rows of its own, so that it knows what it wrote last.
    for (let turn = 0; pairs < PAIRS; turn += 1) {
      pairs += 1;
      const id = first + LOOPS * (turn % Math.floor(ROWS / LOOPS));
      await connection.query(`UPDATE own_write.counters SET counter = counter + 1 WHERE id = ${id}`);
      const written = turn / Math.floor(ROWS / LOOPS) + 1;
      const position = await positionOfWrite(connection);
      const client = clients[Math.floor(Math.random() * clients.length)] as RingfillClient;
      const started = performance.now();
      const { row, cacheStatus } = await client.getWithStatus<{ counter: number }>('own_write', 'counters', id, {
        after: position,
      });
      addedMs.push(performance.now() - started);
      const story = /; (hit|stored|collapsed)|(?:unstored|sync-lost)=[a-z-]+/.exec(cacheStatus ?? '')?.[0] ?? '';
      answeredBy.set(story, (answeredBy.get(story) ?? 0) + 1);
      if ((row?.counter ?? 0) < Math.floor(written))
        old.push(`row ${id}: ${row?.counter} < ${written}: ${cacheStatus}`);
      // Others read as well, so that there is something to go stale.
      await client.get('own_write', 'counters', (id * 7) % ROWS);
    }
    connection.release();
  };
  await Promise.all(Array.from({ length: LOOPS }, (_, index) => loop(index)));
  const sorted = addedMs.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1);
  process.stdout.write(
    `ℹ ${pairs} pairs; ${JSON.stringify(Object.fromEntries(answeredBy))}; p50 ${at(0.5)} ms, p99 ${at(0.99)} ms\n`,
  );
  assert.deepEqual(old.slice(0, 5), []);
});
