/** What the server says of its binlog now: what `continuity.ts` decides by. */
import { GtidSet } from '@vlasky/zongji';
import { OriginUnavailable } from '../../../shared/errors/errors.ts';
import type { Queryable } from '../../../shared/origin/information-schema.ts';
import { cellText } from '../../../shared/origin/cells.ts';
import { binlogEndQuery } from '../../../shared/origin/origin-identity.ts';
import type { SqlServer } from '../../../shared/origin/server-version.ts';
import { quoteText } from '../../../shared/origin/table-name.ts';
import type { LogPosition } from '../../../shared/version/version.ts';
import type { OriginState } from './continuity.ts';
import type { GtidHistory } from './continuity-gtid.ts';

export interface BinlogEnd {
  readonly position: LogPosition;
  /** MySQL: transactions that are all behind it, though perhaps not all of those; empty on MariaDB and without GTIDs. */
  readonly executed: string;
}

interface OriginQueries extends Queryable {
  readonly server: SqlServer;
  readonly identity: string;
}

/** Throws OriginUnavailable. */
export async function readBinlogEnd(origin: OriginQueries): Promise<BinlogEnd> {
  const row = (await origin.query(binlogEndQuery(origin.server))).rows[0];
  if (row === undefined) throw new OriginUnavailable('origin-refused', 'MySQL writes no binlog (log_bin is OFF).');
  const position = { file: cellText(row[0]), position: Number(cellText(row[1])) };
  return { position, executed: origin.server.flavour === 'mysql' ? cellText(row[4]) : '' };
}

export interface OriginNow extends OriginState {
  readonly server: SqlServer;
  /** All of the transactions up to `end`, by GTID; nothing where the server has none. */
  readonly gtidAtEnd: string | undefined;
}

/** Throws OriginUnavailable. */
export async function readOriginState(origin: OriginQueries): Promise<OriginNow> {
  const { server, identity } = origin;
  // The list first: what it says of the last file's length may be too little, never too much.
  const { rows } = await origin.query('SHOW BINARY LOGS');
  const logs = rows.map((row) => ({ file: cellText(row[0]), bytes: Number(cellText(row[1])) }));
  const { position: end, executed } = await readBinlogEnd(origin);
  const oldest = logs[0]?.file ?? end.file;
  return server.flavour === 'mariadb'
    ? { server, identity, logs, end, ...(await mariadbGtids(origin, oldest, end)) }
    : { server, identity, logs, end, ...(await mysqlGtids(origin, executed)) };
}

type Gtids = { gtids: GtidHistory | undefined; gtidAtEnd: string | undefined };

async function mysqlGtids(origin: Queryable, executed: string): Promise<Gtids> {
  const row = (await origin.query('SELECT @@gtid_mode, @@gtid_purged')).rows[0];
  // With anonymous transactions among them, a set does not tell what was followed.
  if (cellText(row?.[0]) !== 'ON') return { gtids: undefined, gtidAtEnd: undefined };
  const set = GtidSet.parse(executed).toString();
  return { gtids: { flavour: 'mysql', executed: set, purged: cellText(row?.[1]) }, gtidAtEnd: set };
}

async function mariadbGtids(origin: Queryable, oldest: string, end: LogPosition): Promise<Gtids> {
  const row = (
    await origin.query(
      `SELECT @@gtid_binlog_state, BINLOG_GTID_POS(${quoteText(oldest)}, 4),` +
        ` BINLOG_GTID_POS(${quoteText(end.file)}, ${end.position})`,
    )
  ).rows[0];
  // NULL where the place is not there (any more): a purge between two questions.
  const [executed, purged, atEnd] = [row?.[0], row?.[1], row?.[2]];
  if (purged === null || purged === undefined) return { gtids: undefined, gtidAtEnd: undefined };
  return {
    gtids: { flavour: 'mariadb', executed: cellText(executed), purged: cellText(purged) },
    gtidAtEnd: atEnd === null || atEnd === undefined ? undefined : cellText(atEnd),
  };
}
