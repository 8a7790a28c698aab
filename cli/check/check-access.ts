/** The gateway's own port: who may ask there, and by which certificate it shows itself. */
import { readKeyFile } from '../../shared/access/key-file.ts';
import { isLoopback } from '../../shared/access/open-to-everybody.ts';
import type { Config } from '../../shared/config/schema.ts';
import { SetupError } from '../../shared/errors/errors.ts';
import { readCertificate } from '../../shared/listener/certificate.ts';
import { type Finding, findingOf } from './finding.ts';

const GROUP = 'http';
const RENEW_BEFORE_MS = 14 * 86_400_000;

export function checkAccess({ http, access }: Pick<Config, 'http' | 'access'>): Finding[] {
  const { host, tls } = http;
  return [
    ...(access === undefined ? openPort(host) : found('API keys', () => keys(access.keysFile))),
    ...(tls === undefined ? plainPort(host) : found('certificate', () => certificate(tls))),
  ];
}

/** Asked for in so many words, or it would not have been loaded. */
function openPort(host: string): Finding[] {
  if (isLoopback(host)) return [];
  const why = 'Whoever reaches the port reads every exposed row.';
  return [{ group: GROUP, requirement: 'API keys', verdict: 'warning', found: `none are asked for on ${host}`, why }];
}

function plainPort(host: string): Finding[] {
  if (isLoopback(host)) return [];
  const why = 'Keys and rows can be read on the way, unless a proxy on this machine speaks TLS.';
  return [{ group: GROUP, requirement: 'certificate', verdict: 'note', found: `plain HTTP on ${host}`, why }];
}

function keys(path: string): Finding {
  const records = readKeyFile(path);
  const inForce = records.filter(({ expires }) => expires === undefined || Date.parse(expires) > Date.now()).length;
  const told = `${inForce} in force in ${path}, ${records.length - inForce} expired`;
  if (inForce > 0) return { group: GROUP, requirement: 'API keys', verdict: 'met', found: told };
  const mend = [`ringfill key create --keys-file ${path} --name … --table db.table`];
  return {
    group: GROUP,
    requirement: 'API keys',
    verdict: 'warning',
    found: told,
    why: 'Nobody can read a row.',
    mend,
  };
}

function certificate(files: NonNullable<Config['http']['tls']>): Finding {
  const { expiresMs } = readCertificate(files);
  const told = `until ${new Date(expiresMs).toISOString()}`;
  if (expiresMs - Date.now() > RENEW_BEFORE_MS) {
    return { group: GROUP, requirement: 'certificate', verdict: 'met', found: told };
  }
  const why = 'Clients refuse a certificate that has expired. A renewed one is taken while the gateway serves.';
  return { group: GROUP, requirement: 'certificate', verdict: 'warning', found: told, why };
}

function found(requirement: string, look: () => Finding): Finding[] {
  try {
    return [look()];
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return error.problems.map((problem) => findingOf(GROUP, requirement, problem));
  }
}
