/**
 * The load generator for open loops, for reads that may happen only once, and where wrk is not installed:
 * `node generate.ts <spec as JSON>`, a LoadSpec; it prints a LoadSeen.
 *
 * Written on plain sockets: a client library takes more of a core for a request than the gateways do, and would be what is
 * measured. Each connection has one request under way. An answer needs a Content-Length; every answer is held against
 * what is right.
 *
 * An open loop sleeps for at most a tenth of a millisecond at a time (Atomics.wait; timers have whole ones), so that requests
 * are sent when they are due without a core being spent on waiting.
 */
import { connect, type Socket } from 'node:net';
import { createHistogram } from 'node:perf_hooks';
import { itemJson, sizeOf } from '../harness/items.ts';
import { seededRandom } from '../load/random.ts';
import { zipfSampler } from '../load/zipf.ts';
import type { LoadSeen, LoadSpec, LoadStep, WantedIds } from './load-spec.ts';

const EXAMPLES_MAX = 5;
const SLEEP_MS_MAX = 0.1;
/** Prime to every count of ids that is not a multiple of it. */
const STRIDE = 7_919;
const RIGHT_MAX = 200_000;
/** For those under way when the time is over. ms. */
const GRACE_MS = 5_000;

interface Ask {
  readonly dueAt: number;
  readonly ids: readonly number[];
}

class Line {
  readonly #socket: Socket;
  readonly #onAnswer: (line: Line, ask: Ask, head: string, body: string) => void;
  #ask: Ask | undefined;
  #text = '';

  constructor(
    socket: Socket,
    onAnswer: (line: Line, ask: Ask, head: string, body: string) => void,
    onBroken: (why: string) => void,
  ) {
    this.#socket = socket;
    this.#onAnswer = onAnswer;
    socket.on('data', (chunk) => this.#receive(chunk.toString('latin1')));
    socket.on('error', (error) => onBroken(error.message));
    socket.on('close', () => onBroken('the connection was closed'));
  }

  get isIdle(): boolean {
    return this.#ask === undefined;
  }

  send(ask: Ask, head: string): void {
    this.#ask = ask;
    this.#socket.write(head, 'latin1');
  }

  close(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #receive(chunk: string): void {
    this.#text = this.#text === '' ? chunk : this.#text + chunk;
    const headEnd = this.#text.indexOf('\r\n\r\n');
    if (headEnd === -1) return;
    const length = /\r\ncontent-length: *(\d+)/i.exec(this.#text)?.[1];
    const end = headEnd + 4 + Number(length ?? 0);
    if (this.#text.length < end) return;
    const [head, body, ask] = [this.#text.slice(0, headEnd), this.#text.slice(headEnd + 4, end), this.#ask];
    this.#text = '';
    this.#ask = undefined;
    if (ask !== undefined) this.#onAnswer(this, ask, head, body);
  }
}

async function generate(spec: LoadSpec): Promise<LoadSeen> {
  const latencyMicros = createHistogram({ figures: 3 });
  const lateMicros = createHistogram({ figures: 3 });
  const examples: string[] = [];
  const steps: { requests: number; hits: number }[] = [];
  const idle: Line[] = [];
  const due: Ask[] = [];
  const nextIds = idsOf(spec);
  const right = rightAnswers(spec);
  let [requests, rows, wrong, underWay] = [0, 0, 0, 0];
  let isOver = false;
  let lastAnswerAt = 0;
  const finished = Promise.withResolvers<void>();

  const broken = (why: string) => {
    wrong += 1;
    if (examples.length < EXAMPLES_MAX) examples.push(why);
    finished.resolve();
  };
  const follow = (line: Line) => {
    const ask = isOver
      ? undefined
      : (due.shift() ?? (spec.loop.kind === 'closed' ? nextAsk(performance.now()) : undefined));
    if (ask === undefined) {
      idle.push(line);
      if (isOver && underWay === 0) finished.resolve();
    } else send(line, ask);
  };
  const send = (line: Line, ask: Ask) => {
    underWay += 1;
    lateMicros.record(Math.max(1, Math.round((performance.now() - ask.dueAt) * 1_000)));
    line.send(ask, headOf(spec, ask.ids));
  };
  const answered = (line: Line, ask: Ask, head: string, body: string) => {
    const now = performance.now();
    underWay -= 1;
    requests += 1;
    rows += ask.ids.length;
    lastAnswerAt = now;
    latencyMicros.record(Math.max(1, Math.round((now - ask.dueAt) * 1_000)));
    if (!head.startsWith('HTTP/1.1 200 ') || body !== right(ask.ids)) {
      wrong += 1;
      if (examples.length < EXAMPLES_MAX) examples.push(`${ask.ids[0]}: ${head.slice(0, 300)} ${body.slice(0, 200)}`);
    }
    if (spec.stepMs !== undefined) {
      const step = Math.floor((now - startedAt) / spec.stepMs);
      while (steps.length <= step) steps.push({ requests: 0, hits: 0 });
      const counted = steps[step] as { requests: number; hits: number };
      counted.requests += 1;
      if (/\r\ncache-status: ringfill; hit/i.test(head)) counted.hits += 1;
    }
    follow(line);
  };
  const nextAsk = (dueAt: number): Ask | undefined => {
    const ids = nextIds();
    if (ids === undefined) {
      isOver = true;
      return undefined;
    }
    return { dueAt, ids };
  };

  const lines = await Promise.all(Array.from({ length: spec.connections }, () => open(spec, answered, broken)));
  const startedAt = performance.now();
  const endsAt = spec.seconds === undefined ? Infinity : startedAt + spec.seconds * 1_000;
  if (spec.seconds !== undefined) setTimeout(() => (isOver = true), spec.seconds * 1_000);
  if (spec.loop.kind === 'closed') for (const line of lines) follow(line);
  else {
    idle.push(...lines);
    const everyMs = 1_000 / spec.loop.perSecond;
    let dueAt = startedAt;
    const sleeper = new Int32Array(new SharedArrayBuffer(4));
    const tick = () => {
      for (const now = performance.now(); dueAt <= Math.min(now, endsAt); dueAt += everyMs) {
        const ask = nextAsk(dueAt);
        if (ask === undefined) break;
        // In turn: a connection that never asks is closed by the server after a while.
        const line = idle.shift();
        if (line === undefined) due.push(ask);
        else send(line, ask);
      }
      if (performance.now() >= endsAt && underWay === 0) return finished.resolve();
      const untilDue = dueAt - performance.now();
      if (untilDue > 0) Atomics.wait(sleeper, 0, 0, Math.min(untilDue, SLEEP_MS_MAX));
      setImmediate(tick);
    };
    tick();
  }
  if (spec.seconds !== undefined) setTimeout(() => finished.resolve(), spec.seconds * 1_000 + GRACE_MS);
  await finished.promise;
  if (underWay > 0 && wrong === 0) {
    wrong += underWay;
    examples.push(`${underWay} requests were not answered within ${GRACE_MS} ms of the end`);
  }
  for (const line of lines) line.close();
  const milliseconds = (micros: number) => Math.round(micros) / 1_000;
  return {
    seconds: (lastAnswerAt - startedAt) / 1_000,
    requests,
    rows,
    latencyMs: {
      mean: milliseconds(latencyMicros.mean),
      p50: milliseconds(latencyMicros.percentile(50)),
      p99: milliseconds(latencyMicros.percentile(99)),
      p999: milliseconds(latencyMicros.percentile(99.9)),
      max: milliseconds(latencyMicros.max),
    },
    lateMs: {
      p50: milliseconds(lateMicros.percentile(50)),
      p99: milliseconds(lateMicros.percentile(99)),
      max: milliseconds(lateMicros.max),
    },
    unsent: due.length,
    wrong,
    examples,
    steps: steps as readonly LoadStep[],
  };
}

function open(
  { host, port }: LoadSpec,
  onAnswer: ConstructorParameters<typeof Line>[1],
  onBroken: (why: string) => void,
): Promise<Line> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(new Line(socket, onAnswer, onBroken));
    });
  });
}

