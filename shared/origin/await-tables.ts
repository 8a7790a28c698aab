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
      if (error.code === 'origin-login-refused') throw stopped(error, LOGIN);
      if (error.code === 'origin-untrusted') throw stopped(error, TRUST);
      const retryMs = Math.round(backoff.nextMs());
      log.warn({ reason: error.message, retryMs }, 'not ready: waiting for MySQL');
      await sleep(retryMs, undefined, { signal });
    }
  }
}

const LOGIN = 'check user and password in origin.url, and that the account may connect from this host';
const TRUST =
  'name the authority that signed the server’s certificate (?ssl-ca=/path), and the host as the certificate does, in origin.url; ' +
  'a server without TLS has to be given a certificate';

function stopped(error: OriginUnavailable, mend: string): SetupError {
  return new SetupError([{ code: error.code, where: 'origin.url', message: error.message, mend }], { cause: error });
}
