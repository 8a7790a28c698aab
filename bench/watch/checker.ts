/**
 * Holds each answer against the ledger, and against what was answered before it.
 *
 *     error      not 200; a key that was not cached may also get 503 with Retry-After (`shed`), counted apart
 *     wrong      200 with another row than was asked for, or with a counter that no write gave it
 *     stale      when the request was sent, another counter had taken the place of the answered one for longer than the
 *                bound; counted apart where the answer says itself that changes are not heard of (`sync-lost`)
 *     backward   the same gateway and shard had answered with a higher counter, to a request that had ended before this
 *                one was sent. What was not stored is the origin's word and not the shard's: it neither goes back nor is
 *                gone back from.
 *
 * Each is a fault of the answer, and an answer has one at most of error and wrong. The first few of each kind are kept as
 * they came.
 */
import type { Ledger } from './ledger.ts';
import { toldStory, type ToldStory } from './story.ts';

export interface Asked {
  readonly id: number;
  /** The gateway, and which of its lives: another process has seen nothing. */
  readonly gateway: string;
  /** The row was cached before the drill began. */
  readonly isWarm: boolean;
  /** performance.now() */
  readonly sentAt: number;
}

export type Answered =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly cacheStatus: string | undefined;
      readonly retryAfter: string | undefined;
      readonly body: string;
      readonly endedAt: number;
    }
  /** No whole answer came. */
  | { readonly kind: 'failed'; readonly why: string; readonly endedAt: number };

export const FAULTS = ['error', 'wrong', 'stale', 'backward'] as const;
export type Fault = (typeof FAULTS)[number];

export interface Judgement {
  readonly outcome: 'answered' | 'shed' | 'error';
  readonly story: ToldStory | undefined;
}

/** One fault, as it was seen. */
export interface Example {
  readonly fault: Fault;
  /** Since the watch began. ms. */
  readonly atMs: number;
  readonly gateway: string;
  readonly id: number;
  readonly what: string;
  readonly cacheStatus: string | undefined;
}

export interface CheckedAnswers {
  readonly requests: number;
  readonly faults: Readonly<Record<Fault, number>>;
  /** Stale answers that say `sync-lost` themselves. */
  readonly staleAndSaysSo: number;
  /** 503 with Retry-After for keys that were not cached. */
  readonly shed: number;
  /** Of answers that do not say `sync-lost`: how long another counter had taken its place. ms. */
  readonly oldestMs: number;
  readonly statuses: Readonly<Record<string, number>>;
  readonly examples: readonly Example[];
}

export interface CheckerOptions {
  /** Nothing where nobody knows what was committed: then ages are not judged. */
  readonly ledger: Ledger | undefined;
  /** An answer may be so old. ms. */
  readonly boundMs: number;
  readonly startedAt: number;
}

const EXAMPLES_PER_FAULT = 20;
const STATUSES_MAX = 50;
/** Of one row, gateway and shard: how many rises are kept. Requests that are under way for longer see fewer. */
const RISES_MAX = 8;

interface Rise {
  readonly n: number;
  readonly endedAt: number;
}

export class Checker {
  readonly #options: CheckerOptions;
  /** By gateway and place, then by row: the highest counters that were answered, oldest first. */
  readonly #rises = new Map<string, Map<number, Rise[]>>();
  readonly #faults: Record<Fault, number> = { error: 0, wrong: 0, stale: 0, backward: 0 };
  readonly #statuses = new Map<string, number>();
  readonly #examples: Example[] = [];
  #requests = 0;
  #shed = 0;
  #staleAndSaysSo = 0;
  #oldestMs = 0;

  constructor(options: CheckerOptions) {
    this.#options = options;
  }

