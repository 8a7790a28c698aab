/**
 * Logs are events: a stable message and fields. Transitions at info, requests at debug; never row data, never secrets.
 * JSON lines to standard error; on a terminal, readable ones.
 */
import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import { codeOf } from '../errors/errors.ts';

export type Log = Logger;

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/**
 * Of an error: what it is and where it was thrown. Drivers hang more on theirs: a refused Redis command its arguments, which
 * may be a row or a password, and MySQL's the statement.
 */
export function errorFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  const code = codeOf(error);
  const cause = error.cause === undefined ? {} : { cause: errorFields(error.cause) };
  return {
    type: error.name,
    message: error.message,
    stack: error.stack,
    ...(code === undefined ? {} : { code }),
    ...cause,
  };
}

/** @param fields of every line. */
export function createLog(level: (typeof LOG_LEVELS)[number], fields: object | null = null): Log {
  const options = {
    level,
    base: fields,
    timestamp: pino.stdTimeFunctions.isoTime,
    messageKey: 'event',
    serializers: { err: errorFields },
  };
  const destination = process.stderr.isTTY
    ? pretty({ destination: 2, messageKey: 'event', translateTime: 'SYS:HH:MM:ss.l', sync: true })
    : pino.destination({ dest: 2, sync: false });
  return pino(options, destination);
}
