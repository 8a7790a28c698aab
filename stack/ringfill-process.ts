// The gateway and the sync worker as processes of their own, as they run in production: for the demo, and for tests that
// kill them or need two of them.

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loopback } from './ports.ts';
import type { OnProgress } from './progress.ts';
import { ServerProcess, type ServerRecipe } from './server-process.ts';

export interface RingfillOptions {
  /** Where its folder, named after it, is made. */
  readonly folder: string;
  /** `gateway` or `sync-worker` if it is missing. */
  readonly name?: string;
  /** The port that its configuration names. */
  readonly port: number;
  readonly configFile: string;
  readonly portAdvice?: string;
  readonly onProgress?: OnProgress | undefined;
  /** Aborted while it starts, it gives up. */
  readonly signal?: AbortSignal | undefined;
}

export class RingfillProcess extends ServerProcess {
  readonly url: string;

  constructor(recipe: ServerRecipe) {
    super(recipe);
    this.url = `http://${recipe.host}:${String(recipe.port)}`;
  }
}

// This file runs as TypeScript in a clone, and compiled in the package: the command beside it does the same.
const extension = path.extname(fileURLToPath(import.meta.url));
const main = fileURLToPath(new URL(`../cli/main${extension}`, import.meta.url));

export async function startGateway(options: RingfillOptions): Promise<RingfillProcess> {
  return await startRingfill('gateway', options);
}

export async function startSyncWorker(options: RingfillOptions): Promise<RingfillProcess> {
  return await startRingfill('sync-worker', options);
}

async function startRingfill(command: 'gateway' | 'sync-worker', options: RingfillOptions): Promise<RingfillProcess> {
  const { port, configFile } = options;
  const name = options.name ?? command;
  const advice = options.portAdvice ?? 'Stop that process, or choose another port.';
  const started: RingfillProcess = new RingfillProcess({
    kind: command,
    name,
    host: loopback,
    port,
    folder: path.join(options.folder, name),
    claims: [{ port, wantedBy: `the ${name}`, advice }],
    readyWithinMs: 30_000,
    stopWithinMs: 20_000,
    onProgress: options.onProgress,
    signal: options.signal,
    prepare: async () => undefined,
    command: () => ({ file: process.execPath, args: [main, command, '--config', path.resolve(configFile)] }),
    askIfReady: async () => {
      const answer = await fetch(`${started.url}/-/ready`, { signal: AbortSignal.timeout(5_000) });
      const body = await answer.text();
      if (!answer.ok) throw new Error(`/-/ready says ${String(answer.status)}: ${body.slice(0, 300)}`);
    },
  });
  return await started.start();
}
