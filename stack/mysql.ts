// A private MariaDB or MySQL 8, with the binlog as the sync worker needs it. `root` has no password, and is reachable on
// this machine only.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { loopback, onPort } from './ports.ts';
import type { OnProgress } from './progress.ts';
import { identifyMysql, needServer, ServerMissing, type MysqlProgram } from './server-binaries.ts';
import { lastLinesOf, ServerProcess, type ServerRecipe, ServerStartFailed } from './server-process.ts';

const run = promisify(execFile);

export interface MysqlOptions {
  /** Where its folder, named after it, is made. */
  readonly folder: string;
  /** `mysql` if it is missing. */
  readonly name?: string;
  /** A free one is chosen if it is missing. */
  readonly port?: number | undefined;
  /** The port's number if it is missing, so that no two of them are alike. */
  readonly serverId?: number;
  /** Further mysqld arguments, such as ['--general-log']. */
  readonly args?: readonly string[];
  readonly portAdvice?: string;
  readonly onProgress?: OnProgress | undefined;
  /** Aborted while the server starts, it gives up. */
  readonly signal?: AbortSignal | undefined;
}

export class MysqlServer extends ServerProcess {
  readonly flavour: 'mariadb' | 'mysql';
  readonly version: string;
  readonly socket: string;
  readonly user = 'root';
  readonly password = '';

  constructor(recipe: ServerRecipe, program: MysqlProgram, socket: string) {
    super(recipe);
    this.flavour = program.flavour;
    this.version = program.version;
    this.socket = socket;
  }
}

export async function startMysql(options: MysqlOptions): Promise<MysqlServer> {
  const program = await identifyMysql(await needServer('mysql'));
  return await onPort(options.port, async (port) => await mysqlOn(program, port, options).start());
}

function mysqlOn(program: MysqlProgram, port: number, options: MysqlOptions): MysqlServer {
  const name = options.name ?? 'mysql';
  const folder = path.resolve(options.folder, name);
  const socket = socketFor(folder);
  // Neither can read what the other has written.
  const data = path.join(folder, `data-${program.flavour}`);
  const advice = options.portAdvice ?? 'Stop that process, or choose another port.';
  const server: MysqlServer = new MysqlServer(
    {
      kind: 'mysql',
      name,
      host: loopback,
      port,
      folder,
      claims: [{ port, wantedBy: `${program.flavour === 'mariadb' ? 'MariaDB' : 'MySQL'} ${name}`, advice }],
      // An unclean shutdown is followed by recovery.
      readyWithinMs: 90_000,
      stopWithinMs: 20_000,
      onProgress: options.onProgress,
      signal: options.signal,
      async prepare() {
        await mkdir(path.dirname(socket), { recursive: true, mode: 0o700 });
        await mkdir(temporaryFolderOf(data), { recursive: true });
        await initialise(program, data, server);
      },
      command: () => ({
        file: program.file,
        args: [
          ...commonArguments(program, data),
          `--socket=${socket}`,
          `--port=${String(port)}`,
          `--bind-address=${loopback}`,
          '--skip-name-resolve',
          `--pid-file=${path.join(folder, 'mysqld.pid')}`,
          `--server-id=${String(options.serverId ?? port)}`,
          '--log-bin=mysql-bin',
          '--binlog-format=ROW',
          '--binlog-row-image=FULL',
          '--binlog-row-metadata=FULL',
          // Safe when the server is killed, as the tests do; only a machine that loses power would lose commits.
          '--innodb-flush-log-at-trx-commit=2',
          '--sync-binlog=0',
          '--max-connections=400',
          '--loose-mysqlx=OFF',
          ...(options.args ?? []),
        ],
      }),
      async askIfReady() {
        await ask({ socketPath: socket }, ['SELECT 1']);
        const overTcp = async (): Promise<void> => await ask({ host: loopback, port }, ['SELECT 1']);
        await overTcp().catch(async (error: unknown) => {
          if (!isRefusal(error)) throw error;
          await ask({ socketPath: socket }, rootOverTcp);
          await overTcp();
        });
      },
    },
    program,
    socket,
  );
  return server;
}

