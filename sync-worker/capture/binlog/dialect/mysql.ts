/** MySQL: GTIDs of a UUID and a number, or none; commit times in µs. */
import { isAtLeast } from '../../../../shared/origin/server-version.ts';
import { type ByteReader, Undecodable } from '../event-bytes.ts';
import { EVENT } from '../event-types.ts';
import { firstMatch, type Dialect, type Introduction } from './dialect.ts';

export const mysqlDialect: Dialect = {
  flavour: 'mysql',

  // Renamed in 8.0.26; the other name is then only a variable that nobody reads.
  heartbeatStatement(heartbeatMs) {
    const nanoseconds = heartbeatMs * 1_000_000;
    return `SET @master_heartbeat_period = ${nanoseconds}, @source_heartbeat_period = ${nanoseconds}`;
  },

  collationsQuery: () => 'SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL',

  introduction({ type }, body) {
    switch (type) {
      case EVENT.gtid:
        return readGtid(body, true);
      case EVENT.anonymousGtid:
        return readGtid(body, false);
      case EVENT.taggedGtid:
        return readTaggedGtid(body);
      default:
        return undefined;
    }
  },

  // Seen: not by 8.0.15. Told of later ones (sql/field_common_properties.h), without saying from when on.
  listsSignOfYear: (version) => isAtLeast(version, '8.0.16'),

  // sql/rpl_binlog_sender.cc, and ER_MASTER_… / ER_SOURCE_… in its message file; "slave" became "replica" in 8.0.26.
  refusal: (message) =>
    firstMatch(message, [
      [/same server_uuid\/server_id/i, 'evicted'],
      [/could not find first log file name|could not find next log|purged (?:required )?binary logs/i, 'purged'],
      [/impossible position|position > file size|has more GTIDs than/i, 'bad-position'],
      [/GTID_MODE|Binary log is not open/i, 'refused'],
      [/bogus data|crc check|corrupt|truncated|max_allowed_packet|could not read/i, 'undecodable'],
    ]),
};

/** Commit times are in GTID events from 8.0.1 on, after the logical clock. */
function readGtid(body: ByteReader, named: boolean): Introduction {
  body.skip(1);
  const uuid = uuidText(body.bytes(16));
  const number = body.u64();
  let committedAtMicros: number | undefined;
  if (body.left >= 1 + 16 + 7 && body.u8() === LOGICAL_CLOCK) {
    body.skip(16);
    // Seven bytes; the highest bit says that the original time, of another server, follows.
    committedAtMicros = Number(readSevenBytes(body) & ~(1n << 55n));
  }
  return { gtid: named ? `${uuid}:${number}` : undefined, standalone: undefined, committedAtMicros };
}

const LOGICAL_CLOCK = 2;

function readSevenBytes(body: ByteReader): bigint {
  const low = BigInt(body.uint(4));
  return low | (BigInt(body.uint(3)) << 32n);
}

function uuidText(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/**
 * From 8.3 on GTIDs can have a tag: `uuid:tag:number`. The event is a list of numbered fields, each number of a length
 * of its own (libs/mysql/serialization/variable_length_integers.h; fields: `Gtid_event::define_fields`).
 */
function readTaggedGtid(body: ByteReader): Introduction {
  const version = serialized(body);
  if (version !== 1n) throw new Undecodable(`a tagged GTID in format ${version}`);
  serialized(body);
  serialized(body);
  let [uuid, tag, number] = ['', '', 0n];
  let committedAtMicros: number | undefined;
  while (body.left > 0) {
    const field = Number(serialized(body));
    switch (field) {
      case 1:
        uuid = uuidText(Buffer.from(Array.from({ length: 16 }, () => Number(serialized(body)))));
        break;
      case 2:
        number = unfolded(serialized(body));
        break;
      case 3:
        tag = body.utf8(Number(serialized(body)));
        break;
      case 6:
        committedAtMicros = Number(serialized(body));
        break;
      case 0:
      case 4:
      case 5:
        serialized(body);
        break;
      default:
        // Later fields say nothing that is needed here.
        body.skip(body.left);
    }
  }
  if (uuid === '') throw new Undecodable('a tagged GTID without its server');
  const gtid = tag === '' ? `${uuid}:${number}` : `${uuid}:${tag}:${number}`;
  return { gtid, standalone: undefined, committedAtMicros };
}

/** As many bytes more as the first has trailing ones; the rest of the first is the lowest part of the number. */
function serialized(body: ByteReader): bigint {
  const first = body.u8();
  let more = 0;
  while (more < 8 && ((first >> more) & 1) === 1) more += 1;
  if (more === 8) return body.u64();
  let value = 0n;
  for (let index = 0; index < more; index += 1) value |= BigInt(body.u8()) << BigInt(8 * index);
  return (value << BigInt(7 - more)) | BigInt(first >> (more + 1));
}

/** Signed numbers have their sign in the lowest bit. */
function unfolded(value: bigint): bigint {
  return (value & 1n) === 1n ? -(value >> 1n) - 1n : value >> 1n;
}
