/**
 * The acks of one channel. They follow the effect at once; but for a shard behind Sentinels they are held back for a
 * while: a failover loses what the new primary had not yet been sent, some milliseconds of it. Its stamp then shows a gap,
 * the channel is closed, and the broker delivers again what is not acked.
 */
import type { Channel, ConsumeMessage } from 'amqplib';

export interface AcksOptions {
  /** How long each is held back; 0: not at all. */
  readonly holdMs: number;
  /** Past this many the oldest are given anyway, so that the broker goes on sending. */
  readonly heldMax: number;
  readonly now?: () => number;
}

interface Held {
  readonly deliveryTag: number;
  readonly since: number;
}

export class Acks {
  readonly #channel: Channel;
  readonly #options: AcksOptions;
  readonly #now: () => number;
  readonly #held: Held[] = [];

  constructor(channel: Channel, options: AcksOptions) {
    this.#channel = channel;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** The message is done with, and so are all before it. Heartbeats come all the time, so nothing is held for ever. */
  done(message: ConsumeMessage): void {
    const { holdMs, heldMax } = this.#options;
    const now = this.#now();
    this.#held.push({ deliveryTag: message.fields.deliveryTag, since: now });
    const due = this.#held.findLastIndex(({ since }) => now - since >= holdMs);
    this.#give(Math.max(due + 1, this.#held.length - heldMax));
  }

  /** All that is held: nobody will be there to have it delivered again. */
  flush(): void {
    this.#give(this.#held.length);
  }

  #give(count: number): void {
    const last = this.#held.splice(0, count).at(-1);
    if (last === undefined) return;
    // The tag is all that the driver looks at; the body need not be kept for it.
    const upTo = { fields: { deliveryTag: last.deliveryTag } } as ConsumeMessage;
    this.#channel.ack(upTo, true);
  }
}
