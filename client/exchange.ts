/**
 * One request and its answer, over a bounded pool of kept-alive connections.
 *
 * What arrives: a path. What leaves: an answer of any status, whole. What can go wrong: the gateway is away, or says 503;
 * both are tried again until the tries, or the call's time, are used up.
 *
 *     try --(answer, not 503)------------------------------------------------> answer
 *      ^  \--(503, or the connection failed)--> a try left, and the wait ends before the deadline? --no--> answer, error
 *      '------------------------------------------- wait <--yes--'
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { errors, Pool } from 'undici';
import type { Bounds } from './bounds.ts';
import { RingfillError } from './errors.ts';
import type { Settings } from './options.ts';
import { retryAfterSeconds, retryWaitMs } from './retry.ts';

/** What is asked for may be done twice: a request whose answer is lost is sent again. */
export type Method = 'GET' | 'POST';

interface HttpRequest {
  readonly method: Method;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** A try that brought no answer. */
interface Broken {
  readonly error: RingfillError;
  readonly again: boolean;
}

/** Worth another try: the gateway restarts, or closed a kept connection just as we wrote to it. */
const CONNECTION_TROUBLE: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_SOCKET',
]);

export class Exchange {
  readonly #settings: Settings;
  readonly #pool: Pool;
  readonly #closing = new AbortController();
  #requests = 0;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#pool = new Pool(settings.origin, {
      connections: settings.connections,
      pipelining: 1,
      allowH2: false,
      connectTimeout: settings.connectTimeoutMs,
      maxResponseSize: settings.responseBytesMax,
      // The call's deadline rules, to the millisecond; undici's own timers are coarse.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /** `path` is already encoded. Throws RingfillError with one of the client's own codes. */
  async ask(
    path: string,
    headers: Readonly<Record<string, string>>,
    bounds: Bounds,
    method: Method = 'GET',
  ): Promise<HttpAnswer> {
    if (this.#requests >= this.#settings.requestsMax) {
      const detail = `${this.#requests} requests are under way already; more than requestsMax are not kept waiting.`;
      throw new RingfillError({ code: 'too-many-requests', detail });
    }
    this.#requests += 1;
    try {
      return await this.#askUntil({ method, path, headers }, bounds);
    } finally {
      this.#requests -= 1;
    }
  }

  /** What is under way is answered; nothing is tried again. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#pool.close();
  }

  async #askUntil(request: HttpRequest, bounds: Bounds): Promise<HttpAnswer> {
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#try(request, bounds);
      const again = 'error' in outcome ? outcome.again : outcome.status === 503;
      if (again && attempt < this.#settings.retry.attemptsMax) {
        const toldSeconds =
          'error' in outcome ? undefined : retryAfterSeconds(outcome.headers['retry-after'], Date.now());
        const waitMs = retryWaitMs(this.#settings.retry, attempt, toldSeconds);
        // Waiting past the deadline would only keep from the caller what is known by now.
        if (performance.now() + waitMs < bounds.endsAtMs && (await this.#wait(waitMs, bounds))) continue;
      }
      if ('error' in outcome) throw outcome.error;
      return outcome;
    }
  }

  async #try(request: HttpRequest, { signal }: Bounds): Promise<HttpAnswer | Broken> {
    try {
      const answer = await this.#pool.request({ ...request, signal });
      return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
    } catch (error) {
      if (signal.aborted) throw error;
      return this.#brokenBy(error);
    }
  }

  /** False if the call or the client ended meanwhile. */
  async #wait(waitMs: number, { signal }: Bounds): Promise<boolean> {
    try {
      await sleep(waitMs, undefined, { signal: AbortSignal.any([signal, this.#closing.signal]) });
      return true;
    } catch {
      return false;
    }
  }

  #brokenBy(error: unknown): Broken {
    if (!(error instanceof Error)) throw error;
    const cause = { cause: error };
    if (error instanceof errors.HTTPParserError) {
      const detail = `What listens at ${this.#settings.origin} does not speak HTTP.`;
      return { error: new RingfillError({ code: 'answer-unreadable', detail }, cause), again: false };
    }
    const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
    switch (code) {
      // Our own mistake, which no caller can handle.
      case 'UND_ERR_INVALID_ARG':
        throw error;
      case 'UND_ERR_CLOSED':
      case 'UND_ERR_DESTROYED':
        return {
          error: new RingfillError({ code: 'client-closed', detail: 'This client is closed.' }, cause),
          again: false,
        };
      case 'UND_ERR_RES_EXCEEDED_MAX_SIZE': {
        const detail = `The answer is longer than ${this.#settings.responseBytesMax} bytes (responseBytesMax).`;
        return { error: new RingfillError({ code: 'answer-too-large', detail }, cause), again: false };
      }
      default: {
        const detail = `The gateway at ${this.#settings.origin} cannot be reached (${code === '' ? error.message : code}).`;
        const unreachable = new RingfillError({ code: 'gateway-unreachable', detail }, cause);
        return { error: unreachable, again: CONNECTION_TROUBLE.has(code) };
      }
    }
  }
}
