/**
 * Test files side by side: each lane runs one file at a time, over servers of its own, and takes the next when it is done.
 * One report of it all, with the closing lines that node:test prints.
 */
import { once } from 'node:events';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/** What its test files find in their environment. */
export type Lane = NodeJS.ProcessEnv;

interface TestEvent {
  readonly type: string;
  readonly data: { readonly file?: string; readonly counts?: Readonly<Record<string, number>> };
}

const TEST_TIMEOUT_MS = 300_000;
/** In the words and the order of the closing lines. */
const CLOSING = {
  tests: 'tests',
  suites: 'suites',
  passed: 'pass',
  failed: 'fail',
  cancelled: 'cancelled',
  skipped: 'skipped',
  todo: 'todo',
} as const;

export class TestReport {
  readonly #spec = new spec();
  readonly #counts = new Map<string, number>();
  readonly #startedAt = performance.now();
  readonly #signal: AbortSignal;

  constructor(output: NodeJS.WritableStream, signal: AbortSignal) {
    this.#spec.pipe(output);
    this.#signal = signal;
  }

  /** Settles when all of the files have run. A lane that is the only one tells of its tests as they come. */
  async run(files: readonly string[], lanes: readonly Lane[]): Promise<void> {
    const left = [...files];
    await Promise.all(
      lanes.map(async (env) => {
        for (let file = left.shift(); file !== undefined && !this.#signal.aborted; file = left.shift()) {
          await this.#runFile(file, env, lanes.length > 1);
        }
      }),
    );
  }

  /** @returns whether there were tests, and none failed. */
  async close(): Promise<boolean> {
    const lines = Object.entries(CLOSING).map(([count, word]) => `${word} ${this.#counts.get(count) ?? 0}`);
    for (const message of [...lines, `duration_ms ${performance.now() - this.#startedAt}`]) {
      this.#spec.write({ type: 'test:diagnostic', data: { nesting: 0, message, level: 'info' } });
    }
    this.#spec.end();
    await once(this.#spec, 'end');
    const count = (name: keyof typeof CLOSING) => this.#counts.get(name) ?? 0;
    return count('tests') > 0 && count('failed') + count('cancelled') === 0 && !this.#signal.aborted;
  }

  async #runFile(file: string, env: Lane, amidOthers: boolean): Promise<void> {
    const held: TestEvent[] = [];
    const tell = (event: TestEvent) => void this.#spec.write(event);
    const tests = run({ files: [file], env, timeout: TEST_TIMEOUT_MS, signal: this.#signal, concurrency: 1 });
    for await (const event of tests as AsyncIterable<TestEvent>) {
      if (isOfTheRun(event)) this.#add(event);
      else if (amidOthers) held.push(event);
      else tell(event);
    }
    held.forEach(tell);
  }

  #add({ data }: TestEvent): void {
    for (const [count, n] of Object.entries(data.counts ?? {}))
      this.#counts.set(count, (this.#counts.get(count) ?? 0) + n);
  }
}

/** Not of a test: how many there were, which is told once for all of the files. */
function isOfTheRun({ type, data }: TestEvent): boolean {
  return (type === 'test:summary' || type === 'test:diagnostic') && data.file === undefined;
}
