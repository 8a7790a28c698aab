/**
 * Requests, closed or open loop. Closed: so many are under way at any time, each followed by the next. Open: they are due
 * at a fixed rate whatever becomes of those before, and their latency counts from the moment they were due, so that a
 * stall is felt by all who would have come in it.
 */
export type LoadShape =
  | { readonly kind: 'closed'; readonly connections: number }
  | {
      readonly kind: 'open';
      readonly perSecond: number;
      /**
       * Sleeps for at most a tenth of a millisecond, with the whole thread, so that requests are sent when they are due; a
       * timer has whole milliseconds. For a thread that does nothing else.
       */
      readonly isPrecise?: boolean;
    };

export interface LoadOptions {
  readonly shape: LoadShape;
  /** One request. `dueAt` of performance.now(). Must not reject. */
  readonly request: (dueAt: number) => Promise<void>;
  /** A request that was due found this many under way, and was not sent. */
  readonly onOverrun: () => void;
}

/** Of an open loop; whoever waits for longer is not helped by more of them. */
export const UNDER_WAY_MAX = 5_000;
const TICK_MS = 2;
const SLEEP_MS_MAX = 0.1;

export class Load {
  readonly #options: LoadOptions;
  readonly #underWay = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  start(): void {
    const { shape } = this.#options;
    if (shape.kind === 'closed') for (let one = 0; one < shape.connections; one += 1) this.#follow();
    else this.#keepRate(shape.perSecond, shape.isPrecise ?? false);
  }

  /** Settles when every request has been answered or has failed. */
  async stop(): Promise<void> {
    this.#isOver = true;
    clearTimeout(this.#timer);
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  #follow(): void {
    if (!this.#isOver) this.#send(performance.now(), () => this.#follow());
  }

  #keepRate(perSecond: number, isPrecise: boolean): void {
    const everyMs = 1_000 / perSecond;
    const sleeper = new Int32Array(new SharedArrayBuffer(4));
    let dueAt = performance.now();
    const tick = () => {
      if (this.#isOver) return;
      for (const now = performance.now(); dueAt <= now; dueAt += everyMs) {
        if (this.#underWay.size >= UNDER_WAY_MAX) this.#options.onOverrun();
        else this.#send(dueAt);
      }
      if (!isPrecise) {
        this.#timer = setTimeout(tick, TICK_MS);
        return;
      }
      const untilDue = dueAt - performance.now();
      if (untilDue > 0) Atomics.wait(sleeper, 0, 0, Math.min(untilDue, SLEEP_MS_MAX));
      setImmediate(tick);
    };
    tick();
  }

  #send(dueAt: number, then?: () => void): void {
    const sending = this.#options.request(dueAt).finally(() => {
      this.#underWay.delete(sending);
      then?.();
    });
    this.#underWay.add(sending);
  }
}
