/**
 * Who may ask, for what, and how often. What arrives: a request, before anything of it is looked up. What leaves: nothing,
 * if it is let in. Thrown: AccessRefused, which the log and the metrics have heard of then.
 *
 *     rate of its address ─▶ its key ─▶ the key's scope ─▶ rate of its key
 *
 * There is no Admission at all where the configuration asks for none of it.
 */
import type { AccessMetrics } from './access-metrics.ts';
import { AccessRefused } from './access-refused.ts';
import { type ApiKey, ApiKeys, assertAdmin, assertMayRead } from './api-keys.ts';
import type { Config, RateLimitConfig } from '../config/schema.ts';
import type { Log } from '../telemetry/log.ts';
import { ClientAddresses, type ClientRequest } from './client-address.ts';
import { RateLimit } from './rate-limit.ts';

export interface AdmissionOptions {
  readonly config: Pick<Config, 'http' | 'access'>;
  readonly metrics: AccessMetrics;
  readonly log: Log;
}

/** Of a table's name that a client made up. MySQL's are db.table of 64 each. */
const NAME_SHOWN = 129;

/** Throws SetupError `keys-unusable`. */
export function admissionOf(options: AdmissionOptions): Admission | undefined {
  const { http, access } = options.config;
  return access === undefined && http.limitPerAddress === undefined ? undefined : new Admission(options);
}

export class Admission {
  readonly #metrics: AccessMetrics;
  readonly #log: Log;
  readonly #keys: ApiKeys | undefined;
  readonly #operationsArePublic: boolean;
  readonly #addresses: ClientAddresses;
  readonly #perAddress: RateLimit | undefined;
  readonly #perKey: RateLimit | undefined;
  /** Of the log, for each reason and address: the metrics count them all. */
  readonly #lines = new RateLimit({ rowsPerSecond: 1, burstRows: 10, remembered: 1_000 });

  constructor({ config: { http, access }, metrics, log }: AdmissionOptions) {
    this.#metrics = metrics;
    this.#log = log;
    this.#keys = access && new ApiKeys({ path: access.keysFile, metrics, log });
    this.#operationsArePublic = access?.publicOperations ?? true;
    this.#addresses = new ClientAddresses(http.trustedProxies);
    this.#perAddress = rateLimitOf(http.limitPerAddress);
    this.#perKey = rateLimitOf(access?.limitPerKey);
  }

  /** The metrics tell of its keys from now on. */
  measure(): void {
    this.#keys?.measure();
  }

  stop(): void {
    this.#keys?.stop();
  }

  /**
   * For rows.
   * @param table as db.table, as it was asked for: exposed or not.
   * @param rows how many are asked for.
   */
  admit(request: ClientRequest, table: string, rows: number): void {
    try {
      this.#takeOfAddress(request, rows);
      if (this.#keys === undefined) return;
      const key = this.#keys.bearer(request.headers.authorization);
      assertMayRead(key, table);
      this.#takeOfKey(key, rows);
    } catch (error) {
      this.#tell(error, request, table);
      throw error;
    }
  }

  /** For what operators and their tools ask, and nothing is changed by. */
  admitOperation(request: ClientRequest): void {
    try {
      this.#takeOfAddress(request, 1);
      if (!this.#operationsArePublic) this.#keys?.bearerOrBasic(request.headers.authorization);
    } catch (error) {
      this.#tell(error, request);
      throw error;
    }
  }

  /**
   * For what changes something. A browser that knows the key as a password would send it along with what another site's
   * page asks, so it is not taken here.
   * @returns false: there is no such route, for nobody could show that he may use it.
   */
  admitAdmin(request: ClientRequest): boolean {
    if (this.#keys === undefined) return false;
    try {
      assertAdmin(this.#keys.bearer(request.headers.authorization));
      return true;
    } catch (error) {
      this.#tell(error, request);
      throw error;
    }
  }

  #takeOfAddress(request: ClientRequest, rows: number): void {
    if (this.#perAddress === undefined) return;
    const seconds = this.#perAddress.take(this.#addresses.of(request), rows);
    if (seconds > 0) throw tooMany('address-rate', 'this address', seconds);
  }

  #takeOfKey(key: ApiKey, rows: number): void {
    const seconds = this.#perKey?.take(key.id, rows) ?? 0;
    if (seconds > 0) throw tooMany('key-rate', `the API key ${key.id}`, seconds, key.id);
  }

  #tell(error: unknown, request: ClientRequest, table?: string): void {
    if (!(error instanceof AccessRefused)) return;
    const { code, reason, keyId: key } = error;
    const address = this.#addresses.of(request);
    this.#metrics.refused(reason);
    if (this.#lines.take(`${reason} ${address}`, 1) > 0) return;
    this.#log.info({ code, reason, address, key, table: table?.slice(0, NAME_SHOWN) }, 'request refused');
  }
}

function rateLimitOf(limit: RateLimitConfig | undefined): RateLimit | undefined {
  if (limit === undefined) return undefined;
  const { rowsPerSecond, burstRows = rowsPerSecond } = limit;
  return new RateLimit({ rowsPerSecond, burstRows });
}

function tooMany(reason: 'address-rate' | 'key-rate', who: string, seconds: number, keyId?: string): AccessRefused {
  const detail = `More rows a second than ${who} may read; try again in ${seconds} s.`;
  const headers = { 'retry-after': String(seconds) };
  return new AccessRefused(reason, detail, { headers, ...(keyId === undefined ? {} : { keyId }) });
}
