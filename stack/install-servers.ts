// Missing servers are installed where that is Debian's way and allowed; elsewhere the command to run is printed.
//
// Debian's packages start daemons of their own on the standard ports when they are installed. Nobody asked for those: a
// temporary policy-rc.d forbids it (the documented way), and RUNLEVEL=1 besides, for machines that bring a policy of
// their own, which is left as it is.

import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { seconds, type OnProgress } from './progress.ts';
import { findServer, serverKinds, type ServerKind } from './server-binaries.ts';

const run = promisify(execFile);

const debianPackages: Record<ServerKind, string> = {
  mysql: 'mariadb-server',
  redis: 'redis-server',
  rabbitmq: 'rabbitmq-server',
};
const fedoraPackages: Record<ServerKind, string> = {
  mysql: 'mariadb-server',
  redis: 'redis',
  rabbitmq: 'rabbitmq-server',
};
const brewPackages: Record<ServerKind, string> = { mysql: 'mariadb', redis: 'redis', rabbitmq: 'rabbitmq' };

const lockTimeoutSeconds = 300;

export class ServersNotInstalled extends Error {
  override readonly name = 'ServersNotInstalled';
}

/** Finds what is missing; installs it if it may. Throws ServersNotInstalled with the exact command to run otherwise. */
export async function ensureServers(onProgress: OnProgress): Promise<void> {
  const missing: ServerKind[] = [];
  for (const kind of serverKinds) if ((await findServer(kind)) === undefined) missing.push(kind);
  if (missing.length === 0) return;

  const how = await wayToInstall();
  if (how.kind === 'by-hand') throw new ServersNotInstalled(adviceFor(missing, how.system));

  const packages = missing.map((kind) => debianPackages[kind]);
  onProgress({
    kind: 'note',
    text:
      `Not installed yet: ${packages.join(', ')}. Installing from this system's packages with apt-get` +
      `${how.asRoot.length > 0 ? ' (sudo)' : ''}; their own daemons are not started. This takes about a minute.`,
  });
  const startedAt = Date.now();
  await installDebianPackages(packages, how.asRoot, onProgress);
  const still: ServerKind[] = [];
  for (const kind of missing) if ((await findServer(kind)) === undefined) still.push(kind);
  if (still.length > 0) throw new ServersNotInstalled(adviceFor(still, 'debian'));
  onProgress({ kind: 'note', text: `Installed ${packages.join(', ')} (${seconds(Date.now() - startedAt)}).` });
  if (existsSync('/run/systemd/system')) {
    onProgress({
      kind: 'note',
      text:
        'Debian starts them at the next boot on their standard ports; if you do not want that: ' +
        `systemctl disable ${missing.map((kind) => debianServices[kind]).join(' ')}`,
    });
  }
}

/** What some tests compare with and nothing needs: installed where that may be done; else those tests say what they miss. */
export async function installIfAllowed(packages: readonly string[], onProgress: OnProgress): Promise<void> {
  const how = await wayToInstall();
  if (how.kind === 'by-hand') return;
  onProgress({ kind: 'note', text: `Installing ${packages.join(', ')} for the tests; no daemon is started.` });
  try {
    await installDebianPackages(packages, how.asRoot, onProgress);
  } catch (error) {
    if (!(error instanceof ServersNotInstalled)) throw error;
    onProgress({ kind: 'note', text: error.message });
  }
}

const debianServices: Record<ServerKind, string> = {
  mysql: 'mariadb',
  redis: 'redis-server',
  rabbitmq: 'rabbitmq-server',
};

export type System = 'debian' | 'fedora' | 'macos' | 'other';
type WayToInstall = { kind: 'apt'; asRoot: readonly string[] } | { kind: 'by-hand'; system: System };

function thisSystem(): System {
  if (process.platform === 'darwin') return 'macos';
  if (process.platform !== 'linux') return 'other';
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const families = [...release.matchAll(/^(?:ID|ID_LIKE)="?([^"\n]*)"?$/gm)].flatMap((match) =>
    (match[1] ?? '').split(' '),
  );
  if (families.includes('debian') || families.includes('ubuntu')) return 'debian';
  if (families.includes('fedora') || families.includes('rhel')) return 'fedora';
  return 'other';
}

