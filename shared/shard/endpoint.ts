/**
 * Where a shard's Redis is: a URL, or a group of Sentinels that knows.
 *
 *     redis://user:password@host:6379/0        rediss://… for TLS, with ?ca= &cert= &key= &servername=
 *     unix:///run/redis.sock?db=0
 *     {sentinel: {group: shard1, sentinels: ["10.0.0.1:26379", …]}}  with tls: {} for TLS, to the Sentinels as well
 */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { RedisOptions } from 'ioredis';
import type { RingConfig } from '../config/schema.ts';
import { serverUrl } from '../config/server-url.ts';

export interface SentinelEndpoint {
  readonly sentinel: {
    /** The name that the Sentinels know the group by. */
    readonly group: string;
    /** `host:port` of each. */
    readonly sentinels: readonly string[];
    readonly username?: string | undefined;
    readonly password?: string | undefined;
    readonly db?: number | undefined;
    readonly sentinelPassword?: string | undefined;
    /** To the Sentinels, and to the server that they name. */
    readonly tls?: SentinelTls | undefined;
  };
}

export interface SentinelTls {
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** In each certificate. Each is for the host that it is reached by where there is none. */
  readonly servername?: string | undefined;
}

export type Endpoint = string | SentinelEndpoint;

/** Where each of a ring's shards is, those of its former definitions too. */
export function endpointsOf({ shards, former = [] }: Pick<RingConfig, 'shards' | 'former'>): Map<string, Endpoint> {
  return new Map([...former.toReversed(), { shards }].flatMap((of) => Object.entries(of.shards)));
}

const REDIS_PORT = 6379;
const SENTINEL_PORT = 26379;

/**
 * @param attempt how often it has been tried before.
 * Throws an Error in an operator's words; it never quotes the URL, which may hold a password.
 */
export function redisOptions(endpoint: Endpoint, attempt = 0): RedisOptions {
  if (typeof endpoint !== 'string') return sentinelOptions(endpoint, attempt);
  const url = serverUrl(endpoint, 'redis://host:port/database');
  const login = {
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
  };
  switch (url.protocol) {
    case 'redis:':
    case 'rediss:':
      return {
        ...login,
        host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
        port: url.port === '' ? REDIS_PORT : Number(url.port),
        db: databaseNumber(url.pathname.replace(/^\//, '')),
        ...tls(url),
      };
    case 'unix:':
      return { ...login, path: decodeURIComponent(url.pathname), db: databaseNumber(url.searchParams.get('db') ?? '') };
    default:
      throw new Error(`${url.protocol} is not a way to reach Redis; write redis://, rediss:// or unix://`);
  }
}

/** What to call it in a message: host and port, without login. */
export function describeEndpoint(endpoint: Endpoint): string {
  if (typeof endpoint !== 'string') return `${endpoint.sentinel.group} (by ${endpoint.sentinel.sentinels.join(', ')})`;
  const options = redisOptions(endpoint);
  return options.path ?? `${options.host}:${options.port}`;
}

/** Each attempt begins with another Sentinel: the first one may be on the host that has just died. */
function sentinelOptions({ sentinel }: SentinelEndpoint, attempt: number): RedisOptions {
  const addresses = sentinel.sentinels.map(sentinelAddress);
  const first = attempt % addresses.length;
  return {
    name: sentinel.group,
    sentinels: [...addresses.slice(first), ...addresses.slice(0, first)],
    db: sentinel.db ?? 0,
    sentinelRetryStrategy: () => null,
    ...(sentinel.username === undefined ? {} : { username: sentinel.username }),
    ...(sentinel.password === undefined ? {} : { password: sentinel.password }),
    ...(sentinel.sentinelPassword === undefined ? {} : { sentinelPassword: sentinel.sentinelPassword }),
    ...(sentinel.tls === undefined ? {} : sentinelTls(sentinel.tls)),
  };
}

function sentinelTls({ caFile, certFile, keyFile, servername }: SentinelTls): RedisOptions {
  const tls: ConnectionOptions = {
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
    ...(certFile === undefined ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile) }),
    ...(servername === undefined ? {} : { servername }),
  };
  return { tls, sentinelTLS: tls, enableTLSForSentinelMode: true };
}

function sentinelAddress(text: string): { host: string; port: number } {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]]+)(?::([0-9]{1,5}))?$/.exec(text);
  // Not quoted: whoever writes a URL there writes its password, too.
  if (match === null) throw new Error('a Sentinel is named as host:port, without a login');
  const [, host = '', port] = match;
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: port === undefined ? SENTINEL_PORT : Number(port) };
}

function databaseNumber(text: string): number {
  if (text === '') return 0;
  if (!/^[0-9]{1,5}$/.test(text)) throw new Error('what stands behind the host is not a Redis database number');
  return Number(text);
}

function tls(url: URL): Pick<RedisOptions, 'tls'> {
  if (url.protocol === 'rediss:') return { tls: tlsOptions(url) };
  if (url.searchParams.size > 0) throw new Error('redis:// takes no parameters; for TLS write rediss://');
  return {};
}

function tlsOptions(url: URL): ConnectionOptions {
  const servername = url.searchParams.get('servername') ?? url.hostname;
  // A name is checked against the certificate; an address cannot be asked for by SNI (RFC 6066, section 3).
  const options: ConnectionOptions = isIP(servername) === 0 ? { servername } : {};
  for (const [parameter, value] of url.searchParams) {
    switch (parameter) {
      case 'ca':
      case 'cert':
      case 'key':
        options[parameter] = readFileSync(value);
        break;
      case 'servername':
        break;
      default:
        throw new Error(`?${parameter}= is not known; rediss:// takes ca, cert, key and servername`);
    }
  }
  return options;
}
