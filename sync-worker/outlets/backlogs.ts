/**
 * Looks at the outlets' queues every second: how many events wait; whether the queue is still there; and, of a plain
 * queue, which the broker does not bound, whether it holds more than it may. Then the oldest go, as the broker would have
 * it of the others (drop-head).
 *
 * Only who follows the binlog drops: two that look at once would drop twice as much.
 */
import type { Channel } from 'amqplib';
import { answered } from '../../shared/broker/broker-errors.ts';
import type { BrokerConnection } from '../../shared/broker/connection.ts';
import type { OpenChannel } from '../../shared/broker/open-channel.ts';
import {
  declareExchange,
  declareOutlet,
  type OutletQueue,
  type OutletTopology,
} from '../../shared/broker/outlet-topology.ts';
import { messageOf } from '../../shared/errors/errors.ts';
import type { Log } from '../../shared/telemetry/log.ts';

export interface BacklogsOptions {
  readonly connection: BrokerConnection;
  readonly topology: OutletTopology;
  readonly mayDrop: () => boolean;
  readonly log: Log;
}

/** As last seen. */
export interface Backlog {
  waiting: number | undefined;
  /** Since this process started. */
  dropped: number;
  lastError: string | undefined;
}

const LOOK_EVERY_MS = 1_000;
/** How many are taken off the queue's head at once. */
const DROPPED_AT_ONCE = 200;

export class Backlogs {
  readonly #options: BacklogsOptions;
  readonly #seen: ReadonlyMap<string, Backlog>;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #isStopping = false;

  constructor(options: BacklogsOptions) {
    this.#options = options;
    const unseen = (): Backlog => ({ waiting: undefined, dropped: 0, lastError: undefined });
    this.#seen = new Map(options.topology.queues.map(({ queue }) => [queue, unseen()]));
  }

  of(queue: string): Backlog {
    return this.#seen.get(queue) as Backlog;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
      });
    }, LOOK_EVERY_MS);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { connection, topology } = this.#options;
    for (const outlet of topology.queues) {
      if (this.#isStopping || connection.state === 'down') return;
      const backlog = this.of(outlet.queue);
      try {
        await this.#lookAt(outlet, backlog);
        backlog.lastError = undefined;
      } catch (error) {
        const why = messageOf(error);
        if (why !== backlog.lastError)
          this.#options.log.warn({ queue: outlet.queue, reason: why }, 'outlet: queue not seen');
        backlog.lastError = why;
        backlog.waiting = undefined;
      }
    }
  }

  async #lookAt(outlet: OutletQueue, backlog: Backlog): Promise<void> {
    const open = await this.#options.connection.openChannel();
    try {
      const found = await this.#count(open, outlet);
      backlog.waiting = found;
      const excess = found - (outlet.eventsMax ?? found);
      if (excess <= 0 || !this.#options.mayDrop()) return;
      const dropped = await drop(open.channel, outlet.queue, excess, () => this.#isStopping);
      backlog.dropped += dropped;
      backlog.waiting = found - dropped;
      const { queue, eventsMax } = outlet;
      this.#options.log.warn(
        { queue, dropped, eventsMax },
        'outlet: the oldest events were dropped, its queue was full',
      );
    } finally {
      await open.close();
    }
  }

  async #count({ channel }: OpenChannel, outlet: OutletQueue): Promise<number> {
    const { connection, topology, log } = this.#options;
    try {
      return (await answered(channel.checkQueue(outlet.queue), `no word about ${outlet.queue}`)).messageCount;
    } catch (error) {
      const isGone = (error as { readonly code?: unknown }).code === NOT_FOUND;
      if (!isGone) throw error;
      await declareExchange(connection, topology.exchange);
      const declared = await declareOutlet(connection, topology.exchange, outlet);
      if (declared.kind === 'unusable') throw new Error(declared.why, { cause: error });
      log.warn({ queue: outlet.queue }, 'outlet: the queue was gone, with what it held; it is there again');
      throw new Error('the queue was gone', { cause: error });
    }
  }
}

/** AMQP 0-9-1, section 1.1 (constants). */
const NOT_FOUND = 404;

/** Off the head, never past what a consumer was sent. @returns how many. */
async function drop(channel: Channel, queue: string, excess: number, isOver: () => boolean): Promise<number> {
  let dropped = 0;
  while (dropped < excess && !isOver()) {
    const count = Math.min(DROPPED_AT_ONCE, excess - dropped);
    const asked = Array.from({ length: count }, () => channel.get(queue, { noAck: true }));
    const got = (await answered(Promise.all(asked), `no word about ${queue}`)).filter((message) => message !== false);
    dropped += got.length;
    if (got.length < count) break;
  }
  return dropped;
}
