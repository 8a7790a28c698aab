/**
 * The gateway's metrics, named once. Labels are bounded: tables, shards, rings and outcomes, never keys or clients.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ShardCommand } from '../shared/shard/shard.ts';
import type { Story } from './journey/answer.ts';

/** From a hit on the same machine to the longest deadline. Seconds. */
const LATENCY_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export class GatewayTelemetry {
  readonly registry = new Registry();

  readonly #requests = new Counter({
    name: 'ringfill_rows_total',
    help: 'Rows asked for, by how they were answered.',
    labelNames: ['table', 'outcome', 'layer'],
    registers: [this.registry],
  });
  readonly #unstored = new Counter({
    name: 'ringfill_unstored_total',
    help: 'Rows read from MySQL and not stored, by reason.',
    labelNames: ['table', 'reason'],
    registers: [this.registry],
  });
  readonly #errors = new Counter({
    name: 'ringfill_errors_total',
    help: 'Answers that are problem documents, by code.',
    labelNames: ['code'],
    registers: [this.registry],
  });
  readonly #refreshes = new Counter({
    name: 'ringfill_refreshes_total',
    help: 'Rows read again in the background past their soft TTL, by outcome.',
    labelNames: ['table', 'outcome'],
    registers: [this.registry],
  });
  readonly #latency = new Histogram({
    name: 'ringfill_request_seconds',
    help: 'From the request’s arrival to its answer, in seconds.',
    labelNames: ['route'],
    buckets: LATENCY_BUCKETS,
    registers: [this.registry],
  });
  readonly #stations = new Histogram({
    name: 'ringfill_station_seconds',
    help: 'Time spent at each station of the journey, in seconds.',
    labelNames: ['station'],
    buckets: LATENCY_BUCKETS,
    registers: [this.registry],
  });
  readonly #originReads = new Counter({
    name: 'ringfill_origin_reads_total',
    help: 'SELECTs sent to MySQL for rows, to the primary or a replica.',
    labelNames: ['table', 'from'],
    registers: [this.registry],
  });
  readonly #originRows = new Counter({
    name: 'ringfill_origin_rows_asked_total',
    help: 'Rows asked for in those SELECTs.',
    labelNames: ['table', 'from'],
    registers: [this.registry],
  });
  readonly #shardUp = new Gauge({
    name: 'ringfill_shard_up',
    help: '1 while the shard is used, 0 while it is not.',
    labelNames: ['ring', 'shard'],
    registers: [this.registry],
  });
  readonly #shardChanges = new Counter({
    name: 'ringfill_shard_changes_total',
    help: 'How often a shard was taken out of use or back into it.',
    labelNames: ['ring', 'shard', 'state'],
    registers: [this.registry],
  });
  readonly #originUp = new Gauge({
    name: 'ringfill_origin_up',
    help: '1 while MySQL is used, 0 while it does not answer.',
    registers: [this.registry],
  });

  constructor(waitingForOrigin: () => number) {
    collectDefaultMetrics({ register: this.registry });
    // The name says what it is; prom-client keeps it by registering it.
    void new Gauge({
      name: 'ringfill_origin_waiting',
      help: 'Rows that wait for a connection to MySQL.',
      registers: [this.registry],
      collect() {
        this.set(waitingForOrigin());
      },
    });
  }

  answered(table: string, story: Story): void {
    const layer = 'place' in story && story.place !== undefined ? String(story.place.layer) : '-';
    this.#requests.inc({ table, outcome: story.outcome, layer });
    if (story.outcome === 'unstored') this.#unstored.inc({ table, reason: story.because });
  }

  failed(code: string): void {
    this.#errors.inc({ code });
  }

  refreshed(table: string, outcome: string): void {
    this.#refreshes.inc({ table, outcome });
  }

  took(route: 'row' | 'batch', seconds: number): void {
    this.#latency.observe({ route }, seconds);
  }

  shardCommand(command: ShardCommand, seconds: number): void {
    this.#stations.observe({ station: `shard_${command}` }, seconds);
  }

  originRead(table: string, from: 'primary' | 'replica', rowsAsked: number, seconds: number): void {
    this.#originReads.inc({ table, from });
    this.#originRows.inc({ table, from }, rowsAsked);
    this.#stations.observe({ station: from === 'primary' ? 'origin_select' : 'replica_select' }, seconds);
  }

  shardChanged(ring: string, shard: string, state: 'ok' | 'down'): void {
    this.#shardUp.set({ ring, shard }, state === 'ok' ? 1 : 0);
    this.#shardChanges.inc({ ring, shard, state });
  }

  originChanged(up: boolean): void {
    this.#originUp.set(up ? 1 : 0);
  }
}
