// One server of ours, from its start to its end: its own folder, log, port and process.
//
//   start    leftover of an earlier run stopped -> ports free -> prepared -> spawned -> asked until it answers
//            | any of these fails: the process is killed, and the error carries the server's last words
//   restart  the same port and folder, after whatever happened to the process
//   stop     asked politely, then SIGKILL after a bound; again and again is fine

import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, statSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { guard, type Guard } from './guard.ts';
import { holderOfPort } from './process-identity.ts';
import { PortTaken, requireFree, type PortClaim } from './ports.ts';
import type { OnProgress } from './progress.ts';
import { forgetServer, rememberServer, stopLeftover } from './server-record.ts';

export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningServer {
  readonly kind: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly folder: string;
  readonly logFile: string;
  /** Of the current process, or of the last one. */
  readonly pid: number;
  readonly running: boolean;
  /** Settles when the current process has ended, for whatever reason; never rejects. */
  readonly exited: Promise<ServerExit>;
  /** Sends a signal to the server's own process, SIGKILL and SIGSTOP included. False if it has ended. */
  kill(signal: NodeJS.Signals): boolean;
  stop(): Promise<void>;
  /** Stops it if it is running, and starts it again on the same port and folder. */
  restart(): Promise<void>;
}

export interface ServerCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** What differs from server to server. */
export interface ServerRecipe {
  readonly kind: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly folder: string;
  readonly claims: readonly PortClaim[];
  readonly readyWithinMs: number;
  readonly stopWithinMs: number;
  readonly onProgress?: OnProgress | undefined;
  /** Aborted while the server starts, it gives up starting and stops it again. */
  readonly signal?: AbortSignal | undefined;
  /** Files, first initialisation, companions. Before every start. */
  prepare(): Promise<void>;
  command(): ServerCommand;
  /** Asks the server itself, once. A rejection means "not yet", and is told if "not yet" lasts too long. */
  askIfReady(): Promise<void>;
  /** After the server has ended for good, or has failed to start. */
  cleanUp?(): Promise<void>;
}

export class ServerStartFailed extends Error {
  override readonly name = 'ServerStartFailed';
  readonly server: string;
  readonly logFile: string;

  constructor(server: string, reason: string, logFile: string, lastLines: string, options?: ErrorOptions) {
    super(
      `${server} did not start: ${reason}\n` +
        (lastLines === ''
          ? `It wrote nothing to its log, ${logFile}.`
          : `The last lines of its log, ${logFile}:\n${lastLines}`),
      options,
    );
    this.server = server;
    this.logFile = logFile;
  }
}

const logBytesMax = 8 * 1024 * 1024;
const askEveryMs = 25;

interface Current {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly exited: Promise<ServerExit>;
  readonly guard: Guard;
  readonly logFrom: number;
}

export class ServerProcess implements RunningServer {
  readonly kind: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly folder: string;
  readonly logFile: string;
  readonly #recipe: ServerRecipe;
  #current: Current | undefined;
  #ended = true;
  #stopping: Promise<void> | undefined;

  constructor(recipe: ServerRecipe) {
    this.kind = recipe.kind;
    this.name = recipe.name;
    this.host = recipe.host;
    this.port = recipe.port;
    this.folder = path.resolve(recipe.folder);
    this.logFile = path.join(this.folder, `${recipe.name}.log`);
    this.#recipe = recipe;
  }

  get pid(): number {
    return this.#started().pid;
  }

  get exited(): Promise<ServerExit> {
    return this.#started().exited;
  }

  get running(): boolean {
    return !this.#ended;
  }

  /** Rejects with PortTaken, FolderInUse or ServerStartFailed; nothing is left running then. */
  async start(): Promise<this> {
    if (this.running) throw new Error(`${this.name} is running already`);
    const startedAt = performance.now();
    const { onProgress, claims, stopWithinMs, signal } = this.#recipe;
    signal?.throwIfAborted();
    mkdirSync(this.folder, { recursive: true });
    const leftover = await stopLeftover(this.folder, stopWithinMs);
    if (leftover !== undefined) {
      const detail = `stopped the one that an earlier run left behind (pid ${String(leftover)})`;
      onProgress?.({ kind: 'starting', server: this.name, detail });
    }
    await requireFree(claims);
    try {
      await this.#recipe.prepare();
      signal?.throwIfAborted();
      this.#spawn();
      await this.#answers();
    } catch (error) {
      await this.#abandon();
      throw this.#portLost() ?? error;
    }
    const detail = `port ${String(this.port)}, pid ${String(this.pid)}`;
    onProgress?.({ kind: 'ready', server: this.name, detail, tookMs: performance.now() - startedAt });
    return this;
  }

