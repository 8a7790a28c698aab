/**
 * Load, writer, checker and timeline over running gateways, from `start` to `stop`. It does no harm itself: who does, says
 * so by `mark` and `harmed`.
 */
import { seededRandom } from '../load/random.ts';
import { zipfSampler } from '../load/zipf.ts';
import { type CheckedAnswers, Checker } from './checker.ts';
import { type Figures, figuresOf, type Harm } from './figures.ts';
import { type GatewayTarget, Gateways } from './gateways.ts';
import { Ledger } from './ledger.ts';
import { Load, type LoadShape } from './load.ts';
import { RingWatch } from './ring-watch.ts';
import { type Recorded, Timeline } from './timeline.ts';
import { type Written, Writer, type WriterOptions } from './writer.ts';

export interface WatchOptions {
  readonly gateways: readonly GatewayTarget[];
  /** `db.table`: rows of `id`, from 1 on, and `n`, 0 at first. */
  readonly table: string;
  /** Nobody writes, and answers are not held against any ledger, if it is missing. */
  readonly origin?: WriterOptions['origin'] | undefined;
  /** The table was written before. */
  readonly isOldTable?: boolean;
  readonly load: LoadShape;
  /** The rows 1 to this many were cached when the watch began. */
  readonly warmRows: number;
  /** The rows after those, which were not; asked for by this share of the requests. */
  readonly cold?: { readonly rows: number; readonly share: number } | undefined;
  /** Any row may get 503 with Retry-After, which is counted apart. */
  readonly mayShed?: boolean;
  readonly zipf: number;
  readonly writesPerSecond: number;
  /** An answer may be so old. ms. */
  readonly boundMs: number;
  readonly seed: number;
}

export interface Seen {
  readonly seconds: number;
  readonly answers: CheckedAnswers;
  readonly written: Written;
  readonly recorded: Recorded;
  readonly figures: Figures;
  /** Requests of an open loop that were not sent, because too many were under way. */
  readonly overruns: number;
}

const TIMEOUT_MS = 5_000;
const CONNECTIONS_OPEN_LOOP = 128;
/** So many writes go to rows as the readers want them; the others to any, so that old values show there too. */
const WRITES_LIKE_READS = 0.5;

export class Watch {
  readonly ledger = new Ledger();
  readonly #options: WatchOptions;
  readonly #gateways: Gateways;
  readonly #load: Load;
  readonly #writer: Writer | undefined;
  readonly #timeline: Timeline;
  readonly #checker: Checker;
  readonly #ringWatch: RingWatch;
  readonly #nextId: () => number;
  #harm: Harm | undefined;
  #overruns = 0;

  constructor(options: WatchOptions) {
    const { gateways, table, origin, load, warmRows, zipf, seed, writesPerSecond, boundMs } = options;
    this.#options = options;
    const startedAt = performance.now();
    this.#timeline = new Timeline(startedAt);
    this.#checker = new Checker({ ledger: origin && this.ledger, boundMs, startedAt });
    const connections = load.kind === 'closed' ? load.connections : CONNECTIONS_OPEN_LOOP;
    this.#gateways = new Gateways({ targets: gateways, connections, timeoutMs: TIMEOUT_MS });
    this.#nextId = this.#chooser();
    this.#load = new Load({
      shape: load,
      request: (dueAt) => this.#request(dueAt),
      onOverrun: () => {
        this.#overruns += 1;
      },
    });
    const random = seededRandom(seed + 1);
    const popular = zipfSampler(warmRows, zipf, random);
    this.#writer =
      origin &&
      new Writer({
        origin,
        table,
        ledger: this.ledger,
        perSecond: writesPerSecond,
        nextRow: () => (random() < WRITES_LIKE_READS ? popular() : 1 + Math.floor(random() * warmRows)),
      });
    this.#ringWatch = new RingWatch({ targets: gateways, table, timeline: this.#timeline });
  }

  /** Settles when it is known what the rows hold. Throws where the origin does not say. */
  async prepare(): Promise<void> {
    if (this.#options.isOldTable === true) await this.#writer?.note(this.#options.warmRows);
  }

  /** Instead of starting. */
  async abandon(): Promise<void> {
    await Promise.all([this.#writer?.stop(), this.#gateways.stop(), this.#ringWatch.stop()]);
  }

  /** So far. */
  get answers(): CheckedAnswers {
    return this.#checker.seen();
  }

  start(): void {
    this.#gateways.start();
    this.#ringWatch.start();
    this.#writer?.start();
    this.#load.start();
  }

  /** What is done, shown in the timeline. */
  mark(words: string): void {
    this.#timeline.mark(words);
  }

  /** The first time, it is also what the figures count from. */
  harmed(words: string, { shards, gateways }: Omit<Harm, 'atMs'>): void {
    this.mark(words);
    this.#harm ??= { atMs: performance.now() - this.#timeline.startedAt, shards, gateways };
  }

  /** Settles when nothing is under way any more. */
  async stop(): Promise<Seen> {
    const { startedAt } = this.#timeline;
    await this.#load.stop();
    const seconds = (performance.now() - startedAt) / 1_000;
    const [written] = await Promise.all([this.#writer?.stop(), this.#gateways.stop(), this.#ringWatch.stop()]);
    const recorded = this.#timeline.recorded();
    const names = this.#options.gateways.map(({ name }) => name);
    return {
      seconds,
      answers: this.#checker.seen(),
      written: written ?? { commits: 0, failed: {} },
      recorded,
      figures: figuresOf(recorded, this.#harm, names),
      overruns: this.#overruns,
    };
  }

  async #request(dueAt: number): Promise<void> {
    const id = this.#nextId();
    const { gateway, sentAt, answered } = await this.#gateways.get(`${this.#path}/${id}`);
    const isWarm = this.#options.mayShed !== true && id <= this.#options.warmRows;
    const { outcome, story } = this.#checker.judge({ id, gateway, isWarm, sentAt }, answered);
    const { endedAt } = answered;
    this.#timeline.answer({ outcome, isHit: story?.outcome === 'hit', latencyMs: endedAt - dueAt, endedAt });
  }

  get #path(): string {
    return `/${this.#options.table.replace('.', '/')}`;
  }

  #chooser(): () => number {
    const { warmRows, cold, zipf, seed } = this.#options;
    const random = seededRandom(seed);
    const warm = zipfSampler(warmRows, zipf, random);
    if (cold === undefined) return warm;
    return () => (random() < cold.share ? warmRows + 1 + Math.floor(random() * cold.rows) : warm());
  }
}
