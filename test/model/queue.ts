/**
 * A shard's queue and the consumer that applies it. What was delivered and not acknowledged comes again, in order, when
 * the consumer's channel closes; what was not delivered may be lost (an overflow drops the head, a purge all of it).
 */
import { decodeBatch, type DecodedBatch } from '../../shared/change/change-batch.ts';
import type { Random } from './random.ts';
import type { ApplyReply, ModelShard } from './shard.ts';

interface Message {
  readonly batch: DecodedBatch;
  /** It came over a gap once: what is before it was then delivered again. */
  cameOverGap: boolean;
}

/** How many applied messages may be applied once more, out of turn. */
const ECHOES = 8;

export class ShardQueue {
  readonly shard: ModelShard;
  readonly #random: Random;
  /** The applier's clock. */
  readonly #now: () => number;
  readonly #messages: Message[] = [];
  /** From the front: delivered, and not acknowledged. */
  #unacked = 0;
  readonly #echoes: Message[] = [];

  constructor(shard: ModelShard, random: Random, now: () => number) {
    this.shard = shard;
    this.#random = random;
    this.#now = now;
  }

  get ready(): number {
    return this.#messages.length - this.#unacked;
  }

  publish(message: Buffer): void {
    this.#messages.push({ batch: decodeBatch(message), cameOverGap: false });
  }

  /** One message is applied; its acknowledgement is delayed. Nothing where there is none. */
  async applyNext(): Promise<{ outcome: ApplyReply | 'forced'; batch: DecodedBatch } | undefined> {
    const message = this.#messages[this.#unacked];
    if (message === undefined) return undefined;
    const { batch } = message;
    const outcome = await this.shard.apply(batch, false, this.#now());
    if (outcome !== 'gap') {
      this.#unacked += 1;
      this.#echoes.push(message);
      if (this.#echoes.length > ECHOES) this.#echoes.shift();
      return { outcome, batch };
    }
    if (!message.cameOverGap) {
      message.cameOverGap = true;
      this.close();
      return { outcome, batch };
    }
    await this.shard.apply(batch, true, this.#now());
    this.#unacked += 1;
    return { outcome: 'forced', batch };
  }

  /** A command of a consumer that was replaced, on its way for long. */
  async applyEcho(): Promise<void> {
    if (this.#echoes.length === 0) return;
    const { batch, cameOverGap } = this.#random.pick(this.#echoes);
    await this.shard.apply(batch, cameOverGap, this.#now());
  }

  acknowledge(): void {
    const acknowledged = this.#random.below(this.#unacked + 1);
    this.#messages.splice(0, acknowledged);
    this.#unacked -= acknowledged;
  }

  close(): void {
    this.#unacked = 0;
  }

  dropHead(): void {
    this.#messages.splice(this.#unacked, 1 + this.#random.below(3));
  }

  purge(): void {
    this.#messages.splice(this.#unacked);
  }
}
