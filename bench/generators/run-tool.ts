/** A program that runs to its end as a process of its own, on a core of its own: what it wrote to its standard output. */
import { spawn } from 'node:child_process';
import { guard } from '../../stack/guard.ts';
import type { BenchWorld } from '../harness/bench-world.ts';

/** What a program needs to know of the world. */
export type Surroundings = Pick<BenchWorld, 'cores' | 'signal'>;

/** Rejects with its last words where it fails; it ends with the world's signal. */
export async function runTool(
  { cores, signal }: Surroundings,
  core: 'peer' | 'generator',
  file: string,
  args: readonly string[],
): Promise<string> {
  signal.throwIfAborted();
  const pinned = cores[core] === undefined ? [] : ['taskset', '-c', String(cores[core])];
  const [command = file, ...rest] = [...pinned, file, ...args];
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const guarded = child.pid === undefined ? undefined : guard(child.pid);
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (err += chunk));
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    signal.throwIfAborted();
    if (code !== 0) throw new Error(`${file} failed (${String(code)}): ${(err || out).trim().slice(-1_000)}`);
    return out;
  } finally {
    signal.removeEventListener('abort', stop);
    guarded?.release();
  }
}