function headOf({ path, host, port, batch }: LoadSpec, ids: readonly number[]): string {
  const target = batch === 1 ? `${path}/${String(ids[0])}` : `${path}?ids=${ids.join(',')}`;
  return `GET ${target} HTTP/1.1\r\nhost: ${host}:${port}\r\n\r\n`;
}

/** Nothing once `each` has been had. */
function idsOf({ ids, batch, seed }: LoadSpec): () => readonly number[] | undefined {
  const next = nextOf(ids, seed);
  return () => {
    const some = Array.from({ length: batch }, next).filter((id) => id !== undefined);
    return some.length === 0 ? undefined : some;
  };
}

function nextOf({ kind, first, count, exponent }: WantedIds, seed: number): () => number | undefined {
  const random = seededRandom(seed);
  switch (kind) {
    case 'random':
      return () => first + Math.floor(random() * count);
    case 'zipf': {
      const rank = zipfSampler(count, exponent ?? 1, random);
      // What is wanted most does not lie side by side.
      return () => first + ((rank() * STRIDE) % count);
    }
    case 'each':
    case 'repeated': {
      let asked = 0;
      return () => {
        if (asked === count) return undefined;
        asked += 1;
        return kind === 'each' ? first + ((asked * STRIDE) % count) : first;
      };
    }
  }
}

function rightAnswers({ expect, batch }: LoadSpec): (ids: readonly number[]) => string {
  if (expect.kind === 'always') return () => expect.body;
  const size = sizeOf(expect.sizes);
  const kept = new Map<number, string>();
  const rowOf = (id: number): string => {
    let row = kept.get(id);
    if (row === undefined) {
      row = itemJson(id, size);
      if (kept.size < RIGHT_MAX) kept.set(id, row);
    }
    return row;
  };
  return batch === 1 ? ([id = 0]) => rowOf(id) : (ids) => `{"rows":[${ids.map(rowOf).join(',')}]}`;
}

process.stdout.write(`${JSON.stringify(await generate(JSON.parse(process.argv[2] ?? '{}') as LoadSpec))}\n`, () =>
  process.exit(),
);
