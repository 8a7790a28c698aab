// Loads the demo's rows, once: the server remembers which edition of them it holds.

import { createHash } from 'node:crypto';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { seconds, type OnProgress } from '../progress.ts';
import type { DemoServer, DemoTable } from './demo-table.ts';
import { demoTables } from './demo-tables.ts';

/** Raise it when what is loaded changes in a way that the tables' definitions do not show. */
const edition = 1;

const statementCharactersMax = 1_000_000;

export interface DemoOrigin extends DemoServer {
  readonly host: string;
  readonly port: number;
  /** Of an account that may create databases and accounts. */
  readonly user: string;
  readonly password: string;
}

/** The account that the gateway uses: it may read, and follow the binlog. */
export const demoAccount = { user: 'ringfill', password: 'ringfill' };

/** Loads what is missing; a server that holds this edition already is left as it is, whatever was changed in it since. */
export async function loadDemoData(origin: DemoOrigin, onProgress?: OnProgress): Promise<'loaded' | 'found'> {
  const startedAt = performance.now();
  const connection = await createConnection({
    host: origin.host,
    port: origin.port,
    user: origin.user,
    password: origin.password,
    charset: 'utf8mb4',
  });
  try {
    const tables = demoTables.filter((table) => table.isSupportedBy?.(origin) ?? true);
    const wanted = signatureOf(tables);
    if ((await loadedSignature(connection)) === wanted) {
      onProgress?.({ kind: 'note', text: '  demo data  found, as an earlier start left it' });
      return 'found';
    }
    const rows = await load(connection, origin, tables, wanted);
    const took = seconds(performance.now() - startedAt);
    onProgress?.({
      kind: 'note',
      text: `  demo data  loaded: ${String(tables.length)} tables, ${String(rows)} rows (${took})`,
    });
    return 'loaded';
  } finally {
    await connection.end();
  }
}

function signatureOf(tables: readonly DemoTable[]): string {
  const shape = tables.map(({ database, name, definition }) => [database, name, definition]);
  return createHash('sha256')
    .update(JSON.stringify([edition, shape]))
    .digest('hex');
}

async function loadedSignature(connection: Connection): Promise<string | undefined> {
  const [present] = await connection.query<RowDataPacket[]>(
    "SELECT 1 FROM information_schema.tables WHERE table_schema = 'ringfill_demo' AND table_name = 'loaded'",
  );
  if (present.length === 0) return undefined;
  const [rows] = await connection.query<RowDataPacket[]>('SELECT signature FROM ringfill_demo.loaded');
  const signature: unknown = rows[0]?.['signature'];
  return typeof signature === 'string' ? signature : undefined;
}

async function load(
  connection: Connection,
  server: DemoServer,
  tables: readonly DemoTable[],
  signature: string,
): Promise<number> {
  await connection.query("SET SESSION sql_mode = '', time_zone = '+00:00', foreign_key_checks = 0");
  // The note that the data is complete goes first and comes last: a load that was interrupted is done again.
  await connection.query('DROP DATABASE IF EXISTS ringfill_demo');
  for (const database of ['test', 'shop']) {
    await connection.query(
      `CREATE DATABASE IF NOT EXISTS ${database} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci`,
    );
  }
  let rows = 0;
  for (const table of tables) {
    rows += await loadTable(connection, table).catch((error: unknown) => {
      // Without its cause, which carries the whole statement, rows and all.
      const said = error instanceof Error ? error.message : String(error);
      throw new Error(`${table.database}.${table.name} of the demo data could not be loaded: ${said}`);
    });
  }
  await createAccount(connection, server);
  await connection.query('CREATE DATABASE ringfill_demo');
  await connection.query('CREATE TABLE ringfill_demo.loaded (signature CHAR(64) NOT NULL PRIMARY KEY)');
  await connection.query('INSERT INTO ringfill_demo.loaded VALUES (?)', [signature]);
  return rows;
}

async function loadTable(connection: Connection, table: DemoTable): Promise<number> {
  const name = `${table.database}.${table.name}`;
  await connection.query(`DROP TABLE IF EXISTS ${name}`);
  await connection.query(`CREATE TABLE ${name} (\n  ${table.definition}\n) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`);
  await connection.beginTransaction();
  const insert = `INSERT INTO ${name} (${table.columns.map((column) => `\`${column}\``).join(', ')}) VALUES `;
  let rows = 0;
  let tuples: string[] = [];
  let characters = 0;
  const flush = async (): Promise<void> => {
    if (tuples.length > 0) await connection.query(insert + tuples.join(','));
    tuples = [];
    characters = 0;
  };
  for (const row of table.rows()) {
    const tuple = `(${row.join(', ')})`;
    if (characters + tuple.length > statementCharactersMax) await flush();
    tuples.push(tuple);
    characters += tuple.length;
    rows += 1;
  }
  await flush();
  await connection.commit();
  return rows;
}

async function createAccount(connection: Connection, { flavour, version }: DemoServer): Promise<void> {
  // Before 8.0.22 MySQL asks for more than SELECT where rows are share-locked.
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const isOld = flavour === 'mysql' && major === 8 && minor === 0 && patch < 22;
  const read = isOld ? 'SELECT, LOCK TABLES' : 'SELECT';
  for (const host of ['127.0.0.1', 'localhost']) {
    const account = `'${demoAccount.user}'@'${host}'`;
    await connection.query(`CREATE USER IF NOT EXISTS ${account} IDENTIFIED BY '${demoAccount.password}'`);
    await connection.query(`GRANT ${read} ON test.* TO ${account}`);
    await connection.query(`GRANT ${read} ON shop.* TO ${account}`);
    await connection.query(`GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO ${account}`);
  }
}
