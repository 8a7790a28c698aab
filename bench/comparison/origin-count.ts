/** What MySQL itself says it was asked for. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, RowDataPacket } from 'mysql2/promise';

export interface OriginCount {
  /** performance.now() */
  readonly at: number;
  /** SELECT statements so far; the counting itself is none. */
  readonly queries: number;
  /** Index look-ups and steps to a next row so far. */
  readonly rows: number;
}

const ROW_COUNTERS = ['Handler_read_key', 'Handler_read_next'];

export async function countOrigin(admin: Pool): Promise<OriginCount> {
  const [found] = await admin.query<RowDataPacket[]>('SHOW GLOBAL STATUS WHERE Variable_name IN (?)', [
    ['Com_select', ...ROW_COUNTERS],
  ]);
  const valueOf = (name: string) => Number(found.find((row) => row['Variable_name'] === name)?.['Value'] ?? 0);
  return {
    at: performance.now(),
    queries: valueOf('Com_select'),
    rows: ROW_COUNTERS.reduce((sum, name) => sum + valueOf(name), 0),
  };
}

/** One count every so often, until it is told to stop. */
export class OriginWatch {
  readonly counts: OriginCount[] = [];
  readonly #admin: Pool;
  readonly #running: Promise<void>;
  #isOver = false;

  constructor(admin: Pool, everyMs: number) {
    this.#admin = admin;
    this.#running = this.#watch(everyMs);
  }

  /** Settles after a last count. Rejects where MySQL does not say. */
  async stop(): Promise<readonly OriginCount[]> {
    this.#isOver = true;
    await this.#running;
    this.counts.push(await countOrigin(this.#admin));
    return this.counts;
  }

  async #watch(everyMs: number): Promise<void> {
    while (!this.#isOver) {
      this.counts.push(await countOrigin(this.#admin));
      await sleep(everyMs);
    }
  }
}