function isRefusal(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ER_HOST_NOT_PRIVILEGED' || code === 'ER_ACCESS_DENIED_ERROR';
}

// With name resolution off, 127.0.0.1 is not `localhost`. Not written to the binlog: it is the server's own set-up.
const rootOverTcp = [
  'SET sql_log_bin = 0',
  "CREATE USER IF NOT EXISTS root@'127.0.0.1'",
  "GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION",
];

type Way = { socketPath: string } | { host: string; port: number };

async function ask(way: Way, statements: readonly string[]): Promise<void> {
  const connection = await createConnection({ ...way, user: 'root', connectTimeout: 5_000 });
  try {
    for (const statement of statements) await connection.query(statement);
  } finally {
    connection.destroy();
  }
}

// sockaddr_un holds 107 bytes (104 on macOS) and a clone may lie deep: then the socket goes to a private folder instead.
function socketFor(folder: string): string {
  const near = path.join(folder, 'mysql.sock');
  if (Buffer.byteLength(near) <= 100) return near;
  const hash = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  return path.join(tmpdir(), `ringfill-${String(userInfo().uid)}-${hash}`, 'mysql.sock');
}

function commonArguments(program: MysqlProgram, data: string): string[] {
  return [
    '--no-defaults',
    `--datadir=${data}`,
    `--tmpdir=${temporaryFolderOf(data)}`,
    ...(program.flavour === 'mysql' ? [`--basedir=${path.resolve(program.file, '..', '..')}`] : []),
    // As root both servers insist on being told whose rights to use. The folder is ours, so ours.
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
    // Small: several of these run beside each other.
    '--innodb-buffer-pool-size=48M',
    '--performance-schema=OFF',
    '--character-set-server=utf8mb4',
    '--collation-server=utf8mb4_general_ci',
  ];
}

// In the usual /tmp the temporary tables of two servers that start at once get one another's names: seen with
// mariadb-install-db.
function temporaryFolderOf(data: string): string {
  return path.join(path.dirname(data), 'tmp');
}

async function exists(file: string): Promise<boolean> {
  return await stat(file).then(
    () => true,
    () => false,
  );
}

/** Makes the data folder, once: under another name until it is complete. */
async function initialise(program: MysqlProgram, data: string, server: MysqlServer): Promise<void> {
  if (await exists(data)) return;
  const draft = `${data}.new`;
  await rm(draft, { recursive: true, force: true });
  if (program.flavour === 'mariadb') await mkdir(draft, { recursive: true });
  const { file, args } =
    program.flavour === 'mariadb'
      ? {
          file: await installDb(program.file),
          args: [
            ...commonArguments(program, draft),
            '--auth-root-authentication-method=normal',
            '--skip-test-db',
            '--force',
          ],
        }
      : { file: program.file, args: [...commonArguments(program, draft), '--initialize-insecure'] };
  try {
    await run(file, args, { timeout: 120_000, killSignal: 'SIGKILL', maxBuffer: 16 * 1024 * 1024 });
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    const lastWords = said.trim().split('\n').slice(-15).join('\n');
    throw new ServerStartFailed(
      server.name,
      `its data folder could not be made:\n${lastWords}`,
      server.logFile,
      lastLinesOf(server.logFile, 15),
      { cause },
    );
  }
  await rename(draft, data);
}

async function installDb(mariadbd: string): Promise<string> {
  const near = path.dirname(mariadbd);
  const folders = [near, path.resolve(near, '..', 'bin'), path.resolve(near, '..', 'scripts'), '/usr/bin'];
  for (const folder of folders) {
    for (const name of ['mariadb-install-db', 'mysql_install_db']) {
      const file = path.join(folder, name);
      const found = await access(file, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return file;
    }
  }
  throw new ServerMissing(
    'mysql',
    `mariadb-install-db, which belongs to ${mariadbd}, is in none of: ${folders.join(', ')}`,
  );
}
