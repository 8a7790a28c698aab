/** A peer's process, on the measured core: it ends with the world, and with whoever runs the bench. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchWorld } from '../harness/bench-world.ts';
import { pin } from '../harness/processor.ts';
import { loopback, onPort } from '../../stack/ports.ts';
import { ServerProcess } from '../../stack/server-process.ts';

export interface PeerProgram {
  readonly name: string;
  /** The command that listens on the port. */
  readonly command: (port: number, folder: string) => { readonly file: string; readonly args: readonly string[] };
  /** Rejects while it is not up. */
  readonly askIfReady: (port: number) => Promise<void>;
}

const READY_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 5_000;

export async function startPeer(world: BenchWorld, program: PeerProgram): Promise<ServerProcess> {
  const { name, command, askIfReady } = program;
  const folder = join(world.folder, name);
  const started = await onPort(undefined, async (port) => {
    return await new ServerProcess({
      kind: 'peer',
      name,
      host: loopback,
      port,
      folder,
      claims: [{ port, wantedBy: name, advice: '' }],
      readyWithinMs: READY_WITHIN_MS,
      stopWithinMs: STOP_WITHIN_MS,
      signal: world.signal,
      prepare: async () => undefined,
      command: () => command(port, folder),
      askIfReady: () => askIfReady(port),
    }).start();
  });
  world.keep(started);
  await pin(started.pid, [world.cores.peer]);
  return started;
}

/** One of the programs beside this file. @param settings in a file, for they may hold a password. */
export function startNodePeer(
  world: BenchWorld,
  name: string,
  script: 'constant.ts' | 'one-get.ts' | 'naive-fill.ts' | 'one-select.ts',
  settings: object,
): Promise<ServerProcess> {
  return startPeer(world, {
    name,
    command: (port, folder) => {
      mkdirSync(folder, { recursive: true });
      const file = join(folder, 'settings.json');
      writeFileSync(file, JSON.stringify({ ...settings, port }));
      return { file: process.execPath, args: [join(import.meta.dirname, script), file] };
    },
    askIfReady: isLive,
  });
}

export async function isLive(port: number): Promise<void> {
  const answer = await fetch(`http://${loopback}:${port}/-/live`, { signal: AbortSignal.timeout(2_000) });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`/-/live says ${answer.status}`);
}
