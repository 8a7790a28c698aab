import { existsSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { codeOf, OriginUnavailable, SetupError } from '../../shared/errors/errors.ts';
import { adviceOn } from '../check/check-origin.ts';
import { assertLoads, init } from '../init/init.ts';

interface Options {
  readonly mysql: string;
  readonly redis: string[];
  readonly fallback: string[];
  readonly broker?: string;
  readonly db: string[];
  readonly out?: string;
  readonly force?: true;
}

export function initCommand(): Command {
  return new Command('init')
    .description('Write a first ringfill.yml from the live schema: every table that can be served, with its key.')
    .requiredOption('--mysql <url>', 'the primary: mysql://user:password@host:port')
    .requiredOption('--redis <url...>', 'the shards of the primary ring: redis://host:port …')
    .option('--fallback <url...>', 'the shards of the fallback ring', [])
    .option('--broker <url>', 'RabbitMQ, for the sync worker: amqp://user:password@host:port/vhost')
    .option('--db <name...>', 'only the tables of these databases', [])
    .option('-o, --out <file>', 'where to write it; standard output if it is missing')
    .option('--force', 'overwrite the file')
    .addHelpText(
      'after',
      `
Reads the schema, never rows. Passwords are not written: the file names environment variables instead, and you are told
which. A URL may do so itself: --mysql 'mysql://user:\${MYSQL_PASSWORD}@host' keeps it out of the shell's history.

  ringfill init --mysql mysql://ringfill:…@db:3306 --redis redis://c1 redis://c2 --fallback redis://c3 \\
    --broker amqp://ringfill:…@mq:5672 --out ringfill.yml`,
    )
    .action(async ({ mysql, redis, fallback, broker, db, out, force }: Options) => {
      if (out !== undefined && force !== true && existsSync(out)) {
        process.stderr.write(`${out} is there already and is not overwritten; take another name, or --force.\n`);
        process.exitCode = 1;
        return;
      }
      const { file, remarks } = await init({ mysql, redis, fallback, broker, databases: db, env: process.env }).catch(
        asSetUp,
      );
      const path = out ?? 'ringfill.yml';
      assertLoads(file, path);
      if (out === undefined) process.stdout.write(file);
      else writeFileSync(out, file);
      const next = [
        `Next: ringfill check --config ${path}`,
        `      ringfill gateway --config ${path}`,
        ...(broker === undefined ? [] : [`      ringfill sync-worker --config ${path}`]),
      ];
      process.stderr.write([...(out === undefined ? [] : [`${out} is written.`]), ...remarks, ...next, ''].join('\n'));
    });
}

/** The server that is away is what an operator has to mend here; there is nothing to wait for. */
function asSetUp(error: unknown): never {
  if (!(error instanceof OriginUnavailable)) throw error;
  const loginRefused = error.code === 'origin-login-refused';
  const mend = loginRefused
    ? 'see that --mysql names an account that may log in from here, and its password'
    : adviceOn(codeOf(error.cause)).replaceAll('origin.url', '--mysql');
  const code = loginRefused ? error.code : 'origin-unreachable';
  throw new SetupError([{ code, where: '--mysql', message: error.message, mend }], { cause: error });
}
