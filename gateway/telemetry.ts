/**
 * The gateway's metrics, named once. Labels are bounded: tables, shards, rings and outcomes, never keys or clients.
 */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import {
  SHARD_CONDITIONS,
  type Shard,
  type ShardCommand,
  type ShardCondition,
  type ShardState,
} from '../shared/shard/shard.ts';
import { ConfigMetrics } from '../shared/telemetry/config-metrics.ts';
import { TallyCounter, TallyHistogram } from '../shared/telemetry/tallies.ts';
import type { Story } from './journey/answer.ts';
import type { CopyOutcome } from './journey/ports.ts';

/** From a hit on the same machine to the longest deadline. Seconds. */
const LATENCY_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

const SHARD_STATES: readonly ShardState[] = ['ok', 'down'];

export class GatewayTelemetry {
  readonly registry = new Registry();
  readonly config = new ConfigMetrics(this.registry);

  readonly #requests = new TallyCounter({
    name: 'ringfill_rows_total',
    help: 'Rows asked for, by how they were answered.',
    labelNames: ['table', 'outcome', 'layer'],
    registry: this.registry,
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
  readonly #copies = new Counter({
    name: 'ringfill_copies_total',
    help: 'Rows to be copied from one shard into another behind a request, by outcome; there: it had the row.',
    labelNames: ['table', 'outcome'],
    registers: [this.registry],
  });
  readonly #latency = new TallyHistogram({
    name: 'ringfill_request_seconds',
    help: 'From the request’s arrival to its answer, in seconds.',
    labelNames: ['route'],
    buckets: LATENCY_BUCKETS,
    registry: this.registry,
  });
  readonly #stations = new TallyHistogram({
    name: 'ringfill_station_seconds',
    help: 'Time spent at each station of the journey, in seconds.',
    labelNames: ['station'],
    buckets: LATENCY_BUCKETS,
    registry: this.registry,
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
    aggregator: 'min',
  });
  readonly #shardState = new Gauge({
    name: 'ringfill_shard_state',
    help: '1 for the state that the shard is in: ok, refuses-writes, slow, refusing or down; 0 for the others.',
    labelNames: ['ring', 'shard', 'state'],
    registers: [this.registry],
    aggregator: 'max',
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
    aggregator: 'min',
  });

  #shards: readonly Pick<Shard, 'ring' | 'name'>[] = [];

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
    this.#requests.inc(table, story.outcome, layer);
    if (story.outcome === 'unstored') this.#unstored.inc({ table, reason: story.because });
  }

  failed(code: string): void {
    this.#errors.inc({ code });
  }

  refreshed(table: string, outcome: string): void {
    this.#refreshes.inc({ table, outcome });
  }

  copied(table: string, outcome: CopyOutcome): void {
    this.#copies.inc({ table, outcome });
  }

  took(route: 'row' | 'batch', seconds: number): void {
    this.#latency.of(route).observe(seconds);
  }

  shardCommand(command: ShardCommand, seconds: number): void {
    this.#stations.of(`shard_${command}`).observe(seconds);
  }

  originRead(table: string, from: 'primary' | 'replica', rowsAsked: number, seconds: number): void {
    this.#originReads.inc({ table, from });
    this.#originRows.inc({ table, from }, rowsAsked);
    this.#stations.of(from === 'primary' ? 'origin_select' : 'replica_select').observe(seconds);
  }

  shardChanged(ring: string, shard: string, state: ShardState): void {
    this.#shardUp.set({ ring, shard }, state === 'ok' ? 1 : 0);
    this.#shardChanges.inc({ ring, shard, state });
  }

  /** It may be in use, or out of it, as before. */
  shardConditionIs(ring: string, shard: string, condition: ShardCondition): void {
    for (const state of SHARD_CONDITIONS) this.#shardState.set({ ring, shard, state }, state === condition ? 1 : 0);
  }

  /** These are in use from now on, and no others. */
  shardsAre(shards: readonly Pick<Shard, 'ring' | 'name' | 'state' | 'condition'>[]): void {
    const gone = this.#shards.filter(({ ring, name }) => !shards.some((one) => one.ring === ring && one.name === name));
    for (const { ring, name: shard } of gone) {
      this.#shardUp.remove({ ring, shard });
      for (const state of SHARD_STATES) this.#shardChanges.remove({ ring, shard, state });
      for (const state of SHARD_CONDITIONS) this.#shardState.remove({ ring, shard, state });
    }
    for (const { ring, name: shard, state, condition } of shards) {
      this.#shardUp.set({ ring, shard }, state === 'ok' ? 1 : 0);
      this.shardConditionIs(ring, shard, condition);
    }
    this.#shards = shards.map(({ ring, name }) => ({ ring, name }));
  }

  originChanged(up: boolean): void {
    this.#originUp.set(up ? 1 : 0);
  }
}
