import { spawnSync } from 'node:child_process';

/** Debian's package nutcracker; its command is named after the package. */
export const TWEMPROXY = 'nutcracker';

export function isTwemproxyInstalled(): boolean {
  return spawnSync(TWEMPROXY, ['--version'], { stdio: 'ignore' }).error === undefined;
}
