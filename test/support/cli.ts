/** `ringfill <command>` as its users run it: a process of its own, judged by its output and its exit code. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const MAIN = resolve(import.meta.dirname, '../../cli/main.ts');

export interface CommandOutcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCommand {
  /** What it has said so far on standard error. */
  readonly said: () => string;
  readonly ended: Promise<CommandOutcome>;
  /** Waits until it has said so on standard error, or throws what it said instead. */
  says(wanted: RegExp): Promise<RegExpExecArray>;
  stop(): Promise<CommandOutcome>;
}

const SAYS_WITHIN_MS = 30_000;

/** Stopped when the test file ends, if it has not ended by then. */
export function startCommand(args: readonly string[], env: NodeJS.ProcessEnv = {}): RunningCommand {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr] = [textOf(child, 'stdout'), textOf(child, 'stderr')];
  const ended = once(child, 'close').then(([code]): CommandOutcome => {
    return { code: code as number | null, stdout: stdout(), stderr: stderr() };
  });
  const stop = async () => {
    child.kill('SIGTERM');
    return await ended;
  };
  after(stop);
  return {
    said: stderr,
    ended,
    stop,
    async says(wanted) {
      const until = performance.now() + SAYS_WITHIN_MS;
      for (;;) {
        const match = wanted.exec(stderr());
        if (match !== null) return match;
        if (child.exitCode !== null || performance.now() > until)
          throw new Error(`${String(wanted)} was not said, but:\n${stderr()}`);
        await sleep(20);
      }
    },
  };
}

export async function runCommand(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CommandOutcome> {
  return await startCommand(args, env).ended;
}

/** @returns the file's path. */
export function writeConfig(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function textOf(child: ChildProcess, stream: 'stdout' | 'stderr'): () => string {
  let text = '';
  child[stream]?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return () => text;
}
