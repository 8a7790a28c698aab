/** MariaDB: GTIDs of domain, server and sequence, in an event that stands for BEGIN; no commit times. */
import { isAtLeast } from '../../../../shared/origin/server-version.ts';
import { EVENT } from '../event-types.ts';
import { firstMatch, type Dialect } from './dialect.ts';

/** No BEGIN and no COMMIT: DDL, or one statement on tables without transactions. */
const STANDALONE = 0x01;

export const mariadbDialect: Dialect = {
  flavour: 'mariadb',

  heartbeatStatement: (heartbeatMs) => `SET @master_heartbeat_period = ${heartbeatMs * 1_000_000}`,

  // From 10.10 on a collation can belong to several character sets, and then has a number in each.
  collationsQuery: (version) =>
    isAtLeast(version, '10.10')
      ? 'SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE ID IS NOT NULL'
      : 'SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL',

  introduction({ type, serverId }, body) {
    if (type !== EVENT.mariadbGtid) return undefined;
    const sequence = body.u64();
    const domain = body.u32();
    const standalone = (body.u8() & STANDALONE) !== 0;
    return { gtid: `${domain}-${serverId}-${sequence}`, standalone, committedAtMicros: undefined };
  },

  listsSignOfYear: () => true,

  // sql/sql_repl.cc.
  refusal: (message) =>
    firstMatch(message, [
      [/same server_uuid\/server_id/i, 'evicted'],
      [/could not find first log file name|could not find next log|could not find GTID state|purged/i, 'purged'],
      [/impossible position|position > file size|not in the master's binlog|diverged/i, 'bad-position'],
      [/Binary log is not open/i, 'refused'],
      [/bogus data|crc check|corrupt|truncated|max_allowed_packet|could not read/i, 'undecodable'],
    ]),
};

/**
 * MariaDB's UUID -> its text. In a row the time's parts are swapped behind the node, so that keys grow, except where that
 * would not help: versions 6 and later, and what is no RFC 4122 UUID (sql/sql_type_uuid.h).
 */
export function uuidText(stored: Buffer): string {
  const [variant = 0, version = 0] = [stored[6], stored[8]];
  const swapped = (variant & 0x80) !== 0 && version > 0 && version < 0x60;
  const bytes = swapped
    ? Buffer.concat([
        stored.subarray(12, 16),
        stored.subarray(10, 12),
        stored.subarray(8, 10),
        stored.subarray(6, 8),
        stored.subarray(0, 6),
      ])
    : stored;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

export function inet4Text(stored: Buffer): string {
  return stored.join('.');
}

/** As sql/sql_type_inet.cc writes it: the longest run of zero groups shortened, be it one, addresses of IPv4 with dots. */
export function inet6Text(stored: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => stored.readUInt16BE(index * 2));
  const zeros = longestZeros(groups);
  const isMapped = zeros.start === 0 && zeros.length === 5 && groups[5] === 0xffff;
  const isCompatible = zeros.start === 0 && zeros.length === 6;
  if (isMapped || isCompatible) return `::${isMapped ? 'ffff:' : ''}${inet4Text(stored.subarray(12))}`;
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  if (zeros.length === 0) return text(groups);
  return `${text(groups.slice(0, zeros.start))}::${text(groups.slice(zeros.start + zeros.length))}`;
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let longest = { start: -1, length: 0 };
  let start = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > longest.length) longest = { start, length: index + 1 - start };
  }
  return longest;
}
