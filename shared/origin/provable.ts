/**
 * Whether reads of followed tables can be proved with this account on this server: asked once, at the start, so that a
 * missing grant is a line to paste and not a 503 for every row.
 */
import { codeOf, messageOf, OriginUnavailable, type Problem } from '../errors/errors.ts';
import { currentAccount, type Queryable } from './information-schema.ts';
import { binlogEndQuery } from './origin-identity.ts';
import { lockingClause } from './proved-read.ts';
import type { SqlServer } from './server-version.ts';
import type { TableSchema } from './table-schema.ts';
import { quoteName } from './table-name.ts';

export interface FollowedTable {
  /** `db.table`. */
  readonly label: string;
  readonly schema: TableSchema;
}

/** Throws OriginUnavailable. */
export async function whyUnprovable(
  origin: Queryable,
  server: SqlServer,
  followed: readonly FollowedTable[],
): Promise<Problem[]> {
  if (followed.length === 0) return [];
  const problems = await askBinlogEnd(origin, server);
  for (const { label, schema } of followed) {
    const refused = await refusal(() =>
      origin.query(`SELECT 1 FROM ${schema.from} LIMIT 0${lockingClause(server, 'SKIP LOCKED')}`),
    );
    if (refused === undefined) continue;
    const account = await currentAccount(origin);
    problems.push({
      code: 'table-not-granted',
      where: `tables.${label}`,
      message: `its rows cannot be share-locked, which proves what a read includes: ${messageOf(refused)}`,
      // MySQL before 8.0.22 asks for more than SELECT.
      mend: `GRANT LOCK TABLES ON ${quoteName(schema.name.db)}.* TO ${account};`,
    });
  }
  return problems;
}

async function askBinlogEnd(origin: Queryable, server: SqlServer): Promise<Problem[]> {
  const where = 'origin.url';
  let ends: Awaited<ReturnType<Queryable['query']>>['rows'] = [];
  const refused = await refusal(async () => {
    ends = (await origin.query(binlogEndQuery(server))).rows;
  });
  if (refused !== undefined) {
    const mend = `GRANT REPLICATION CLIENT ON *.* TO ${await currentAccount(origin)};`;
    return [{ code: 'binlog-not-granted', where, message: messageOf(refused), mend }];
  }
  if (ends.length > 0) return [];
  const mend =
    'set log_bin, binlog_format = ROW and binlog_row_metadata = FULL in my.cnf and restart, or leave sync out';
  return [{ code: 'binlog-off', where, message: 'the server writes no binlog; there are no changes to follow', mend }];
}

/** What the server says against it; its weather is thrown. */
async function refusal(attempt: () => Promise<unknown>): Promise<unknown> {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    if (error instanceof OriginUnavailable || codeOf(error) === undefined) throw error;
    return error;
  }
}
