// A server must not outlive whoever started it, not even when that process is killed with SIGKILL and can do nothing more.
//
// So each server has a guard: a shell in a session of its own that waits on a pipe from us. A line on the pipe says that
// the server is done with; the pipe's end without one says that we are gone, and the guard stops the server.

import { spawn } from 'node:child_process';

export interface Guard {
  /** The server has ended: its pid may soon be another's. */
  release(): void;
}

const script = String.raw`
read -r released && exit
kill -TERM "$1" 2>/dev/null && kill -CONT "$1" 2>/dev/null || exit
tries=0
while [ "$tries" -lt 50 ]; do
  kill -0 "$1" 2>/dev/null || exit
  sleep 0.2
  tries=$((tries + 1))
done
kill -KILL "$1" 2>/dev/null
`;

export function guard(pid: number): Guard {
  const shell = spawn('/bin/sh', ['-c', script, 'ringfill-guard', String(pid)], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // It neither keeps this process alive nor ends it: without a guard, the next start still finds what was left.
  shell.unref();
  shell.on('error', () => undefined);
  shell.stdin.on('error', () => undefined);
  return {
    release() {
      shell.stdin.end('released\n');
    },
  };
}
