/**
 * Rows that were written while nobody followed: how fast a worker that is started then gets through, to the last shard's
 * stamp; beside bare readers over the same binlog.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from '../generators/run-tool.ts';
import type { LogPosition } from '../../shared/version/version.ts';
import { cpuSeconds, peakMebibytes } from '../harness/processor.ts';
import { placeOf } from '../harness/installation.ts';
import type { BareReaderSeen, BareReaderSettings } from '../peers/bare-reader.ts';
import { NOTE_BYTES, type SyncGround } from './sync-ground.ts';

export interface Backlog {
  readonly rows: number;
  /** From the first stamp that moved to the last; what had been applied by the first is left out. */
  readonly perSecond: number;
  /** From the start of the process, which also connects, takes its lock and looks for its place. */
  readonly startIncludedPerSecond: number;
  readonly workerCpuMicros: number;
  readonly workerPeakMebibytes: number;
  readonly zongjiPerSecond: number;
  readonly readerPerSecond: number;
  /** A row. */
  readonly zongjiCpuMicros: number;
  readonly readerCpuMicros: number;
}

const LOOK_EVERY_MS = 10;
const BARE_READER = join(import.meta.dirname, '../peers/bare-reader.ts');
const BARE_SERVER_ID = 4_000_000_000;

/** @param first the id of the first row that it inserts. Throws where a reader has not seen every row. */
export async function measureBacklog(ground: SyncGround, first: number, rows: number): Promise<Backlog> {
  const { installation } = ground;
  // So that there is a checkpoint to go on from.
  let worker = await ground.startWorker();
  const from = await installation.binlogEnd();
  await installation.appliedUpTo(from);
  await worker.stop();
  await ground.insert(first, rows);
  const to = await installation.binlogEnd();
  const zongji = await readBare(ground, 'zongji', from, rows);
  const reader = await readBare(ground, 'ringfill', from, rows);

  const startedAt = performance.now();
  worker = await ground.startWorker();
  const [begin, end] = [placeOf(from), placeOf(to)];
  let firstSeen: { readonly at: number; readonly place: string } | undefined;
  for (;;) {
    const place = await installation.leastStamp();
    if (place > begin) firstSeen ??= { at: performance.now(), place };
    if (place >= end) break;
    await installation.wait(LOOK_EVERY_MS);
  }
  const endedAt = performance.now();
  const [workerCpuMicros, workerPeakMebibytes] = [(1e6 * cpuSeconds([worker.pid])) / rows, peakMebibytes(worker.pid)];
  await worker.stop();
  // Within one file, places differ by bytes. Over several, and where one look saw it all, only the whole can be told.
  const bytes = (until: string) => Number(until.slice(10)) - from.position;
  const startIncludedPerSecond = (rows * 1_000) / (endedAt - startedAt);
  const left =
    firstSeen !== undefined && from.file === to.file && firstSeen.place < end
      ? 1 - bytes(firstSeen.place) / bytes(end)
      : 0;
  return {
    rows,
    perSecond: left > 0 ? (rows * left * 1_000) / (endedAt - (firstSeen?.at ?? 0)) : startIncludedPerSecond,
    startIncludedPerSecond,
    workerCpuMicros,
    workerPeakMebibytes,
    zongjiPerSecond: rows / zongji.seconds,
    readerPerSecond: rows / reader.seconds,
    zongjiCpuMicros: zongji.cpuMicros,
    readerCpuMicros: reader.cpuMicros,
  };
}

async function readBare(
  { world, installation }: SyncGround,
  reader: BareReaderSettings['reader'],
  from: LogPosition,
  rows: number,
): Promise<BareReaderSeen> {
  const folder = join(world.folder, 'bare');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'settings.json');
  const settings: BareReaderSettings = {
    reader,
    url: installation.originUrl,
    serverId: BARE_SERVER_ID,
    from,
    rows,
    column: 'note',
  };
  writeFileSync(file, JSON.stringify(settings));
  const seen = JSON.parse(await runTool(world, 'peer', process.execPath, [BARE_READER, file])) as BareReaderSeen;
  if (seen.rows !== rows || seen.bytes !== rows * NOTE_BYTES) {
    throw new Error(`the bare reader ${reader} has seen ${seen.rows} rows with ${seen.bytes} bytes of ${rows}`);
  }
  return seen;
}
