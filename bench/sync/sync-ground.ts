/** What the measurements of sync share: a table, an installation over it, and a worker on the measured core. */
import type { BenchWorld } from '../harness/bench-world.ts';
import { Installation } from '../harness/installation.ts';
import { pin } from '../harness/processor.ts';
import type { RingfillProcess } from '../../stack/ringfill-process.ts';

/** About 1 KB in the binlog. */
export const FILLER_BYTES = 900;
const ROWS_A_STATEMENT = 1_000;

export class SyncGround {
  readonly world: BenchWorld;
  readonly installation: Installation;
  /** `db.rows_`: id, counter, filler. */
  readonly table: string;

  private constructor(world: BenchWorld, name: string) {
    this.world = world;
    this.table = `${world.db}.${name}`;
    this.installation = new Installation({ world, name, tables: { [this.table]: {} } });
  }

  /** @param name of its table, its keys and its queues. */
  static async create(world: BenchWorld, name: string): Promise<SyncGround> {
    const ground = new SyncGround(world, name);
    await world.admin.query(
      `CREATE TABLE ${ground.table} (id INT PRIMARY KEY, counter INT NOT NULL, filler VARCHAR(1000) NOT NULL) ENGINE = InnoDB`,
    );
    return ground;
  }

  /** It is what is measured here, so it has the core that peers have elsewhere. */
  async startWorker(): Promise<RingfillProcess> {
    const worker = await this.installation.startWorker();
    await pin(worker.pid, [this.world.cores.peer]);
    return worker;
  }

  /** One transaction for each thousand. */
  async insert(first: number, count: number): Promise<void> {
    for (let from = first; from < first + count; from += ROWS_A_STATEMENT) {
      this.world.signal.throwIfAborted();
      await this.world.admin.query(this.insertStatement(from, Math.min(ROWS_A_STATEMENT, first + count - from)));
    }
  }

  insertStatement(first: number, count: number): string {
    const rows = Array.from({ length: count }, (_, index) => `(${first + index}, 0, REPEAT('x', ${FILLER_BYTES}))`);
    return `INSERT INTO ${this.table} VALUES ${rows.join(', ')}`;
  }
}
