/** What the sampling audit counts. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Fault } from './judge.ts';

export class AuditMetrics {
  /** Asked for each scrape. Seconds. */
  oldestStale: () => number = () => 0;
  readonly #compared: Counter<'table'>;
  readonly #differences: Counter<'table' | 'kind'>;
  readonly #walk: Gauge;
  readonly #walkedAt: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#compared = new Counter({
      name: 'ringfill_audit_compared_total',
      help: 'Keys that the sampling audit has compared with MySQL, each in each shard that holds it.',
      labelNames: ['table'],
      registers,
    });
    this.#differences = new Counter({
      name: 'ringfill_audit_differences_total',
      help: 'What the sampling audit has found: stale, missing, orphan, wrong-type or ahead (docs/audit.md). Each is counted once.',
      labelNames: ['table', 'kind'],
      registers,
    });
    this.#walk = new Gauge({
      name: 'ringfill_audit_walk_seconds',
      help: 'How long the last whole pass through all followed tables took. Seconds.',
      registers,
    });
    this.#walkedAt = new Gauge({
      name: 'ringfill_audit_walk_timestamp_seconds',
      help: 'When it ended. Seconds since 1970.',
      registers,
    });
    const oldestStale = () => this.oldestStale();
    // prom-client keeps it by registering it.
    void new Gauge({
      name: 'ringfill_audit_oldest_stale_seconds',
      help: 'How long ago the oldest stale row was found that has not been seen right since; 0 where there is none. Seconds.',
      registers,
      collect() {
        this.set(oldestStale());
      },
    });
  }

  compared(table: string, keys: number): void {
    this.#compared.inc({ table }, keys);
  }

  found(table: string, fault: Fault): void {
    this.#differences.inc({ table, kind: fault });
  }

  passed(seconds: number): void {
    this.#walk.set(seconds);
    this.#walkedAt.set(Date.now() / 1000);
  }
}
