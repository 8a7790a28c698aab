/**
 * How long a change takes to its row in Redis, at a given rate of changes. A thousand transactions a second (fewer below
 * that rate), each of so many rows of which one is watched: from the moment its UPDATE is sent, which is before its commit, to the
 * Redis' own word that the entry was written. A watched row is written once in a measurement.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { createPool, type Pool } from 'mysql2/promise';
import { percentileOf } from '../harness/rounds.ts';
import { cpuSeconds } from '../harness/processor.ts';
import type { RingfillProcess } from '../../stack/ringfill-process.ts';
import type { SyncGround } from './sync-ground.ts';

export interface DelayAtRate {
  /** Changes a second that were asked for, and that were written. */
  readonly asked: number;
  readonly written: number;
  readonly samples: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** From the last write until every shard had heard of all. */
  readonly behindMs: number;
  readonly workerCpuShare: number;
  readonly verdict: 'kept up' | 'fell behind' | 'could not be written';
}

export interface DelayOptions {
  readonly ground: SyncGround;
  readonly worker: RingfillProcess;
  /** Of the watched rows: `first` to `first + watched - 1`, all cached. The others follow them. */
  readonly first: number;
  readonly watched: number;
  readonly others: number;
  readonly keyPrefix: string;
  readonly perSecond: number;
  readonly seconds: number;
}

const COMMITS_PER_SECOND = 1_000;
const WRITERS = 8;
/** The default of sync.stalenessBoundMs: past it gateways no longer believe the shards. */
const BEHIND_MS_MAX = 2_000;
const WRITTEN_SHARE_MIN = 0.9;

export async function measureDelay(options: DelayOptions): Promise<DelayAtRate> {
  const { ground, worker, perSecond, seconds, watched } = options;
  const { world, installation } = ground;
  const commitsPerSecond = Math.min(COMMITS_PER_SECOND, perSecond);
  if (seconds * commitsPerSecond > watched) throw new RangeError('too few watched rows');
  const { host, port } = world.ground.mysql;
  const mysql = createPool({ host, port, user: 'root', connectionLimit: WRITERS });
  const sent = new Map<string, number>();
  const delaysMs: number[] = [];
  const listeners = await Promise.all(
    world.primary.map(async ({ server }) => {
      const listener = new Redis({ host: server.host, port: server.port });
      await listener.config('SET', 'notify-keyspace-events', 'E$');
      listener.on('message', (_channel: string, key: string) => {
        const at = sent.get(key);
        if (at === undefined) return;
        delaysMs.push(performance.now() - at);
        sent.delete(key);
      });
      await listener.subscribe('__keyevent@0__:set');
      return listener;
    }),
  );
  try {
    const cpuBefore = cpuSeconds([worker.pid]);
    const { written, tookSeconds } = await write(options, mysql, commitsPerSecond, sent);
    const lastWriteAt = performance.now();
    await installation.appliedUpTo(await installation.binlogEnd());
    const behindMs = performance.now() - lastWriteAt;
    const cpu = cpuSeconds([worker.pid]) - cpuBefore;
    const writtenPerSecond = written / tookSeconds;
    return {
      asked: perSecond,
      written: writtenPerSecond,
      samples: delaysMs.length,
      p50Ms: percentileOf(delaysMs, 0.5),
      p99Ms: percentileOf(delaysMs, 0.99),
      p999Ms: percentileOf(delaysMs, 0.999),
      maxMs: percentileOf(delaysMs, 1),
      behindMs,
      workerCpuShare: cpu / (tookSeconds + behindMs / 1_000),
      verdict:
        behindMs > BEHIND_MS_MAX
          ? 'fell behind'
          : writtenPerSecond < perSecond * WRITTEN_SHARE_MIN
            ? 'could not be written'
            : 'kept up',
    };
  } finally {
    for (const listener of listeners) listener.disconnect();
    await mysql.end();
  }
}

async function write(
  { ground, first, watched, others, keyPrefix, perSecond, seconds }: DelayOptions,
  mysql: Pool,
  commitsPerSecond: number,
  sent: Map<string, number>,
): Promise<{ readonly written: number; readonly tookSeconds: number }> {
  const rowsACommit = Math.round(perSecond / commitsPerSecond);
  const startedAt = performance.now();
  const until = startedAt + seconds * 1_000;
  let commits = 0;
  const writers = Array.from({ length: WRITERS }, async () => {
    while (performance.now() < until) {
      if (commits >= ((performance.now() - startedAt) / 1_000) * commitsPerSecond) {
        await sleep(1, undefined, { signal: ground.world.signal });
        continue;
      }
      const commit = commits;
      commits += 1;
      const watchedId = first + commit;
      // Those of neighbouring commits are neighbours, and nobody else's.
      const from = first + watched + ((commit * (rowsACommit - 1)) % Math.max(1, others - rowsACommit));
      const more = rowsACommit === 1 ? '' : ` OR id BETWEEN ${from} AND ${from + rowsACommit - 2}`;
      sent.set(`${keyPrefix}${watchedId}`, performance.now());
      await mysql.query(`UPDATE ${ground.table} SET counter = counter + 1 WHERE id = ${watchedId}${more}`);
    }
  });
  await Promise.all(writers);
  return { written: commits * rowsACommit, tookSeconds: (performance.now() - startedAt) / 1_000 };
}
