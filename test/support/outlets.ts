/**
 * What tests of the outlets share: a database of their own, a sync worker that tells others of its changes, consumers as
 * others would write them, and a copy of the rows made of nothing but events.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after } from 'node:test';
import type { ConsumeMessage } from 'amqplib';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { BrokerConnection } from '../../shared/broker/connection.ts';
import { outletTopologyOf } from '../../shared/broker/outlet-topology.ts';
import { topologyOf } from '../../shared/broker/topology.ts';
import { parseConfig } from '../../shared/config/load.ts';
import type { Config, SyncConfig } from '../../shared/config/schema.ts';
import { SyncWorker } from '../../sync-worker/sync-worker.ts';
import { Random } from '../model/random.ts';
import { memoryLog, type SyncedConfig, until } from './broker.ts';
import { gatewayConfig } from './gateway.ts';
import { temporaryFolder, type TestStack } from './stack.ts';
import { mysqlUrl } from './least-privilege.ts';

export interface ToldEvent {
  readonly binlog: string;
  readonly db: string;
  readonly table: string;
  readonly eventType: 'INSERT' | 'UPDATE' | 'DELETE' | 'RELOAD';
  readonly before: Readonly<Record<string, string | null>> | '';
  readonly after: Readonly<Record<string, string | null>>;
  readonly time: string;
  readonly version: string;
  readonly gtid?: string;
  readonly truncated?: true;
  readonly reason?: string;
}

export interface OutletsWorldOptions {
  readonly stack: TestStack;
  /** `{db}` stands for the database's name. */
  readonly outlets: object;
  readonly tables?: Config['tables'];
  /** Of the shards' queues. */
  readonly queueType?: 'quorum' | 'classic';
}

/** Everything that text can hold, and NULL. */
const ITEMS = `CREATE TABLE items (id INT PRIMARY KEY, v VARCHAR(200) NULL, n BIGINT NULL, note TEXT NULL, secret VARCHAR(20) NULL)
  CHARACTER SET utf8mb4`;
const TEXTS = [
  "it's",
  '"quoted"',
  '\\',
  'naïve',
  '日本語',
  '🐰🐇',
  '',
  ' ',
  'a\nb',
  '\u2028',
  'null',
  "'''",
  '</x>',
  '\\u0027',
  '0',
];

export class OutletsWorld {
  readonly db: string;
  readonly config: SyncedConfig;
  readonly events: Record<string, unknown>[];
  readonly #log: ReturnType<typeof memoryLog>['log'];
  readonly #mysql: Connection;
  readonly #broker: BrokerConnection;
  worker: SyncWorker | undefined;
  url = '';