  judge(asked: Asked, answered: Answered): Judgement {
    this.#requests += 1;
    if (answered.kind === 'failed') {
      this.#count(answered.why);
      this.#fault('error', asked, answered.why);
      return { outcome: 'error', story: undefined };
    }
    const { status, cacheStatus, retryAfter, body } = answered;
    this.#count(String(status));
    const story = toldStory(cacheStatus);
    if (status === 503 && !asked.isWarm && retryAfter !== undefined) {
      this.#shed += 1;
      return { outcome: 'shed', story };
    }
    if (status !== 200) {
      this.#fault('error', asked, `${status} ${body.slice(0, 600)}`, cacheStatus);
      return { outcome: 'error', story };
    }
    const n = counterIn(body, asked.id);
    if (n === undefined || story === undefined || this.#options.ledger?.canHold(asked.id, n) === false) {
      this.#fault('wrong', asked, body.slice(0, 300), cacheStatus);
      return { outcome: 'error', story };
    }
    this.#judgeAge(asked, n, story, cacheStatus);
    this.#judgeOrder(asked, n, answered.endedAt, story, cacheStatus);
    return { outcome: 'answered', story };
  }

  seen(): CheckedAnswers {
    return {
      requests: this.#requests,
      faults: { ...this.#faults },
      staleAndSaysSo: this.#staleAndSaysSo,
      shed: this.#shed,
      oldestMs: this.#oldestMs,
      statuses: Object.fromEntries(this.#statuses),
      examples: [...this.#examples],
    };
  }

  #judgeAge(asked: Asked, n: number, { syncLost }: ToldStory, cacheStatus: string | undefined): void {
    const { ledger, boundMs } = this.#options;
    if (ledger === undefined) return;
    const ageMs = asked.sentAt - ledger.replacedAt(asked.id, n);
    if (ageMs <= 0) return;
    if (!syncLost) this.#oldestMs = Math.max(this.#oldestMs, ageMs);
    if (ageMs <= boundMs) return;
    if (syncLost) {
      this.#staleAndSaysSo += 1;
      return;
    }
    const newest = ledger.newest(asked.id);
    this.#fault('stale', asked, `counter ${n}, replaced ${ageMs.toFixed(0)} ms ago; now ${newest}`, cacheStatus);
  }

  #judgeOrder(asked: Asked, n: number, endedAt: number, story: ToldStory, cacheStatus: string | undefined): void {
    if (story.place === undefined || story.outcome === 'unstored') return;
    const rises = this.#risesOf(`${asked.gateway} ${story.place}`, asked.id);
    const before = rises.findLast((rise) => rise.endedAt < asked.sentAt);
    if (before !== undefined && n < before.n) {
      const ago = (asked.sentAt - before.endedAt).toFixed(0);
      this.#fault(
        'backward',
        asked,
        `counter ${n} after ${before.n}, which had been answered ${ago} ms ago`,
        cacheStatus,
      );
    }
    if (n <= (rises.at(-1)?.n ?? -1)) return;
    rises.push({ n, endedAt });
    if (rises.length > RISES_MAX) rises.shift();
  }

  #risesOf(where: string, id: number): Rise[] {
    let rows = this.#rises.get(where);
    if (rows === undefined) this.#rises.set(where, (rows = new Map<number, Rise[]>()));
    let rises = rows.get(id);
    if (rises === undefined) rows.set(id, (rises = []));
    return rises;
  }

  #count(status: string): void {
    const known = this.#statuses.has(status) || this.#statuses.size < STATUSES_MAX ? status : 'others';
    this.#statuses.set(known, (this.#statuses.get(known) ?? 0) + 1);
  }

  #fault(fault: Fault, { id, gateway, sentAt }: Asked, what: string, cacheStatus?: string): void {
    this.#faults[fault] += 1;
    if (this.#faults[fault] > EXAMPLES_PER_FAULT) return;
    this.#examples.push({ fault, atMs: sentAt - this.#options.startedAt, gateway, id, what, cacheStatus });
  }
}

/** Nothing where it is not the row that was asked for. */
export function counterIn(body: string, id: number): number | undefined {
  try {
    const row = JSON.parse(body) as { id?: unknown; n?: unknown };
    return row.id === id && typeof row.n === 'number' ? row.n : undefined;
  } catch {
    return undefined;
  }
}
