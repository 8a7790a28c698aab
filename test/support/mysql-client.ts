/**
 * The server's own word, by the server's own client program: no driver and no code of ours stands between.
 *
 * Every cell is asked for as HEX of its text, so nothing depends on how a client escapes, pads or aligns.
 */
import { execFileSync, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import { demoAccount } from '../../stack/demo-data/load.ts';
import type { TestStack } from './stack.ts';

export class MysqlClient {
  readonly program: string;
  readonly #socket: string;
  /** What the gateway's account needs to read a table; MySQL before 8.0.22 asks for more where rows are share-locked. */
  readonly #readGrant: string;

  constructor({ mysql }: TestStack) {
    this.program = clientProgram();
    this.#socket = mysql.socket;
    this.#readGrant = mysql.flavour === 'mysql' ? 'SELECT, LOCK TABLES' : 'SELECT';
  }

  /** Runs statements as root, in UTC and without an SQL mode; rejects with what the client says. */
  async run(sql: string): Promise<string> {
    const options = [
      '--no-defaults',
      '--batch',
      '--raw',
      '--skip-column-names',
      '--quick',
      '--max-allowed-packet=256M',
    ];
    const child = spawn(this.program, [
      ...options,
      '--default-character-set=utf8mb4',
      '-u',
      'root',
      '-S',
      this.#socket,
    ]);
    const chunks: { out: Buffer[]; err: Buffer[] } = { out: [], err: [] };
    child.stdout.on('data', (chunk: Buffer) => chunks.out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.err.push(chunk));
    child.stdin.end(`SET time_zone = '+00:00', sql_mode = '';\n${sql};\n`);
    const code = await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject));
    if (code !== 0) throw new Error(`${this.program}: ${Buffer.concat(chunks.err).toString().trim()}`);
    return Buffer.concat(chunks.out).toString('latin1');
  }

  /**
   * One SELECT of expressions that give bytes or text; each cell as the bytes behind its HEX, NULL as null.
   * @param rest from FROM on.
   */
  async cells(expressions: readonly string[], rest: string): Promise<(Buffer | null)[][]> {
    const text = await this.run(`SELECT ${expressions.map((expression) => `HEX(${expression})`).join(', ')} ${rest}`);
    if (text === '') return [];
    // HEX has no tab, no line end, and no N, U or L.
    const lines = text.replace(/\n$/, '').split('\n');
    return lines.map((line) => line.split('\t').map((cell) => (cell === 'NULL' ? null : Buffer.from(cell, 'hex'))));
  }

  /** A database of the test file's own, which the gateway's account may read; dropped when the file ends. */
  async ownDatabase(name: string, statements: readonly string[] = []): Promise<void> {
    await this.run(
      [
        `DROP DATABASE IF EXISTS \`${name}\``,
        `CREATE DATABASE \`${name}\` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci`,
        ...['127.0.0.1', 'localhost'].map(
          (host) => `GRANT ${this.#readGrant} ON \`${name}\`.* TO '${demoAccount.user}'@'${host}'`,
        ),
        `USE \`${name}\``,
        ...statements,
      ].join(';\n'),
    );
    after(() => this.run(`DROP DATABASE IF EXISTS \`${name}\``));
  }
}

/** The one that came with the server, if there is one; MariaDB's speaks with MySQL too. */
function clientProgram(): string {
  const server = process.env['RINGFILL_MYSQLD'];
  const beside = server === undefined ? [] : ['mariadb', 'mysql'].map((name) => join(dirname(server), name));
  const works = (program: string) => {
    try {
      execFileSync(program, ['--no-defaults', '--version'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  const program = [...beside, 'mariadb', 'mysql'].find(works);
  if (program === undefined)
    throw new Error('no mariadb or mysql client program is installed; Debian: apt-get install mariadb-client');
  return program;
}
