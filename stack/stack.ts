// All of the servers that ringfill lives between: started side by side, stopped in reverse order.

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { startMysql, type MysqlServer } from './mysql.ts';
import type { OnProgress } from './progress.ts';
import { startRabbitmq, type RabbitmqServer } from './rabbitmq.ts';
import { startRedis, type RedisServer } from './redis.ts';

/** Where each server listens; what is missing is chosen. */
export interface StackPorts {
  readonly mysql?: number;
  readonly primary?: readonly number[];
  readonly fallback?: readonly number[];
  readonly rabbitmq?: { readonly amqp: number; readonly distribution: number; readonly epmd: number };
}

export const demoPorts = {
  mysql: 13306,
  primary: [16381, 16382, 16383],
  fallback: [16391, 16392],
  rabbitmq: { amqp: 15673, distribution: 15674, epmd: 15675 },
} satisfies StackPorts;

/** The same stack elsewhere: MySQL on `base`, the others close behind. */
export function portsFrom(base: number): Required<StackPorts> {
  return {
    mysql: base,
    primary: [base + 1, base + 2, base + 3],
    fallback: [base + 4, base + 5],
    rabbitmq: { amqp: base + 6, distribution: base + 7, epmd: base + 8 },
  };
}

export interface StackOptions {
  readonly folder: string;
  /** Every server on a port chosen for it, the demo's, or given ones. */
  readonly ports: 'free' | 'demo' | StackPorts;
  readonly redis: { readonly primary: number; readonly fallback: number };
  /** Without it the sync worker's broker is not started. */
  readonly rabbitmq?: boolean;
  readonly mysqlArgs?: readonly string[];
  /** What to do about a port that is taken. */
  readonly portAdvice?: string;
  readonly onProgress?: OnProgress | undefined;
  /** Aborted while the servers start, it stops them again. */
  readonly signal?: AbortSignal | undefined;
}

export interface Shard {
  /** r1, r2, … in the primary ring, f1, f2, … in the fallback. */
  readonly name: string;
  readonly ring: 'primary' | 'fallback';
  readonly server: RedisServer;
}

export interface Stack {
  readonly folder: string;
  readonly mysql: MysqlServer;
  readonly shards: readonly Shard[];
  readonly rabbitmq: RabbitmqServer | undefined;
  stop(): Promise<void>;
}

interface Stoppable {
  stop(): Promise<void>;
}

/** Rejects with the error of the server that failed first, once everything that had been started is stopped again. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { onProgress, portAdvice } = options;
  const folder = path.resolve(options.folder);
  const ports: StackPorts = options.ports === 'free' ? {} : options.ports === 'demo' ? demoPorts : options.ports;
  await mkdir(folder, { recursive: true });
  // One that fails calls off the others: nobody wants to wait for a broker before hearing of a port that is taken.
  const failure = new AbortController();
  const signal = AbortSignal.any([failure.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const common = { folder, onProgress, signal, ...(portAdvice === undefined ? {} : { portAdvice }) };
  const started: Stoppable[] = [];
  const keep = async <Server extends Stoppable>(starting: Promise<Server>): Promise<Server> => {
    try {
      const server = await starting;
      started.push(server);
      return server;
    } catch (error) {
      failure.abort(error);
      throw error;
    }
  };
  const announce = (server: string, detail: string): void =>
    onProgress?.({ kind: 'starting', server, detail: `starting${detail}` });

  const names = [
    ...namesOf('primary', 'r', options.redis.primary, ports.primary),
    ...namesOf('fallback', 'f', options.redis.fallback, ports.fallback),
  ];
  announce('mysql', '');
  for (const { name, ring } of names) announce(name, ` (Redis, ${ring} ring)`);
  const mysql = keep(startMysql({ ...common, port: ports.mysql, args: options.mysqlArgs ?? [] }));
  const shards = names.map(async ({ name, ring, port }): Promise<Shard> => {
    return { name, ring, server: await keep(startRedis({ ...common, name, port })) };
  });
  const rabbitmq = options.rabbitmq === false ? undefined : keep(startBroker());

  async function startBroker(): Promise<RabbitmqServer> {
    announce('rabbitmq', '');
    const { amqp, distribution, epmd } = ports.rabbitmq ?? {};
    return await startRabbitmq({ ...common, port: amqp, distributionPort: distribution, epmdPort: epmd });
  }

  const stop = async (): Promise<void> => {
    // Side by side: none of these servers needs another one to stop.
    await Promise.all(
      started
        .splice(0)
        .toReversed()
        .map(async (server) => await server.stop()),
    );
  };
  const outcomes = await Promise.allSettled([mysql, rabbitmq, ...shards]);
  if (outcomes.some(({ status }) => status === 'rejected')) {
    await stop();
    throw signal.reason;
  }
  return { folder, mysql: await mysql, shards: await Promise.all(shards), rabbitmq: await rabbitmq, stop };
}

function namesOf(
  ring: 'primary' | 'fallback',
  initial: string,
  count: number,
  ports: readonly number[] | undefined,
): { name: string; ring: 'primary' | 'fallback'; port: number | undefined }[] {
  return Array.from({ length: count }, (_, index) => {
    return { name: `${initial}${String(index + 1)}`, ring, port: ports?.[index] };
  });
}
