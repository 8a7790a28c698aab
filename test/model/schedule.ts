/** What may happen in a round, and how often: drawn anew for each, as rare meetings need few others. */
import type { Replicas } from './judge.ts';
import { CACHED_ROWS, MIRRORED_ROWS, type Rows } from './keys.ts';
import type { Random } from './random.ts';

/** How often a thing happens, beside the others. */
const COMMON = {
  commit: 8,
  show: 7,
  read: 8,
  publish: 8,
  ask: 2,
  heartbeat: 4,
  pump: 3,
  confirm: 4,
  apply: 14,
  drain: 3,
  settle: 3,
  acknowledge: 3,
};
/** Of rows that are read through. */
const REQUESTS = { begin: 26, advance: 90 };
/** Where gateways answer from their own memory. */
const NEAR = { begin: 90, advance: 140, commit: 4, tellNear: 30, confirmNear: 25, settleNear: 20 };
/** Of a mirror: a request is soon answered, and a snapshot has many steps. */
const SNAPSHOTS = {
  begin: 20,
  advance: 25,
  hold: 1,
  release: 3,
  snapshot: 2,
  advanceSnapshot: 40,
  finishSnapshot: 3,
  abandonSnapshot: 0.4,
};
const FAULTS = {
  captures: { replacedGoesOn: 6, takeOver: 1, loseConfirm: 0.4, replan: 0.7, reconfigure: 1 },
  queues: { closeChannel: 1.5, echo: 1, dropHead: 0.7, purge: 0.3 },
  evictions: { evictEntry: 2.5, evictLease: 1, evictStamp: 0.4, flush: 0.2 },
  rereads: { reread: 2 },
  passing: { passBy: 3 },
  chunks: { forgetDeleted: 2 },
  locks: { hold: 2, show: 3, release: 1 },
  dumps: { dump: 1.5, restore: 1.2 },
  origin: { truncate: 1, alter: 0.5, rotate: 0.5, crash: 1 },
  gateways: { reconfigure: 1, restartGateway: 0.3 },
  feeds: { loseFeed: 1.5 },
};
/** Few kinds of faults together, and many of them. */
const FAULT_FACTORS = [0, 0, 0, 1, 6];

type KeysOfAll<T> = T extends unknown ? keyof T : never;
export type Action =
  | keyof typeof COMMON
  | keyof typeof REQUESTS
  | keyof typeof SNAPSHOTS
  | keyof typeof NEAR
  | KeysOfAll<(typeof FAULTS)[keyof typeof FAULTS]>;
export type FaultKind = keyof typeof FAULTS;

/** Instead of what is drawn: how often each kind of fault is, which rows there are, and which replicas are read. */
export type Emphasis = Partial<Record<FaultKind, number>> & {
  readonly rows?: 'cached' | 'mirrored';
  /** Whether gateways answer from their own memory, too. */
  readonly near?: boolean;
  readonly replicas?: Replicas;
};

export class Schedule {
  readonly rows: Rows;
  readonly replicas: Replicas;
  readonly near: boolean;
  readonly #random: Random;
  readonly #weights: readonly (readonly [Action, number])[];
  readonly #sum: number;

  constructor(random: Random, emphasis: Emphasis = {}) {
    this.#random = random;
    const { rows, replicas, near, ...faults } = emphasis;
    const kind = rows ?? random.pick(['cached', 'mirrored'] as const);
    this.rows = kind === 'cached' ? CACHED_ROWS : random.pick(MIRRORED_ROWS);
    this.replicas = replicas ?? random.pick(['none', 'none', 'alone', 'mixed'] as const);
    this.near = kind === 'cached' && (near ?? random.chance(0.5));
    const isDrawn = Object.keys(faults).length === 0 && replicas === undefined;
    const common = { ...COMMON, ...(kind === 'cached' ? REQUESTS : SNAPSHOTS), ...(this.near && NEAR) };
    this.#weights = [
      ...Object.entries(common).map(([name, weight]) => [name, weight * random.pick([0.4, 1, 2.5])] as const),
      ...Object.entries(FAULTS).flatMap(([fault, actions]) => {
        const factor = isDrawn ? random.pick(FAULT_FACTORS) : (faults[fault as FaultKind] ?? 0);
        return Object.entries(actions).map(([name, weight]) => [name, weight * factor] as const);
      }),
    ] as [Action, number][];
    this.#sum = this.#weights.reduce((sum, [, weight]) => sum + weight, 0);
  }

  draw(): Action {
    let at = this.#random.next() * this.#sum;
    for (const [action, weight] of this.#weights) {
      at -= weight;
      if (at < 0) return action;
    }
    return 'advance';
  }
}
