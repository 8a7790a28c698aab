/**
 * Whether slow clients are at others' expense: `npm run bench:slow-clients`, on servers of its own. The same requests at
 * the same rate, with a thousand connections beside them that dribble their headers and without, in turn; every answer is
 * checked. One that is cut off comes back at once, so that there are always as many.
 *
 * Prints each round and the medians. The exit code is 1 after any wrong answer.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { createPool } from 'mysql2/promise';
import { wholeNumber } from '../cli/whole-number.ts';
import { demoAccount } from '../stack/demo-data/load.ts';
import { chooseFreePort } from '../stack/ports.ts';
import { startGateway } from '../stack/ringfill-process.ts';
import { startStack } from '../stack/stack.ts';
import { runGenerator } from './generators/run-generator.ts';
import type { LoadSeen } from './generators/load-spec.ts';
import { createDatabase } from './harness/database.ts';
import { createItems, sizeOf, type Sizes } from './harness/items.ts';
import { chooseCores, pin } from './harness/processor.ts';
import { readRows } from './harness/read-rows.ts';
import { medianOf } from './harness/rounds.ts';

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly rate: number;
  readonly slow: number;
  readonly seed: number;
}

const { rounds, seconds, rate, slow, seed } = new Command('bench:slow-clients')
  .option('--rounds <n>', 'with them and without, each so often', wholeNumber(1, 100), 5)
  .option('--seconds <n>', 'of one of these', wholeNumber(1, 600), 15)
  .option('--rate <n>', 'requests a second of everybody else', wholeNumber(1, 100_000), 2_000)
  .option('--slow <n>', 'slow connections', wholeNumber(1, 10_000), 1_000)
  .option('--seed <n>', 'of the ids that are read', wholeNumber(0, 2 ** 32 - 1), 1)
  .parse()
  .opts<Options>();

const ROWS = 10_000;
const SIZES: Sizes = { kind: 'fixed', bytes: 150 };
const TABLE = 'bench_slow.items';
/** Of everybody else; so few that each is used soon: one without a request would be cut off as slow, too. */
const CONNECTIONS = 8;
/** Each of them, one after another: they know nothing of each other. */
const DRIBBLE_EVERY_MS = 500;
const TICK_MS = 10;
const WARM_UP_SECONDS = 3;

/** As many connections as there shall be, each with a request that never ends. */
class Dribblers {
  cut = 0;
  #dribbled = 0;
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  readonly #timer: NodeJS.Timeout;
  #isOver = false;

  constructor(port: number, count: number) {
    this.#port = port;
    for (let one = 0; one < count; one += 1) this.#open();
    this.#timer = setInterval(() => this.#tick((count * TICK_MS) / DRIBBLE_EVERY_MS), TICK_MS);
  }

  get dribbled(): number {
    return this.#dribbled;
  }

  stop(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
  }

  #tick(share: number): void {
    for (const socket of [...this.#sockets].slice(0, Math.ceil(share))) {
      // Whose turn it was is the last again.
      this.#sockets.delete(socket);
      this.#sockets.add(socket);
      if (!socket.writable) continue;
      socket.write('x');
      this.#dribbled += 1;
    }
  }

  #open(): void {
    const socket = connect(this.#port, '127.0.0.1');
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      if (chunk.toString('latin1').startsWith('HTTP/1.1 408 ')) this.cut += 1;
    });
    socket.once('connect', () => socket.write(`GET /${TABLE.replace('.', '/')}/1 HTTP/1.1\r\nHost: x\r\nX: `));
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (!this.#isOver) this.#open();
    });
  }
}

