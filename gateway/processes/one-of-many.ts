/**
 * A gateway process as one of several behind a port. Whoever asks for metrics is handed to any of them, and is told those
 * of all: counters and histograms added up, gauges as each says of itself (`aggregator`).
 */
import cluster from 'node:cluster';
import { randomUUID } from 'node:crypto';
import { AggregatorRegistry, Gauge, type Registry } from 'prom-client';
import { type FromProcess, LISTEN_WHEN_READY, type ToProcess } from './messages.ts';

/** Past it the process tells its own alone: better than none. */
const METRICS_WITHIN_MS = 2_000;

export class OneOfMany {
  readonly #registry: Registry;
  readonly #waiting = new Map<string, (values: readonly unknown[] | undefined) => void>();

  /** Nothing where the process is alone. */
  static join(registry: Registry): OneOfMany | undefined {
    return cluster.isWorker ? new OneOfMany(registry) : undefined;
  }

  static measure(registry: Registry): void {
    new Gauge({
      name: 'ringfill_gateway_processes',
      help: 'Processes that share the port, and have answered.',
      registers: [registry],
    }).set(1);
  }

  private constructor(registry: Registry) {
    this.#registry = registry;
    OneOfMany.measure(registry);
    process.on('message', (message: ToProcess) => void this.#heard(message));
  }

  /** Another one answers meanwhile. */
  get listensWhenReady(): boolean {
    return process.env[LISTEN_WHEN_READY] !== undefined;
  }

  ready(): void {
    tell({ kind: 'ready' });
  }

  readonly metrics = async (): Promise<string> => {
    const id = randomUUID();
    const { promise, resolve } = Promise.withResolvers<readonly unknown[] | undefined>();
    const late = setTimeout(() => resolve(undefined), METRICS_WITHIN_MS);
    this.#waiting.set(id, resolve);
    tell({ kind: 'metrics-wanted', id });
    const values = await promise;
    clearTimeout(late);
    this.#waiting.delete(id);
    const all = values ?? [await this.#registry.getMetricsAsJSON()];
    return AggregatorRegistry.aggregate([...all] as object[]).metrics();
  };

  async #heard(message: ToProcess): Promise<void> {
    switch (message.kind) {
      case 'metrics-asked':
        tell({ kind: 'metrics', id: message.id, values: await this.#registry.getMetricsAsJSON() });
        return;
      case 'metrics-of-all':
        this.#waiting.get(message.id)?.(message.values);
    }
  }
}

function tell(message: FromProcess): void {
  process.send?.(message);
}
