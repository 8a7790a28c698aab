/**
 * MySQL or MariaDB: reached, logged in to, of a version that can be the origin. What stands here in the way of the
 * gateway's start is found by the gateway's own code, so that the two never disagree.
 */
import { codeOf, messageOf, OriginUnavailable } from '../../shared/errors/errors.ts';
import type { OriginPool } from '../../shared/origin/origin-pool.ts';
import { mysqlOptions } from '../../shared/origin/mysql-url.ts';
import { quoteAccount } from '../../shared/origin/table-name.ts';
import { cellText } from '../../shared/origin/cells.ts';
import type { Finding } from './finding.ts';
import {
  isAtLeast,
  OLDEST_ORIGIN,
  SERVER_NAMES,
  type SqlServer,
  sqlServerOf,
} from '../../shared/origin/server-version.ts';

/** What the checks of tables and of sync go on with. */
export interface CheckedOrigin {
  readonly server: SqlServer;
  /** `ringfill@10.0.%`: the account that the server took us for. */
  readonly account: string;
}

export interface OriginReport {
  readonly findings: readonly Finding[];
  /** Nothing if it cannot be asked further. */
  readonly origin: CheckedOrigin | undefined;
}

/** More than reading, for the whole server. */
const POWERS = ['SUPER', 'INSERT', 'UPDATE', 'DELETE', 'DROP', 'CREATE USER', 'FILE'];

/** Host clocks further apart than this are worth a word. */
export const CLOCK_DIFFERENCE_MAX_MS = 500;

export async function checkOrigin(pool: OriginPool, url: string, timeoutMs: number): Promise<OriginReport> {
  const group = `origin ${pool.address}`;
  const started = performance.now();
  let rows: readonly (readonly (Buffer | null)[])[];
  try {
    ({ rows } = await pool.query('SELECT VERSION(), CURRENT_USER()'));
  } catch (error) {
    return { findings: refused(group, url, error), origin: undefined };
  }
  const tookMs = Math.round(performance.now() - started);
  const server = sqlServerOf(cellText(rows[0]?.[0]));
  const account = cellText(rows[0]?.[1]);
  const oldest = OLDEST_ORIGIN[server.flavour];
  const recent = isAtLeast(server.version, oldest);
  const findings: Finding[] = [
    {
      group,
      requirement: 'reachable',
      verdict: 'met',
      found: `answered in ${tookMs} ms (origin.timeoutMs is ${timeoutMs})`,
    },
    { group, requirement: 'login', verdict: 'met', found: `as ${quoteAccount(account)}` },
    {
      group,
      requirement: 'version',
      verdict: recent ? 'met' : 'unmet',
      found: `${SERVER_NAMES[server.flavour]} ${server.version}${recent ? '' : `; ${oldest} or later is needed`}`,
      ...(recent ? {} : { why: 'Older ones lack SKIP LOCKED and binlog_row_metadata, by which a read is proved.' }),
    },
  ];
  const excess = await excessPrivileges(pool, account);
  if (excess.length > 0) {
    findings.push({
      group,
      requirement: 'least privilege',
      verdict: 'warning',
      found: `${quoteAccount(account)} may also ${excess.join(', ')}, on every database`,
      why: 'ringfill only reads. An account that can do more is a risk for nothing.',
      mend: [
        `CREATE USER 'ringfill'@'%' IDENTIFIED BY '…';`,
        '-- then the GRANTs that ringfill init writes at the end of its file',
      ],
    });
  }
  findings.push(...(await checkClock(pool, group)));
  return { findings, origin: { server, account } };
}

/** What the account may do on every database beyond reading. */
export async function excessPrivileges(pool: OriginPool, account: string): Promise<string[]> {
  const held = await globalPrivileges(pool, account);
  return POWERS.filter((power) => held.has(power));
}