const folder = mkdtempSync(join(tmpdir(), 'ringfill-'));
const stack = await startStack({ folder, ports: 'free', redis: { primary: 3, fallback: 2 }, rabbitmq: false });
const admin = createPool({ host: stack.mysql.host, port: stack.mysql.port, user: 'root' });
const { signal } = new AbortController();
try {
  process.exitCode = await run();
} finally {
  await admin.end();
  await stack.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function run(): Promise<number> {
  for (const from of ['127.0.0.1', 'localhost']) {
    await admin.query(`CREATE USER '${demoAccount.user}'@'${from}' IDENTIFIED BY '${demoAccount.password}'`);
  }
  await createDatabase(admin, 'bench_slow');
  await createItems(admin, TABLE, ROWS, sizeOf(SIZES));
  const port = await chooseFreePort();
  const configFile = join(folder, 'ringfill.yml');
  const ringOf = (ring: string) => ({
    name: ring,
    shards: Object.fromEntries(
      stack.shards.filter((shard) => shard.ring === ring).map(({ name, server }) => [name, server.url]),
    ),
  });
  const config = {
    http: { port },
    origin: { url: `mysql://${demoAccount.user}:${demoAccount.password}@${stack.mysql.host}:${stack.mysql.port}` },
    rings: [ringOf('primary'), ringOf('fallback')],
    tables: { [TABLE]: {} },
  };
  writeFileSync(configFile, JSON.stringify(config));
  const gateway = await startGateway({ folder, configFile, port });
  try {
    const cores = await chooseCores();
    await pin(gateway.pid, [cores.peer]);
    for (const { pid } of [stack.mysql, ...stack.shards.map(({ server }) => server)]) await pin(pid, cores.servers);
    await pin(process.pid, cores.servers);
    await readRows({ url: gateway.url, table: TABLE, first: 1, count: ROWS, signal });
    const measure = (wanted: number) =>
      runGenerator(
        { cores, signal },
        {
          host: '127.0.0.1',
          port,
          path: `/${TABLE.replace('.', '/')}`,
          connections: CONNECTIONS,
          loop: { kind: 'open', perSecond: rate },
          ids: { kind: 'random', first: 1, count: ROWS },
          batch: 1,
          seconds: wanted,
          expect: { kind: 'row', sizes: SIZES },
          seed,
        },
      );
    say(`${cores.words}\n${rate} requests/s of hits over ${CONNECTIONS} connections, ${seconds} s a round; ms`);
    await measure(WARM_UP_SECONDS);
    const seen = { without: [] as LoadSeen[], with: [] as LoadSeen[] };
    for (let round = 0; round < rounds; round += 1) {
      // Which comes first changes, as what the machine does besides may.
      for (const kind of round % 2 === 0 ? (['without', 'with'] as const) : (['with', 'without'] as const)) {
        const dribblers = kind === 'with' ? new Dribblers(port, slow) : undefined;
        if (dribblers !== undefined) await untilOpen(gateway.url);
        const measured = await measure(seconds);
        dribblers?.stop();
        seen[kind].push(measured);
        const more =
          dribblers === undefined ? '' : `; ${dribblers.dribbled} bytes dribbled, ${dribblers.cut} cut off with 408`;
        say(`${`${kind} ${kind === 'with' ? slow : ''}`.padEnd(13)} ${figuresOf(measured)}${more}`);
      }
    }
    const p99s = (kind: keyof typeof seen) => seen[kind].map(({ latencyMs }) => latencyMs.p99);
    const told = (kind: keyof typeof seen) =>
      `${medianOf(p99s(kind)).toFixed(2)} (${Math.min(...p99s(kind)).toFixed(2)} to ${Math.max(...p99s(kind)).toFixed(2)})`;
    say(`p99, median (least to most) of ${rounds}: without ${told('without')}, with ${told('with')}`);
    say(`ratio of the medians ${(medianOf(p99s('with')) / medianOf(p99s('without'))).toFixed(2)}`);
    return [...seen.with, ...seen.without].every(({ wrong, unsent }) => wrong === 0 && unsent === 0) ? 0 : 1;
  } finally {
    await gateway.stop();
  }
}

/** By the gateway's own count. */
async function untilOpen(url: string): Promise<void> {
  for (;;) {
    const metrics = await (await fetch(`${url}/-/metrics`, { signal: AbortSignal.timeout(10_000) })).text();
    if (Number(/^ringfill_connections (\d+)$/m.exec(metrics)?.[1]) >= slow) return;
  }
}

function figuresOf({ requests, latencyMs, lateMs, wrong, unsent, examples }: LoadSeen): string {
  const { p50, p99, p999, max } = latencyMs;
  const [a, b, c, d, late] = [p50, p99, p999, max, lateMs.p99].map((ms) => ms.toFixed(2));
  const faults = wrong + unsent === 0 ? 'all right' : `${wrong} wrong, ${unsent} not sent: ${examples[0]}`;
  return `p50 ${a}  p99 ${b}  p99.9 ${c}  max ${d}  (sent late, p99 ${late})  ${requests} requests, ${faults}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
