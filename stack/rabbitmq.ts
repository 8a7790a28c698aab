// A private RabbitMQ without plugins, and the epmd that every Erlang node needs.
//
// Erlang starts epmd by itself, as a daemon that stays behind. So it is started here, first, as a server like the others:
// RabbitMQ finds it on its private port, and it ends with us.

import { constants } from 'node:fs';
import { access, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { askPort } from './ask-port.ts';
import { chooseFreePort, loopback, onPort } from './ports.ts';
import type { OnProgress } from './progress.ts';
import { needServer, ServerMissing } from './server-binaries.ts';
import { ServerProcess, type ServerRecipe } from './server-process.ts';

export interface RabbitmqOptions {
  /** Where its folder, named after it, is made. */
  readonly folder: string;
  /** `rabbitmq` if it is missing. */
  readonly name?: string;
  /** Free ones are chosen where they are missing. */
  readonly port?: number | undefined;
  readonly distributionPort?: number | undefined;
  readonly epmdPort?: number | undefined;
  /** Further lines of rabbitmq.conf. */
  readonly config?: readonly string[];
  readonly portAdvice?: string;
  readonly onProgress?: OnProgress | undefined;
  /** Aborted while the server starts, it gives up. */
  readonly signal?: AbortSignal | undefined;
}

export class RabbitmqServer extends ServerProcess {
  readonly url: string;

  constructor(recipe: ServerRecipe) {
    super(recipe);
    this.url = `amqp://guest:guest@${recipe.host}:${String(recipe.port)}`;
  }
}

export async function startRabbitmq(options: RabbitmqOptions): Promise<RabbitmqServer> {
  const file = await needServer('rabbitmq');
  const epmd = await findEpmd();
  return await onPort(options.port, async (port) => {
    const distributionPort = options.distributionPort ?? (await chooseFreePort());
    const epmdPort = options.epmdPort ?? (await chooseFreePort());
    return await rabbitmqOn(file, epmd, { port, distributionPort, epmdPort }, options).start();
  });
}

interface Ports {
  readonly port: number;
  readonly distributionPort: number;
  readonly epmdPort: number;
}

function rabbitmqOn(file: string, epmdFile: string, ports: Ports, options: RabbitmqOptions): RabbitmqServer {
  const name = options.name ?? 'rabbitmq';
  const folder = path.resolve(options.folder, name);
  const advice = options.portAdvice ?? 'Stop that process, or choose another port.';
  const epmd = epmdOn(epmdFile, path.join(folder, 'epmd'), ports.epmdPort, advice);
  const { port, distributionPort } = ports;
  return new RabbitmqServer({
    kind: 'rabbitmq',
    name,
    host: loopback,
    port,
    folder,
    claims: [
      { port, wantedBy: `RabbitMQ ${name}`, advice },
      { port: distributionPort, wantedBy: `RabbitMQ ${name} (for Erlang nodes)`, advice },
    ],
    readyWithinMs: 90_000,
    stopWithinMs: 15_000,
    onProgress: options.onProgress,
    signal: options.signal,
    async prepare() {
      if (!epmd.running) await epmd.start();
      await mkdir(path.join(folder, 'home'), { recursive: true });
      await writeFile(path.join(folder, 'enabled_plugins'), '[].\n');
      await writeFile(
        path.join(folder, 'rabbitmq.conf'),
        [`listeners.tcp.1 = ${loopback}:${String(port)}`, 'log.console = true', ...(options.config ?? []), ''].join(
          '\n',
        ),
      );
    },
    command: () => ({ file, args: [], env: environmentOf(folder, ports) }),
    askIfReady: async () => await askAmqp(port),
    cleanUp: async () => await epmd.stop(),
  });
}

function environmentOf(folder: string, { port, distributionPort, epmdPort }: Ports): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('RABBITMQ_'));
  return {
    ...Object.fromEntries(inherited),
    // The Erlang cookie is made here.
    HOME: path.join(folder, 'home'),
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: loopback,
    // With `localhost` the node does not depend on what this machine's name resolves to.
    RABBITMQ_NODENAME: 'ringfill@localhost',
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: path.join(folder, 'data'),
    RABBITMQ_LOG_BASE: path.join(folder, 'logs'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_ENABLED_PLUGINS_FILE: path.join(folder, 'enabled_plugins'),
    RABBITMQ_CONFIG_FILE: path.join(folder, 'rabbitmq.conf'),
    // None of ours, so that the system's is not read.
    RABBITMQ_CONF_ENV_FILE: path.join(folder, 'rabbitmq-env.conf'),
    // The start script becomes the Erlang machine instead of waiting for it: the pid that we know is the broker's.
    RABBITMQ_ALLOW_INPUT: '1',
    // No shell on the closed input; no node connections from outside; no busy waiting, as the cores are shared.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '-noinput -kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none',
  };
}

