/**
 * What happened when, in steps of 100 ms: answers by when they ended, reads of the origin by when the gateways told of
 * them, and each shard's state as the gateways saw it. Bounded by STEPS_MAX.
 */
import { createHistogram } from 'node:perf_hooks';

export const STEP_MS = 100;
/** Two hours and a half; what comes later is counted in the last step. */
const STEPS_MAX = 90_000;

export interface Step {
  requests: number;
  errors: number;
  shed: number;
  hits: number;
  /** Rows that the gateways asked the origin for. */
  originRows: number;
  originSelects: number;
  /** ms; 0 without answers. */
  p50: number;
  p99: number;
}

export interface Mark {
  readonly atMs: number;
  readonly words: string;
}

/** A gateway saw the shard so from then on. */
export interface StateChange {
  readonly atMs: number;
  readonly gateway: string;
  /** `primary r2` */
  readonly shard: string;
  readonly state: string;
}

export interface Recorded {
  readonly steps: readonly Readonly<Step>[];
  readonly marks: readonly Mark[];
  readonly states: readonly StateChange[];
  /** Of all answers. ms. */
  readonly latencyMs: Readonly<Record<'p50' | 'p99' | 'p999' | 'max', number>>;
}

export interface OneAnswer {
  readonly outcome: 'answered' | 'shed' | 'error';
  readonly isHit: boolean;
  readonly latencyMs: number;
  readonly endedAt: number;
}

export class Timeline {
  readonly startedAt: number;
  readonly #steps: Step[] = [];
  readonly #marks: Mark[] = [];
  readonly #states: StateChange[] = [];
  readonly #stateNow = new Map<string, string>();
  readonly #ofStep = createHistogram({ figures: 2 });
  readonly #ofAll = createHistogram({ figures: 3 });

  constructor(startedAt: number) {
    this.startedAt = startedAt;
  }

  answer({ outcome, isHit, latencyMs, endedAt }: OneAnswer): void {
    const step = this.#stepAt(endedAt);
    step.requests += 1;
    if (outcome === 'error') step.errors += 1;
    if (outcome === 'shed') step.shed += 1;
    if (isHit) step.hits += 1;
    const micros = Math.max(1, Math.round(latencyMs * 1_000));
    this.#ofStep.record(micros);
    this.#ofAll.record(micros);
  }

  originReads(at: number, rows: number, selects: number): void {
    const step = this.#stepAt(at);
    step.originRows += rows;
    step.originSelects += selects;
  }

  mark(words: string): void {
    this.#marks.push({ atMs: performance.now() - this.startedAt, words });
  }

  state(at: number, gateway: string, shard: string, state: string): void {
    const name = `${gateway} ${shard}`;
    if (this.#stateNow.get(name) === state) return;
    this.#stateNow.set(name, state);
    this.#states.push({ atMs: at - this.startedAt, gateway, shard, state });
  }

  recorded(): Recorded {
    this.#closeStep();
    const ofAll = this.#ofAll;
    const milliseconds = (micros: number) => (ofAll.count === 0 ? 0 : micros / 1_000);
    return {
      steps: this.#steps,
      marks: this.#marks,
      states: this.#states,
      latencyMs: {
        p50: milliseconds(ofAll.percentile(50)),
        p99: milliseconds(ofAll.percentile(99)),
        p999: milliseconds(ofAll.percentile(99.9)),
        max: milliseconds(ofAll.max),
      },
    };
  }

  /** Steps follow each other; what ended a moment before the newest began is counted in the newest. */
  #stepAt(at: number): Step {
    const index = Math.min(STEPS_MAX - 1, Math.max(0, Math.floor((at - this.startedAt) / STEP_MS)));
    while (this.#steps.length <= index) {
      this.#closeStep();
      this.#steps.push({
        requests: 0,
        errors: 0,
        shed: 0,
        hits: 0,
        originRows: 0,
        originSelects: 0,
        p50: 0,
        p99: 0,
      });
    }
    return this.#steps.at(-1) as Step;
  }

  #closeStep(): void {
    const step = this.#steps.at(-1);
    if (step === undefined || this.#ofStep.count === 0) return;
    step.p50 = this.#ofStep.percentile(50) / 1_000;
    step.p99 = this.#ofStep.percentile(99) / 1_000;
    this.#ofStep.reset();
  }
}
