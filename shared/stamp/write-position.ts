/**
 * Read your own write: a client says where its write stands in the binlog, and a shard's stamp says whether it has been
 * applied there.
 *
 * What the client knows after its COMMIT is a GTID (MySQL: session_track_gtids; MariaDB: @@last_gtid), or the binlog's end
 * (SHOW MASTER STATUS), which names a place on this very server only: after a failover it means another place.
 */
import { GtidSet, MariadbGtidPosition } from '@vlasky/zongji';
import { epochOf, isWhole, type LogPosition, versionOf } from '../version/version.ts';
import type { Stamp } from './stamp.ts';

export type WritePosition =
  | { readonly kind: 'log'; readonly at: LogPosition }
  | { readonly kind: 'mysql-gtids'; readonly gtids: readonly string[] }
  | { readonly kind: 'mariadb-gtids'; readonly gtids: readonly string[] };

const MYSQL_GTID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?::[a-z_][a-z0-9_]{0,31})?:[0-9]{1,19}$/i;
const MARIADB_GTID = /^[0-9]{1,10}-[0-9]{1,10}-[0-9]{1,20}$/;
const LOG_POSITION = /^([^\s:,/\\]{1,200}\.[0-9]{1,10}):([0-9]{1,15})$/;

/** A client names its last few writes, not all that ever was. */
const GTIDS_MAX = 64;

/** `mysql-bin.000042:1337`, or one or more GTIDs with commas between; nothing where it is neither. */
export function parseWritePosition(text: string): WritePosition | undefined {
  const log = LOG_POSITION.exec(text.trim());
  if (log !== null) return { kind: 'log', at: { file: log[1] as string, position: Number(log[2]) } };
  const gtids = text.split(',').map((gtid) => gtid.trim());
  if (gtids.length > GTIDS_MAX) return undefined;
  try {
    // Their numbers have bounds, which the parser knows.
    if (gtids.every((gtid) => MYSQL_GTID.test(gtid))) {
      for (const gtid of gtids) new GtidSet().contains(gtid);
      return { kind: 'mysql-gtids', gtids };
    }
    if (gtids.every((gtid) => MARIADB_GTID.test(gtid))) {
      for (const gtid of gtids) new MariadbGtidPosition().covers(gtid);
      return { kind: 'mariadb-gtids', gtids };
    }
  } catch {
    return undefined;
  }
  return undefined;
}

export function includesWrite(stamp: Stamp, write: WritePosition): boolean {
  // Amid a large transaction, the stamp names its GTID although only a part of it has been applied.
  if (write.kind !== 'log' && !isWhole(stamp.to)) return false;
  switch (write.kind) {
    case 'log':
      return versionOf(epochOf(stamp.to), write.at) <= stamp.to;
    case 'mysql-gtids': {
      const applied = parsed(stamp.gtid, (text) => GtidSet.parse(text));
      return applied !== undefined && write.gtids.every((gtid) => applied.contains(gtid));
    }
    case 'mariadb-gtids': {
      const applied = parsed(stamp.gtid, (text) => MariadbGtidPosition.parse(text));
      return applied !== undefined && write.gtids.every((gtid) => applied.covers(gtid));
    }
  }
}

/** What Redis holds is not trusted, and a set may be of the other flavour. */
function parsed<T>(gtid: string, parse: (text: string) => T): T | undefined {
  try {
    return gtid === '' ? undefined : parse(gtid);
  } catch {
    return undefined;
  }
}
