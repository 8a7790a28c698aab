/**
 * Several gateway processes on one port: this one accepts connections and hands them out in turn; each of the others is
 * a whole gateway, with its own shards, connections and memory, and counts as one of several gateways.
 *
 * The first is started alone: what is wrong with the set-up is then said once, and ends the command. It listens as soon as
 * it can, so that it can be asked how it is; all others once rows can be read through them, for whoever connects gets any of
 * them. One that ends is started again, later each time. Signals are passed on; the command ends when the last has.
 */
import cluster, { type Worker } from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff } from '../../shared/lifecycle/backoff.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { type FromProcess, LISTEN_WHEN_READY, type ToProcess } from './messages.ts';

export interface ProcessesOptions {
  /** More than 1. */
  readonly count: number;
  readonly log: Log;
}

const AGAIN_AFTER_MS = 100;
const AGAIN_AFTER_MS_MAX = 10_000;
/** One that was well for so long is started again soon. */
const STEADY_AFTER_MS = 60_000;

export class Processes {
  readonly #options: ProcessesOptions;
  readonly #stopping = new AbortController();
  readonly #metrics = new Map<string, { readonly asker: Worker; readonly missing: Set<Worker>; values: unknown[] }>();
  /** Those that rows can be read through. */
  readonly #ready = new Set<Worker>();
  #exitCode = 0;

  constructor(options: ProcessesOptions) {
    this.#options = options;
    cluster.on('message', (worker, message: FromProcess) => this.#heard(worker, message));
    cluster.on('exit', (worker) => this.#forget(worker));
  }

  /** Settles with the exit code when every process has ended. */
  async run(): Promise<number> {
    const first = Promise.withResolvers<void>();
    const slots = [this.#keepOne(first.resolve)];
    await Promise.race([first.promise, ...slots]);
    while (slots.length < this.#options.count) slots.push(this.#keepOne());
    await Promise.all(slots);
    return this.#exitCode;
  }

  /** Every process reads its configuration again. */
  reload(): void {
    this.#signal('SIGHUP');
  }

  /** `run` settles when they have ended. */
  stop(): void {
    this.#stopping.abort();
    this.#signal('SIGTERM');
  }

  async #keepOne(onListening?: () => void): Promise<void> {
    const { log } = this.#options;
    const backoff = new Backoff(AGAIN_AFTER_MS, AGAIN_AFTER_MS_MAX);
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const startedAt = performance.now();
      const ended = await this.#runOne(onListening);
      if (signal.aborted) return;
      if (!ended.wasReady && this.#ready.size === 0) {
        // A set-up that is wrong for one is wrong for all; it has said so itself.
        this.#exitCode = ended.code === 0 ? 1 : ended.code;
        this.stop();
        return;
      }
      if (performance.now() - startedAt > STEADY_AFTER_MS) backoff.reset();
      const againAfterMs = backoff.nextMs();
      const { id, code, signal: endedBy } = ended;
      log.error({ process: id, code, signal: endedBy, againAfterMs }, 'process ended');
      await sleep(againAfterMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #runOne(onListening: (() => void) | undefined): Promise<Ended> {
    const worker = cluster.fork(living().length === 0 ? {} : { [LISTEN_WHEN_READY]: '1' });
    let wasReady = false;
    worker.on('message', (message: FromProcess) => {
      if (message.kind !== 'ready') return;
      wasReady = true;
      this.#ready.add(worker);
    });
    worker.once('listening', () => onListening?.());
    const { promise, resolve } = Promise.withResolvers<Ended>();
    worker.once('exit', (code, signal) => resolve({ id: worker.id, wasReady, code: code ?? 0, signal }));
    return promise;
  }

  #heard(asker: Worker, message: FromProcess): void {
    switch (message.kind) {
      case 'ready':
        return;
      case 'metrics-wanted': {
        const workers = living();
        this.#metrics.set(message.id, { asker, missing: new Set(workers), values: [] });
        for (const worker of workers) tell(worker, { kind: 'metrics-asked', id: message.id });
        return;
      }
      case 'metrics': {
        const question = this.#metrics.get(message.id);
        if (question === undefined) return;
        question.missing.delete(asker);
        question.values.push(message.values);
        this.#answer(message.id);
      }
    }
  }

  #answer(id: string): void {
    const question = this.#metrics.get(id);
    if (question === undefined || question.missing.size > 0) return;
    this.#metrics.delete(id);
    tell(question.asker, { kind: 'metrics-of-all', id, values: question.values });
  }

  #forget(worker: Worker): void {
    this.#ready.delete(worker);
    for (const [id, { asker, missing }] of this.#metrics) {
      if (asker === worker) this.#metrics.delete(id);
      missing.delete(worker);
      this.#answer(id);
    }
  }

  #signal(signal: NodeJS.Signals): void {
    for (const worker of living()) worker.process.kill(signal);
  }
}

interface Ended {
  /** As its log calls it. */
  readonly id: number;
  /** It could read rows before it ended. */
  readonly wasReady: boolean;
  readonly code: number;
  readonly signal: string | null;
}

function living(): Worker[] {
  return Object.values(cluster.workers ?? {}).filter(
    (worker) => worker !== undefined && worker.isConnected(),
  ) as Worker[];
}

/** One that has just gone is found out by its exit. */
function tell(worker: Worker, message: ToProcess): void {
  if (worker.isConnected()) worker.send(message, () => undefined);
}
