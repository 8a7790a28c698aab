/**
 * Logs are events: a stable message and fields. Transitions at info, requests at debug; never row data, never secrets.
 * JSON lines to standard error; on a terminal, readable ones.
 */
import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type Log = Logger;

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** @param fields of every line. */
export function createLog(level: (typeof LOG_LEVELS)[number], fields: object | null = null): Log {
  const options = { level, base: fields, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' };
  const destination = process.stderr.isTTY
    ? pretty({ destination: 2, messageKey: 'event', translateTime: 'SYS:HH:MM:ss.l', sync: true })
    : pino.destination({ dest: 2, sync: false });
  return pino(options, destination);
}
