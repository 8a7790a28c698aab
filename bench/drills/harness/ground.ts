/**
 * The servers that the drills do their harm to: real ones on private ports, started once, and made whole again between
 * two drills.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createPool, type Pool } from 'mysql2/promise';
import { demoAccount } from '../../../stack/demo-data/load.ts';
import type { MysqlServer } from '../../../stack/mysql.ts';
import type { OnProgress } from '../../../stack/progress.ts';
import type { RabbitmqServer } from '../../../stack/rabbitmq.ts';
import { type RedisServer, startRedis } from '../../../stack/redis.ts';
import type { ServerProcess } from '../../../stack/server-process.ts';
import { type Stack, startStack } from '../../../stack/stack.ts';

export type RingName = 'primary' | 'fallback';

export interface GroundShard {
  /** r1, r2, … in the primary ring, f1, f2, … in the fallback. */
  readonly name: string;
  readonly ring: RingName;
  readonly server: RedisServer;
  /** Of its next start; none after a drill. */
  readonly args: string[];
}

export interface GroundOptions {
  /** Kept short by the caller: sockets lie below it. */
  readonly folder: string;
  readonly shards: Readonly<Record<RingName, number>>;
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal;
}

export class Ground {
  readonly folder: string;
  readonly mysql: MysqlServer;
  readonly rabbitmq: RabbitmqServer;
  readonly shards: readonly GroundShard[];
  readonly #stack: Stack;

  private constructor(folder: string, stack: Stack, rabbitmq: RabbitmqServer, shards: readonly GroundShard[]) {
    this.folder = folder;
    this.#stack = stack;
    this.mysql = stack.mysql;
    this.rabbitmq = rabbitmq;
    this.shards = shards;
  }

  /** Rejects with what failed, once everything that had been started is stopped again. */
  static async start({ folder, shards, onProgress, signal }: GroundOptions): Promise<Ground> {
    const started: GroundShard[] = [];
    let stack: Stack | undefined;
    try {
      stack = await startStack({ folder, ports: 'free', redis: { primary: 0, fallback: 0 }, onProgress, signal });
      for (const [ring, initial] of [
        ['primary', 'r'],
        ['fallback', 'f'],
      ] as const) {
        for (let index = 1; index <= shards[ring]; index += 1) {
          const name = `${initial}${index}`;
          const args: string[] = [];
          started.push({ name, ring, args, server: await startRedis({ folder, name, args, onProgress, signal }) });
        }
      }
      if (stack.rabbitmq === undefined) throw new Error('the stack has started without RabbitMQ');
      const ground = new Ground(folder, stack, stack.rabbitmq, started);
      const admin = ground.admin();
      for (const from of ['127.0.0.1', 'localhost']) {
        await admin.query(`CREATE USER '${demoAccount.user}'@'${from}' IDENTIFIED BY '${demoAccount.password}'`);
        await admin.query(`GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '${demoAccount.user}'@'${from}'`);
      }
      await admin.end();
      return ground;
    } catch (error) {
      await Promise.all([...started.map(({ server }) => server.stop()), stack?.stop()]);
      throw error;
    }
  }

  admin(): Pool {
    const { host, port } = this.mysql;
    return createPool({ host, port, user: 'root', connectionLimit: 4 });
  }

  /** Every server runs; every Redis is empty, and has the settings that it was started with first. */
  async mend(): Promise<void> {
    const running = async (server: ServerProcess) => {
      server.kill('SIGCONT');
      if (!server.running) await server.restart();
    };
    await Promise.all([running(this.mysql), running(this.rabbitmq), ...this.shards.map((shard) => emptied(shard))]);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.shards.map(({ server }) => server.stop()), this.#stack.stop()]);
  }
}

async function emptied({ server, args }: GroundShard): Promise<void> {
  args.length = 0;
  rmSync(join(server.folder, 'dump.rdb'), { force: true });
  await server.restart();
}