/** Privileges on `*.*`; the server lists those of the current account. */
export async function globalPrivileges(pool: OriginPool, account: string): Promise<ReadonlySet<string>> {
  const { rows } = await pool.query('SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES');
  const own = rows.filter((row) => cellText(row[0]) === quoteAccount(account));
  return new Set(own.map((row) => cellText(row[1])));
}

async function checkClock(pool: OriginPool, group: string): Promise<Finding[]> {
  const before = Date.now();
  const { rows } = await pool.query('SELECT UNIX_TIMESTAMP(SYSDATE(3))');
  const after = Date.now();
  const difference = Math.round(Number(cellText(rows[0]?.[0])) * 1000 - (before + after) / 2);
  return [clockFinding(group, difference, after - before)];
}

/** @param differenceMs how far the server's clock is ahead of ours. */
export function clockFinding(group: string, differenceMs: number, roundTripMs: number): Finding {
  const off = Math.abs(differenceMs) - roundTripMs / 2 > CLOCK_DIFFERENCE_MAX_MS;
  const found = `${Math.abs(differenceMs)} ms ${differenceMs < 0 ? 'behind' : 'ahead of'} this machine’s clock`;
  if (!off) return { group, requirement: 'clock', verdict: 'met', found };
  return {
    group,
    requirement: 'clock',
    verdict: 'warning',
    found,
    why: 'How old an answer may be is told by clocks: gateways and servers that differ serve rows that much too long.',
    mend: ['# on the machine whose clock is wrong', 'timedatectl set-ntp true'],
  };
}

function refused(group: string, url: string, error: unknown): Finding[] {
  const { user = '', host, port, socketPath } = mysqlOptions(url);
  const to = socketPath === undefined ? `--host=${host} --port=${port}` : `--socket=${socketPath}`;
  const attempt = `mysql ${to} --user='${user}' --password --execute='SELECT CURRENT_USER()'`;
  const found = messageOf(error);
  if (error instanceof OriginUnavailable && error.code === 'origin-login-refused') {
    return [
      { group, requirement: 'reachable', verdict: 'met', found: 'answered' },
      {
        group,
        requirement: 'login',
        verdict: 'unmet',
        found,
        why: 'The gateway does not start with a login that is refused.',
        mend: [
          '# see whether the login works by hand, with the password that origin.url names',
          attempt,
          '-- as an administrator: which accounts are there, and for which hosts? The most specific host wins',
          `SELECT user, host FROM mysql.user WHERE user = '${user}';`,
          '-- then, for the host that it logs in from',
          `ALTER USER '${user}'@'that host' IDENTIFIED BY '…';`,
          '-- or, if there is none',
          `CREATE USER '${user}'@'the gateway’s host' IDENTIFIED BY '…';`,
        ],
      },
    ];
  }
  return [
    {
      group,
      requirement: 'reachable',
      verdict: 'unmet',
      found,
      why: 'The gateway starts, answers 503 and is not ready until MySQL answers.',
      mend: [`# ${adviceOn(codeOf(error instanceof Error ? error.cause : undefined))}`, attempt],
    },
  ];
}

/** What an operator does about a MySQL that cannot be reached. */
export function adviceOn(code: string | undefined): string {
  switch (code ?? '') {
    case 'ECONNREFUSED':
      return 'nothing listens there: start the server, or correct host and port in origin.url; see its bind-address too';
    case 'ENOENT':
      return 'there is no such socket: start the server, or correct ?socket= in origin.url';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'that name does not resolve here: correct the host in origin.url';
    case 'ER_HOST_NOT_PRIVILEGED':
      return 'no account may log in from this machine: CREATE USER with its address, or with %, for a host';
    case 'HANDSHAKE_NO_SSL_SUPPORT':
      return 'the server has no TLS: give it a certificate, or take ?ssl-mode= out of origin.url';
    case 'HANDSHAKE_SSL_ERROR':
      return 'the certificate is not trusted: give its authority by ?ssl-ca=/path, and the host as the certificate names it, in origin.url';
    default:
      return 'see that the server runs, that this machine may reach it (firewall), and that it is MySQL that listens there';
  }
}
