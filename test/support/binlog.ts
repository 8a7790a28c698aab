/** A BinlogReader for tests: collects what it reads, and lets a test wait for it. All are stopped when the file ends. */
import { after } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { binlogEndQuery } from '../../shared/origin/origin-identity.ts';
import { sqlServerOf } from '../../shared/origin/server-version.ts';
import type { LogPosition } from '../../shared/version/version.ts';
import type { BinlogEvent } from '../../sync-worker/capture/binlog/binlog-event.ts';
import { BinlogLost } from '../../sync-worker/capture/binlog/binlog-lost.ts';
import { BinlogReader, type BinlogReaderOptions } from '../../sync-worker/capture/binlog/binlog-reader.ts';
import { mysqlUrl } from './least-privilege.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** As root, in UTC, without an SQL mode; several statements at once. */
export async function rootConnection({ host, port }: Address): Promise<Connection> {
  const connection = await createConnection({ host, port, user: 'root', charset: 'utf8mb4', multipleStatements: true });
  // Servers are killed under it.
  connection.on('error', () => undefined);
  await connection.query("SET time_zone = '+00:00', sql_mode = ''");
  return connection;
}

export async function binlogEnd(connection: Connection): Promise<LogPosition> {
  const [[{ version }]] = (await connection.query('SELECT VERSION() AS version')) as unknown as [[{ version: string }]];
  const [rows] = await connection.query<RowDataPacket[]>(binlogEndQuery(sqlServerOf(version)));
  return { file: String(rows[0]?.['File']), position: Number(rows[0]?.['Position']) };
}

export type FollowOptions = Partial<BinlogReaderOptions> & Pick<BinlogReaderOptions, 'from'>;

const followings = new Set<Following>();
after(() => Promise.all([...followings].map((following) => following.stop())));

let serverIds = 900_000 + (process.pid % 50_000);

export class Following {
  readonly events: BinlogEvent[] = [];
  readonly reader: BinlogReader;
  /** What ended it; nothing after `stop()`. */
  readonly ended: Promise<BinlogLost | undefined>;
  #isEnded = false;
  #changed = Promise.withResolvers<void>();
  #held: Promise<void> | undefined;

  constructor({ host, port }: Address, options: FollowOptions) {
    serverIds += 1;
    this.reader = new BinlogReader({
      url: mysqlUrl({ host, port }),
      serverId: serverIds,
      follows: () => true,
      bufferBytesMax: 1_000_000,
      heartbeatMs: 200,
      silenceMs: 2_000,
      ...options,
    });
    followings.add(this);
    this.ended = this.#run();
  }

  async #run(): Promise<BinlogLost | undefined> {
    try {
      for await (const event of this.reader.events()) {
        this.events.push(event);
        this.#tell();
        await this.#held;
      }
      return undefined;
    } catch (error) {
      if (error instanceof BinlogLost) return error;
      throw error;
    } finally {
      this.#isEnded = true;
      this.#tell();
    }
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** The first event, from the `after`th on, of which it is true. Fails where the reading ends before. */
  async until(isMeant: (event: BinlogEvent) => boolean, after = 0): Promise<BinlogEvent> {
    for (let at = after; ;) {
      for (; at < this.events.length; at += 1) {
        const event = this.events[at] as BinlogEvent;
        if (isMeant(event)) return event;
      }
      if (this.#isEnded) {
        const lost = await this.ended;
        throw new Error(`the reading ended: ${lost?.reason} ${lost?.message}`, { cause: lost });
      }
      await this.#changed.promise;
    }
  }

  /** From the next event on nothing is taken, until what is returned is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return () => {
      this.#held = undefined;
      resolve();
    };
  }

  async untilPaused(): Promise<void> {
    while (!this.reader.paused) await setTimeout(5);
  }

  async stop(): Promise<void> {
    await this.reader.stop();
    await this.ended;
  }
}
