/** The drill's sync workers: processes that can be told where to die. They share one configuration and one checkpoint. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chooseFreePort, loopback } from '../../../stack/ports.ts';
import { RingfillProcess } from '../../../stack/ringfill-process.ts';
import { ServerStartFailed } from '../../../stack/server-process.ts';
import { withinDeadline } from '../../../shared/lifecycle/deadline.ts';
import type { KillPoint } from './schedule.ts';

export const WORKER_SCRIPT = fileURLToPath(new URL('./sync-worker-to-kill.ts', import.meta.url));
const READY_WITHIN_MS = 60_000;
const DIES_WITHIN_MS = 90_000;

interface Worker {
  readonly process: RingfillProcess;
  readonly controlPort: number;
}

export class DrillWorkers {
  readonly #folder: string;
  readonly #config: Record<string, unknown>;
  readonly #script: string;
  readonly #workers: Worker[] = [];
  #started = 0;
  #deaths = 0;

  /** @param configText with `sync`. */
  constructor(folder: string, configText: string, script: string) {
    this.#script = script;
    this.#folder = folder;
    this.#config = JSON.parse(configText) as Record<string, unknown>;
  }

  /** How many have killed themselves so far. */
  get deaths(): number {
    return this.#deaths;
  }

  /** No fewer and no more; those that have to go are told to, the oldest first. */
  async have(count: number): Promise<void> {
    while (this.#alive().length > count) await this.#alive()[0]?.process.stop();
    await this.atLeast(count);
  }

  async atLeast(count: number): Promise<void> {
    while (this.#alive().length < count) await (await this.#prepare(undefined)).process.start();
  }

  /** Settles when one has killed itself there. The others are told to live. */
  async dieAt(point: KillPoint): Promise<void> {
    const alive = this.#alive();
    await Promise.all(alive.map((worker) => tell(worker, point)));
    const dying = Promise.race(alive.map(({ process }) => process.exited));
    const late = () => new Error(`no worker came to ${JSON.stringify(point)}`);
    const { signal, code } = await withinDeadline(dying, DIES_WITHIN_MS, late);
    if (signal !== 'SIGKILL') throw new Error(`a worker ended by itself: ${signal ?? code}`);
    // One that stood by comes to that point next; it may have come there already.
    await Promise.all(this.#alive().map((worker) => tell(worker, null).catch(() => worker.process.exited)));
    this.#deaths += alive.length - this.#alive().length;
  }

  /** One more is started, and killed there while it catches up. */
  async bornToDieAt(point: KillPoint): Promise<void> {
    const { process } = await this.#prepare(point);
    try {
      await process.start();
    } catch (error) {
      // It came to that point before it was asked whether it is ready.
      if (!(error instanceof ServerStartFailed)) throw error;
    }
    const late = () => new Error(`not killed at ${JSON.stringify(point)}`);
    const { signal, code } = await withinDeadline(process.exited, DIES_WITHIN_MS, late);
    if (signal !== 'SIGKILL') throw new Error(`a worker ended by itself: ${signal ?? code}`);
    this.#deaths += 1;
  }

  get running(): number {
    return this.#alive().length;
  }

  /** What the last ones wrote. */
  lastLines(): string {
    return this.#workers
      .slice(-2)
      .map(({ process }) => `${process.name}:\n${process.lastLines(30)}`)
      .join('\n');
  }

  async stop(): Promise<void> {
    await Promise.all(this.#alive().map(({ process }) => process.stop()));
  }

  #alive(): Worker[] {
    return this.#workers.filter(({ process }) => process.running);
  }

  async #prepare(point: KillPoint | undefined): Promise<Worker> {
    const name = `sync-worker-${(this.#started += 1)}`;
    const port = await chooseFreePort();
    const controlPort = await chooseFreePort();
    const folder = join(this.#folder, name);
    const configFile = join(folder, 'ringfill.yml');
    mkdirSync(folder, { recursive: true });
    const sync = { ...(this.#config['sync'] as object), port };
    writeFileSync(configFile, JSON.stringify({ ...this.#config, sync }));
    const started: RingfillProcess = new RingfillProcess({
      kind: 'sync-worker',
      name,
      host: loopback,
      port,
      folder,
      claims: [],
      readyWithinMs: READY_WITHIN_MS,
      stopWithinMs: 20_000,
      prepare: async () => undefined,
      command: () => ({
        file: process.execPath,
        args: [this.#script, configFile, String(controlPort), JSON.stringify(point ?? null)],
      }),
      askIfReady: async () => {
        const answer = await fetch(`${started.url}/-/ready`, { signal: AbortSignal.timeout(5_000) });
        await answer.arrayBuffer();
        if (!answer.ok) throw new Error(`/-/ready says ${answer.status}`);
      },
    });
    const worker = { process: started, controlPort };
    this.#workers.push(worker);
    return worker;
  }
}

async function tell({ controlPort }: Worker, point: KillPoint | null): Promise<void> {
  const answer = await fetch(`http://${loopback}:${controlPort}`, { method: 'POST', body: JSON.stringify(point) });
  await answer.arrayBuffer();
}
