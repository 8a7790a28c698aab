// `npm start`: everything on this machine, from nothing.
//
//   servers installed -> stack up -> demo data -> configuration -> gateway ready -> stack.json -> wait
//   Ctrl-C, SIGTERM, a failure at any step, or the gateway's end: what was started is stopped, the last first

import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadDemoData } from './demo-data/load.ts';
import {
  demoConfiguration,
  removeStackDescription,
  stackDescription,
  writeConfiguration,
  writeStackDescription,
} from './demo-files.ts';

import { ensureServers, ServersNotInstalled } from './install-servers.ts';
import { PortNotAllowed, PortTaken, requireFree } from './ports.ts';
import { printTo, seconds, type OnProgress } from './progress.ts';
import { ServerMissing } from './server-binaries.ts';
import { ServerStartFailed, type ServerExit } from './server-process.ts';
import { FolderInUse } from './server-record.ts';
import { startGateway, startSyncWorker, type RingfillProcess } from './ringfill-process.ts';
import { demoPorts, portsFrom, startStack, type Stack } from './stack.ts';

export interface DemoOptions {
  /** Of the gateway; 8080 if it is missing. */
  readonly port?: number | undefined;
  /** The servers' ports begin here; the demo's usual ones if it is missing. */
  readonly basePort?: number | undefined;
  /** Where everything is kept; `.ringfill` in the working folder if it is missing. */
  readonly folder?: string | undefined;
  readonly onProgress?: OnProgress | undefined;
}

// In a clone this file is TypeScript; in the published package it is compiled, and npm's scripts are not there.
const inClone = path.extname(fileURLToPath(import.meta.url)) === '.ts';
const command = inClone ? 'npm start --' : 'ringfill demo';
const serverPortAdvice = `Stop that process, or choose other ports: ${command} --base-port 23306`;
const gatewayPortAdvice = `Stop that process, or choose another one: ${command} --port 8081`;

type Ending = { kind: 'asked' } | { kind: 'gateway ended'; exit: ServerExit };

/** Runs until it is told to stop, and stops what it started. The exit code: 0 if it was asked to, 1 if something failed. */
export async function runDemo(options: DemoOptions = {}): Promise<number> {
  const onProgress = options.onProgress ?? printTo(process.stdout);
  const note = (text: string): void => onProgress({ kind: 'note', text });
  const folder = path.resolve(options.folder ?? '.ringfill');
  const descriptionFile = path.join(folder, 'stack.json');
  const configFile = path.join(folder, 'ringfill.yml');
  const startedAt = performance.now();
  const asked = listenForStop();
  const { signal } = asked;
  // Stopped from the last to the first.
  const toStop: (() => Promise<void> | void)[] = [];

  note(`ringfill demo: real servers on private ports, everything under ${folder}. Ctrl-C stops it all.`);
  try {
    const port = options.port ?? 8080;
    const syncWorkerPort = port + 1;
    // Needed last and taken most often: better heard of first.
    await requireFree([
      { port, wantedBy: 'the gateway', advice: gatewayPortAdvice },
      { port: syncWorkerPort, wantedBy: 'the sync worker', advice: gatewayPortAdvice },
    ]);
    await ensureServers(onProgress);
    signal.throwIfAborted();
    const stack = await startStack({
      folder,
      ports: options.basePort === undefined ? demoPorts : portsFrom(options.basePort),
      redis: { primary: 3, fallback: 2 },
      portAdvice: serverPortAdvice,
      onProgress,
      signal,
    });
    toStop.push(async () => await stack.stop());
    // One that an earlier run could not take away. (Of a run that is still there, the servers would not have started.)
    removeStackDescription(descriptionFile);
    await loadDemoData(stack.mysql, onProgress);
    signal.throwIfAborted();

    const stateFolder = path.join(folder, 'state');
    writeConfiguration(
      configFile,
      demoConfiguration(stack, { gateway: port, syncWorker: syncWorkerPort }, stateFolder),
    );
    const common = { folder, configFile, portAdvice: gatewayPortAdvice, onProgress, signal };
    const syncWorker = await startSyncWorker({ ...common, port: syncWorkerPort });
    toStop.push(async () => await syncWorker.stop());
    const gateway = await startGateway({ ...common, port });
    toStop.push(async () => await gateway.stop());
    await mirrorsComplete(syncWorker, signal);
    writeStackDescription(descriptionFile, stackDescription(stack, gateway, syncWorker));
    toStop.push(() => removeStackDescription(descriptionFile));

    note(await welcome(stack, gateway, descriptionFile, performance.now() - startedAt));
    tellOfLosses(stack, syncWorker, signal, note);
    const ending = await Promise.race([
      asked.stop.then((): Ending => ({ kind: 'asked' })),
      gateway.exited.then((exit): Ending => ({ kind: 'gateway ended', exit })),
    ]);
    if (ending.kind === 'asked') return 0;
    note(`The gateway has ended (${wordsFor(ending.exit)}). The last lines of its log, ${gateway.logFile}:`);
    note(gateway.lastLines());
    return 1;
  } catch (error) {
    if (signal.aborted) return 0;
    note(`\n${wordsForFailure(error)}`);
    return 1;
  } finally {
    asked.dispose();
    if (toStop.length > 0) note('Stopping.');
    for (const stop of toStop.toReversed()) await stop();
    note('Stopped.');
  }
}

