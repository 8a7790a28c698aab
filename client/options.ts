/** The client's options and their bounds. Every bound has a default, and says what happens at it. */

export interface ClientOptions {
  /** Where the gateway listens, such as `http://127.0.0.1:8080`. A path in it goes in front of every request's path. */
  readonly url: string | URL;
  /** The most connections, kept alive between requests; further requests wait for one. 1 to 1,024; default 16. */
  readonly connections?: number;
  /** The longest that a call may take, retries included; then `deadline-exceeded`. Milliseconds, default 5,000. */
  readonly deadlineMs?: number;
  /** The longest that connecting may take, before it is tried again. Milliseconds (coarse: ±500), default 2,000. */
  readonly connectTimeoutMs?: number;
  /** The most requests under way or waiting; beyond it calls end with `too-many-requests`. Default 10,000. */
  readonly requestsMax?: number;
  /** The longest answer; beyond it calls end with `answer-too-large`. Bytes, default 64 MiB. */
  readonly responseBytesMax?: number;
  readonly retry?: RetryOptions;
  /**
   * Send the `get`s of one turn of the event loop that read the same table on the same terms as one request.
   * Saves requests where many rows are wanted at once; costs up to a turn of latency. Default false.
   */
  readonly coalesce?: boolean;
  /** Which answers to keep, to be told "not modified" instead of being sent them again; false: none. */
  readonly etags?: EtagOptions | false;
  /** Sent with every request, for what stands in front of the gateway. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What is tried again: an answer 503, and a connection that fails or breaks. Reads change nothing, so both are safe. */
export interface RetryOptions {
  /** Tries in all, the first included; 1: no retries. 1 to 100; default 3. */
  readonly attemptsMax?: number;
  /** The wait before the second try, doubled for each further one. Milliseconds, default 50. */
  readonly firstWaitMs?: number;
  /** The longest such wait. A longer `Retry-After` is kept to, if the deadline allows. Milliseconds, default 1,000. */
  readonly waitMsMax?: number;
  /** Spreads the waits; a number in [0, 1). Default Math.random. */
  readonly random?: () => number;
}

export interface EtagOptions {
  /** Default 10,000. */
  readonly entriesMax?: number;
  /** Memory of the kept texts, counted at two bytes a character. Default 16 MiB. */
  readonly bytesMax?: number;
}

/** What one call accepts and how long it waits (RFC 9111, section 5.2.1). */
export interface ReadOptions {
  /** The origin's own word, read after this call: nothing cached. */
  readonly noCache?: boolean;
  /** No cached row that was read from the origin longer ago. Whole seconds. */
  readonly maxAgeSeconds?: number;
  /** Leave the origin alone; if the row is not cached the call ends with `not-cached` (504). */
  readonly onlyIfCached?: boolean;
  /**
   * An answer that includes this write of yours: its GTID (MySQL: session_track_gtids; MariaDB: `SELECT @@last_gtid`),
   * several with commas between, or the binlog's end after it, as `file:position`. For tables whose changes are followed.
   */
  readonly after?: string;
  /** Instead of the client's. Milliseconds. */
  readonly deadlineMs?: number;
  /** Ends the call with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface Settings {
  readonly origin: string;
  /** In front of every path; empty or starting with a slash. */
  readonly basePath: string;
  readonly connections: number;
  readonly deadlineMs: number;
  readonly connectTimeoutMs: number;
  readonly requestsMax: number;
  readonly responseBytesMax: number;
  readonly retry: Required<RetryOptions>;
  readonly coalesce: boolean;
  readonly etags: Required<EtagOptions> | false;
  readonly headers: Readonly<Record<string, string>>;
}

const MIB = 2 ** 20;
/** setTimeout takes 32 bits; a longer delay would fire at once. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

/** Throws TypeError for a URL that is none, RangeError for a number out of bounds. */
export function settingsOf(options: ClientOptions): Settings {
  const url = new URL(options.url);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new TypeError(`url: http or https, not ${url.protocol}`);
  if (url.username !== '' || url.search !== '' || url.hash !== '') {
    throw new TypeError('url: without user, query and fragment; credentials go into headers');
  }
  const { retry, etags } = options;
  return {
    origin: url.origin,
    basePath: url.pathname.replace(/\/+$/, ''),
    connections: within('connections', options.connections ?? 16, 1, 1024),
    deadlineMs: within('deadlineMs', options.deadlineMs ?? 5_000, 1, TIMER_MS_MAX),
    connectTimeoutMs: within('connectTimeoutMs', options.connectTimeoutMs ?? 2_000, 1, TIMER_MS_MAX),
    requestsMax: within('requestsMax', options.requestsMax ?? 10_000, 1, 1_000_000),
    responseBytesMax: within('responseBytesMax', options.responseBytesMax ?? 64 * MIB, 1, 2 ** 30),
    retry: {
      attemptsMax: within('retry.attemptsMax', retry?.attemptsMax ?? 3, 1, 100),
      firstWaitMs: within('retry.firstWaitMs', retry?.firstWaitMs ?? 50, 1, TIMER_MS_MAX),
      waitMsMax: within('retry.waitMsMax', retry?.waitMsMax ?? 1_000, 1, TIMER_MS_MAX),
      random: retry?.random ?? Math.random,
    },
    coalesce: options.coalesce ?? false,
    etags: etags !== false && {
      entriesMax: within('etags.entriesMax', etags?.entriesMax ?? 10_000, 1, 1_000_000),
      bytesMax: within('etags.bytesMax', etags?.bytesMax ?? 16 * MIB, 1, 2 ** 32),
    },
    headers: options.headers ?? {},
  };
}

/** What a call accepts, as the header fields that say it. */
export type Terms = Readonly<Record<string, string>>;

/** Throws RangeError. */
export function termsOf({ noCache, maxAgeSeconds, onlyIfCached, after }: ReadOptions): Terms {
  const directives: string[] = [];
  if (noCache === true) directives.push('no-cache');
  if (maxAgeSeconds !== undefined) {
    directives.push(`max-age=${within('maxAgeSeconds', maxAgeSeconds, 0, TIMER_MS_MAX)}`);
  }
  if (onlyIfCached === true) directives.push('only-if-cached');
  return {
    ...(directives.length > 0 && { 'cache-control': directives.join(', ') }),
    ...(after !== undefined && { 'ringfill-after': after }),
  };
}

export function within(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`${name}: a whole number from ${min} to ${max}, not ${value}`);
}
