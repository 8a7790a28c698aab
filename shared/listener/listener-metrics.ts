/** The metrics of a port: its connections, those that were cut off, and its certificate. */
import { Counter, Gauge, type Registry } from 'prom-client';

/**
 * - `receiving-late`: its request, or its TLS handshake, did not arrive in time.
 * - `sending-late`: it did not read its answer in time.
 * - `too-much-unsent`: it read slowest of all when too much waited for them together.
 */
export const CUT_REASONS = ['receiving-late', 'sending-late', 'too-much-unsent'] as const;
export type CutReason = (typeof CUT_REASONS)[number];

export class ListenerMetrics {
  readonly #connections: Gauge;
  readonly #refused: Counter;
  readonly #cut: Counter<'reason'>;
  readonly #handshakesRefused: Counter;
  readonly #expiry: Gauge;
  readonly #reloads: Counter<'outcome'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#connections = new Gauge({
      name: 'ringfill_connections',
      help: 'Connections of clients that are open.',
      registers,
    });
    this.#refused = new Counter({
      name: 'ringfill_connections_refused_total',
      help: 'Connections that were closed as they came, for there were http.connectionsMax.',
      registers,
    });
    this.#cut = new Counter({
      name: 'ringfill_connections_cut_total',
      help: 'Connections that were cut off for being slow, by reason.',
      labelNames: ['reason'],
      registers,
    });
    for (const reason of CUT_REASONS) this.#cut.inc({ reason }, 0);
    this.#handshakesRefused = new Counter({
      name: 'ringfill_tls_handshakes_refused_total',
      help: 'TLS handshakes that failed: plain HTTP, a version that is not taken, no cipher in common.',
      registers,
    });
    this.#expiry = new Gauge({
      name: 'ringfill_certificate_expiry_timestamp_seconds',
      help: 'When the certificate of the port expires. Seconds since 1970; 0 without TLS.',
      aggregator: 'min',
      registers,
    });
    this.#reloads = new Counter({
      name: 'ringfill_certificate_reloads_total',
      help: 'How often the certificate of the port was read again, as it had changed or at a reload: loaded, refused.',
      labelNames: ['outcome'],
      registers,
    });
    for (const outcome of ['loaded', 'refused']) this.#reloads.inc({ outcome }, 0);
  }

  connected(change: 1 | -1): void {
    this.#connections.inc(change);
  }

  refused(): void {
    this.#refused.inc();
  }

  cut(reason: CutReason): void {
    this.#cut.inc({ reason });
  }

  handshakeRefused(): void {
    this.#handshakesRefused.inc();
  }

  certificateIs({ expiresMs }: { readonly expiresMs: number }): void {
    this.#expiry.set(expiresMs / 1_000);
  }

  certificateReloaded(outcome: 'loaded' | 'refused'): void {
    this.#reloads.inc({ outcome });
  }
}
