// The gateway and the sync worker as processes of their own, as they run in production: for the demo, and for tests that
// kill them or need two of them.

import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
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
  /** More of the command's options. */
  readonly args?: readonly string[];
  /** Added to this process' own environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly portAdvice?: string;
  readonly onProgress?: OnProgress | undefined;
  /** Aborted while it starts, it gives up. */
  readonly signal?: AbortSignal | undefined;
}

const reloadWithinMs = 60_000;
const askEveryMs = 25;

export class RingfillProcess extends ServerProcess {
  readonly url: string;

  constructor(recipe: ServerRecipe) {
    super(recipe);
    this.url = `http://${recipe.host}:${String(recipe.port)}`;
  }

  /** Has it read its configuration again. Settles when that has ended, with how it did: `loaded`, `refused`, … */
  async reload(): Promise<string> {
    const before = await this.#reloads();
    this.kill('SIGHUP');
    const deadline = performance.now() + reloadWithinMs;
    for (;;) {
      const now = await this.#reloads();
      const outcome = [...now].find(([name, count]) => count !== before.get(name))?.[0];
      if (outcome !== undefined) return outcome;
      if (performance.now() > deadline)
        throw new Error(`${this.name} did not reload within ${String(reloadWithinMs)} ms`);
      await pause(askEveryMs);
    }
  }

  async #reloads(): Promise<Map<string, number>> {
    const answer = await fetch(`${this.url}/-/metrics`, { signal: AbortSignal.timeout(5_000) });
    const counts = (await answer.text()).matchAll(/^ringfill_config_reloads_total\{outcome="([^"]+)"\} (\d+)$/gm);
    return new Map([...counts].map(([, outcome = '', count]) => [outcome, Number(count)]));
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
    command: () => ({
      file: process.execPath,
      args: [main, command, '--config', path.resolve(configFile), ...(options.args ?? [])],
      env: { ...process.env, ...options.env },
    }),
    askIfReady: async () => {
      const answer = await fetch(`${started.url}/-/ready`, { signal: AbortSignal.timeout(5_000) });
      const body = await answer.text();
      if (!answer.ok) throw new Error(`/-/ready says ${String(answer.status)}: ${body.slice(0, 300)}`);
    },
  });
  return await started.start();
}