  kill(signal: NodeJS.Signals): boolean {
    return this.running && this.#started().child.kill(signal);
  }

  async restart(): Promise<void> {
    await this.#end();
    await this.start();
  }

  async stop(): Promise<void> {
    this.#stopping ??= this.#stopForGood().finally(() => {
      this.#stopping = undefined;
    });
    await this.#stopping;
  }

  /** The last lines that the current process wrote. */
  lastLines(count = 15): string {
    return lastLinesOf(this.logFile, count, this.#current?.logFrom ?? 0);
  }

  async #stopForGood(): Promise<void> {
    const startedAt = performance.now();
    const wasRunning = this.running;
    await this.#end();
    await this.#recipe.cleanUp?.();
    if (wasRunning) {
      this.#recipe.onProgress?.({ kind: 'stopped', server: this.name, tookMs: performance.now() - startedAt });
    }
  }

  async #end(): Promise<void> {
    if (this.#current === undefined) return;
    const { exited } = this.#current;
    this.kill('SIGTERM');
    // One that was stopped by SIGSTOP hears nothing before this.
    this.kill('SIGCONT');
    const late = new AbortController();
    const bound = pause(this.#recipe.stopWithinMs, undefined, { signal: late.signal }).then(
      () => this.#killWithHelpers(),
      () => undefined,
    );
    await exited;
    late.abort();
    await bound;
  }

  async #abandon(): Promise<void> {
    this.#killWithHelpers();
    await this.#current?.exited;
    await this.#recipe.cleanUp?.();
  }

  // Start scripts run programs of their own before they become the server: all of them are in its process group.
  #killWithHelpers(): void {
    if (!this.running) return;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      this.kill('SIGKILL');
    }
  }

  #started(): Current {
    if (this.#current === undefined) throw new Error(`${this.name} has not been started`);
    return this.#current;
  }

  #spawn(): void {
    const { file, args, env } = this.#recipe.command();
    const log = openSync(this.logFile, 'a');
    if (fstatSync(log).size > logBytesMax) truncateSync(this.logFile);
    const logFrom = fstatSync(log).size;
    const child = spawn(file, args, {
      cwd: this.folder,
      env: env ?? process.env,
      // A session of its own: Ctrl-C in the terminal reaches us, and we stop the servers in order.
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const exited = new Promise<ServerExit>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
      child.once('error', (error) => {
        if (child.pid === undefined) resolve({ code: null, signal: null });
        else throw error;
      });
    });
    const { pid } = child;
    if (pid === undefined) throw new ServerStartFailed(this.name, `${file} could not be run`, this.logFile, '');
    rememberServer(this.folder, this.name, pid);
    const current: Current = { child, pid, guard: guard(pid), logFrom, exited };
    this.#current = current;
    this.#ended = false;
    void exited.then(() => {
      current.guard.release();
      this.#ended = true;
      forgetServer(this.folder);
    });
  }

  /** Settles when the server says that it is ready; rejects when it ends before, or takes too long. */
  async #answers(): Promise<void> {
    const { readyWithinMs } = this.#recipe;
    const deadline = performance.now() + readyWithinMs;
    for (;;) {
      const answer = await this.#recipe.askIfReady().then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error : new Error('no answer', { cause: error })),
      );
      if (this.#ended) {
        const { code, signal } = await this.exited;
        throw this.#failed(signal === null ? `it ended with exit code ${String(code)}.` : `it was ended by ${signal}.`);
      }
      if (answer === undefined) return;
      this.#recipe.signal?.throwIfAborted();
      if (performance.now() > deadline) {
        throw this.#failed(`it gave no answer within ${String(readyWithinMs / 1000)} s (${answer.message}).`, answer);
      }
      await Promise.race([this.exited, pause(askEveryMs)]);
    }
  }

  #failed(reason: string, cause?: unknown): ServerStartFailed {
    return new ServerStartFailed(this.name, reason, this.logFile, this.lastLines(), { cause });
  }

  // Free when it was checked, and someone else's by the time the server wanted it.
  #portLost(): PortTaken | undefined {
    for (const { port, wantedBy, advice } of this.#recipe.claims) {
      const holder = holderOfPort(port);
      if (holder !== undefined) return new PortTaken(port, wantedBy, holder, advice);
    }
    return undefined;
  }
}

export function lastLinesOf(file: string, count: number, from = 0): string {
  try {
    if (statSync(file).size <= from) return '';
    const lines = readFileSync(file).subarray(from).toString().trimEnd().split('\n');
    return lines
      .slice(-count)
      .map((line) => `  ${line}`)
      .join('\n');
  } catch {
    return '';
  }
}
