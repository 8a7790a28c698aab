/** twemproxy before the three Redis, where it is installed. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { askPort } from '../../stack/ask-port.ts';
import { chooseFreePort, loopback } from '../../stack/ports.ts';
import type { PeerProgram } from './start-peer.ts';

/** Debian's package nutcracker; its command is named after the package. */
export const TWEMPROXY = 'nutcracker';

export function isTwemproxyInstalled(): boolean {
  return spawnSync(TWEMPROXY, ['--version'], { stdio: 'ignore' }).error === undefined;
}

export interface TwemproxyOptions {
  readonly name: string;
  readonly shards: readonly { readonly name: string; readonly server: { readonly port: number } }[];
}

export async function twemproxyProgram({ name, shards }: TwemproxyOptions): Promise<PeerProgram> {
  const statsPort = await chooseFreePort();
  const servers = shards.map((shard) => `    - ${loopback}:${shard.server.port}:1 ${shard.name}\n`).join('');
  return {
    name,
    command: (port, folder) => {
      mkdirSync(folder, { recursive: true });
      const file = join(folder, 'nutcracker.yml');
      writeFileSync(
        file,
        `ringfill:\n  listen: ${loopback}:${port}\n  redis: true\n  hash: md5\n  distribution: ketama\n  servers:\n${servers}`,
      );
      return { file: TWEMPROXY, args: ['-c', file, '-s', String(statsPort), '-a', loopback] };
    },
    askIfReady: async (port) => {
      const send = '*2\r\n$3\r\nGET\r\n$1\r\nx\r\n';
      await askPort({
        host: loopback,
        port,
        send,
        isAnswered: (bytes) => bytes.toString() === '$-1\r\n',
        timeoutMs: 2_000,
      });
    },
  };
}
