/**
 * Gateways for tests: in this process, over the shared stack unless told otherwise. Each has a key prefix of its own,
 * so that files and tests never meet in Redis.
 */
import { randomBytes } from 'node:crypto';
import { after } from 'node:test';
import { Gateway } from '../../gateway/gateway.ts';
import { parseConfig } from '../../shared/config/load.ts';
import type { Config } from '../../shared/config/schema.ts';
import { createLog, type Log } from '../../shared/telemetry/log.ts';
import { redisUrl } from './least-privilege.ts';
import type { TestStack } from './stack.ts';

export interface GatewaySettings {
  readonly tables: Config['tables'];
  readonly origin?: Partial<Config['origin']>;
  readonly shards?: Partial<Config['shards']>;
  readonly rings?: Config['rings'];
  readonly defaults?: Partial<Config['defaults']>;
  readonly keyPrefix?: string;
  readonly http?: Partial<Config['http']>;
  readonly access?: Partial<Config['access']>;
  /** Sync is off without it; the broker is the stack's unless it is said here. */
  readonly sync?: Partial<NonNullable<Config['sync']>>;
  readonly nearCache?: Config['nearCache'];
}

export interface TestGateway {
  readonly url: string;
  readonly keyPrefix: string;
  get(path: string, init?: RequestInit): Promise<Response>;
  stop(): Promise<void>;
}

/** Every gateway with a near cache: RINGFILL_TEST_NEAR=1. Whatever holds without one must hold with it. */
const NEAR_EVERYWHERE = process.env['RINGFILL_TEST_NEAR'] === '1' ? { mebibytes: 16 } : undefined;

/** The configuration as a user would write it, in a form that `parseConfig` and `ringfill gateway` take. */
export function gatewayConfig(stack: TestStack, settings: GatewaySettings): { text: string; keyPrefix: string } {
  const keyPrefix = settings.keyPrefix ?? `t${randomBytes(4).toString('hex')}:`;
  const nearCache = settings.nearCache ?? NEAR_EVERYWHERE;
  const config = {
    http: { port: 0, ...settings.http },
    ...(settings.access && { access: settings.access }),
    origin: { url: originUrl(stack), ...settings.origin },
    rings: settings.rings ?? ringsOf(stack),
    keyPrefix,
    tables: settings.tables,
    ...(settings.sync && { sync: { broker: { url: stack.rabbitmq.url }, ...settings.sync } }),
    ...(settings.shards && { shards: settings.shards }),
    ...(nearCache && { nearCache }),
    // A row lies in one shard then, unless a test is about more.
    defaults: { warmOneIn: 0, ...settings.defaults },
    log: { level: 'error' },
  };
  return { text: JSON.stringify(config), keyPrefix };
}

export async function startGateway(stack: TestStack, settings: GatewaySettings, log?: Log): Promise<TestGateway> {
  const { text, keyPrefix } = gatewayConfig(stack, settings);
  const config = parseConfig(text, 'test');
  const gateway = new Gateway({ config, version: 'test', log: log ?? createLog(config.log.level) });
  const stop = () => gateway.stop();
  after(stop);
  const url = await gateway.start();
  return { url, keyPrefix, get: (path, init) => fetch(url + path, init), stop };
}

/** The least-privileged account of the demo data. */
export function originUrl({ mysql }: TestStack): string {
  return `mysql://ringfill:ringfill@${mysql.host}:${mysql.port}`;
}

export function ringsOf({ redis }: TestStack): Config['rings'] {
  return (['primary', 'fallback'] as const).map((ring) => ({
    name: ring,
    shards: Object.fromEntries(
      redis.filter((shard) => shard.ring === ring).map(({ shard, port }) => [shard, redisUrl(port)]),
    ),
  }));
}

/** `ringfill; hit; ttl=27; key="…"; detail="r2/0"` -> its parts. */
export function cacheStatusOf(response: Response): { text: string; hit: boolean; stored: boolean; detail: string } {
  const text = response.headers.get('cache-status') ?? '';
  return {
    text,
    hit: /; hit(?:;|$)/.test(text),
    stored: /; stored(?:;|$)/.test(text),
    detail: /detail="([^"]*)"/.exec(text)?.[1] ?? '',
  };
}
