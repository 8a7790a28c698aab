// Where the servers' programs are: named by the environment, on the PATH, or where distributions put them (which is often
// not on the PATH of someone who is not root).

import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type ServerKind = 'mysql' | 'redis' | 'rabbitmq';

export const serverKinds: readonly ServerKind[] = ['mysql', 'redis', 'rabbitmq'];

interface Whereabouts {
  readonly variable: string;
  readonly names: readonly string[];
  readonly folders: readonly string[];
}

const systemFolders = ['/usr/sbin', '/usr/local/sbin', '/usr/bin', '/usr/local/bin', '/usr/libexec'];
const brewFolders = ['/opt/homebrew/bin', '/opt/homebrew/sbin'];

export const whereabouts: Record<ServerKind, Whereabouts> = {
  mysql: {
    variable: 'RINGFILL_MYSQLD',
    names: ['mariadbd', 'mysqld'],
    folders: [...systemFolders, ...brewFolders, '/opt/homebrew/opt/mariadb/bin'],
  },
  redis: { variable: 'RINGFILL_REDIS_SERVER', names: ['redis-server'], folders: [...systemFolders, ...brewFolders] },
  rabbitmq: {
    variable: 'RINGFILL_RABBITMQ_SERVER',
    // Debian's and Fedora's /usr/sbin/rabbitmq-server insists on root and changes to its own user; the one behind does not.
    names: ['rabbitmq-server'],
    folders: ['/usr/lib/rabbitmq/bin', ...brewFolders, '/usr/local/sbin', '/usr/local/bin'],
  },
};

export class ServerMissing extends Error {
  override readonly name = 'ServerMissing';
  readonly kind: ServerKind;

  constructor(kind: ServerKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

async function isExecutable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Throws ServerMissing when the variable names something that cannot be run. */
async function namedByEnvironment(kind: ServerKind): Promise<string | undefined> {
  const { variable } = whereabouts[kind];
  const named = process.env[variable];
  if (named === undefined || named === '') return undefined;
  const file = path.resolve(named);
  if (await isExecutable(file)) return file;
  throw new ServerMissing(kind, `${variable} is ${named}, and there is no program that can be run at that path.`);
}

export async function findServer(kind: ServerKind): Promise<string | undefined> {
  const named = await namedByEnvironment(kind);
  if (named !== undefined) return named;
  const { names, folders } = whereabouts[kind];
  // RabbitMQ's wrapper may be first on the PATH and would fail: the known folders go first.
  const onPath = (process.env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '');
  for (const name of names) {
    for (const folder of kind === 'rabbitmq' ? [...folders, ...onPath] : [...onPath, ...folders]) {
      const file = path.join(folder, name);
      if (await isExecutable(file)) return file;
    }
  }
  return undefined;
}

/** The server's program, or ServerMissing with what to do about it. */
export async function needServer(kind: ServerKind): Promise<string> {
  const found = await findServer(kind);
  if (found !== undefined) return found;
  const { names, variable } = whereabouts[kind];
  throw new ServerMissing(
    kind,
    `${names.join(' or ')} is not installed. \`npm start\` installs it or says how; ${variable} can name one elsewhere.`,
  );
}

export interface MysqlProgram {
  readonly file: string;
  readonly flavour: 'mariadb' | 'mysql';
  readonly version: string;
}

/** Says which of the two servers a mysqld is; they are initialised differently. */
export async function identifyMysql(file: string): Promise<MysqlProgram> {
  const { stdout } = await run(file, ['--no-defaults', '--version']).catch((cause: unknown) => {
    const said = cause instanceof Error ? cause.message.trim() : String(cause);
    throw new ServerMissing('mysql', `${file} does not run: ${said}`);
  });
  const version = /Ver (\S+)/.exec(stdout)?.[1] ?? stdout.trim();
  return { file, flavour: /mariadb/i.test(stdout) ? 'mariadb' : 'mysql', version };
}
