/** Sync workers as processes of their own, for tests that kill them. They share one configuration and one checkpoint. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { chooseFreePort } from '../../stack/ports.ts';
import { type RingfillProcess, startSyncWorker } from '../../stack/ringfill-process.ts';

export class SyncWorkerProcesses {
  readonly #folder: string;
  readonly #config: Record<string, unknown>;
  readonly #running = new Set<RingfillProcess>();
  #count = 0;

  readonly #start: typeof startSyncWorker;

  /** @param configText as `gatewayConfig` makes it, with `sync`. */
  constructor(folder: string, configText: string, start = startSyncWorker) {
    this.#start = start;
    this.#folder = folder;
    this.#config = JSON.parse(configText) as Record<string, unknown>;
    after(() => Promise.all([...this.#running].map((worker) => worker.stop())));
  }

  /** Settles when it follows the binlog, or stands by. */
  async start(): Promise<RingfillProcess> {
    const name = `sync-worker-${(this.#count += 1)}`;
    const port = await chooseFreePort();
    const configFile = join(this.#folder, name, 'ringfill.yml');
    mkdirSync(join(this.#folder, name), { recursive: true });
    const sync = { ...(this.#config['sync'] as object), port };
    writeFileSync(configFile, JSON.stringify({ ...this.#config, sync }));
    const worker = await this.#start({ folder: this.#folder, name, port, configFile });
    this.#running.add(worker);
    void worker.exited.then(() => this.#running.delete(worker));
    return worker;
  }
}
