// A private Redis. As a cache wants it: nothing on disk unless asked for.

import path from 'node:path';
import { askPort } from './ask-port.ts';
import { loopback, onPort } from './ports.ts';
import type { OnProgress } from './progress.ts';
import { needServer } from './server-binaries.ts';
import { ServerProcess, type ServerRecipe } from './server-process.ts';

export interface RedisOptions {
  /** Where its folder, named after it, is made. */
  readonly folder: string;
  readonly name: string;
  /** A free one is chosen if it is missing. */
  readonly port?: number | undefined;
  readonly appendonly?: boolean;
  /** As redis.conf takes it: 64mb. No bound if it is missing. */
  readonly maxmemory?: string;
  readonly password?: string;
  /** Further redis-server arguments, such as ['--maxmemory-policy', 'volatile-ttl']. */
  readonly args?: readonly string[];
  readonly portAdvice?: string;
  readonly onProgress?: OnProgress | undefined;
  /** Aborted while the server starts, it gives up. */
  readonly signal?: AbortSignal | undefined;
}

export class RedisServer extends ServerProcess {
  readonly url: string;

  constructor(recipe: ServerRecipe, password: string | undefined) {
    super(recipe);
    const userinfo = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
    this.url = `redis://${userinfo}${recipe.host}:${String(recipe.port)}`;
  }
}

export async function startRedis(options: RedisOptions): Promise<RedisServer> {
  const file = await needServer('redis');
  return await onPort(options.port, async (port) => await redisOn(file, port, options).start());
}

function redisOn(file: string, port: number, options: RedisOptions): RedisServer {
  const { name, password, onProgress } = options;
  const advice = options.portAdvice ?? 'Stop that process, or choose another port.';
  const server: RedisServer = new RedisServer(
    {
      kind: 'redis',
      name,
      host: loopback,
      port,
      folder: path.join(options.folder, name),
      claims: [{ port, wantedBy: `Redis ${name}`, advice }],
      readyWithinMs: 20_000,
      stopWithinMs: 5_000,
      onProgress,
      signal: options.signal,
      prepare: async () => undefined,
      command: () => ({ file, args: argumentsOf(server.folder, port, options) }),
      askIfReady: async () => await askRedis(port, password, server.pid),
    },
    password,
  );
  return server;
}

function argumentsOf(folder: string, port: number, options: RedisOptions): string[] {
  return [
    '--port',
    String(port),
    '--bind',
    loopback,
    '--dir',
    folder,
    '--daemonize',
    'no',
    '--save',
    '',
    '--appendonly',
    options.appendonly === true ? 'yes' : 'no',
    ...(options.maxmemory === undefined ? [] : ['--maxmemory', options.maxmemory]),
    ...(options.password === undefined ? [] : ['--requirepass', options.password]),
    ...(options.args ?? []),
  ];
}

// PING is refused while a dump is being loaded; INFO tells that it is our process that answers, not one that took the port.
async function askRedis(port: number, password: string | undefined, pid: number): Promise<void> {
  const auth = password === undefined ? '' : `AUTH ${password}\r\n`;
  const answer = await askPort({
    host: loopback,
    port,
    send: `${auth}PING\r\nINFO server\r\n`,
    isAnswered: (bytes) => {
      const text = bytes.toString();
      if (text.startsWith('-')) throw new Error(text.trim());
      return /\+PONG\r\n\$(?:.|\r\n)*process_id:\d+\r\n/.test(text);
    },
    timeoutMs: 2_000,
  });
  const answering = Number(/process_id:(\d+)/.exec(answer.toString())?.[1]);
  if (answering !== pid) throw new Error(`another Redis (pid ${String(answering)}) answers on port ${String(port)}`);
}
