/**
 * Where the broker is:
 *
 *     amqp://user:password@host:5672/vhost      amqps://… for TLS, with ?ca= &cert= &key= &servername=
 */
import { readFileSync } from 'node:fs';
import type { Options, SocketOptions } from 'amqplib';
import { serverUrl } from '../config/server-url.ts';

const PORTS: Readonly<Record<string, number>> = { 'amqp:': 5672, 'amqps:': 5671 };
const TLS_FILES = new Set(['ca', 'cert', 'key']);

export interface BrokerAddress {
  readonly connect: Options.Connect & { readonly protocol: string; readonly hostname: string; readonly port: number };
  readonly socket: SocketOptions;
}

/** Throws an Error in an operator's words; it never quotes the URL, which may hold a password. */
export function brokerAddress(text: string): BrokerAddress {
  const url = serverUrl(text, 'amqp://user:password@host:port/vhost');
  const port = PORTS[url.protocol];
  if (port === undefined) throw new Error(`${url.protocol} is not a way to reach RabbitMQ; write amqp:// or amqps://`);
  const login =
    url.username === '' && url.password === ''
      ? {}
      : { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
  return {
    connect: {
      protocol: url.protocol.slice(0, -1),
      hostname: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? port : Number(url.port),
      vhost: url.pathname.replace(/^\//, '') || '/',
      ...login,
    },
    socket: tlsOptions(url),
  };
}

/** What to call it in a message: host, port and virtual host, without login. */
export function describeBroker(url: string): string {
  const { hostname, port, vhost } = brokerAddress(url).connect;
  return `${hostname}:${port}${vhost === '/' ? '' : `/${vhost}`}`;
}

function tlsOptions({ protocol, searchParams }: URL): SocketOptions {
  if (protocol === 'amqp:' && searchParams.size > 0)
    throw new Error('amqp:// takes no parameters; for TLS write amqps://');
  const options: Record<string, unknown> = {};
  for (const [parameter, value] of searchParams) {
    if (TLS_FILES.has(parameter)) options[parameter] = readFileSync(value);
    else if (parameter === 'servername') options[parameter] = value;
    else throw new Error(`?${parameter}= is not known; amqps:// takes ca, cert, key and servername`);
  }
  return options as SocketOptions;
}
