/** The exposed tables, as soon as MySQL has shown them: its weather is waited for, a wrong set-up is not. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/schema.ts';
import { OriginUnavailable, SetupError } from '../errors/errors.ts';
import { Backoff } from '../lifecycle/backoff.ts';
import type { Log } from '../telemetry/log.ts';
import { ExposedTables } from './exposed-tables.ts';
import type { Queryable } from './information-schema.ts';

/** Throws SetupError; an AbortError when the signal comes first. */
export async function awaitTables(
  origin: Queryable,
  config: Config,
  log: Log,
  signal: AbortSignal,
): Promise<ExposedTables> {
  const backoff = new Backoff(200, 5_000);
  for (;;) {
    try {
      return await ExposedTables.load(origin, config, log);
    } catch (error) {
      if (!(error instanceof OriginUnavailable)) throw error;
      if (error.code === 'origin-login-refused') throw loginRefused(error);
      const retryMs = Math.round(backoff.nextMs());
      log.warn({ reason: error.message, retryMs }, 'not ready: waiting for MySQL');
      await sleep(retryMs, undefined, { signal });
    }
  }
}

function loginRefused(error: OriginUnavailable): SetupError {
  const mend = 'check user and password in origin.url, and that the account may connect from this host';
  return new SetupError([{ code: 'origin-login-refused', where: 'origin.url', message: error.message, mend }], {
    cause: error,
  });
}
