/** How far a shard has been brought, as this process sees it: for metrics and for whoever looks. */
import type { BatchHead } from '../../shared/change/change-batch.ts';

export interface ShardApplyStatus {
  readonly shard: string;
  readonly ring: string;
  /** A channel is open to its queue; of several processes, one is the active consumer. */
  readonly connected: boolean;
  /** The stamp's `to` after the last message that this process applied; nothing before the first. */
  readonly to: string | undefined;
  /** The stamp's `asOf` then. ms since 1970. */
  readonly asOfMs: number | undefined;
  /** How old `asOf` is. */
  readonly lagMs: number | undefined;
  /** Since this process started; repeats count. */
  readonly messages: number;
  readonly changes: number;
  readonly bytes: number;
  /** Messages of a plan that was replaced. */
  readonly fenced: number;
  readonly gaps: number;
  readonly deadLetters: number;
  /** Why it is not applied just now, or was not the last time. */
  readonly lastError: string | undefined;
}

export class StatusKeeper {
  connected = false;
  fenced = 0;
  gaps = 0;
  deadLetters = 0;
  lastError: string | undefined;
  readonly #shard: string;
  readonly #ring: string;
  readonly #now: () => number;
  #to: string | undefined;
  #asOfMs: number | undefined;
  #messages = 0;
  #changes = 0;
  #bytes = 0;

  constructor(shard: string, ring: string, now: () => number = Date.now) {
    this.#shard = shard;
    this.#ring = ring;
    this.#now = now;
  }

  applied(to: string, { asOf }: BatchHead, changes: number, bytes: number): void {
    this.#to = to;
    // A repeat may bring an older one.
    this.#asOfMs = Math.max(asOf, this.#asOfMs ?? 0);
    this.#messages += 1;
    this.#changes += changes;
    this.#bytes += bytes;
  }

  read(): ShardApplyStatus {
    return {
      shard: this.#shard,
      ring: this.#ring,
      connected: this.connected,
      to: this.#to,
      asOfMs: this.#asOfMs,
      lagMs: this.#asOfMs === undefined ? undefined : Math.max(0, this.#now() - this.#asOfMs),
      messages: this.#messages,
      changes: this.#changes,
      bytes: this.#bytes,
      fenced: this.fenced,
      gaps: this.gaps,
      deadLetters: this.deadLetters,
      lastError: this.lastError,
    };
  }
}
