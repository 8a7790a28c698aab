/**
 * The API keys in force: those of the file, read again when it changes. A file that has become wrong leaves the keys
 * before in force, and is told in the log and in the metrics.
 */
import { messageOf, SetupError } from '../errors/errors.ts';
import { FileWatch } from '../lifecycle/file-watch.ts';
import type { Log } from '../telemetry/log.ts';
import type { AccessMetrics } from './access-metrics.ts';
import { AccessRefused } from './access-refused.ts';
import { basicKey, bearerKey, isSecret } from './api-key.ts';
import { type KeyRecord, readKeyFile } from './key-file.ts';

export interface ApiKeysOptions {
  readonly path: string;
  readonly metrics: AccessMetrics;
  readonly log: Log;
  /** How often it is looked whether the file has changed. Milliseconds. */
  readonly lookEveryMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** A request's sender, known by its key. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly isAdmin: boolean;
  mayRead(table: string): boolean;
}

interface KeyInForce extends ApiKey {
  readonly sha256: Buffer;
  readonly expiresMs: number;
}

/** RFC 6750, section 3. */
const CHALLENGE = 'Bearer realm="ringfill"';
const INVALID = { 'www-authenticate': `${CHALLENGE}, error="invalid_token"` };
const SCOPE = { 'www-authenticate': `${CHALLENGE}, error="insufficient_scope"` };
/** A browser asks its user only if it is told of a scheme that it knows; Chromium reads the first one of a line, and no other. */
const WITH_BASIC = { 'www-authenticate': `Basic realm="ringfill: the key as password", ${CHALLENGE}` };

export class ApiKeys {
  readonly #options: ApiKeysOptions;
  readonly #now: () => number;
  readonly #watch: FileWatch;
  #keys: ReadonlyMap<string, KeyInForce>;
  #isMeasured = false;

  /** Throws SetupError `keys-unusable`. */
  constructor(options: ApiKeysOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#watch = new FileWatch({
      paths: [options.path],
      onChange: () => this.#reload(),
      ...(options.lookEveryMs === undefined ? {} : { everyMs: options.lookEveryMs }),
    });
    try {
      this.#keys = inForce(readKeyFile(options.path));
    } catch (error) {
      this.#watch.stop();
      throw error;
    }
  }

  /** The metrics tell of these from now on. */
  measure(): void {
    this.#isMeasured = true;
    this.#options.metrics.keysAre(this.#keys.size);
  }

  /**
   * @param authorization the header's value.
   * Throws AccessRefused.
   */
  bearer(authorization: string | undefined): ApiKey {
    if (authorization === undefined) throw noKey({ 'www-authenticate': CHALLENGE });
    return this.#known(bearerKey(authorization));
  }

  /**
   * For pages that a browser shows, and that change nothing: it may send the key as a password too.
   * Throws AccessRefused.
   */
  bearerOrBasic(authorization: string | undefined): ApiKey {
    if (authorization === undefined) throw noKey(WITH_BASIC);
    return this.#known(bearerKey(authorization) ?? basicKey(authorization));
  }

  stop(): void {
    this.#watch.stop();
  }

  #known(sent: { readonly id: string; readonly secret: string } | undefined): ApiKey {
    if (sent === undefined) throw noKey(INVALID);
    const key = this.#keys.get(sent.id);
    if (key === undefined) throw refusedKey('unknown-key', undefined);
    if (!isSecret(sent.secret, key.sha256)) throw refusedKey('wrong-secret', key.id);
    if (this.#now() >= key.expiresMs) throw refusedKey('expired-key', key.id);
    return key;
  }

  #reload(): void {
    const { path, metrics, log } = this.#options;
    try {
      this.#keys = inForce(readKeyFile(path));
    } catch (error) {
      const code = error instanceof SetupError ? error.code : 'internal';
      log.error({ code, reason: messageOf(error) }, 'api keys refused; those before stay in force');
      metrics.keysReloaded('refused');
      return;
    }
    log.info({ keys: this.#keys.size }, 'api keys loaded');
    metrics.keysReloaded('loaded');
    if (this.#isMeasured) metrics.keysAre(this.#keys.size);
  }
}

/** Throws AccessRefused. */
export function assertMayRead(key: ApiKey, table: string): void {
  if (key.mayRead(table)) return;
  // The same, whether there is such a table or not.
  const detail = `The API key ${key.id} is not for ${JSON.stringify(table)}.`;
  throw new AccessRefused('not-in-scope', detail, { keyId: key.id, headers: SCOPE });
}

/** Throws AccessRefused. */
export function assertAdmin(key: ApiKey): void {
  if (key.isAdmin) return;
  const detail = `The API key ${key.id} is not for administration.`;
  throw new AccessRefused('not-admin', detail, { keyId: key.id, headers: SCOPE });
}

function inForce(records: readonly KeyRecord[]): Map<string, KeyInForce> {
  return new Map(
    records.map(({ id, name, sha256, tables, admin, expires }) => {
      const named = new Set(tables);
      const key: KeyInForce = {
        id,
        name,
        sha256: Buffer.from(sha256, 'hex'),
        expiresMs: expires === undefined ? Infinity : Date.parse(expires),
        isAdmin: admin,
        mayRead: named.has('*') ? () => true : (table) => named.has(table),
      };
      return [id, key];
    }),
  );
}

function noKey(headers: Readonly<Record<string, string>>): AccessRefused {
  return new AccessRefused('no-key', 'Send an API key: Authorization: Bearer rf_….', { headers });
}

/** One answer for all of them: who guesses learns nothing. */
function refusedKey(reason: 'unknown-key' | 'wrong-secret' | 'expired-key', keyId: string | undefined): AccessRefused {
  const detail = reason === 'expired-key' ? 'The API key has expired.' : 'The API key is not valid.';
  return new AccessRefused(reason, detail, { headers: INVALID, ...(keyId === undefined ? {} : { keyId }) });
}
