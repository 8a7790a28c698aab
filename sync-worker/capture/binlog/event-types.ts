/** Events by their number (MySQL: libbinlogevents, `Log_event_type`; MariaDB: sql/log_event.h). */
export const EVENT = {
  query: 2,
  stop: 3,
  rotate: 4,
  format: 15,
  xid: 16,
  executeLoadQuery: 18,
  tableMap: 19,
  writeRowsV1: 23,
  updateRowsV1: 24,
  deleteRowsV1: 25,
  incident: 26,
  heartbeat: 27,
  writeRows: 30,
  updateRows: 31,
  deleteRows: 32,
  gtid: 33,
  anonymousGtid: 34,
  xaPrepare: 38,
  partialUpdateRows: 39,
  transactionPayload: 40,
  heartbeatV2: 41,
  taggedGtid: 42,
  mariadbGtid: 162,
  queryCompressed: 165,
  writeRowsCompressedV1: 166,
  updateRowsCompressedV1: 167,
  deleteRowsCompressedV1: 168,
  writeRowsCompressed: 169,
  updateRowsCompressed: 170,
  deleteRowsCompressed: 171,
} as const;

/**
 * Events that change no row by themselves: what a statement in the log needs (INTVAR, RAND, USER_VAR, the blocks of a LOAD
 * DATA), comments (ROWS_QUERY, ANNOTATE), what the server notes for its own recovery, and GTIDs known so far.
 */
export const WITHOUT_EFFECT: ReadonlySet<number> = new Set([
  5, 9, 11, 13, 14, 17, 28, 29, 35, 36, 37, 160, 161, 163, 164,
]);

export interface RowsEventKind {
  readonly rows: 'write' | 'update' | 'delete';
  /** Has a length-prefixed part before its columns. */
  readonly extra: boolean;
  /** MariaDB's log_bin_compress. */
  readonly compressed: boolean;
}

export const ROWS_EVENTS: ReadonlyMap<number, RowsEventKind> = new Map([
  [EVENT.writeRowsV1, { rows: 'write', extra: false, compressed: false }],
  [EVENT.updateRowsV1, { rows: 'update', extra: false, compressed: false }],
  [EVENT.deleteRowsV1, { rows: 'delete', extra: false, compressed: false }],
  [EVENT.writeRows, { rows: 'write', extra: true, compressed: false }],
  [EVENT.updateRows, { rows: 'update', extra: true, compressed: false }],
  [EVENT.deleteRows, { rows: 'delete', extra: true, compressed: false }],
  [EVENT.writeRowsCompressedV1, { rows: 'write', extra: false, compressed: true }],
  [EVENT.updateRowsCompressedV1, { rows: 'update', extra: false, compressed: true }],
  [EVENT.deleteRowsCompressedV1, { rows: 'delete', extra: false, compressed: true }],
  [EVENT.writeRowsCompressed, { rows: 'write', extra: true, compressed: true }],
  [EVENT.updateRowsCompressed, { rows: 'update', extra: true, compressed: true }],
  [EVENT.deleteRowsCompressed, { rows: 'delete', extra: true, compressed: true }],
]);

/** Column types by their number (MySQL: include/field_types.h; 140 and 141 are MariaDB's). */
export const TYPE = {
  tiny: 1,
  short: 2,
  long: 3,
  float: 4,
  double: 5,
  timestamp: 7,
  longlong: 8,
  int24: 9,
  date: 10,
  time: 11,
  datetime: 12,
  year: 13,
  varchar: 15,
  bit: 16,
  timestamp2: 17,
  datetime2: 18,
  time2: 19,
  blobCompressed: 140,
  varcharCompressed: 141,
  vector: 242,
  json: 245,
  decimal: 246,
  enum: 247,
  set: 248,
  blob: 252,
  varString: 253,
  string: 254,
  geometry: 255,
} as const;