function epmdOn(file: string, folder: string, port: number, advice: string): ServerProcess {
  return new ServerProcess({
    kind: 'epmd',
    name: 'epmd',
    host: loopback,
    port,
    folder,
    claims: [{ port, wantedBy: "RabbitMQ's epmd", advice }],
    readyWithinMs: 10_000,
    stopWithinMs: 5_000,
    prepare: async () => undefined,
    command: () => ({ file, args: ['-port', String(port), '-address', loopback] }),
    // NAMES_REQ of the distribution protocol: a length of one byte, and its code. It answers with its own port first.
    askIfReady: async () => {
      const send = Buffer.from([0, 1, 110]);
      await askPort({ host: loopback, port, send, isAnswered: (answer) => answer.length >= 4, timeoutMs: 2_000 });
    },
  });
}

async function findEpmd(): Promise<string> {
  const folders = [
    ...(process.env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== ''),
    '/usr/bin',
    '/usr/local/bin',
    '/opt/homebrew/bin',
    '/usr/lib/erlang/bin',
    '/usr/lib64/erlang/bin',
  ];
  for (const folder of folders) {
    const file = path.join(folder, 'epmd');
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  throw new ServerMissing('rabbitmq', "Erlang's epmd, which RabbitMQ needs, is not on the PATH.");
}

const methodFrame = 1;
const connectionClass = 10;
const startMethod = 10;
const startOkMethod = 11;
const tuneMethod = 30;

// The beginning of AMQP 0-9-1, up to the answer that only a broker gives that takes connections and knows the account:
// header -> Connection.Start -> Start-Ok with the password -> Connection.Tune.
async function askAmqp(port: number): Promise<void> {
  await askPort({
    host: loopback,
    port,
    send: Buffer.from('AMQP\0\0\u0009\u0001', 'latin1'),
    isAnswered: (answer) => {
      if (answer.length < 11) return false;
      if (answer[0] !== methodFrame || answer.readUInt16BE(7) !== connectionClass) {
        throw new Error(`port ${String(port)} does not speak AMQP 0-9-1`);
      }
      const method = answer.readUInt16BE(9);
      if (method === tuneMethod) return true;
      if (method !== startMethod) throw new Error(`RabbitMQ refused the account guest (method 10.${String(method)})`);
      return answer.length < answer.readUInt32BE(3) + 8 ? false : { reply: startOk() };
    },
    timeoutMs: 5_000,
  });
}

function startOk(): Buffer {
  const shortString = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
  const longString = (text: string): Buffer => Buffer.concat([uint32(text.length), Buffer.from(text)]);
  const payload = Buffer.concat([
    uint16(connectionClass),
    uint16(startOkMethod),
    // No client properties.
    uint32(0),
    shortString('PLAIN'),
    longString('\0guest\0guest'),
    shortString('en_US'),
  ]);
  const frameEnd = Buffer.from([0xce]);
  return Buffer.concat([Buffer.from([methodFrame]), uint16(0), uint32(payload.length), payload, frameEnd]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
