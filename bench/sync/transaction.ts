/** One transaction of very many rows: how long after its COMMIT it is applied, and what memory that takes. */
import { peakMebibytes } from '../harness/processor.ts';
import type { SyncGround } from './sync-ground.ts';

export interface LargeTransaction {
  readonly rows: number;
  readonly appliedAfterSeconds: number;
  readonly peakBeforeMebibytes: number;
  readonly peakMebibytes: number;
}

const ROWS_A_STATEMENT = 1_000;

export async function measureTransaction(ground: SyncGround, first: number, rows: number): Promise<LargeTransaction> {
  const { installation, world } = ground;
  const worker = await ground.startWorker();
  await installation.appliedUpTo(await installation.binlogEnd());
  const peakBefore = peakMebibytes(worker.pid);
  const connection = await world.admin.getConnection();
  try {
    await connection.query('BEGIN');
    for (let from = first; from < first + rows; from += ROWS_A_STATEMENT) {
      world.signal.throwIfAborted();
      await connection.query(ground.insertStatement(from, Math.min(ROWS_A_STATEMENT, first + rows - from)));
    }
    const startedAt = performance.now();
    await connection.query('COMMIT');
    await installation.appliedUpTo(await installation.binlogEnd());
    const appliedAfterSeconds = (performance.now() - startedAt) / 1_000;
    const peak = peakMebibytes(worker.pid);
    await worker.stop();
    return { rows, appliedAfterSeconds, peakBeforeMebibytes: peakBefore, peakMebibytes: peak };
  } finally {
    connection.release();
  }
}