async function wayToInstall(): Promise<WayToInstall> {
  const system = thisSystem();
  if (system !== 'debian' || !existsSync('/usr/bin/apt-get')) return { kind: 'by-hand', system };
  if (process.getuid?.() === 0) return { kind: 'apt', asRoot: [] };
  const sudo = await run('sudo', ['-n', 'true']).then(
    () => true,
    () => false,
  );
  return sudo ? { kind: 'apt', asRoot: ['sudo', '-n'] } : { kind: 'by-hand', system };
}

/** The exact command to run, and the way without it. */
export function adviceFor(missing: readonly ServerKind[], system: System): string {
  const names = (packages: Record<ServerKind, string>): string => missing.map((kind) => packages[kind]).join(' ');
  const commands: Record<System, readonly string[]> = {
    debian: [`sudo apt-get update && sudo apt-get install -y --no-install-recommends ${names(debianPackages)}`],
    fedora: [`sudo dnf install -y ${names(fedoraPackages)}`],
    macos: [`brew install ${names(brewPackages)}`],
    other: [`install ${names(debianPackages)} with your system's package manager`],
  };
  return [
    `Not installed: ${missing.map((kind) => debianPackages[kind]).join(', ')}. Install ${missing.length === 1 ? 'it' : 'them'}, then run the same command again:`,
    ...commands[system].map((command) => `  ${command}`),
    'Or, with Docker, the same servers on the same ports:',
    '  docker compose -f deploy/compose.yaml up',
  ].join('\n');
}

// One script for root, so that the policy file goes again whatever happens to this process, and one at a time. A policy
// left behind by an installer that was killed is known by its mark and replaced.
const installScript = String.raw`
set -u
policy=/usr/sbin/policy-rc.d
mark='# Temporary, of the ringfill installer with pid'
exec 9>/run/ringfill-install.lock
flock -w ${String(lockTimeoutSeconds)} 9 || { echo 'another ringfill installer has been running for too long'; exit 1; }
if [ -e "$policy" ] && ! grep -q "$mark" "$policy"; then
  :
else
  trap 'rm -f "$policy"' EXIT
  trap 'exit 130' INT HUP TERM
  printf '#!/bin/sh\n%s %s\nexit 101\n' "$mark" "$$" > "$policy" && chmod 755 "$policy" || exit 1
fi
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 NEEDRESTART_MODE=l LC_ALL=C
update() {
  # apt does not wait for the lock of its package lists by itself.
  tries=0
  until apt-get update 9>&- 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 10 ] || return 1
    sleep 3
  done
}
install() {
  apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=${String(lockTimeoutSeconds)} "$@" 9>&- 2>&1
}
if ! apt-get install --simulate --no-install-recommends "$@" > /dev/null 2>&1 9>&-; then
  echo 'Updating the package lists'
  update || exit 1
  install "$@"
else
  # The lists may be older than what the mirror still has.
  install "$@" || { update && install "$@"; }
fi
`;

async function installDebianPackages(
  packages: readonly string[],
  asRoot: readonly string[],
  onProgress: OnProgress,
): Promise<void> {
  const [command = 'sh', ...args] = [...asRoot, 'sh', '-c', installScript, 'ringfill-install', ...packages];
  const apt = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  apt.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  const startedAt = Date.now();
  const stillAtIt = setInterval(() => {
    const last = output.trimEnd().split('\n').at(-1)?.trim().slice(0, 90) ?? '';
    onProgress({ kind: 'note', text: `  … ${seconds(Date.now() - startedAt)}: ${last}` });
  }, 5_000);
  const failure = await new Promise<string | undefined>((resolve) => {
    apt.once('error', (error) => resolve(error.message));
    apt.once('close', (code, signal) => resolve(code === 0 ? undefined : `exit ${String(code ?? signal)}`));
  });
  clearInterval(stillAtIt);
  if (failure === undefined) return;
  throw new ServersNotInstalled(
    `apt-get could not install ${packages.join(', ')} (${failure}). Its last lines:\n` +
      output.trimEnd().split('\n').slice(-15).join('\n'),
  );
}
