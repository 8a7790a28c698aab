/** A port that other machines reach, and nobody asked for a key: refused, unless it is said to be meant. */
import { isIPv4 } from 'node:net';
import type { Config } from '../config/schema.ts';
import { type Problem, SetupError } from '../errors/errors.ts';

/**
 * @param host that is listened on, or will be.
 * @returns what is wrong with it; nothing if nothing is.
 */
export function openToEverybody(
  host: string,
  { http, access }: Pick<Config, 'http' | 'access'>,
): Omit<Problem, 'where'> | undefined {
  if (access !== undefined || http.publicWithoutAuthentication || isLoopback(host)) return undefined;
  return {
    code: 'public-without-access',
    message: `on ${JSON.stringify(host)} whoever reaches the port could read every exposed row`,
    mend:
      'access: {keysFile: keys.json}, with keys made by `ringfill key create --keys-file keys.json`; or ' +
      'http.host: 127.0.0.1; or, if everybody may, http.publicWithoutAuthentication: true',
  };
}

/** For a reload: it may not take away what guards the host that is listened on already. Throws SetupError. */
export function refuseOpening(host: string, config: Pick<Config, 'http' | 'access'>): void {
  const problem = openToEverybody(host, config);
  if (problem !== undefined) throw new SetupError([{ ...problem, where: 'access' }]);
}

/** Whether only this machine can reach it. A name other than localhost may lead anywhere. */
export function isLoopback(host: string): boolean {
  const address = host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/^::ffff:/, '');
  return address === 'localhost' || address === '::1' || (isIPv4(address) && address.startsWith('127.'));
}
