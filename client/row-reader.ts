/**
 * Rows by the gateway's two routes: from segments to a target, and from the answer to rows.
 */
import type { Bounds } from './bounds.ts';
import { RingfillError } from './errors.ts';
import type { Exchange, HttpAnswer, Method } from './exchange.ts';
import type { KeptRow, KeptRows } from './kept-rows.ts';
import type { Terms } from './options.ts';
import { retryAfterSeconds } from './retry.ts';

/** A row as the gateway's JSON has it: BIGINT and DECIMAL are strings, and so on (README, "Rows as JSON"). */
export type RowObject = Record<string, unknown>;

export interface RowAnswer<Row> {
  /** Undefined where the table has no such row. */
  readonly row: Row | undefined;
  /** How the answer came about, as it was sent (RFC 9211): `ringfill; hit; ttl=27; key="test_users_1"; detail="r2/0"`. */
  readonly cacheStatus: string | undefined;
  /** How long ago the origin was read, in seconds; only where the answer was cached. */
  readonly ageSeconds: number | undefined;
}

export interface RowReaderOptions {
  readonly exchange: Exchange;
  readonly kept: KeptRows | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

export class RowReader {
  readonly #exchange: Exchange;
  readonly #kept: KeptRows | undefined;
  readonly #headers: Readonly<Record<string, string>>;

  constructor({ exchange, kept, headers }: RowReaderOptions) {
    this.#exchange = exchange;
    this.#kept = kept;
    this.#headers = headers;
  }

  /** `tablePath` is `/db/table`, with the base path. */
  async readOne(tablePath: string, segment: string, terms: Terms, bounds: Bounds): Promise<RowAnswer<object>> {
    // Anything between us and the gateway may normalise such a path into another (RFC 3986, section 5.2.4).
    if (segment === '' || segment === '.' || segment === '..') {
      const { rows, cacheStatus } = await this.#readList(tablePath, [segment], terms, bounds);
      return { row: rows[0], cacheStatus, ageSeconds: undefined };
    }
    const path = `${tablePath}/${segment}`;
    const kept = this.#kept?.find(path);
    const conditions = kept === undefined ? {} : { 'if-none-match': kept.etag };
    const answer = await this.#exchange.ask(path, { ...this.#fields(terms), ...conditions }, bounds);
    return {
      row: this.#rowOf(answer, path, kept),
      cacheStatus: oneHeader(answer, 'cache-status'),
      ageSeconds: numberOf(oneHeader(answer, 'age')),
    };
  }

  /** The rows in the order of `segments`, which must be fit for one request. */
  async readMany(
    tablePath: string,
    segments: readonly string[],
    terms: Terms,
    bounds: Bounds,
  ): Promise<(object | undefined)[]> {
    const [only] = segments;
    if (segments.length === 1 && only !== undefined) {
      return [(await this.readOne(tablePath, only, terms, bounds)).row];
    }
    const { rows } = await this.#readList(tablePath, segments, terms, bounds);
    return rows;
  }

  /** Any JSON document, for the routes that are not rows. */
  async readDocument(path: string, bounds: Bounds, method: Method = 'GET'): Promise<unknown> {
    const answer = await this.#exchange.ask(path, this.#headers, bounds, method);
    if (answer.status !== 200) throw errorOf(answer);
    return parseJson(answer);
  }

  #fields(terms: Terms): Readonly<Record<string, string>> {
    return { ...this.#headers, ...terms };
  }

  #rowOf(answer: HttpAnswer, path: string, kept: KeptRow | undefined): object | undefined {
    switch (answer.status) {
      case 200: {
        const row = objectOf(answer, parseJson(answer));
        const etag = oneHeader(answer, 'etag');
        if (etag !== undefined) this.#kept?.keep(path, { etag, text: answer.text });
        return row;
      }
      case 304:
        if (kept === undefined) throw unreadable(answer, 'not modified, though nothing was said to be here');
        return JSON.parse(kept.text) as object;
      case 404: {
        const error = errorOf(answer);
        if (error.code !== 'row-not-found') throw error;
        this.#kept?.forget(path);
        return undefined;
      }
      default:
        throw errorOf(answer);
    }
  }

  async #readList(
    tablePath: string,
    segments: readonly string[],
    terms: Terms,
    bounds: Bounds,
  ): Promise<{ rows: (object | undefined)[]; cacheStatus: string | undefined }> {
    const answer = await this.#exchange.ask(`${tablePath}?ids=${segments.join(',')}`, this.#fields(terms), bounds);
    if (answer.status !== 200) throw errorOf(answer);
    const { rows } = objectOf(answer, parseJson(answer)) as { rows?: unknown };
    if (!Array.isArray(rows)) throw unreadable(answer, 'a list of rows without "rows"');
    if (rows.length !== segments.length) {
      throw unreadable(answer, `${rows.length} rows for ${segments.length} ids (has each as many parts as the key?)`);
    }
    return {
      rows: rows.map((row: unknown) => (row === null ? undefined : objectOf(answer, row))),
      cacheStatus: oneHeader(answer, 'cache-status'),
    };
  }
}

function parseJson(answer: HttpAnswer): unknown {
  try {
    return JSON.parse(answer.text);
  } catch (cause) {
    throw unreadable(answer, 'no JSON', { cause });
  }
}

function objectOf(answer: HttpAnswer, value: unknown): object {
  if (typeof value === 'object' && value !== null) return value;
  throw unreadable(answer, `${typeof value} instead of an object`);
}

/** The problem document (RFC 9457) as an error; or, where a proxy answered instead, its status. */
function errorOf(answer: HttpAnswer): RingfillError {
  const { status } = answer;
  const seconds = retryAfterSeconds(answer.headers['retry-after'], Date.now());
  const { code, detail, title } = problemIn(answer);
  if (code === undefined) return unreadable(answer, 'no problem document', undefined, seconds);
  return new RingfillError({ code, status, detail: detail ?? title ?? `HTTP ${status}`, retryAfterSeconds: seconds });
}

function problemIn(answer: HttpAnswer): { code?: string; detail?: string; title?: string } {
  if (oneHeader(answer, 'content-type')?.startsWith('application/problem+json') !== true) return {};
  try {
    const problem: unknown = JSON.parse(answer.text);
    if (typeof problem !== 'object' || problem === null) return {};
    const texts = Object.entries(problem).filter(([, value]) => typeof value === 'string');
    return Object.fromEntries(texts) as { code?: string; detail?: string; title?: string };
  } catch {
    return {};
  }
}

function unreadable(answer: HttpAnswer, why: string, options?: ErrorOptions, seconds?: number): RingfillError {
  const { status, text } = answer;
  // What a proxy says helps to find it. What comes with 200 may be rows, and errors end up in logs.
  const said = status === 200 ? '' : `: ${JSON.stringify(text.slice(0, 100))}`;
  const detail = `Not a ringfill gateway's answer: HTTP ${status}, ${why}${said}.`;
  return new RingfillError({ code: 'answer-unreadable', status, detail, retryAfterSeconds: seconds }, options);
}

function oneHeader({ headers }: HttpAnswer, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : undefined;
}