interface StopRequest {
  readonly signal: AbortSignal;
  readonly stop: Promise<void>;
  dispose(): void;
}

// A terminal, npm and the bootstrap may each pass on the same Ctrl-C: the first one counts, the others change nothing.
// 'disconnect' comes when the bootstrap has died without a word.
function listenForStop(): StopRequest {
  const aborter = new AbortController();
  const stop = Promise.withResolvers<void>();
  const onStop = (): void => {
    aborter.abort(new Error('asked to stop'));
    stop.resolve();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, onStop);
  process.on('disconnect', onStop);
  return {
    signal: aborter.signal,
    stop: stop.promise,
    dispose() {
      aborter.abort(new Error('the demo is over'));
      process.off('disconnect', onStop);
      // The signals stay handled: one that comes while things are being stopped must not cut that short.
    },
  };
}

const MIRRORS_WITHIN_MS = 30_000;

/** Its rows are there a second after the worker is; whoever is told to ask for one should find it. */
async function mirrorsComplete({ url }: RingfillProcess, signal: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + MIRRORS_WITHIN_MS;
  while (performance.now() < giveUpAt && !signal.aborted) {
    const answer = await fetch(`${url}/-/status`, { signal });
    const { mirrors = [] } = (await answer.json()) as { mirrors?: { state: string }[] };
    if (mirrors.length > 0 && mirrors.every(({ state }) => state === 'complete')) return;
    await sleep(100, undefined, { signal });
  }
}

/** A shard that somebody kills is what the demo is for: it is told, and nothing else is done about it. */
function tellOfLosses(
  stack: Stack,
  syncWorker: RingfillProcess,
  signal: AbortSignal,
  note: (text: string) => void,
): void {
  const broker = stack.rabbitmq === undefined ? [] : [stack.rabbitmq];
  const servers = [stack.mysql, ...stack.shards.map(({ server }) => server), ...broker, syncWorker];
  for (const server of servers) {
    void server.exited.then((exit) => {
      if (!signal.aborted) note(`${server.name} has ended (${wordsFor(exit)}); the gateway goes on without it.`);
    });
  }
}

async function welcome(
  stack: Stack,
  gateway: RingfillProcess,
  descriptionFile: string,
  tookMs: number,
): Promise<string> {
  const { url } = gateway;
  const victim = (await ownerOf(stack, url, 'test_users_8')) ?? stack.shards[0];
  return [
    '',
    `Ready in ${seconds(tookMs)}.`,
    '',
    `  in a browser     ${url}/-/ui      and ${url}/-/docs`,
    `  a row            curl -i ${url}/test/users/8      and once more: now it is a hit`,
    `  a mirrored row   curl -i ${url}/shop/orders/8     always a hit: every row of this table lies in Redis`,
    ...(victim === undefined
      ? []
      : [
          `  lose its shard   kill -9 ${String(victim.server.pid)}      that is Redis ${victim.name}; read the row again`,
        ]),
    `  load             ${inClone ? 'npm run load' : `npx autocannon -c 64 -d 10 ${url}/test/users/8`}`,
    '',
    `Ports and pids are in ${descriptionFile}. Ctrl-C stops everything.`,
  ].join('\n');
}

/** The shard that the gateway itself names; a demo does not fail for want of a suggestion. */
async function ownerOf(stack: Stack, url: string, key: string): Promise<Stack['shards'][number] | undefined> {
  try {
    const answer = await fetch(`${url}/-/ring/owner?key=${key}`, { signal: AbortSignal.timeout(2_000) });
    const { candidates } = (await answer.json()) as { candidates?: { shard?: string }[] };
    return stack.shards.find(({ name }) => name === candidates?.[0]?.shard);
  } catch {
    return undefined;
  }
}

function wordsFor({ code, signal }: ServerExit): string {
  return signal === null ? `exit code ${String(code)}` : signal;
}

function wordsForFailure(error: unknown): string {
  const isExpected =
    error instanceof PortTaken ||
    error instanceof PortNotAllowed ||
    error instanceof FolderInUse ||
    error instanceof ServerStartFailed ||
    error instanceof ServerMissing ||
    error instanceof ServersNotInstalled;
  if (isExpected) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
