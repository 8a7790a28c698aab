// The two files that the demo writes for others: the gateway's configuration, and where everything is.

import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import type { DemoServer } from './demo-data/demo-table.ts';
import { demoAccount } from './demo-data/load.ts';
import { demoTables } from './demo-data/demo-tables.ts';
import type { RingfillProcess } from './ringfill-process.ts';
import { loopback } from './ports.ts';
import type { Stack } from './stack.ts';

export interface DemoServers {
  readonly mysql: DemoServer & { readonly host: string; readonly port: number };
  readonly shards: readonly {
    readonly name: string;
    readonly ring: string;
    readonly server: { readonly url: string };
  }[];
  readonly rabbitmq?: { readonly url: string } | undefined;
}

/** Where the gateway and the sync worker listen. */
export interface DemoPorts {
  readonly gateway: number;
  readonly syncWorker: number;
}

/** The configuration for the demo's servers and tables, as an object that YAML can say. Without a broker there is no sync. */
export function demoConfiguration(
  { mysql, shards, rabbitmq }: DemoServers,
  ports: DemoPorts,
  stateFolder: string,
): Record<string, unknown> {
  const rings = (['primary', 'fallback'] as const).map((ring) => ({
    name: ring,
    shards: Object.fromEntries(
      shards.filter((shard) => shard.ring === ring).map(({ name, server }) => [name, server.url]),
    ),
  }));
  const tables = demoTables
    .filter((table) => table.isSupportedBy?.(mysql) ?? true)
    .map(({ database, name, deny, isMirrored }) => [
      `${database}.${name}`,
      {
        ...(isMirrored && rabbitmq !== undefined && { mode: 'mirror' }),
        ...(deny !== undefined && { columns: { deny } }),
      },
    ]);
  return {
    http: { host: loopback, port: ports.gateway },
    origin: {
      url: `mysql://${demoAccount.user}:${demoAccount.password}@${mysql.host}:${String(mysql.port)}`,
    },
    rings: rings.filter(({ shards: members }) => Object.keys(members).length > 0),
    ...(rabbitmq === undefined ? {} : { sync: { broker: { url: rabbitmq.url }, stateFolder, port: ports.syncWorker } }),
    tables: Object.fromEntries(tables) as Record<string, unknown>,
  };
}

export function writeConfiguration(file: string, configuration: Record<string, unknown>): void {
  writeWhole(file, `# Written by the demo at every start: copy it before you change it.\n${stringify(configuration)}`);
}

/** What scripts and operators find in stack.json. */
export function stackDescription(
  stack: Stack,
  gateway: RingfillProcess,
  syncWorker: RingfillProcess,
): Record<string, unknown> {
  const { mysql, shards, rabbitmq } = stack;
  return {
    gateway: { url: gateway.url, pid: gateway.pid },
    syncWorker: { url: syncWorker.url, pid: syncWorker.pid },
    mysql: {
      host: mysql.host,
      port: mysql.port,
      socket: mysql.socket,
      user: mysql.user,
      password: mysql.password,
      pid: mysql.pid,
    },
    redis: shards.map(({ name, ring, server }) => {
      return { shard: name, ring, host: server.host, port: server.port, pid: server.pid };
    }),
    ...(rabbitmq === undefined ? {} : { rabbitmq: { url: rabbitmq.url, pid: rabbitmq.pid } }),
  };
}

export function writeStackDescription(file: string, description: Record<string, unknown>): void {
  writeWhole(file, `${JSON.stringify(description, undefined, 2)}\n`);
}

export function removeStackDescription(file: string): void {
  rmSync(file, { force: true });
}

/** A reader sees the file as it was or as it is, never half of it. */
function writeWhole(file: string, content: string): void {
  const draft = `${file}.${String(process.pid)}`;
  writeFileSync(draft, content);
  renameSync(draft, file);
}
