/**
 * The gateways as a load balancer sees them: requests go round those whose `/-/ready` says yes, and one that could not be
 * connected to is not asked again until it does. A request of which no byte was sent goes to the next; any other failure
 * is the client's.
 */
import { Pool } from 'undici';
import { codeOf, messageOf } from '../../shared/errors/errors.ts';
import type { Answered } from './checker.ts';

export interface GatewayTarget {
  readonly name: string;
  readonly url: string;
}

export interface GatewaysOptions {
  readonly targets: readonly GatewayTarget[];
  /** To each. */
  readonly connections: number;
  /** Later is a failure. ms. */
  readonly timeoutMs: number;
}

/** As load balancers do that are in a hurry. ms. */
const ASK_READY_EVERY_MS = 100;
const READY_WITHIN_MS = 1_000;

interface Gateway {
  readonly name: string;
  readonly pool: Pool;
  readonly probe: Pool;
  /** Each process that answers is another life. */
  life: number;
  isReady: boolean;
  wasUnreachable: boolean;
  isAsked: boolean;
}

export interface Reply {
  /** Name and life. */
  readonly gateway: string;
  readonly sentAt: number;
  readonly answered: Answered;
}

export class Gateways {
  readonly #gateways: readonly Gateway[];
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ targets, connections, timeoutMs }: GatewaysOptions) {
    this.#gateways = targets.map(({ name, url }) => ({
      name,
      pool: new Pool(url, {
        connections,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        connectTimeout: timeoutMs,
      }),
      probe: new Pool(url, { connections: 1, headersTimeout: READY_WITHIN_MS, bodyTimeout: READY_WITHIN_MS }),
      life: 1,
      isReady: true,
      wasUnreachable: false,
      isAsked: false,
    }));
  }

  start(): void {
    this.#timer = setInterval(() => {
      for (const gateway of this.#gateways) if (!gateway.isAsked) void this.#askIfReady(gateway);
    }, ASK_READY_EVERY_MS);
  }

  /** Settles when all requests have been answered or have failed. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#gateways.flatMap(({ pool, probe }) => [pool.close(), probe.close()]));
  }

  async get(path: string): Promise<Reply> {
    for (let tried = 1; ; tried += 1) {
      const gateway = this.#choose();
      const sentAt = performance.now();
      const name = `${gateway.name}#${gateway.life}`;
      try {
        const { statusCode, headers, body } = await gateway.pool.request({ path, method: 'GET' });
        const text = await body.text();
        const answered: Answered = {
          kind: 'answer',
          status: statusCode,
          cacheStatus: headerOf(headers['cache-status']),
          retryAfter: headerOf(headers['retry-after']),
          body: text,
          endedAt: performance.now(),
        };
        return { gateway: name, sentAt, answered };
      } catch (error) {
        // Nothing was sent over a connection that was never made.
        const isUnsent = codeOf(error) === 'ECONNREFUSED';
        if (isUnsent) gateway.isReady = false;
        if (isUnsent && tried < this.#gateways.length) continue;
        const why = `${codeOf(error) ?? 'failed'}: ${messageOf(error)}`;
        return { gateway: name, sentAt, answered: { kind: 'failed', why, endedAt: performance.now() } };
      }
    }
  }

  #choose(): Gateway {
    const ready = this.#gateways.filter(({ isReady }) => isReady);
    const among = ready.length === 0 ? this.#gateways : ready;
    this.#next += 1;
    return among[this.#next % among.length] as Gateway;
  }

  async #askIfReady(gateway: Gateway): Promise<void> {
    gateway.isAsked = true;
    try {
      const { statusCode, body } = await gateway.probe.request({ path: '/-/ready', method: 'GET' });
      await body.dump();
      if (gateway.wasUnreachable) gateway.life += 1;
      gateway.wasUnreachable = false;
      gateway.isReady = statusCode === 200;
    } catch (error) {
      gateway.isReady = false;
      gateway.wasUnreachable ||= codeOf(error) === 'ECONNREFUSED';
    } finally {
      gateway.isAsked = false;
    }
  }
}

function headerOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}
