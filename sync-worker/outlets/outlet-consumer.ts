/**
 * One outlet of the sync worker's own (files, Redis): its queue's events, in order, into where they belong; acked only
 * when they are there. What cannot be written waits in the queue, whose bound is the broker's.
 *
 * Several processes may run it: the queue has a single active consumer. After a failure the channel is closed, and the
 * broker delivers again, in order, what was not acked; so an event may be written twice.
 */
import type { ConsumeMessage } from 'amqplib';
import { answered } from '../../shared/broker/broker-errors.ts';
import type { BrokerConnection } from '../../shared/broker/connection.ts';
import type { OpenChannel } from '../../shared/broker/open-channel.ts';
import { declareExchange, declareOutlet, type OutletQueue } from '../../shared/broker/outlet-topology.ts';
import { REPLAYED_HEADER } from '../../shared/broker/publisher.ts';
import { WakeUp } from '../../shared/broker/wake-up.ts';
import { messageOf } from '../../shared/errors/errors.ts';
import { readEvent } from '../../shared/event/event.ts';
import { Backoff } from '../../shared/lifecycle/backoff.ts';
import type { Log } from '../../shared/telemetry/log.ts';

export interface Sink {
  /** Settles when all of them are where they belong. Throws: they come again. */
  write(events: readonly Buffer[]): Promise<void>;
  stop(): Promise<void>;
}

export interface OutletConsumerOptions {
  readonly connection: BrokerConnection;
  readonly exchange: string;
  readonly outlet: OutletQueue;
  readonly sink: Sink;
  /** Whether it takes what `ringfill replay` read from a file. */
  readonly takesReplayed: boolean;
  readonly log: Log;
}

type Ended = { readonly kind: 'stopped' } | { readonly kind: 'interrupted'; readonly why: string };

/** How many the broker sends ahead, and how many are written at once at most. One has up to 4 MiB, and mostly 1 kB. */
const PREFETCH = 100;
const LAST_CLOSE_WITHIN_MS = 2_000;

export class OutletConsumer {
  readonly #options: OutletConsumerOptions;
  readonly #log: Log;
  readonly #backoff = new Backoff(100, 5_000);
  readonly #wake = new WakeUp();
  #isStopping = false;
  #running: Promise<void> | undefined;
  #held = 0;
  connected = false;
  /** Since this process started; repeats count. */
  written = 0;
  /** Messages that are no events. */
  refused = 0;
  lastError: string | undefined;

  constructor(options: OutletConsumerOptions) {
    this.#options = options;
    this.#log = options.log.child({ outlet: options.outlet.kind });
  }

  /** What this process was sent and has not acked: the queue does not count it as waiting. */
  get held(): number {
    return this.#held;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** What is being written is finished and acked. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#wake.raise();
    await this.#running;
    await this.#options.sink.stop();
  }

  async #run(): Promise<void> {
    while (!this.#isStopping) {
      const ended = await this.#session();
      if (ended.kind === 'stopped') return;
      if (ended.why !== this.lastError)
        this.#log.warn({ reason: ended.why }, 'outlet: paused; events wait in its queue');
      this.lastError = ended.why;
      await this.#pause(this.#backoff.nextMs());
    }
  }

  async #session(): Promise<Ended> {
    const { connection, exchange, outlet } = this.#options;
    let open: OpenChannel | undefined;
    try {
      const unwatch = connection.watch(() => this.#wake.raise());
      while (connection.state === 'down' && !this.#isStopping) await this.#wake.next();
      unwatch();
      if (this.#isStopping) return { kind: 'stopped' };
      await declareExchange(connection, exchange);
      const declared = await declareOutlet(connection, exchange, outlet);
      if (declared.kind === 'unusable') return { kind: 'interrupted', why: declared.why };
      open = await connection.openChannel();
      return await this.#consume(open);
    } catch (error) {
      return { kind: 'interrupted', why: messageOf(error) };
    } finally {
      this.connected = false;
      await open?.close(this.#isStopping ? LAST_CLOSE_WITHIN_MS : undefined);
      this.#held = 0;
    }
  }

  async #consume({ channel, closed }: OpenChannel): Promise<Ended> {
    const { queue } = this.#options.outlet;
    const arrived: ConsumeMessage[] = [];
    let interrupted: string | undefined;
    void closed.then((why) => {
      interrupted ??= why;
      this.#wake.raise();
    });
    await channel.prefetch(PREFETCH);
    const consuming = channel.consume(queue, (message) => {
      if (message === null) interrupted ??= 'the queue was deleted';
      else {
        arrived.push(message);
        this.#held += 1;
      }
      this.#wake.raise();
    });
    await answered(consuming, `no word about ${queue}`);
    this.connected = true;
    for (;;) {
      if (interrupted !== undefined) return { kind: 'interrupted', why: interrupted };
      if (this.#isStopping) return { kind: 'stopped' };
      const messages = arrived.splice(0);
      const last = messages.at(-1);
      if (last === undefined) {
        await this.#wake.next();
        continue;
      }
      const events = messages.filter((message) => this.#isWanted(message)).map(({ content }) => content);
      if (events.length > 0) await this.#options.sink.write(events);
      this.#settle(events.length);
      this.#held -= messages.length;
      if (interrupted === undefined) channel.ack(last, true);
    }
  }

  #settle(count: number): void {
    this.written += count;
    if (this.lastError !== undefined) this.#log.info('outlet: writes again');
    this.lastError = undefined;
    this.#backoff.reset();
  }

  /** Whoever can publish may have put anything there. */
  #isWanted({ content, properties }: ConsumeMessage): boolean {
    if (!this.#options.takesReplayed && properties.headers?.[REPLAYED_HEADER] !== undefined) return false;
    const read = readEvent(content.toString('utf8'));
    if (read.kind === 'event') return true;
    this.refused += 1;
    this.#log.error({ reason: read.why, bytes: content.length }, 'outlet: a message is no event, and is dropped');
    return false;
  }

  async #pause(ms: number): Promise<void> {
    await this.#wake.pause(ms, () => this.#isStopping);
  }
}
