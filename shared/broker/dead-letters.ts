/**
 * Messages that can never be applied: kept apart, with where they were meant to go and why they did not, until somebody
 * has looked at them. Burying one is no loss to the shard's truth: the next message begins beyond the shard's stamp, and
 * the shard finds the gap by itself.
 */
import { randomBytes } from 'node:crypto';
import type { Channel, GetMessage } from 'amqplib';
import { withinDeadline } from '../lifecycle/deadline.ts';
import { BrokerUnavailable } from './broker-errors.ts';
import type { BrokerConnection } from './connection.ts';
import { type MessageOptions, PublishSession } from './publisher.ts';
import { declareDeadLetters, type ShardQueue, type Topology } from './topology.ts';

export interface DeadLetter extends ShardQueue {
  readonly id: string;
  readonly why: string;
  readonly at: Date;
  readonly message: Buffer;
}

const HEADERS = {
  queue: 'ringfill-queue',
  ring: 'ringfill-ring',
  shard: 'ringfill-shard',
  why: 'ringfill-why',
  at: 'ringfill-at',
} as const;
const WHY_LENGTH_MAX = 500;
/** Of what a letter's headers say. */
const TEXT_LENGTH_MAX = 1_000;
/** The broker may be out of memory for longer; then the message stays where it is. */
const BURIED_WITHIN_MS = 10_000;

/** Buries; over a connection of its own, for one that publishes is not read while the broker is out of memory. */
export class Undertaker {
  readonly #connection: BrokerConnection;
  readonly #topology: Topology;
  #session: Promise<PublishSession> | undefined;

  constructor(connection: BrokerConnection, topology: Topology) {
    this.#connection = connection;
    this.#topology = topology;
  }

  /** Settles when the broker has confirmed it. Throws BrokerUnavailable or SetupError; then it may be there twice later. */
  async bury(from: ShardQueue, why: string, message: Buffer): Promise<void> {
    const headers = {
      [HEADERS.queue]: from.queue,
      [HEADERS.ring]: from.ring,
      [HEADERS.shard]: from.shard,
      [HEADERS.why]: why.slice(0, WHY_LENGTH_MAX),
      [HEADERS.at]: new Date().toISOString(),
    };
    const messageId = randomBytes(6).toString('hex');
    const buried = this.#publish(message, { messageId, headers });
    await withinDeadline(buried, BURIED_WITHIN_MS, () => new BrokerUnavailable('it does not take the dead letter'));
  }

  async #publish(message: Buffer, options: MessageOptions): Promise<void> {
    const session = await this.#openSession();
    try {
      await session.ready();
      await session.publish(this.#topology.deadLetters, message, options);
    } catch (error) {
      this.#session = undefined;
      throw error;
    }
  }

  async #openSession(): Promise<PublishSession> {
    const opening = (this.#session ??= PublishSession.open({ connection: this.#connection, topology: this.#topology }));
    try {
      return await opening;
    } catch (error) {
      if (this.#session === opening) this.#session = undefined;
      throw error;
    }
  }
}

export type ReplayOutcome = 'replayed' | 'unknown shard';

/**
 * Looks at the dead letters. They are held while this is open, so two of them see different ones; what was neither
 * replayed nor dropped is back in its place when it is closed.
 */
export class DeadLetterBox {
  readonly letters: readonly DeadLetter[];
  readonly #held: ReadonlyMap<DeadLetter, GetMessage>;
  readonly #channel: Channel;
  readonly #topology: Topology;
  readonly #connection: BrokerConnection;
  readonly #close: () => Promise<void>;

  static async open(connection: BrokerConnection, topology: Topology): Promise<DeadLetterBox> {
    const open = await connection.openChannel();
    try {
      await declareDeadLetters(open.channel, topology);
      const held = new Map<DeadLetter, GetMessage>();
      for (;;) {
        const message = await open.channel.get(topology.deadLetters);
        if (message === false) break;
        held.set(letterOf(message), message);
      }
      return new DeadLetterBox(connection, topology, open.channel, held, () => open.close());
    } catch (error) {
      await open.close();
      throw error;
    }
  }

  private constructor(
    connection: BrokerConnection,
    topology: Topology,
    channel: Channel,
    held: ReadonlyMap<DeadLetter, GetMessage>,
    close: () => Promise<void>,
  ) {
    this.#connection = connection;
    this.#topology = topology;
    this.#channel = channel;
    this.#held = held;
    this.#close = close;
    this.letters = [...held.keys()];
  }

  /** Back into their shards' queues, in their order. A letter leaves only when its queue has it. */
  async replay(letters: readonly DeadLetter[]): Promise<Map<DeadLetter, ReplayOutcome>> {
    const outcomes = new Map<DeadLetter, ReplayOutcome>();
    const known = new Set(this.#topology.shards.map(({ queue }) => queue));
    const session = await PublishSession.open({ connection: this.#connection, topology: this.#topology });
    try {
      for (const letter of letters) {
        if (known.has(letter.queue)) {
          await session.ready();
          await session.publish(letter.queue, letter.message);
          this.#remove(letter);
          outcomes.set(letter, 'replayed');
        } else outcomes.set(letter, 'unknown shard');
      }
    } finally {
      await session.close();
    }
    return outcomes;
  }

  drop(letters: readonly DeadLetter[]): void {
    for (const letter of letters) this.#remove(letter);
  }

  close(): Promise<void> {
    return this.#close();
  }

  #remove(letter: DeadLetter): void {
    const message = this.#held.get(letter);
    if (message === undefined) throw new Error('the letter is not of this box');
    this.#channel.ack(message);
  }
}

/** Whoever can publish may have put anything there, also what a terminal would take for a command. */
export function letterOf({ content, properties }: GetMessage): DeadLetter {
  const header = (name: string) => {
    const value: unknown = properties.headers?.[name];
    return printable(value);
  };
  return {
    id: printable(properties.messageId),
    queue: header(HEADERS.queue),
    ring: header(HEADERS.ring),
    shard: header(HEADERS.shard),
    why: header(HEADERS.why),
    at: new Date(header(HEADERS.at)),
    message: content,
  };
}

function printable(value: unknown): string {
  return typeof value === 'string' ? value.replaceAll(/\p{Cc}/gu, '\ufffd').slice(0, TEXT_LENGTH_MAX) : '';
}
