/**
 * Publishing to shards' queues so that nothing is missing and nothing is out of order: a session, which dies as a whole.
 *
 *     open -> publish, publish, … -> lost (nack | unroutable | channel or connection closed | no confirm in time)
 *
 * Why as a whole: n is lost, n+1 is confirmed, and the shard takes the hole for a gap. So from the first loss on nothing
 * is accepted. The caller opens another session and publishes again all that was not confirmed, in order; what arrives
 * twice is free of effect.
 *
 * What is unconfirmed is bounded, in messages and bytes: `ready()` waits for room. While the broker is out of memory or
 * disk (`blocked`), there is none.
 */
import { messageOf } from '../errors/errors.ts';
import type { ConfirmChannel } from 'amqplib';
import { BrokerUnavailable } from './broker-errors.ts';
import type { BrokerConnection } from './connection.ts';
import type { OpenChannel } from './open-channel.ts';
import { declareDeadLetters, declareShardQueue, type Topology } from './topology.ts';
import { WakeUp } from './wake-up.ts';

/**
 * - `refused`: the broker did not take a message (nack). - `unroutable`: the queue is not there (any more).
 * - `late`: no confirm in time. - `closed`: channel or connection.
 */
export type LossKind = 'refused' | 'unroutable' | 'late' | 'closed';

/** Everything unconfirmed is lost, and the session with it. */
export class PublishLost extends BrokerUnavailable {
  readonly kind: LossKind;

  constructor(kind: LossKind, why: string) {
    super(why);
    this.name = 'PublishLost';
    this.kind = kind;
  }
}

export interface PublishSessionOptions {
  readonly connection: BrokerConnection;
  readonly topology: Topology;
  readonly unconfirmedBytesMax?: number;
  readonly unconfirmedMessagesMax?: number;
  /** How long the broker may confirm nothing at all, while it is not blocked. */
  readonly confirmWithinMs?: number;
}

/** For whoever subscribes to an exchange; it may be nobody. */
export interface EventToPublish {
  readonly routingKey: string;
  /** Nothing for an event of another’s. */
  readonly version: string | undefined;
  readonly content: Buffer;
  /** It was told before, and comes from a file. */
  readonly isReplayed?: boolean;
}

export interface MessageOptions {
  readonly messageId?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

interface ToSend extends MessageOptions {
  /** Empty for the one in which each queue is found by its name. */
  readonly exchange: string;
  readonly routingKey: string;
  /** A message that no queue takes is a loss. */
  readonly mandatory: boolean;
  readonly message: Buffer;
  readonly contentType?: string;
}

interface Unconfirmed {
  readonly bytes: number;
  isConfirmed: boolean;
  readonly resolve: () => void;
  readonly reject: (lost: PublishLost) => void;
}

interface QueueState {
  confirmed: number;
  /** In the order in which they were published; a confirmed one waits for those before it. */
  readonly waiting: Unconfirmed[];
}

/** Of messages that `ringfill replay` sends: what wrote the file must not write them once more. */
export const REPLAYED_HEADER = 'ringfill-replayed';

const UNCONFIRMED_BYTES_MAX = 32 * 1_048_576;
const UNCONFIRMED_MESSAGES_MAX = 1_000;
/** Without any confirm: a queue that has lost its leader never confirms what it was sent meanwhile. */
const CONFIRM_WITHIN_MS = 20_000;

export class PublishSession {
  readonly #open: OpenChannel<ConfirmChannel>;
  readonly #connection: BrokerConnection;
  readonly #bytesMax: number;
  readonly #messagesMax: number;
  readonly #confirmWithinMs: number;
  readonly #clock: NodeJS.Timeout;
  readonly #unwatch: () => void;
  readonly #queues = new Map<string, QueueState>();
  readonly #room = new WakeUp();
  readonly #ended = Promise.withResolvers<PublishLost>();
  #bytes = 0;
  #messages = 0;
  #progressAt = performance.now();
  #lost: PublishLost | undefined;

  /**
   * Declares the queues, so that one that was deleted by hand is there again.
   * Throws BrokerUnavailable, or SetupError as declareTopology does.
   */
  static async open(options: PublishSessionOptions): Promise<PublishSession> {
    const open = await options.connection.openConfirmChannel();
    const { channel } = open;
    const { topology } = options;
    try {
      await declareDeadLetters(channel, topology);
      for (const { queue } of topology.shards) await declareShardQueue(channel, topology, queue);
    } catch (error) {
      await open.close();
      throw error;
    }
    return new PublishSession(open, options);
  }

