// What a server's folder remembers about its process, so that the next start can tell three cases apart:
//   the server and whoever started it are both running   -> hands off, the folder is in use
//   the server is running, whoever started it is gone    -> a leftover (of a SIGKILLed run, say), stopped first
//   the server is gone                                   -> nothing to do

import { mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { identityOf, isRunning, workingFolderOf, type ProcessIdentity } from './process-identity.ts';

interface ServerRecord {
  readonly name: string;
  readonly server: ProcessIdentity;
  readonly startedBy: ProcessIdentity;
}

export class FolderInUse extends Error {
  override readonly name = 'FolderInUse';
}

function recordFile(folder: string): string {
  return path.join(folder, 'server.json');
}

export function rememberServer(folder: string, name: string, pid: number): void {
  const server = identityOf(pid);
  const startedBy = identityOf(process.pid);
  // Gone already: whoever waits for its readiness will say so.
  if (server === undefined || startedBy === undefined) return;
  const record: ServerRecord = { name, server, startedBy };
  mkdirSync(folder, { recursive: true });
  const draft = `${recordFile(folder)}.${String(process.pid)}`;
  writeFileSync(draft, `${JSON.stringify(record)}\n`);
  renameSync(draft, recordFile(folder));
}

export function forgetServer(folder: string): void {
  rmSync(recordFile(folder), { force: true });
}

function readRecord(folder: string): ServerRecord | undefined {
  try {
    // Written by rememberServer, whole or not at all.
    return JSON.parse(readFileSync(recordFile(folder), 'utf8')) as ServerRecord;
  } catch {
    return undefined;
  }
}

/** Every server works in its own folder or in one below; where that can be asked, a process elsewhere is not the server. */
function worksIn(pid: number, folder: string): boolean {
  const working = workingFolderOf(pid);
  if (working === undefined) return true;
  const home = realpathSync(folder);
  return working === home || working.startsWith(home + path.sep);
}

/** Stops what a run that is gone left behind; throws FolderInUse if that run is still there. Returns the pid stopped. */
export async function stopLeftover(folder: string, stopWithinMs: number): Promise<number | undefined> {
  const record = readRecord(folder);
  if (record === undefined) return undefined;
  const { server, startedBy, name } = record;
  if (!isRunning(server) || !worksIn(server.pid, folder)) {
    forgetServer(folder);
    return undefined;
  }
  if (isRunning(startedBy)) {
    throw new FolderInUse(
      `${name} is already running in ${folder} (pid ${String(server.pid)}), started by process ${String(startedBy.pid)}. ` +
        'Stop that one first, or use another folder.',
    );
  }
  signal(server, 'SIGTERM');
  signal(server, 'SIGCONT');
  if (!(await endsWithin(server, stopWithinMs))) {
    signal(server, 'SIGKILL');
    await endsWithin(server, 5_000);
  }
  forgetServer(folder);
  return server.pid;
}

function signal(identity: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(identity.pid, name);
  } catch {
    // It ended between the look and the signal.
  }
}

// A process that is not our child sends no event when it ends.
async function endsWithin(identity: ProcessIdentity, milliseconds: number): Promise<boolean> {
  const deadline = performance.now() + milliseconds;
  while (isRunning(identity)) {
    if (performance.now() > deadline) return false;
    await pause(20);
  }
  return true;
}
