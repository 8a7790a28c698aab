/** ringfill as a user has it: a sync worker and gateways over the ground's servers, every setting at its default but those given. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RowDataPacket } from 'mysql2/promise';
import { Redis } from 'ioredis';
import { parseConfig } from '../../shared/config/load.ts';
import type { Config } from '../../shared/config/schema.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import { decodeStamp } from '../../shared/stamp/stamp.ts';
import { fileNumber, type LogPosition } from '../../shared/version/version.ts';
import { demoAccount } from '../../stack/demo-data/load.ts';
import { onPort } from '../../stack/ports.ts';
import {
  type RingfillOptions,
  type RingfillProcess,
  startGateway,
  startSyncWorker,
} from '../../stack/ringfill-process.ts';
import type { BenchWorld } from './bench-world.ts';
import { pin } from './processor.ts';

export interface InstallationOptions {
  readonly world: BenchWorld;
  /** Of its keys and queues. */
  readonly name: string;
  /** As in the configuration, by `db.table`. */
  readonly tables: Readonly<Record<string, object>>;
  /** Further settings of the configuration's top level. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** False: rows live by their TTL. */
  readonly isSynced?: boolean;
  /** Further settings of `sync`. */
  readonly sync?: Readonly<Record<string, unknown>>;
}

/** Added to the environment, and to the command. */
export type ProcessOptions = Pick<RingfillOptions, 'env' | 'args'>;

const LOOK_EVERY_MS = 20;

export class Installation {
  readonly keyPrefix: string;
  readonly #options: InstallationOptions;
  readonly #shards: readonly Redis[];

  constructor(options: InstallationOptions) {
    const { world, name } = options;
    this.#options = options;
    this.keyPrefix = `${name}:`;
    this.#shards = world.ground.shards.map(({ server: { host, port } }) => {
      // Some sections kill one; it comes back.
      return new Redis({ host, port }).on('error', () => undefined);
    });
    world.keep({ stop: async () => this.#shards.forEach((shard) => shard.disconnect()) });
    world.installed(this.#configuration(0, 0));
  }

  /** With every default that was not said otherwise. */
  get config(): Config {
    return parseConfig(JSON.stringify(this.#configuration(0, 0)), 'bench');
  }

  get originUrl(): string {
    const { host, port } = this.#options.world.ground.mysql;
    return `mysql://${demoAccount.user}:${demoAccount.password}@${host}:${port}`;
  }

  /** On the servers' core. */
  async startWorker(): Promise<RingfillProcess> {
    const { world } = this.#options;
    const worker = await this.#start('worker', {}, (port) => this.#configuration(0, port));
    await pin(worker.pid, world.cores.servers);
    return worker;
  }

  /** On the measured core. @param settings of this gateway alone. @param more what its process is started with. */
  async startGateway(
    name: string,
    settings: Readonly<Record<string, unknown>> = {},
    more: ProcessOptions = {},
  ): Promise<RingfillProcess> {
    const { world } = this.#options;
    const gateway = await this.#start(name, more, (port) => ({ ...this.#configuration(port, 0), ...settings }));
    await pin(gateway.pid, [world.cores.peer]);
    return gateway;
  }

  /** Where the binlog ends now. */
  async binlogEnd(): Promise<LogPosition> {
    const [[row]] = await this.#options.world.admin.query<RowDataPacket[]>('SHOW MASTER STATUS');
    return { file: String(row?.['File']), position: Number(row?.['Position']) };
  }

  /** Settles when every shard's stamp says that all up to there has been applied. */
  async appliedUpTo(end: LogPosition): Promise<void> {
    while ((await this.leastStamp()) < placeOf(end)) await this.wait(LOOK_EVERY_MS);
  }

  /** The place in the binlog up to which every shard has heard of all, as `placeOf` writes it; empty before the first stamp. */
  async leastStamp(): Promise<string> {
    const stamps = await Promise.all(this.#shards.map((shard) => shard.getBuffer(stampKey(this.keyPrefix))));
    const places = stamps.map((stored) => (stored === null ? '' : (decodeStamp(stored)?.to.slice(10, 35) ?? '')));
    return places.toSorted()[0] ?? '';
  }

  async wait(milliseconds: number): Promise<void> {
    this.#options.world.signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
  }

  async #start(
    name: string,
    more: ProcessOptions,
    configurationOn: (port: number) => object,
  ): Promise<RingfillProcess> {
    const { world } = this.#options;
    const folder = join(world.folder, this.#options.name);
    mkdirSync(join(folder, name), { recursive: true });
    const configFile = join(folder, name, 'ringfill.yml');
    const start = name === 'worker' ? startSyncWorker : startGateway;
    const started = await onPort(undefined, async (port) => {
      writeFileSync(configFile, JSON.stringify(configurationOn(port)));
      return await start({ folder, name, port, configFile, ...more, signal: world.signal });
    });
    return world.keep(started);
  }

  #configuration(gatewayPort: number, workerPort: number): object {
    const { world, name, tables, settings, isSynced, sync } = this.#options;
    const { ground } = world;
    const ringOf = (ring: string) => ({
      name: ring,
      shards: Object.fromEntries(
        ground.shards.filter((shard) => shard.ring === ring).map(({ name: shard, server }) => [shard, server.url]),
      ),
    });
    return {
      http: { port: gatewayPort },
      origin: { url: this.originUrl },
      rings: [ringOf('primary'), ringOf('fallback')],
      keyPrefix: this.keyPrefix,
      tables,
      ...(isSynced === false
        ? {}
        : {
            sync: {
              name: `${world.db}_${name}`,
              broker: { url: ground.rabbitmq.url },
              stateFolder: join(world.folder, name, 'state'),
              port: workerPort,
              ...sync,
            },
          }),
      ...settings,
    };
  }
}

/** Compared as text, as versions are. */
export function placeOf({ file, position }: LogPosition): string {
  return String(fileNumber(file)).padStart(10, '0') + String(position).padStart(15, '0');
}
