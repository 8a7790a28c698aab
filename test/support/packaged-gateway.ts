/** The installed command as a process: started with a configuration, stopped with SIGTERM. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface PackagedGateway {
  readonly url: string;
  stop(): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

/** Settles when the gateway logs that it is ready. */
export async function startFromPackage(command: string, folder: string, config: string): Promise<PackagedGateway> {
  const file = join(folder, 'ringfill.yml');
  writeFileSync(file, JSON.stringify({ ...(JSON.parse(config) as object), log: { level: 'info' } }));
  const child = spawn(command, ['gateway', '--config', file], { cwd: folder, stdio: ['ignore', 'inherit', 'pipe'] });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const said: string[] = [];
  let url: string | undefined;
  for await (const line of createInterface(child.stderr)) {
    said.push(line);
    if (!line.startsWith('{')) continue;
    const event = JSON.parse(line) as { event: string; url?: string };
    if (event.event === 'listening') url = event.url;
    if (event.event === 'ready') break;
  }
  if (url === undefined) throw new Error(`the gateway did not start:\n${said.join('\n')}`);
  child.stderr.resume();
  return {
    url,
    async stop() {
      child.kill('SIGTERM');
      const [code, signal] = await exited;
      return { code, signal };
    },
  };
}
