/** Versions as servers tell them, and whether they are late enough. */

/** What can be the origin. Before these, locking reads have no SKIP LOCKED, by which a read is proved. */
export const OLDEST_ORIGIN = { mysql: '8.0', mariadb: '10.6' } as const;
export const SERVER_NAMES = { mysql: 'MySQL', mariadb: 'MariaDB' } as const;

export interface SqlServer {
  readonly flavour: 'mariadb' | 'mysql';
  /** `10.11.19`. */
  readonly version: string;
}

/** Of `SELECT VERSION()`: `8.0.36-0ubuntu0.22.04.1`, `10.11.6-MariaDB-log`, `5.5.5-10.6.1-MariaDB`. */
export function sqlServerOf(text: string): SqlServer {
  const flavour = text.includes('MariaDB') ? 'mariadb' : 'mysql';
  // Old MariaDB puts 5.5.5- in front, for clients that know MySQL's numbers only.
  const version = /\d+(?:\.\d+)*/.exec(text.replace(/^5\.5\.5-/, ''))?.[0] ?? text;
  return { flavour, version };
}

export function isAtLeast(version: string, least: string): boolean {
  const [had, wanted] = [version, least].map((text) => text.split('.').map(Number));
  for (const [index, number] of (wanted ?? []).entries()) {
    const part = had?.[index] ?? 0;
    if (part !== number) return part > number;
  }
  return true;
}