  private constructor(db: string, config: SyncedConfig, mysql: Connection, broker: BrokerConnection) {
    this.db = db;
    this.config = config;
    this.#mysql = mysql;
    this.#broker = broker;
    ({ log: this.#log, events: this.events } = memoryLog());
  }

  /** Queues, exchange and database go when the test file ends. No worker runs yet. */
  static async open({ stack, outlets, tables, queueType }: OutletsWorldOptions): Promise<OutletsWorld> {
    const { host, port } = stack.mysql;
    const db = `o${randomBytes(4).toString('hex')}`;
    const mysql = await createConnection({
      host,
      port,
      user: 'root',
      charset: 'utf8mb4',
      supportBigNumbers: true,
      // Rows that are changed are counted, not those that are found.
      flags: ['-FOUND_ROWS'],
    });
    await mysql.query(`CREATE DATABASE ${db} CHARACTER SET utf8mb4`);
    await mysql.query(`USE ${db}`);
    await mysql.query(ITEMS);
    const named = (value: object) => JSON.parse(JSON.stringify(value).replaceAll('{db}', db)) as object;
    const { text } = gatewayConfig(stack, {
      origin: { url: mysqlUrl(stack.mysql) },
      tables: (tables === undefined
        ? { [`${db}.items`]: { columns: { deny: ['secret'] } } }
        : named(tables)) as Config['tables'],
      sync: {
        name: db,
        stateFolder: join(temporaryFolder(), 'state'),
        heartbeatMs: 100,
        port: 0,
        ...(queueType !== undefined && { broker: { url: stack.rabbitmq.url, queueType } as SyncConfig['broker'] }),
        outlets: { exchange: `ringfill.${db}`, ...named(outlets) } as unknown as NonNullable<
          Config['sync']
        >['outlets'] &
          object,
      },
    });
    const config = parseConfig(text, 'test') as SyncedConfig;
    const broker = new BrokerConnection({ url: stack.rabbitmq.url, name: `test ${db}` });
    await broker.start();
    const world = new OutletsWorld(db, config, mysql, broker);
    after(async () => {
      await world.worker?.stop();
      await mysql.query(`DROP DATABASE ${db}`);
      await mysql.end();
      // A test's own broker may have gone before us.
      if (broker.state !== 'down') {
        const { channel } = await broker.openChannel();
        const { shards, deadLetters } = topologyOf(config, config.sync);
        const told = outletTopologyOf(config, config.sync);
        for (const queue of [deadLetters, ...[...shards, ...(told?.queues ?? [])].map((one) => one.queue)]) {
          await channel.deleteQueue(queue);
        }
        await channel.deleteExchange(told?.exchange ?? '');
      }
      await broker.stop();
    });
    return world;
  }

  get exchange(): string {
    return this.config.sync.outlets?.exchange ?? '';
  }

  get broker(): BrokerConnection {
    return this.#broker;
  }

  /** As it is configured, or with this instead. */
  async startWorker(config: SyncedConfig = this.config): Promise<SyncWorker> {
    this.worker = new SyncWorker({ config, version: 'test', log: this.#log });
    this.url = await this.worker.start();
    // An event is told from when it follows; what was written before is not.
    const isFollowing = async () => (await this.status()).capture.state === 'following';
    await until('it follows the binlog', isFollowing);
    return this.worker;
  }

  async status(): Promise<{
    capture: { state: string; asOf: number };
    outlets: { kind: string; queue: string; written?: number; behind?: number; dropped: number; lastError?: string }[];
  }> {
    return (await (await fetch(`${this.url}/-/status`, { signal: AbortSignal.timeout(10_000) })).json()) as Awaited<
      ReturnType<OutletsWorld['status']>
    >;
  }

  /** Capture has published everything up to now. */
  async told(): Promise<void> {
    const now = Date.now();
    await until('everything up to now is told', async () => (await this.status()).capture.asOf >= now);
  }

  async run(...statements: string[]): Promise<void> {
    for (const statement of statements) await this.#mysql.query(statement);
  }

  async execute(statement: string, values: (string | number | null)[]): Promise<number> {
    const [result] = await this.#mysql.execute(statement, values);
    return (result as { affectedRows: number }).affectedRows;
  }

  /** The table as MySQL has it, by id, each value as its text. */
  async rows(): Promise<Record<string, Record<string, string | null>>> {
    const [rows] = await this.#mysql.query<RowDataPacket[]>(
      'SELECT CAST(id AS CHAR) id, v, CAST(n AS CHAR) n, note FROM items ORDER BY items.id',
    );
    return Object.fromEntries(rows.map((row) => [String(row['id']), { ...row } as Record<string, string | null>]));
  }

  /** Inserts, updates, deletes and changes of keys, some in transactions, some rolled back. @returns events there must be. */
  async workload(seed: number, steps: number): Promise<number> {
    const random = new Random(seed);
    let changes = 0;
    for (let step = 0; step < steps; step += 1) {
      const count = random.chance(0.3) ? 1 + random.below(6) : 1;
      const isRolledBack = random.chance(0.1);
      await this.run('START TRANSACTION');
      let inIt = 0;
      for (let at = 0; at < count; at += 1) inIt += await this.#change(random);
      await this.run(isRolledBack ? 'ROLLBACK' : 'COMMIT');
      if (!isRolledBack) changes += inIt;
    }
    return changes;
  }

  async #change(random: Random): Promise<number> {
    const id = () => 1 + random.below(60);
    const text = () =>
      random.chance(0.2) ? null : random.pick(TEXTS) + (random.chance(0.5) ? '' : `'${random.next()}`);
    const number = () => (random.chance(0.2) ? null : String(random.below(2 ** 53)));
    const values = () => [text(), number(), text(), text()?.slice(0, 20) ?? null];
    switch (random.below(5)) {
      case 0:
      case 1:
        // A row that changes nothing is in no binlog, and counts as none; an upsert that updates counts as two.
        return Math.min(
          1,
          await this.execute(
            'INSERT INTO items VALUES (?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE v = VALUES(v), note = NULL',
            [id(), ...values()],
          ),
        );
      case 2:
        return await this.execute('UPDATE items SET v = ?, n = ?, note = ?, secret = ? WHERE id = ?', [
          ...values(),
          id(),
        ]);
      case 3:
        return await this.execute('DELETE FROM items WHERE id = ?', [id()]);
      default:
        // Of the key. There may be a row of that id.
        return await this.execute('UPDATE IGNORE items SET id = ? WHERE id = ?', [id(), id()]);
    }
  }

  /** As another project would. @param between waits before each ack; one at a time then. */
  async consume(queue: string, between?: () => Promise<void>): Promise<Consumer> {
    const consumer = new Consumer();
    const { channel, close } = await this.#broker.openChannel();
    if (between !== undefined) await channel.prefetch(1);
    await channel.consume(queue, (message) => {
      if (message === null) return;
      consumer.take(message);
      if (between === undefined) channel.ack(message);
      else void between().then(() => channel.ack(message));
    });
    consumer.stop = close;
    return consumer;
  }
}

export class Consumer {
  /** As they came. */
  readonly texts: string[] = [];
  readonly events: ToldEvent[] = [];
  readonly routingKeys: string[] = [];
  stop: () => Promise<void> = () => Promise.resolve();

  take({ content, fields }: Pick<ConsumeMessage, 'content' | 'fields'>): void {
    this.texts.push(content.toString('utf8'));
    this.events.push(JSON.parse(content.toString('utf8')) as ToldEvent);
    this.routingKeys.push(fields.routingKey);
  }

  get ofRows(): ToldEvent[] {
    return this.events.filter(({ eventType }) => eventType !== 'RELOAD');
  }

  async has(count: number, withinMs?: number): Promise<void> {
    await until(`${count} events of rows`, () => this.ofRows.length >= count, withinMs).catch((error: unknown) => {
      throw new Error(`${String(error)}: there are ${this.ofRows.length}`);
    });
  }
}

/** The rows, made of events alone; one that is older than what is known of its row is passed over. */
export function copyOf(events: Iterable<ToldEvent>): Record<string, Record<string, string | null>> {
  const rows = new Map<string, Record<string, string | null>>();
  let newest = '';
  for (const { eventType, before, after: row, version } of events) {
    // Versions grow over all rows; what comes again after a crash is older than what was seen.
    if (eventType === 'RELOAD' || version <= newest) continue;
    newest = version;
    const id = String(row['id']);
    if (eventType === 'DELETE') rows.delete(id);
    else {
      if (before !== '' && before['id'] !== row['id']) rows.delete(String(before['id']));
      rows.set(id, { ...row });
    }
  }
  return Object.fromEntries([...rows].toSorted(([a], [b]) => Number(a) - Number(b)));
}
