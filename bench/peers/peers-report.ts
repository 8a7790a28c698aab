/** What was measured of the peers, as tables and charts. */
import { barOf, toldWithSpread } from '../harness/rounds.ts';
import type { Block } from '../harness/section.ts';
import type { LineUp } from './line-up.ts';
import {
  BATCH_CONNECTIONS,
  BATCHES,
  CONNECTIONS,
  isRingfill,
  type Measured,
  nameOf,
  type Open,
  type PeersMeasured,
  type Rounds,
} from './measured.ts';
import type { Peer } from './peer.ts';

export function blocksOf({ peers: among, nginxConfiguration }: LineUp, measured: PeersMeasured): Block[] {
  const { closed, batches, commonRate, atCommonRate, atOwnRate } = measured;
  const of = (rounds: Rounds<Measured> | undefined, peer: Peer, figure: keyof Measured) =>
    (rounds?.get(nameOf(peer)) ?? []).map((measured) => measured[figure]);
  const told = (values: readonly number[], digits = 0) =>
    values.length === 0 ? 'left out' : toldWithSpread(values, digits);
  const columns = ['peer', 'what', ...CONNECTIONS.map((connections) => `${connections} connections`)];
  const bars = (figure: keyof Measured) =>
    CONNECTIONS.map((connections) => ({
      name: `${connections} connections`,
      bars: among.map((peer) => barOf(of(closed.get(connections), peer, figure))),
    }));
  const series = among.map(({ name }) => name);
  const byConnections = (figure: keyof Measured, digits: number) =>
    among.map((peer) => [
      peer.name,
      peer.what,
      ...CONNECTIONS.map((connections) => told(of(closed.get(connections), peer, figure), digits)),
    ]);
  const openRows = (rounds: Rounds<Open>) =>
    among.map((peer) => {
      const seen = rounds.get(nameOf(peer)) ?? [];
      const latency = (name: 'p50' | 'p99' | 'p999') =>
        told(
          seen.map(({ latencyMs }) => latencyMs[name]),
          2,
        );
      return [
        peer.name,
        told(seen.map(({ perSecond }) => perSecond)),
        latency('p50'),
        latency('p99'),
        latency('p999'),
        told(
          seen.map(({ lateMs }) => lateMs.p99),
          2,
        ),
        told(seen.map(({ unsent }) => unsent)),
      ];
    });
  const openColumns = ['peer', 'requests/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'sent late, p99 ms', 'not sent'];
  const commonBars = (['p50', 'p99', 'p999'] as const).map((name) => ({
    name: name === 'p999' ? 'p99.9' : name,
    bars: among.map((peer) => {
      const seen = atCommonRate.get(nameOf(peer));
      return seen && barOf(seen.map(({ latencyMs }) => latencyMs[name]));
    }),
  }));
  const batched = among.filter(isRingfill);
  const rowsPerSecond = (batch: number, peer: Peer) =>
    of(batches.get(batch), peer, 'perSecond').map((perSecond) => perSecond * batch);
  return [
    {
      kind: 'bars',
      chart: { title: 'Throughput, closed loop', unit: 'requests/s', series, groups: bars('perSecond') },
    },
    {
      kind: 'table',
      table: { caption: 'Requests/s: median (least to most)', columns, rows: byConnections('perSecond', 0) },
    },
    { kind: 'bars', chart: { title: 'CPU a request', unit: 'µs', series, groups: bars('cpuMicros') } },
    {
      kind: 'table',
      table: { caption: 'CPU a request, µs: median (least to most)', columns, rows: byConnections('cpuMicros', 1) },
    },
    {
      kind: 'bars',
      chart: { title: `Latency at ${commonRate} requests/s, open loop`, unit: 'ms', series, groups: commonBars },
    },
    {
      kind: 'table',
      table: {
        caption: `Latency from the due time at the same rate for all, half of ringfill’s capacity or, where that is less, of Fastify’s: ${commonRate} requests/s. Left out: whose capacity that nearly is.`,
        columns: openColumns,
        rows: openRows(atCommonRate),
      },
    },
    {
      kind: 'table',
      table: {
        caption: 'Latency from the due time, each at half of its own capacity (at 256 connections)',
        columns: openColumns,
        rows: openRows(atOwnRate),
      },
    },
    {
      kind: 'bars',
      chart: {
        title: 'Batches',
        unit: 'rows/s',
        series: batched.map(({ name }) => name),
        groups: BATCHES.map((batch) => ({
          name: `${batch} ids`,
          bars: batched.map((peer) => barOf(rowsPerSecond(batch, peer))),
        })),
      },
    },
    {
      kind: 'table',
      table: {
        caption: `Rows/s by ids in a request, at ${BATCH_CONNECTIONS} connections`,
        columns: ['peer', ...BATCHES.map(String)],
        rows: batched.map((peer) => [peer.name, ...BATCHES.map((batch) => told(rowsPerSecond(batch, peer)))]),
      },
    },
    ...(nginxConfiguration === undefined
      ? []
      : [{ kind: 'text', caption: 'nginx’s configuration', text: nginxConfiguration } as const]),
  ];
}