  private constructor(open: OpenChannel<ConfirmChannel>, options: PublishSessionOptions) {
    this.#open = open;
    this.#connection = options.connection;
    this.#bytesMax = options.unconfirmedBytesMax ?? UNCONFIRMED_BYTES_MAX;
    this.#messagesMax = options.unconfirmedMessagesMax ?? UNCONFIRMED_MESSAGES_MAX;
    this.#confirmWithinMs = options.confirmWithinMs ?? CONFIRM_WITHIN_MS;
    // An unroutable message is returned first and then confirmed like any other.
    open.channel.on('return', ({ fields }) => {
      const { routingKey, replyText } = fields as { routingKey: string; replyText?: string };
      this.#lose('unroutable', `a message to ${routingKey} came back (${replyText ?? 'no reason given'})`);
    });
    void open.closed.then((why) => this.#lose('closed', why));
    this.#unwatch = this.#connection.watch(() => this.#room.raise());
    this.#clock = setInterval(() => this.#lookAtClock(), this.#confirmWithinMs / 8);
    this.#clock.unref();
  }

  /** Settles, with the reason, when the session has ended: by a loss, or by close(). */
  get ended(): Promise<PublishLost> {
    return this.#ended.promise;
  }

  get unconfirmed(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#messages, bytes: this.#bytes };
  }

  /** How many of the messages to this queue are confirmed, counted without a hole from the session's first. */
  confirmed(queue: string): number {
    return this.#queues.get(queue)?.confirmed ?? 0;
  }

  /** Settles when there is room for a message. Throws PublishLost. */
  async ready(): Promise<void> {
    for (;;) {
      if (this.#lost !== undefined) throw this.#lost;
      const isFull = this.#bytes >= this.#bytesMax || this.#messages >= this.#messagesMax;
      if (!isFull && this.#connection.state !== 'blocked') return;
      await this.#room.next();
    }
  }

  /**
   * Sends the message now, whether there is room or not: wait for `ready()` before.
   * @returns settles when this message and all those before it to this queue are confirmed; rejects with PublishLost.
   * Nobody has to look at it: a loss is also told by `ready()` and `ended`.
   */
  publish(queue: string, message: Buffer, options: MessageOptions = {}): Promise<void> {
    return this.#send({ exchange: '', routingKey: queue, mandatory: true, message, ...options });
  }

  /** The same, to a topic exchange; the order is kept among all that goes there. */
  publishEvent(exchange: string, { routingKey, version, content, isReplayed }: EventToPublish): Promise<void> {
    return this.#send({
      exchange,
      routingKey,
      // Of an exchange's subscribers there may be none; a queue that is named has to be there.
      mandatory: exchange === '',
      message: content,
      ...(version !== undefined && { messageId: version }),
      contentType: 'application/json',
      ...(isReplayed === true && { headers: { [REPLAYED_HEADER]: '1' } }),
    });
  }

  /** What is unconfirmed counts as lost. */
  async close(): Promise<void> {
    this.#lose('closed', 'the session was closed');
    await this.#open.close();
  }

  #send({ exchange, routingKey, message, ...options }: ToSend): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined);
    if (this.#lost !== undefined) {
      reject(this.#lost);
      return promise;
    }
    const unconfirmed: Unconfirmed = { bytes: message.length, isConfirmed: false, resolve, reject };
    // A queue's name in the default exchange has no exchange before it.
    const state = this.#stateOf(exchange === '' ? routingKey : `${exchange}\0`);
    state.waiting.push(unconfirmed);
    if (this.#messages === 0) this.#progressAt = performance.now();
    this.#messages += 1;
    this.#bytes += message.length;
    const properties = { ...options, persistent: true };
    try {
      this.#open.channel.publish(exchange, routingKey, message, properties, (error: unknown) => {
        if (error === null || error === undefined) this.#confirm(state, unconfirmed);
        else if (messageOf(error) === 'message nacked')
          this.#lose('refused', `a message to ${routingKey} was not taken`);
        // Else the channel is closed, and `closed` knows why.
      });
    } catch (error) {
      this.#lose('closed', messageOf(error));
    }
    return promise;
  }

  #stateOf(queue: string): QueueState {
    const known = this.#queues.get(queue);
    if (known !== undefined) return known;
    const state: QueueState = { confirmed: 0, waiting: [] };
    this.#queues.set(queue, state);
    return state;
  }

  /** Confirms come out of order, and by the dozen. */
  #confirm(state: QueueState, unconfirmed: Unconfirmed): void {
    if (this.#lost !== undefined) return;
    unconfirmed.isConfirmed = true;
    this.#progressAt = performance.now();
    this.#messages -= 1;
    this.#bytes -= unconfirmed.bytes;
    while (state.waiting[0]?.isConfirmed === true) {
      state.waiting.shift()?.resolve();
      state.confirmed += 1;
    }
    this.#room.raise();
  }

  #lookAtClock(): void {
    // Whatever was sent into a blocked connection waits in it, and is taken after the alarm.
    if (this.#messages === 0 || this.#connection.state === 'blocked') this.#progressAt = performance.now();
    else if (performance.now() - this.#progressAt > this.#confirmWithinMs) {
      this.#lose('late', `no confirm within ${this.#confirmWithinMs} ms`);
    }
  }

  #lose(kind: LossKind, why: string): void {
    if (this.#lost !== undefined) return;
    const lost = new PublishLost(kind, why);
    this.#lost = lost;
    clearInterval(this.#clock);
    this.#unwatch();
    for (const { waiting } of this.#queues.values()) for (const { reject } of waiting) reject(lost);
    this.#ended.resolve(lost);
    this.#room.raise();
    void this.#open.close();
  }
}
