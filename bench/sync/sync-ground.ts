/** What the measurements of sync share: a table, an installation over it, and a worker on the measured core. */
import type { BenchWorld } from '../harness/bench-world.ts';
import { Installation } from '../harness/installation.ts';
import { pin } from '../harness/processor.ts';
import type { RingfillProcess } from '../../stack/ringfill-process.ts';

/**
 * A row as applications have them, of about 1 KB in the binlog: one of few columns and a long text would be nothing to decode,
 * for a reader that takes texts as they lie.
 */
const COLUMNS = `id INT PRIMARY KEY, counter INT NOT NULL, customer BIGINT NOT NULL, state VARCHAR(20) NOT NULL,
  price DECIMAL(10,2) NOT NULL, quantity SMALLINT NOT NULL, weight DOUBLE NOT NULL, created DATETIME NOT NULL,
  changed DATETIME(3) NOT NULL, name VARCHAR(60) NOT NULL, email VARCHAR(80), note VARCHAR(1000) NOT NULL`;
export const NOTE_BYTES = 800;
const ROWS_A_STATEMENT = 1_000;

export class SyncGround {
  readonly world: BenchWorld;
  readonly installation: Installation;
  /** `db.name`: id, counter, and what makes a row of it. */
  readonly table: string;

  private constructor(world: BenchWorld, name: string) {
    this.world = world;
    this.table = `${world.db}.${name}`;
    this.installation = new Installation({ world, name, tables: { [this.table]: {} } });
  }

  /** @param name of its table, its keys and its queues. */
  static async create(world: BenchWorld, name: string): Promise<SyncGround> {
    const ground = new SyncGround(world, name);
    await world.admin.query(`CREATE TABLE ${ground.table} (${COLUMNS}) ENGINE = InnoDB`);
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
    const rows = Array.from({ length: count }, (_, index) => {
      const id = first + index;
      const email = id % 5 === 0 ? 'NULL' : `'customer${id}@example.org'`;
      return (
        `(${id}, 0, ${7_000_000_000 + id}, 'delivered', ${id % 1_000}.95, ${id % 100}, ${id / 8}, '2026-01-02 03:04:05', ` +
        `'2026-01-02 03:04:05.678', 'customer number ${id}', ${email}, REPEAT('x', ${NOTE_BYTES}))`
      );
    });
    return `INSERT INTO ${this.table} VALUES ${rows.join(', ')}`;
  }
}
