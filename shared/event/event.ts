/**
 * A row's change as others are told of it: one JSON object on one line, as the document that ringfill grew out of has it.
 *
 *     {"binlog":"mysql-bin.000009:1235","db":"test","table":"users","eventType":"UPDATE",
 *      "before":{"uid":"8","username":"a"},"after":{"uid":"8","username":"b"},"time":"2016-08-22 17:47:25",
 *      "version":"…","gtid":"0-1-42"}
 *
 * | eventType | before              | after                                                              |
 * |-----------|---------------------|--------------------------------------------------------------------|
 * | `INSERT`  | `""`                | the row                                                            |
 * | `UPDATE`  | the row as it was   | the row; of a change of the key, under its new one                 |
 * | `DELETE`  | `""`                | the row as it was                                                  |
 * | `RELOAD`  | `""`                | `{}`. Rows have changed that no event tells: read the table again. |
 *
 * - Values are texts, and NULL is null (or `""`, as canal has it).
 * - An apostrophe is written as \u0027: the document's own consumer makes a quote of every other one.
 * - What came after that document stands behind `time`: `version`, a text that grows with the binlog; `gtid`, where the
 *   server has GTIDs; `truncated`, where a row is too large and only its key is told; `reason`, of a RELOAD.
 * - There is no line break in it, so it is a line of a file as it is.
 */
import type { LogPosition } from '../version/version.ts';

export const EVENT_TYPES = ['INSERT', 'UPDATE', 'DELETE', 'RELOAD'] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/**
 * Why a table has to be read again. `untold-changes`: DDL, TRUNCATE, a statement without rows, rows that could not be read.
 * `gap`: what came before may be missing; also when the binlog is followed for the first time.
 */
export type ReloadReason = 'untold-changes' | 'gap';

export interface RowEvent {
  readonly db: string;
  readonly table: string;
  readonly eventType: Exclude<EventType, 'RELOAD'>;
  /** JSON objects. */
  readonly before?: string | undefined;
  readonly after: string;
  /** There are the key's columns only. */
  readonly truncated: boolean;
}

/** What all events of a transaction have in common. */
export interface EventPlace {
  /** Where the transaction ends. */
  readonly end: LogPosition;
  readonly atMicros: number;
  readonly gtid: string | undefined;
}

/** Parts the fields up to `after` from those behind `time`; JSON has no line break of its own. */
const PARTING = '\n';

/** All of it that does not depend on where its transaction ends, which is not known while its rows are read. */
export function rowEventBody({ db, table, eventType, before = '""', after, truncated }: RowEvent): Buffer {
  const head = `"db":${JSON.stringify(db)},"table":${JSON.stringify(table)},"eventType":"${eventType}"`;
  const json = `${head},"before":${before},"after":${after}`;
  return Buffer.from(`${withoutApostrophes(json)}${PARTING}${truncated ? ',"truncated":true' : ''}`, 'utf8');
}

export function reloadBody(db: string, table: string, reason: ReloadReason): Buffer {
  const head = `"db":${JSON.stringify(db)},"table":${JSON.stringify(table)},"eventType":"RELOAD","before":"","after":{}`;
  return Buffer.from(`${withoutApostrophes(head)}${PARTING},"reason":"${reason}"`, 'utf8');
}

/** The events of one transaction, from their bodies. */
export class EventFrame {
  readonly #head: Buffer;
  readonly #time: string;
  readonly #gtid: string;

  constructor({ end, atMicros, gtid }: EventPlace) {
    const binlog = withoutApostrophes(JSON.stringify(`${end.file}:${end.position}`));
    this.#head = Buffer.from(`{"binlog":${binlog},`, 'utf8');
    this.#time = `,"time":"${timeText(atMicros)}","version":"`;
    this.#gtid = gtid === undefined ? '"' : `","gtid":${JSON.stringify(gtid)}`;
  }

  content(body: Buffer, version: string): Buffer {
    const parting = body.lastIndexOf(PARTING);
    return Buffer.concat([
      this.#head,
      body.subarray(0, parting),
      Buffer.from(`${this.#time}${version}${this.#gtid}`, 'utf8'),
      body.subarray(parting + 1),
      CLOSING,
    ]);
  }
}

const CLOSING = Buffer.from('}');

/** `db.table.EVENT`. */
export function routingKey(db: string, table: string, eventType: EventType): string {
  return `${db}.${table}.${eventType}`;
}

/** `yyyy-MM-dd HH:mm:ss`, in UTC. */
export function timeText(atMicros: number): string {
  return new Date(Math.floor(atMicros / 1000)).toISOString().slice(0, 19).replace('T', ' ');
}

export type ReadEvent =
  | { readonly kind: 'event'; readonly routingKey: string; readonly version: string | undefined }
  | { readonly kind: 'no event'; readonly why: string };

/** Whether a text is an event, whoever wrote it: one of canal's client has nothing behind `time`, and types of its own. */
export function readEvent(text: string): ReadEvent {
  const noEvent = (why: string) => ({ kind: 'no event', why }) as const;
  if (text.includes('\n')) return noEvent('it has more than one line');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return noEvent('it is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return noEvent('it is not a JSON object');
  const { db, table, eventType, after, version } = value as Record<string, unknown>;
  if (!isName(db) || !isName(table)) return noEvent('it names no db and table');
  if (typeof eventType !== 'string' || !/^[A-Z_]+$/.test(eventType)) return noEvent('it has no eventType');
  if (typeof after !== 'object' || after === null || Array.isArray(after)) return noEvent('its after is no row');
  const key = `${db}.${table}.${eventType}`;
  // AMQP 0-9-1, shortstr.
  if (Buffer.byteLength(key) > 255) return noEvent('its names are too long');
  return { kind: 'event', routingKey: key, version: typeof version === 'string' ? version : undefined };
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** They stand inside JSON strings only. */
function withoutApostrophes(json: string): string {
  return json.includes("'") ? json.replaceAll("'", '\\u0027') : json;
}
