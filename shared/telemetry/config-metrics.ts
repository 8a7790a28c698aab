/** Which configuration a process works by, and how reloads of it ended; the same in the gateway and in the sync worker. */
import { Counter, Gauge, type Registry } from 'prom-client';

/**
 * - `loaded`: the file as it is now has been taken.
 * - `refused`: it is wrong, or what it names cannot be used; the one before stays.
 * - `given-up`: a server that it needs did not answer in time; the one before stays.
 * - `superseded`: another reload was asked for before this one was through.
 */
export const RELOAD_OUTCOMES = ['loaded', 'refused', 'given-up', 'superseded'] as const;
export type ReloadOutcome = (typeof RELOAD_OUTCOMES)[number];

export class ConfigMetrics {
  readonly #reloads: Counter<'outcome'>;
  readonly #loadedAt: Gauge;
  readonly #info: Gauge<'sha256'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#reloads = new Counter({
      name: 'ringfill_config_reloads_total',
      help: 'Reloads of the configuration that were asked for (SIGHUP), by how they ended: loaded, refused, given-up, superseded.',
      labelNames: ['outcome'],
      registers,
    });
    for (const outcome of RELOAD_OUTCOMES) this.#reloads.inc({ outcome }, 0);
    this.#loadedAt = new Gauge({
      name: 'ringfill_config_loaded_timestamp_seconds',
      help: 'When the configuration that is in use was taken. Seconds since 1970.',
      registers,
      aggregator: 'min',
    });
    this.#info = new Gauge({
      name: 'ringfill_config_info',
      help: '1, for the configuration that is in use, by the SHA-256 of its file.',
      labelNames: ['sha256'],
      registers,
      aggregator: 'max',
    });
  }

  /** It is in use from now on. */
  inUse(sha256: string | undefined): void {
    this.#loadedAt.set(Date.now() / 1000);
    this.#info.reset();
    if (sha256 !== undefined) this.#info.set({ sha256 }, 1);
  }

  reloaded(outcome: ReloadOutcome): void {
    this.#reloads.inc({ outcome });
  }
}
