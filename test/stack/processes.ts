import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { identityOf, workingFolderOf } from '../../stack/process-identity.ts';

export function isAlive(pid: number): boolean {
  return identityOf(pid) !== undefined;
}

function pids(): number[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

/** The processes that work in a folder or below it, as every server of ours does. */
export function processesIn(folder: string): number[] {
  return pids().filter((pid) => {
    const working = workingFolderOf(pid);
    return isAlive(pid) && (working === folder || working?.startsWith(folder + path.sep) === true);
  });
}

export function guardOf(server: number): number | undefined {
  return pids().find((pid) => {
    try {
      return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').endsWith(`\0ringfill-guard\0${String(server)}\0`);
    } catch {
      return false;
    }
  });
}

/** A process that is not our child sends no event when it ends: it is looked for until it has. */
export async function hasEnded(pid: number, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (isAlive(pid)) {
    if (performance.now() > deadline) return false;
    await pause(20);
  }
  return true;
}

/** What still works in a folder once the helpers of a killed server have had a moment to notice. */
export async function leftIn(folder: string): Promise<string[]> {
  const pidsThere = processesIn(folder);
  await Promise.all(pidsThere.map(async (pid) => await hasEnded(pid, 2_000)));
  return processesIn(folder).map((pid) => `${String(pid)} ${commandOf(pid)}`);
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '(ended)';
  }
}
