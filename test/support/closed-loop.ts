/**
 * A closed loop of readers that checks every answer: status, body, and how long it took. For tests that pull plugs; for
 * figures there is bench/.
 */
import { Pool } from 'undici';

export interface LoopOptions {
  readonly url: string;
  readonly connections: number;
  readonly requests: number;
  /** The path of the n-th request. */
  readonly path: (n: number) => string;
  /** The body that the path must answer; nothing: any. */
  readonly expected?: (path: string) => string | undefined;
  /** Called as the n-th request is sent. */
  readonly onRequest?: (n: number) => void;
}

export interface LoopReport {
  readonly statuses: Readonly<Record<number, number>>;
  /** By `detail` of Cache-Status: which layer answered, or that none did. */
  readonly layers: Readonly<Record<string, number>>;
  readonly wrongBodies: readonly string[];
  readonly socketErrors: readonly string[];
  /** Answers of 503 without Retry-After. */
  readonly bare503s: number;
  readonly slowestMs: number;
}

/** One request that takes longer than this is a hang. */
const HANG_MS = 10_000;

export async function closedLoop(options: LoopOptions): Promise<LoopReport> {
  const pool = new Pool(options.url, {
    connections: options.connections,
    pipelining: 1,
    headersTimeout: HANG_MS,
    bodyTimeout: HANG_MS,
  });
  const statuses: Record<number, number> = {};
  const layers: Record<string, number> = {};
  const wrongBodies: string[] = [];
  const socketErrors: string[] = [];
  let [bare503s, slowestMs, next] = [0, 0, 0];

  const read = async (n: number) => {
    options.onRequest?.(n);
    const path = options.path(n);
    const started = performance.now();
    try {
      const { statusCode, headers, body } = await pool.request({ path, method: 'GET' });
      const text = await body.text();
      slowestMs = Math.max(slowestMs, performance.now() - started);
      statuses[statusCode] = (statuses[statusCode] ?? 0) + 1;
      const layer = /detail="[^"/]*\/([0-9]+)/.exec(String(headers['cache-status']))?.[1] ?? 'none';
      layers[layer] = (layers[layer] ?? 0) + 1;
      if (statusCode === 503 && headers['retry-after'] === undefined) bare503s += 1;
      const expected = options.expected?.(path);
      if (statusCode === 200 && expected !== undefined && text !== expected) wrongBodies.push(`${path}: ${text}`);
    } catch (error) {
      socketErrors.push(`${path}: ${String(error)}`);
    }
  };
  const worker = async () => {
    while (next < options.requests) await read(next++);
  };
  await Promise.all(Array.from({ length: options.connections }, worker));
  await pool.destroy();
  return { statuses, layers, wrongBodies, socketErrors, bare503s, slowestMs };
}
