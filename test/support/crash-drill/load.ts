/**
 * Writers and readers while something is harmed. Writers go on through whatever they are refused; readers ask the gateway,
 * and fill what is not there, so that fills and changes meet.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, createConnection } from 'mysql2/promise';
import { codeOf } from '../../../shared/errors/errors.ts';
import { withinDeadline } from '../../../shared/lifecycle/deadline.ts';
import { seededRandom, type SeededRandom } from '../../../stack/demo-data/seeded-random.ts';
import { DRILL_DB, DRILL_TABLES } from './tables.ts';
import { transaction } from './transactions.ts';

export interface LoadOptions {
  readonly mysql: { readonly host: string; readonly port: number };
  /** Readers take turns among them. */
  readonly gateways: readonly string[];
  readonly seed: number;
}

export interface LoadReport {
  /** Transactions that ended as they were meant to, by COMMIT or ROLLBACK. */
  readonly transactions: number;
  /** Answers by status. */
  readonly answers: Readonly<Record<number, number>>;
}

const WRITERS = 3;
const READERS = 2;
const IDS_PER_READ = 12;
/** A pace that a busy machine keeps, rather than as fast as it can. */
const PAUSE_MS = 40;
const COMMITS_WITHIN_MS = 120_000;

/** The statement is undone, or the transaction is; whoever wrote goes on. */
const REFUSALS = new Set(['ER_LOCK_DEADLOCK', 'ER_LOCK_WAIT_TIMEOUT', 'ER_DUP_ENTRY', 'ER_DUP_KEY', 'ER_CHECKREAD']);

export class Load {
  readonly #options: LoadOptions;
  readonly #answers: Record<number, number> = {};
  readonly #loops: Promise<unknown>;
  #transactions = 0;
  #counting: { readonly at: number; readonly reached: () => void }[] = [];
  #isStopping = false;
  #originIsThere: Promise<void> = Promise.resolve();

  constructor(options: LoadOptions) {
    this.#options = options;
    const loops = [
      ...Array.from({ length: WRITERS }, (_, writer) => this.#write(writer)),
      ...Array.from({ length: READERS }, (_, reader) => this.#read(reader)),
    ];
    this.#loops = Promise.all(loops);
    this.#loops.catch(() => undefined);
  }

  /** Settles when so many more transactions have ended. */
  async ended(more: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#counting.push({ at: this.#transactions + more, reached: resolve });
    const late = () => new Error(`not ${more} transactions within ${COMMITS_WITHIN_MS} ms`);
    await withinDeadline(Promise.race([promise, this.#loops]), COMMITS_WITHIN_MS, late);
  }

  /** To be called before MySQL is killed; the writers wait until the function returned is called. */
  originGoes(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#originIsThere = promise;
    return resolve;
  }

  async stop(): Promise<LoadReport> {
    this.#isStopping = true;
    await this.#loops;
    return { transactions: this.#transactions, answers: this.#answers };
  }

  async #write(writer: number): Promise<void> {
    const random = seededRandom(this.#options.seed ^ Math.imul(writer + 1, 0x9e37_79b1));
    let connection: Connection | undefined;
    while (!this.#isStopping) {
      await this.#originIsThere;
      try {
        connection ??= await this.#connect();
        await this.#run(connection, transaction(random, writer));
      } catch (error) {
        if (!isLost(error)) throw error;
        connection?.destroy();
        connection = undefined;
      }
      await sleep(random.below(PAUSE_MS));
    }
    await connection?.end();
  }

  async #connect(): Promise<Connection> {
    const connection = await createConnection({ ...this.#options.mysql, user: 'root' });
    // Told by whatever is asked next.
    connection.on('error', () => undefined);
    return connection;
  }

  async #run(connection: Connection, statements: readonly string[]): Promise<void> {
    try {
      for (const statement of statements) await connection.query(statement);
    } catch (error) {
      if (!REFUSALS.has(codeOf(error) ?? '')) throw error;
      await connection.query('ROLLBACK');
      return;
    }
    this.#transactions += 1;
    for (const { reached } of this.#counting.filter(({ at }) => at <= this.#transactions)) reached();
    this.#counting = this.#counting.filter(({ at }) => at > this.#transactions);
  }

  async #read(reader: number): Promise<void> {
    const { seed, gateways } = this.#options;
    const random = seededRandom(seed ^ Math.imul(-1 - reader, 0x85eb_ca6b));
    const gateway = gateways[reader % gateways.length] as string;
    while (!this.#isStopping) {
      const answer = await fetch(`${gateway}${pathOfSome(random)}`);
      await answer.arrayBuffer();
      this.#answers[answer.status] = (this.#answers[answer.status] ?? 0) + 1;
      await sleep(random.below(PAUSE_MS));
    }
  }
}

function pathOfSome(random: SeededRandom): string {
  const table = random.oneOf(DRILL_TABLES as [(typeof DRILL_TABLES)[0], ...typeof DRILL_TABLES]);
  const ids = Array.from({ length: IDS_PER_READ }, () => table.keys[random.below(table.keys.length)]?.segment);
  return `/${DRILL_DB}/${table.name}?ids=${ids.join(',')}`;
}

/** The connection is gone, or could not be made. */
function isLost(error: unknown): boolean {
  const isFatal = error instanceof Error && 'fatal' in error && error.fatal === true;
  return isFatal || /^(?:ECONN|EPIPE|PROTOCOL_CONNECTION_LOST|ER_SERVER_SHUTDOWN)/.test(codeOf(error) ?? '');
}
