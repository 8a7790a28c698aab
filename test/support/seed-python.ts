/** The seed's consumer in a process of its own, with the Python that has its two libraries. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after } from 'node:test';

/** Debian's packages are for the system's own Python, which another may hide. */
const PYTHONS = ['python3', '/usr/bin/python3'];

/** Nothing where no Python has pika and redis. */
export function seedPython(): string | undefined {
  return PYTHONS.find((python) => spawnSync(python, ['-c', 'import pika, redis'], { stdio: 'ignore' }).status === 0);
}

export interface SeedConsumerSettings {
  readonly python: string;
  readonly amqpUrl: string;
  readonly queue: string;
  readonly redisPort: number;
  /** By database and table. */
  readonly keyColumns: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Settles when it consumes. Gone when the test file ends. */
export async function startSeedConsumer(
  settings: SeedConsumerSettings,
): Promise<{ readonly ended: () => string | undefined }> {
  const { python, amqpUrl, queue, redisPort, keyColumns } = settings;
  const script = join(import.meta.dirname, 'seed-consumer.py');
  const args = [script, amqpUrl, queue, String(redisPort), JSON.stringify(keyColumns)];
  const child: ChildProcess = spawn(python, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  after(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const failed = once(child, 'close').then(() => {
    throw new Error(`the consumer has ended:\n${said}`);
  });
  failed.catch(() => undefined);
  await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), failed]);
  return { ended: () => (child.exitCode === null ? undefined : said) };
}
