/** The live schema -> a first configuration: what to write, and what to tell the operator beside it. */
import { interpolate } from '../../shared/config/interpolate.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { messageOf, type Problem, SetupError } from '../../shared/errors/errors.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { quoteAccount } from '../../shared/origin/table-name.ts';
import { redisOptions } from '../../shared/shard/endpoint.ts';
import { excessPrivileges } from '../check/check-origin.ts';
import { composeFile } from './compose-file.ts';
import { findTables, type FoundTables } from './find-tables.ts';
import { redisVariables, withoutPassword } from './without-password.ts';

export interface InitOptions {
  readonly mysql: string;
  readonly redis: readonly string[];
  readonly fallback: readonly string[];
  /** Without it the file has no `sync`. */
  readonly broker?: string | undefined;
  readonly databases: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export interface InitOutcome {
  readonly file: string;
  /** For people, line by line. */
  readonly remarks: readonly string[];
}

/** Large schemas take their time to describe. */
const TIMEOUT_MS = 15_000;

/** Throws SetupError, OriginUnavailable. */
export async function init(options: InitOptions): Promise<InitOutcome> {
  const rings = [
    { name: 'primary', shards: named('r', options.redis) },
    { name: 'fallback', shards: named('f', options.fallback) },
  ].filter(({ shards }) => shards.size > 0);
  refuseUnusable(rings, options.env);
  const broker = options.broker === undefined ? undefined : withoutPassword(options.broker, 'AMQP_PASSWORD');

  const url = resolved(options.mysql, '--mysql', options.env);
  const pool = new OriginPool({ url, connections: 1, timeoutMs: TIMEOUT_MS, onChange: () => undefined });
  try {
    const { rows } = await pool.query('SELECT CURRENT_USER()');
    const connectedAs = rows[0]?.[0]?.toString('utf8') ?? '';
    const excess = await excessPrivileges(pool, connectedAs);
    const tables = await findTables(pool, options.databases);
    if (tables.usable.length === 0) throw nothingToExpose(tables, connectedAs, options.databases);

    const mysql = withoutPassword(options.mysql, 'MYSQL_PASSWORD');
    const variables = redisVariables(new Map(rings.flatMap(({ shards }) => [...shards])));
    const publicRings = rings.map(({ name, shards }) => ({
      name,
      shards: new Map(
        [...shards].map(([shard, given]) => [shard, withoutPassword(given, variables.get(shard) ?? '')] as const),
      ),
    }));
    const file = composeFile({
      originUrl: mysql.text,
      brokerUrl: broker?.text,
      rings: publicRings.map(({ name, shards }) => ({
        name,
        shards: new Map([...shards].map(([shard, { text }]) => [shard, text])),
      })),
      tables,
      account: excess.length > 0 ? 'ringfill@%' : connectedAs,
      newAccount: excess.length > 0,
    });
    const toExport = [
      mysql,
      ...(broker ? [broker] : []),
      ...publicRings.flatMap(({ shards }) => [...shards.values()]),
    ].flatMap(({ variable }) => variable ?? []);
    return { file, remarks: remarks(tables, [...new Set(toExport)], connectedAs, excess) };
  } finally {
    await pool.stop();
  }
}

function named(initial: string, urls: readonly string[]): Map<string, string> {
  return new Map(urls.map((url, index) => [`${initial}${index + 1}`, url]));
}

/** Throws SetupError; no message quotes a URL. */
function refuseUnusable(rings: readonly { shards: ReadonlyMap<string, string> }[], env: NodeJS.ProcessEnv): void {
  const problems: Problem[] = [];
  for (const [shard, given] of rings.flatMap(({ shards }) => [...shards])) {
    const where = `${shard.startsWith('r') ? '--redis' : '--fallback'}, number ${shard.slice(1)}`;
    try {
      redisOptions(resolved(given, where, env));
    } catch (error) {
      if (error instanceof SetupError) problems.push(...error.problems);
      else problems.push({ code: 'config-invalid', where, message: messageOf(error) });
    }
  }
  const [first, ...rest] = problems;
  if (first !== undefined) throw new SetupError([first, ...rest]);
}

/** A URL may name its password as the file will, so that it does not stand in the shell's history. */
function resolved(url: string, where: string, env: NodeJS.ProcessEnv): string {
  const text = interpolate(url, env, (_path, message) => {
    throw new SetupError([{ code: 'config-secret-missing', where, message }]);
  });
  return String(text);
}

function nothingToExpose({ refused }: FoundTables, connectedAs: string, databases: readonly string[]): SetupError {
  const account = quoteAccount(connectedAs);
  const place = databases.length === 0 ? 'any database' : databases.join(', ');
  const [first, ...rest] = refused.map(({ label, reason }): Problem => ({
    code: 'table-unsupported',
    where: label,
    message: reason,
  }));
  if (first !== undefined) return new SetupError([first, ...rest]);
  const message = `${account} can read no table in ${place}`;
  return new SetupError([
    {
      code: 'table-not-granted',
      where: '--mysql',
      message,
      mend: `GRANT SELECT ON \`${databases[0] ?? '…'}\`.* TO ${account};`,
    },
  ]);
}

function remarks(
  { usable, refused }: FoundTables,
  variables: readonly string[],
  connectedAs: string,
  excess: readonly string[],
): string[] {
  const denied = usable.flatMap(({ label, deny }) => deny.map((column) => `${label}.${column}`));
  return [
    `${usable.length} ${usable.length === 1 ? 'table' : 'tables'} found that can be served, as ${quoteAccount(connectedAs)}.`,
    ...(refused.length === 0
      ? []
      : [`${refused.length} cannot; they stand in the file as comments, with the reasons.`]),
    ...(denied.length === 0 ? [] : [`Denied for their names, see whether that is right: ${denied.join(', ')}.`]),
    ...(excess.length === 0
      ? []
      : [
          `${quoteAccount(connectedAs)} may do more than read. The end of the file has the grants for an account of its own; put that into origin.url.`,
        ]),
    ...variables.map(
      (variable) =>
        `The password is not in the file. Before check and gateway: export ${variable}='…'  (as it is, not percent-encoded)`,
    ),
  ];
}

/** What is written must load. The secrets of the check are stand-ins. */
export function assertLoads(file: string, path: string): void {
  const standIns = new Proxy<NodeJS.ProcessEnv>({}, { get: () => 'x' });
  parseConfig(file, path, standIns);
}
