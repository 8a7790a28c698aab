/** What was measured of the peers, and the ratios that it amounts to. */
import type { LoadSeen } from '../generators/load-spec.ts';
import type { RatioKey } from '../harness/goals.ts';
import type { MeasuredRatio } from '../harness/section.ts';
import type { PeerName } from './line-up.ts';
import type { Peer } from './peer.ts';

export const CONNECTIONS = [1, 32, 256] as const;
export const BATCHES = [1, 10, 100] as const;
/** Of the batches, single rows included. */
export const BATCH_CONNECTIONS = 32;

/** Of one peer in one round. */
export interface Measured {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

export interface Open extends Pick<LoadSeen, 'latencyMs' | 'lateMs' | 'unsent'> {
  readonly perSecond: number;
}

/** One figure a round. */
export type Rounds<Figure> = Map<PeerName, Figure[]>;

export interface PeersMeasured {
  /** By connections. */
  readonly closed: ReadonlyMap<number, Rounds<Measured>>;
  /** By ids in a request. */
  readonly batches: ReadonlyMap<number, Rounds<Measured>>;
  /** Half of ringfill's capacity, or of bare Fastify's where that is less. Requests/s. */
  readonly commonRate: number;
  readonly atCommonRate: Rounds<Open>;
  /** Each at half of its own capacity. */
  readonly atOwnRate: Rounds<Open>;
}

export function nameOf({ name }: Peer): PeerName {
  return name as PeerName;
}

export function isRingfill({ name }: Peer): boolean {
  return name === 'ringfill' || name === 'near';
}

export function ratiosOf({ closed, batches, atCommonRate }: PeersMeasured): MeasuredRatio[] {
  const figures = (connections: number, name: PeerName, of: keyof Measured) =>
    (closed.get(connections)?.get(name) ?? []).map((measured) => measured[of]);
  const ratio = (key: RatioKey, over: readonly number[], under: readonly number[]): MeasuredRatio[] =>
    over.length === 0 || under.length === 0
      ? []
      : [{ key, rounds: over.map((figure, round) => figure / (under[round] as number)) }];
  const rowsPerSecond = (batch: number) =>
    (batches.get(batch)?.get('ringfill') ?? []).map(({ perSecond }) => perSecond * batch);
  const p99 = (name: PeerName) => (atCommonRate.get(name) ?? []).map(({ latencyMs }) => latencyMs.p99);
  return [
    ...ratio('hits_to_nginx', figures(256, 'ringfill', 'perSecond'), figures(256, 'nginx', 'perSecond')),
    ...ratio('hits32_to_nginx', figures(32, 'ringfill', 'perSecond'), figures(32, 'nginx', 'perSecond')),
    ...ratio('hit_cpu_to_fastify', figures(256, 'ringfill', 'cpuMicros'), figures(256, 'fastify', 'cpuMicros')),
    ...ratio('near_to_fastify', figures(256, 'near', 'perSecond'), figures(256, 'fastify', 'perSecond')),
    ...ratio('batch100_to_single', rowsPerSecond(100), rowsPerSecond(1)),
    ...ratio('p99_to_fastify', p99('ringfill'), p99('fastify')),
  ];
}
