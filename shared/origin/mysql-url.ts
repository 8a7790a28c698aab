/**
 * `mysql://user:password@host:port?ssl-mode=…` -> the driver's options. The parameters are those of MySQL's own URLs
 * (MySQL Shell, "Connecting Using URI-Like Connection Strings"), plus `socket`.
 */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions, SslOptions } from 'mysql2';
import { serverUrl } from '../config/server-url.ts';
import { messageOf, SetupError } from '../errors/errors.ts';

const MYSQL_PORT = 3306;

/** Throws SetupError `config-invalid`; it never quotes the URL, which holds a password. */
export function mysqlOptions(text: string): ConnectionOptions {
  try {
    return optionsOf(text);
  } catch (error) {
    throw new SetupError([{ code: 'config-invalid', where: 'origin.url', message: messageOf(error) }], {
      cause: error,
    });
  }
}

function optionsOf(text: string): ConnectionOptions {
  const url = serverUrl(text, 'mysql://user:password@host:port');
  const known = new Set(['ssl-mode', 'ssl-ca', 'ssl-cert', 'ssl-key', 'socket']);
  for (const parameter of url.searchParams.keys()) {
    if (!known.has(parameter)) throw new Error(`?${parameter}= is not known; known: ${[...known].join(', ')}`);
  }
  const socketPath = url.searchParams.get('socket');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const ssl = sslOptions(url.searchParams, host);
  return {
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    ...(socketPath === null ? { host, port: url.port === '' ? MYSQL_PORT : Number(url.port) } : { socketPath }),
    ...(ssl === undefined ? {} : { ssl }),
  };
}

/** What to call it in a message: host and port, without login. */
export function describeOrigin(text: string): string {
  const options = mysqlOptions(text);
  return options.socketPath ?? `${options.host}:${options.port}`;
}

function sslOptions(parameters: URLSearchParams, host: string): SslOptions | undefined {
  const read = (name: string) => {
    const path = parameters.get(name);
    return path === null ? undefined : readFileSync(path);
  };
  const [ca, cert, key] = [read('ssl-ca'), read('ssl-cert'), read('ssl-key')];
  const given = parameters.get('ssl-mode')?.toUpperCase().replaceAll('-', '_');
  const mode = given ?? (ca === undefined ? 'DISABLED' : 'VERIFY_IDENTITY');
  const files = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  switch (mode) {
    case 'DISABLED':
      return undefined;
    case 'REQUIRED':
      return { ...files, rejectUnauthorized: false };
    case 'VERIFY_CA':
      return { ...files, rejectUnauthorized: true, verifyIdentity: false };
    case 'VERIFY_IDENTITY':
      // The driver checks a certificate against a name alone; for an address it would look for localhost.
      if (isIP(host) !== 0) {
        throw new Error(
          'VERIFY_IDENTITY needs the server’s name in the place of its address; or take ?ssl-mode=VERIFY_CA',
        );
      }
      return { ...files, rejectUnauthorized: true, verifyIdentity: true };
    case 'PREFERRED':
      throw new Error('?ssl-mode=PREFERRED would go on in plain text without a word; write REQUIRED at least');
    default:
      throw new Error(`?ssl-mode=${mode} is not one of DISABLED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY`);
  }
}
