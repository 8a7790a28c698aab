import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';

/** A process of Node's, and what it says on both of its streams. */
export interface TalkingProcess {
  readonly child: ChildProcess;
  /** Its exit code and signal. */
  readonly ended: Promise<unknown[]>;
  output(): string;
  /** Resolves once the output contains the words; rejects when the process ends without. */
  says(words: string): Promise<void>;
}

/** Killed when the test ends, if it still runs then. */
export function spawnTalking(
  t: TestContext,
  args: readonly string[],
  options: Pick<SpawnOptions, 'cwd' | 'env'> = {},
): TalkingProcess {
  const child = spawn(process.execPath, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  const ended = once(child, 'close');
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      child.emit('said');
    });
  }
  return {
    child,
    ended,
    output: () => output,
    async says(words) {
      while (!output.includes(words)) {
        const said = await Promise.race([once(child, 'said'), ended.then(() => undefined)]);
        if (said === undefined && !output.includes(words)) {
          throw new Error(`ended without saying "${words}":\n${output}`);
        }
      }
    },
  };
}
