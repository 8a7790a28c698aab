/** Who was let in and who was not, by named reasons; the same in the gateway and in the sync worker. */
import { Counter, Gauge, type Registry } from 'prom-client';

/**
 * - `no-key`, `unknown-key`, `wrong-secret`, `expired-key`: 401.
 * - `not-in-scope`: the key is good, and not for this table; `not-admin`: nor for administration. 403.
 * - `address-rate`, `key-rate`: more than the limit. 429.
 */
export const REFUSAL_REASONS = [
  'no-key',
  'unknown-key',
  'wrong-secret',
  'expired-key',
  'not-in-scope',
  'not-admin',
  'address-rate',
  'key-rate',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

export class AccessMetrics {
  readonly #refused: Counter<'reason'>;
  readonly #keys: Gauge;
  readonly #reloads: Counter<'outcome'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#refused = new Counter({
      name: 'ringfill_access_refused_total',
      help: 'Requests that were refused for who sent them, by reason.',
      labelNames: ['reason'],
      registers,
    });
    for (const reason of REFUSAL_REASONS) this.#refused.inc({ reason }, 0);
    this.#keys = new Gauge({
      name: 'ringfill_access_keys',
      help: 'API keys in force, expired ones included; 0 where none are asked for.',
      aggregator: 'min',
      registers,
    });
    this.#reloads = new Counter({
      name: 'ringfill_access_key_reloads_total',
      help: 'How often the file of API keys was read again because it had changed, by outcome: loaded, refused.',
      labelNames: ['outcome'],
      registers,
    });
    for (const outcome of ['loaded', 'refused']) this.#reloads.inc({ outcome }, 0);
  }

  refused(reason: RefusalReason): void {
    this.#refused.inc({ reason });
  }

  keysAre(count: number): void {
    this.#keys.set(count);
  }

  keysReloaded(outcome: 'loaded' | 'refused'): void {
    this.#reloads.inc({ outcome });
  }
}
