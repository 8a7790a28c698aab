/**
 * Which server is it? Behind one address another one may answer tomorrow, and positions of one server mean nothing on
 * another. A fill is only proved by a position of the very server whose binlog the shard's stamp follows.
 *
 * MySQL has `server_uuid`. MariaDB has `server_uid` (from 10.10 on; a hash that its host and port make), so there the
 * server's id and the binlog's base name stand beside it.
 */
import { cellText } from './cells.ts';
import type { TextResult } from './origin-pool.ts';
import { isAtLeast, type SqlServer } from './server-version.ts';

/** One row, one column: what `originIdentity` reads. */
export function identityQuery({ flavour, version }: SqlServer): string {
  if (flavour === 'mysql') return "SELECT CONCAT('mysql:', @@server_uuid)";
  const uid = isAtLeast(version, '10.10') ? "@@server_uid, ':', " : '';
  return `SELECT CONCAT('mariadb:', ${uid}@@server_id, ':', @@log_bin_basename)`;
}

export function originIdentity(result: Pick<TextResult, 'rows'>): string {
  return cellText(result.rows[0]?.[0]);
}

/** Says where the binlog ends: file, position, … and on MySQL the executed GTID set. Renamed in MySQL 8.2. */
export function binlogEndQuery({ flavour, version }: SqlServer): string {
  return flavour === 'mysql' && isAtLeast(version, '8.2') ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS';
}
