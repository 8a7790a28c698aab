/**
 * One load: autocannon over keys that `nextKey` chooses, request by request.
 *
 * autocannon keeps a fixed number of requests under way (a closed loop), so what it measures are the latencies at the
 * throughput that the gateway can sustain at that concurrency; not what users would wait at a given rate.
 *
 * Every answer is counted, none is sampled: to read its `Cache-Status` in the client's 'headers' event takes 0.4 µs, where
 * autocannon itself takes some 70 µs a request (measured on the machine that the first figures are from).
 */
import { createHistogram } from 'node:perf_hooks';
import autocannon from 'autocannon';
import { percentEncode } from '../../client/row-id.ts';
import { count, StoryTally } from './story-tally.ts';

export interface Load {
  readonly url: string;
  readonly db: string;
  readonly table: string;
  readonly connections: number;
  /** Requests under way on each connection. */
  readonly pipelining: number;
  readonly durationSeconds: number;
  readonly timeoutSeconds: number;
  /** Ids in one request; 1: single rows. */
  readonly batch: number;
  readonly nextKey: () => number;
  readonly signal: AbortSignal;
}

export interface LoadResult {
  readonly durationSeconds: number;
  readonly answers: number;
  readonly statuses: Readonly<Record<string, number>>;
  readonly latencyMs: Readonly<Record<'mean' | 'p50' | 'p90' | 'p99' | 'p999' | 'max', number>>;
  readonly bytes: number;
  /** Rows that answers told a story of. */
  readonly rows: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** By `shard/layer`. */
  readonly places: Readonly<Record<string, number>>;
  /** Failed connections and timeouts, by message. */
  readonly errors: Readonly<Record<string, number>>;
  /** Requests on connections that the gateway closed without answering them. */
  readonly unanswered: number;
}

/** autocannon reconnects at once, and would do so a hundred thousand times a second where nothing listens. */
const ERRORS_MAX = 1_000;
const ERROR_MESSAGES_MAX = 20;

interface ParsedHeaders {
  readonly headers: readonly string[];
}

export async function runLoad(load: Load): Promise<LoadResult> {
  const stories = new StoryTally();
  const latencyMicros = createHistogram({ figures: 3 });
  const errors = new Map<string, number>();
  const path = pathMaker(load);
  let answers = 0;
  let bytes = 0;
  let failed = 0;

  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon(
      {
        url: load.url,
        connections: load.connections,
        pipelining: load.pipelining,
        duration: load.durationSeconds,
        timeout: load.timeoutSeconds,
        bailout: ERRORS_MAX,
        // A request is made anew each time, unlike with setRequest also when pipelining.
        requests: [{ setupRequest: (request) => ({ ...request, path: path() }) }],
        setupClient: (client) => {
          // Declared as parsed headers; what comes is the parser's own list of names and values.
          client.on('headers', (parsed) => {
            const cacheStatus = valueOf('cache-status', (parsed as unknown as ParsedHeaders).headers);
            if (cacheStatus !== undefined) stories.add(cacheStatus);
          });
        },
      },
      (error: Error | null, finished) => {
        if (error) reject(error);
        else resolve(finished);
      },
    );
    instance.on('response', (_client, _status, length, milliseconds) => {
      answers += 1;
      bytes += length;
      // autocannon's own histogram has whole milliseconds only.
      latencyMicros.record(Math.max(1, Math.round(milliseconds * 1000)));
    });
    instance.on('reqError', (error: Error) => {
      failed += 1;
      const message = errors.has(error.message) || errors.size < ERROR_MESSAGES_MAX ? error.message : 'others';
      count(errors, message, 1);
    });
    load.signal.addEventListener('abort', () => instance.stop(), { once: true });
  });

  const statuses = Object.entries(result.statusCodeStats ?? {}).map(([status, { count: times }]) => [
    status,
    times ?? 0,
  ]);
  const milliseconds = (micros: number) => Math.round(micros) / 1000;
  const underWayAtTheEnd = load.connections * load.pipelining;
  return {
    durationSeconds: result.duration,
    answers,
    statuses: Object.fromEntries(statuses) as Record<string, number>,
    latencyMs: {
      mean: answers === 0 ? 0 : milliseconds(latencyMicros.mean),
      p50: milliseconds(latencyMicros.percentile(50)),
      p90: milliseconds(latencyMicros.percentile(90)),
      p99: milliseconds(latencyMicros.percentile(99)),
      p999: milliseconds(latencyMicros.percentile(99.9)),
      max: milliseconds(latencyMicros.max),
    },
    bytes,
    rows: stories.rows,
    outcomes: Object.fromEntries(stories.outcomes),
    places: Object.fromEntries(stories.places),
    errors: Object.fromEntries(errors),
    unanswered: Math.max(0, result.requests.sent - answers - failed - underWayAtTheEnd),
  };
}

function pathMaker({ url, db, table, batch, nextKey }: Load): () => string {
  const basePath = new URL(url).pathname.replace(/\/+$/, '');
  const tablePath = `${basePath}/${percentEncode(db)}/${percentEncode(table)}`;
  if (batch === 1) return () => `${tablePath}/${nextKey()}`;
  return () => `${tablePath}?ids=${Array.from({ length: batch }, nextKey).join(',')}`;
}

/** Of a flat list of names and values. */
function valueOf(name: string, headers: readonly string[]): string | undefined {
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index]?.toLowerCase() === name) return headers[index + 1];
  }
  return undefined;
}
