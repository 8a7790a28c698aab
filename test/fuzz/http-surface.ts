/**
 * The gateway as the network meets it: the real application on a real socket, over real servers, with a sync worker beside
 * it; bytes in, answers out. On each connection there is a request behind all others that is in order, so that what lacks
 * its end finds one there.
 *
 * No answer may be a 5xx but those that the contract has for such requests; nothing may be thrown that nobody catches;
 * and a row that was there before is there afterwards.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { Gateway } from '../../gateway/gateway.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { startSyncWorker } from '../../stack/ringfill-process.ts';
import { Random } from '../model/random.ts';
import { gatewayConfig } from '../support/gateway.ts';
import { startTestStack, type TestStack } from '../support/stack.ts';
import { heapBytes, isFlat } from './heap.ts';
import { Prototypes } from './prototypes.ts';
import { Found, type RunOptions, type TargetReport } from './run-target.ts';
import { RequestMaker, type Sent } from './request-maker.ts';
import { corpusOf } from './target.ts';

export interface HttpReport {
  readonly report: TargetReport;
  /** How many answers of each kind: `200`, `bad-id`, … */
  readonly answers: readonly (readonly [answer: string, count: number])[];
}

const MIRROR = 'shop.products';
const TABLES = {
  'test.users': {},
  [MIRROR]: { mode: 'mirror' as const, copies: 1 },
  'shop.customers': { columns: { deny: ['password_hash'] }, follow: false },
  ...Object.fromEntries(
    [
      'vouchers',
      'translations',
      'order_items',
      'assets',
      'tokens',
      'holidays',
      'readings',
      'tariffs',
      'altitudes',
      'ledger',
    ].map((name) => [`shop.${name}`, {}]),
  ),
};
const WORDS = [
  'GET ',
  'HEAD ',
  'POST ',
  ' HTTP/1.1',
  ' HTTP/1.0',
  '\r\n',
  '\n',
  '\r',
  '\0',
  ': ',
  '/test/users/',
  '?ids=',
  ',',
  '%2C',
  '%00',
  '%',
  'Host: t\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'Transfer-Encoding: chunked\r\n',
  '0\r\n\r\n',
  'Connection: close\r\n',
  'Cache-Control: no-cache\r\n',
  'Ringfill-After: 0-1-1\r\n',
  'If-None-Match: *\r\n',
  'Expect: 100-continue\r\n',
  '\xff',
  '\x7f',
  '//',
  '..',
];
const LANES = 16;
const BATCH = 320;
const SAMPLES = 12;
const QUIET_MS = 400;
const INPUT_MS_MAX = 2_000;
const BEHIND = Buffer.from('\r\n\r\nGET /-/live HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n');
/** 5xx that a client has asked for: the write that it names has not come, and nobody else may be asked. */
const BY_CONTRACT = new Set(['write-not-applied', 'not-cached']);

