/** How an operator reaches the same Redis by hand: the head of the redis-cli lines in the report. Without passwords. */
import { type Endpoint, redisOptions } from '../../shared/shard/endpoint.ts';

/** @param resolved where a Sentinel group's master was found. */
export function redisCli(endpoint: Endpoint, resolved?: { host: string; port: number }): string {
  const options = redisOptions(endpoint);
  const words = ['redis-cli'];
  if (options.path !== undefined) words.push('-s', quoted(options.path));
  else if (typeof endpoint === 'string') words.push('-h', String(options.host), '-p', String(options.port));
  else if (resolved !== undefined) words.push('-h', resolved.host, '-p', String(resolved.port));
  if (options.tls !== undefined) words.push('--tls');
  if (options.db !== undefined && options.db !== 0) words.push('-n', String(options.db));
  if (options.username !== undefined) words.push('--user', quoted(options.username));
  if (options.password !== undefined) words.push('--askpass');
  return words.join(' ');
}

function quoted(word: string): string {
  return /^[\w./:-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
