// A private Redis Sentinel that watches over one group. It decides alone.

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { askPort } from './ask-port.ts';
import { loopback, onPort } from './ports.ts';
import type { OnProgress } from './progress.ts';
import { needServer } from './server-binaries.ts';
import { ServerProcess } from './server-process.ts';

export interface SentinelOptions {
  /** Where its folder, named after it, is made. */
  readonly folder: string;
  /** `sentinel` if it is missing. */
  readonly name?: string;
  /** What clients ask it for. */
  readonly group: string;
  readonly primaryPort: number;
  /** Quiet for so long, the primary counts as dead. ms. */
  readonly downAfterMs: number;
  /** Further redis-server arguments. */
  readonly args?: readonly string[];
  readonly onProgress?: OnProgress | undefined;
  /** Aborted while it starts, it gives up. */
  readonly signal?: AbortSignal | undefined;
}

export async function startSentinel(options: SentinelOptions): Promise<ServerProcess> {
  const file = await needServer('redis');
  return await onPort(undefined, async (port) => await sentinelOn(file, port, options).start());
}

function sentinelOn(file: string, port: number, options: SentinelOptions): ServerProcess {
  const { group, primaryPort, downAfterMs } = options;
  const name = options.name ?? 'sentinel';
  const folder = path.resolve(options.folder, name);
  // It keeps its state in its configuration file, and does not start without one that it may write.
  const configFile = path.join(folder, 'sentinel.conf');
  const settings = [
    `monitor ${group} ${loopback} ${String(primaryPort)} 1`,
    `down-after-milliseconds ${group} ${String(downAfterMs)}`,
    `failover-timeout ${group} 5000`,
  ];
  return new ServerProcess({
    kind: 'redis',
    name,
    host: loopback,
    port,
    folder,
    claims: [{ port, wantedBy: `Sentinel ${name}`, advice: 'Stop that process, or choose another port.' }],
    readyWithinMs: 20_000,
    stopWithinMs: 5_000,
    onProgress: options.onProgress,
    signal: options.signal,
    prepare: async () => await writeFile(configFile, settings.map((setting) => `sentinel ${setting}\n`).join('')),
    command: () => ({
      file,
      args: [
        configFile,
        '--sentinel',
        '--port',
        String(port),
        '--bind',
        loopback,
        '--dir',
        folder,
        ...(options.args ?? []),
      ],
    }),
    askIfReady: async () => {
      await askPort({
        host: loopback,
        port,
        send: 'PING\r\n',
        isAnswered: (bytes) => bytes.toString().startsWith('+PONG'),
        timeoutMs: 2_000,
      });
    },
  });
}
