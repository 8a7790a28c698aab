/**
 * Where a section measures: real servers (those of the drills' ground), a database of its own in them, and whatever it starts
 * besides, which is stopped with it.
 */
import { join } from 'node:path';
import type { Pool } from 'mysql2/promise';
import type { Ground, GroundShard } from '../drills/harness/ground.ts';
import { createDatabase, dropQueues } from './database.ts';
import { type Cores, pin } from './processor.ts';

export interface BenchWorldOptions {
  readonly ground: Ground;
  readonly cores: Cores;
  /** Of its database. */
  readonly name: string;
  readonly folder: string;
  readonly seed: number;
  /** Aborted, everything that is under way ends. */
  readonly signal: AbortSignal;
  /** A line for whoever waits. */
  readonly say: (line: string) => void;
}

interface Stoppable {
  stop(): Promise<void>;
}

export class BenchWorld {
  readonly ground: Ground;
  readonly cores: Cores;
  readonly db: string;
  readonly folder: string;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
  readonly admin: Pool;
  readonly #started: Stoppable[] = [];
  readonly #installed: object[] = [];

  private constructor({ ground, cores, name, folder, seed, signal, say }: BenchWorldOptions) {
    this.ground = ground;
    this.cores = cores;
    this.db = `bench_${name}`;
    this.folder = join(folder, name);
    this.seed = seed;
    this.signal = signal;
    this.say = say;
    this.admin = ground.admin();
  }

  static async open(options: BenchWorldOptions): Promise<BenchWorld> {
    const world = new BenchWorld(options);
    const { mysql, rabbitmq, shards } = world.ground;
    for (const { pid } of [mysql, rabbitmq, ...shards.map(({ server }) => server)]) {
      await pin(pid, world.cores.servers);
    }
    await createDatabase(world.admin, world.db);
    return world;
  }

  /** Those that hold what is cached; the fallback ring has its own. */
  get primary(): readonly GroundShard[] {
    return this.ground.shards.filter(({ ring }) => ring === 'primary');
  }

  /** Stopped with the world, the last first. */
  keep<Started extends Stoppable>(started: Started): Started {
    this.#started.push(started);
    return started;
  }

  /** Its queues go with the world. */
  installed(configuration: object): void {
    this.#installed.push(configuration);
  }

  /** Again and again is fine. */
  async close(): Promise<void> {
    for (const one of this.#started.splice(0).toReversed()) await one.stop();
    await this.admin.end();
  }

  /** The servers are as the next section wants to find them. */
  async clean(): Promise<void> {
    const admin = this.ground.admin();
    await admin.query(`DROP DATABASE IF EXISTS ${this.db}`);
    await admin.end();
    for (const configuration of this.#installed.splice(0)) await dropQueues(configuration);
    await this.ground.mend();
  }
}