/** @param given servers that are there; else they are started, and stopped. Throws Found. */
export async function httpSurface(options: RunOptions, given?: TestStack): Promise<HttpReport> {
  const folder = mkdtempSync(join(tmpdir(), 'ringfill-'));
  try {
    if (given !== undefined) return await withGateway(given, folder, options);
    const started = await startTestStack(folder);
    try {
      return await withGateway(started.whereabouts, folder, options);
    } finally {
      await started.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function withGateway(stack: TestStack, folder: string, options: RunOptions): Promise<HttpReport> {
  const name = `fuzz${options.seed}`;
  const port = await chooseFreePort();
  const { text } = gatewayConfig(stack, {
    // Whatever load the machine is under, it is none of the inputs' doing.
    origin: { timeoutMs: 20_000, waitingMax: 100_000 },
    shards: { timeoutMs: 5_000, slowMs: 0 },
    tables: TABLES,
    keyPrefix: `${name}:`,
    sync: {
      name,
      port,
      stateFolder: join(folder, 'state'),
      originUrl: `mysql://root@${stack.mysql.host}:${stack.mysql.port}`,
      stalenessBoundMs: 60_000,
      writeWaitMs: 10,
    },
  });
  const configFile = join(folder, 'ringfill.yml');
  mkdirSync(folder, { recursive: true });
  writeFileSync(configFile, text);
  const worker = await startSyncWorker({ folder, configFile, port });
  const told: string[] = [];
  const log = pino(
    { level: 'error', base: null, messageKey: 'event' },
    { write: (line: string) => void told.push(line) },
  );
  const gateway = new Gateway({ config: parseConfig(text, configFile), version: 'fuzz', log });
  try {
    const { hostname, port: at } = new URL(await gateway.start());
    return await new HttpSurface(hostname, Number(at), told, options).run();
  } finally {
    await gateway.stop();
    await worker.stop();
  }
}

interface Exchanged {
  readonly sent: Sent;
  readonly received: Buffer;
  readonly ms: number;
  /** The server waited for more, and was left. */
  readonly wasLeft: boolean;
}

class HttpSurface {
  readonly #host: string;
  readonly #port: number;
  /** Errors of the gateway's log. */
  readonly #told: readonly string[];
  readonly #options: RunOptions;
  readonly #answers = new Map<string, number>();

  constructor(host: string, port: number, told: readonly string[], options: RunOptions) {
    this.#host = host;
    this.#port = port;
    this.#told = told;
    this.#options = options;
  }

  async run(): Promise<HttpReport> {
    const { seed, inputsMax, secondsMax } = this.#options;
    const uncaught: unknown[] = [];
    const note = (error: unknown) => void uncaught.push(error);
    process.on('uncaughtException', note).on('unhandledRejection', note);
    const corpus = corpusOf('http');
    const tables = Object.keys(TABLES).map((label) => `/${label.replace('.', '/')}`);
    const maker = new RequestMaker(new Random(seed), tables, WORDS);
    const prototypes = new Prototypes();
    const samples: number[] = [];
    const started = performance.now();
    const elapsed = () => (performance.now() - started) / 1000;
    let inputs = 0;
    let slowest: TargetReport['slowest'] = { ms: 0, input: Buffer.alloc(0) };
    let waiting = corpus.map((bytes): Sent => ({ bytes, requests: 1 }));
    try {
      await this.#isMirrored();
      while (inputs < inputsMax && elapsed() < secondsMax) {
        while (waiting.length < BATCH) waiting.push(maker.next());
        const batch = waiting;
        waiting = [];
        inputs += batch.reduce((sum, { requests }) => sum + requests, 0);
        const exchanged = await this.#exchangeAll(batch);
        for (const one of exchanged) this.#judge(one);
        if (uncaught.length > 0 || this.#told.length > 0) {
          await this.#findCulprit(batch, () => uncaught.length + this.#told.length, [...uncaught, ...this.#told]);
        }
        prototypes.check();
        await this.#isUnharmed();
        slowest = slower(slowest, await this.#slowestOf(exchanged));
        const done = Math.max(inputs / inputsMax, elapsed() / secondsMax);
        if (done * SAMPLES > samples.length) samples.push(heapBytes());
      }
    } finally {
      process.off('uncaughtException', note).off('unhandledRejection', note);
    }
    if (slowest.ms > INPUT_MS_MAX) throw new Found('http', slowest.input, `it took ${slowest.ms.toFixed(0)} ms`);
    const heapMebibytes = samples.map((bytes) => bytes / 2 ** 20);
    return {
      report: { name: 'http', inputs, seconds: elapsed(), slowest, heapMebibytes, isFlat: isFlat(samples) },
      answers: [...this.#answers].toSorted(([, a], [, b]) => b - a),
    };
  }

  async #exchangeAll(inputs: readonly Sent[]): Promise<Exchanged[]> {
    const exchanged: Exchanged[] = [];
    const left = [...inputs];
    const lane = async () => {
      for (let sent = left.pop(); sent !== undefined; sent = left.pop()) exchanged.push(await this.#exchange(sent));
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    return exchanged;
  }

  #exchange(sent: Sent): Promise<Exchanged> {
    return new Promise((resolve) => {
      const started = performance.now();
      const socket = connect(this.#port, this.#host);
      const chunks: Buffer[] = [];
      let wasLeft = false;
      socket.setTimeout(QUIET_MS, () => {
        wasLeft = true;
        socket.destroy();
      });
      socket.on('data', (chunk) => chunks.push(chunk));
      // The server may close while we still write; what it said before that counts.
      socket.on('error', () => undefined);
      socket.on('close', () =>
        resolve({ sent, received: Buffer.concat(chunks), ms: performance.now() - started, wasLeft }),
      );
      socket.write(Buffer.concat([sent.bytes, BEHIND]));
    });
  }

  #judge({ sent: { bytes: input }, received }: Exchanged): void {
    const text = received.toString('latin1');
    for (const { index, 1: status } of text.matchAll(/HTTP\/1\.1 ([0-9]{3}) [^\r\n]*\r\n/g)) {
      const code = /"code":"([a-z-]+)"/.exec(text.slice(index, text.indexOf('HTTP/1.1 ', index + 9) >>> 0))?.[1];
      const answer = Number(status) < 400 ? (status as string) : (code ?? (status as string));
      this.#answers.set(answer, (this.#answers.get(answer) ?? 0) + 1);
      const isExpected = Number(status) < 500 || BY_CONTRACT.has(answer) || isOfHead(answer, input);
      if (!isExpected) throw new Found('http', input, `answered with ${status}: ${text.slice(index, index + 600)}`);
    }
    if (text.includes('password_hash"')) throw new Found('http', input, 'a denied column was answered');
  }

  /** One by one: after which of them was there more? */
  async #findCulprit(batch: readonly Sent[], count: () => number, found: readonly unknown[]): Promise<never> {
    const before = count();
    for (const sent of batch) {
      await this.#exchange(sent);
      if (count() > before) throw new Found('http', sent.bytes, found[0]);
    }
    throw new Found('http', Buffer.from('(none alone)'), found[0]);
  }

  async #slowestOf(exchanged: readonly Exchanged[]): Promise<TargetReport['slowest']> {
    const [first] = exchanged.filter(({ wasLeft }) => !wasLeft).toSorted((a, b) => b.ms - a.ms);
    if (first === undefined) return { ms: 0, input: Buffer.alloc(0) };
    // Alone, and the least of three: what others did meanwhile is none of its doing.
    let { ms } = first;
    for (let time = 0; time < 3; time += 1) ms = Math.min(ms, (await this.#exchange(first.sent)).ms);
    return { ms, input: first.sent.bytes };
  }

  async #isUnharmed(): Promise<void> {
    const response = await fetch(`http://${this.#host}:${this.#port}/test/users/8`);
    assert.equal(response.status, 200);
    assert.equal(((await response.json()) as { username: string }).username, 'duobao153713223');
  }

  /** Before that, a mirror answers 503 to whatever is asked. */
  async #isMirrored(): Promise<void> {
    for (let time = 0; time < 300; time += 1) {
      const path = `/${MIRROR.replace('.', '/')}/FOO`;
      const { status } = await fetch(`http://${this.#host}:${this.#port}${path}`);
      if (status < 500) return;
      await sleep(100);
    }
    throw new Error('the mirror was not complete in time');
  }
}

function slower(a: TargetReport['slowest'], b: TargetReport['slowest']): TargetReport['slowest'] {
  return a.ms >= b.ms ? a : b;
}

/** The same without a body, and so without its code. */
function isOfHead(answer: string, input: Buffer): boolean {
  const text = input.toString('latin1');
  const asked = answer === '504' ? /only-if-cached/i : answer === '503' ? /ringfill-after/i : undefined;
  return asked?.test(text) === true && text.includes('HEAD ');
}
