/** A real Redis Sentinel that watches over one group, `g`. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { Redis } from 'ioredis';
import { chooseFreePort } from '../../stack/ports.ts';
import { needServer } from '../../stack/server-binaries.ts';

export interface Sentinel {
  readonly port: number;
  /** To ask it. */
  readonly client: Redis;
}

/** Stopped when the test ends. It decides alone, half a second after the primary has gone quiet. */
export async function startSentinel(folder: string, primaryPort: number): Promise<Sentinel> {
  const port = await chooseFreePort();
  // A Sentinel keeps its state in its configuration file, and does not start without one that it may write.
  const configFile = join(folder, `sentinel-${port}.conf`);
  const settings = [`monitor g 127.0.0.1 ${primaryPort} 1`, 'down-after-milliseconds g 500', 'failover-timeout g 5000'];
  writeFileSync(configFile, settings.map((setting) => `sentinel ${setting}\n`).join(''));
  const args = [configFile, '--sentinel', '--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
  const child = spawn(await needServer('redis'), args, { stdio: 'ignore' });
  after(() => child.kill('SIGKILL'));
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 100, maxRetriesPerRequest: 50 });
  client.on('error', () => undefined);
  after(() => client.disconnect());
  await client.ping();
  return { port, client };
}
