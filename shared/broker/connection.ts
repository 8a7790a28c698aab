/**
 * One connection to RabbitMQ, made anew for as long as it is wanted.
 *
 *     down --(connected)--> up <--(memory or disk alarm)--> blocked
 *       ^--------(lost: jittered backoff)---|-----------------|
 *
 * The driver can reconnect by itself (`recovery`). It is not used: it does not bring back channels, so its users have to
 * notice and begin anew all the same; it tries on after a refused login as after a lost link; and nobody could say when
 * a half-open connection is really gone, which is left to linger there.
 *
 * A broker that is out of memory stops reading from connections that publish, acks included. So whoever consumes has
 * another connection than whoever publishes, or a full broker would never be emptied.
 */
import type { Duplex } from 'node:stream';
import { type Channel, type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { messageOf, SetupError } from '../errors/errors.ts';
import { Backoff } from '../lifecycle/backoff.ts';
import { withinDeadline } from '../lifecycle/deadline.ts';
import { BrokerUnavailable, connectionError } from './broker-errors.ts';
import { brokerAddress, describeBroker } from './broker-url.ts';
import { type OpenChannel, watchChannel } from './open-channel.ts';
import { WakeUp } from './wake-up.ts';

export type BrokerState = 'down' | 'up' | 'blocked';

export interface BrokerConnectionOptions {
  readonly url: string;
  /** What the broker's own tools call this connection. */
  readonly name: string;
  readonly onChange?: (state: BrokerState, why: string) => void;
  /** It is down for another reason than was told before. */
  readonly onStillDown?: (why: string) => void;
}

/** The driver notices silence after two to three of these; a stopped broker or a half-open link, within 12 s. */
const HEARTBEAT_SECONDS = 4;
const CONNECTS_WITHIN_MS = 10_000;
const CLOSES_WITHIN_MS = 2_000;

export class BrokerConnection {
  /** `host:port/vhost`, for messages. */
  readonly address: string;
  readonly #options: BrokerConnectionOptions;
  readonly #backoff = new Backoff(100, 3_000);
  readonly #changes = new WakeUp();
  readonly #watchers = new Set<() => void>();
  #state: BrokerState = 'down';
  #why = 'not connected yet';
  #refused: SetupError | undefined;
  #hasBeenUp = false;
  #model: ChannelModel | undefined;
  #retry: NodeJS.Timeout | undefined;
  #stopped = false;
  #attempt: Promise<void> | undefined;

  /** Throws SetupError where the URL is not one. */
  constructor(options: BrokerConnectionOptions) {
    this.#options = options;
    try {
      this.address = describeBroker(options.url);
    } catch (error) {
      const problem = { code: 'config-invalid', where: 'sync.broker.url', message: messageOf(error) } as const;
      throw new SetupError([problem], { cause: error });
    }
  }

  get state(): BrokerState {
    return this.#state;
  }

  /** Why it is in this state. */
  get why(): string {
    return this.#why;
  }

  /**
   * Tells of every change of its state.
   * @returns call it when it is not wanted any more.
   */
  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  /**
   * Settles when it is up for the first time: a broker that is away is waited for.
   * Throws SetupError where the broker refuses user or virtual host, and BrokerUnavailable if it is stopped meanwhile.
   * Once it has been up, a refusal is waited out like everything else: who changes a password changes it back, or here.
   */
  async start(): Promise<void> {
    this.#attempt = this.#connect();
    await this.up();
  }

  /** Settles when it is not down. Throws as `start` does. */
  async up(): Promise<void> {
    for (;;) {
      if (this.#stopped) throw new BrokerUnavailable('the connection was stopped');
      if (this.#refused !== undefined) throw this.#refused;
      if (this.#state !== 'down') return;
      await this.#changes.next();
    }
  }

  /** Throws BrokerUnavailable. */
  async openChannel(): Promise<OpenChannel<Channel>> {
    return await this.#open((model) => model.createChannel());
  }

  /** Throws BrokerUnavailable. */
  async openConfirmChannel(): Promise<OpenChannel<ConfirmChannel>> {
    return await this.#open((model) => model.createConfirmChannel());
  }

  /** Its channels end with it. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#changes.raise();
    await this.#attempt;
    const model = this.#model;
    this.#model = undefined;
    if (model === undefined) return;
    this.#set('down', 'stopped');
    await withinDeadline(model.close(), CLOSES_WITHIN_MS, () => new Error('late')).catch(() => undefined);
    destroy(model);
  }

  async #open<C extends Channel>(create: (model: ChannelModel) => Promise<C>): Promise<OpenChannel<C>> {
    if (this.#model === undefined) throw new BrokerUnavailable(this.#why);
    try {
      return watchChannel(await create(this.#model));
    } catch (error) {
      throw new BrokerUnavailable(messageOf(error), { cause: error });
    }
  }

  async #connect(): Promise<void> {
    try {
      this.#adopt(await dial(this.#options));
    } catch (error) {
      const failure = connectionError(error);
      if (failure instanceof SetupError && !this.#hasBeenUp) this.#refuse(failure);
      else this.#retryLater(failure.message);
    }
  }

  #adopt(model: ChannelModel): void {
    let why = 'the connection was closed';
    model.on('error', (error) => {
      why = messageOf(error);
    });
    model.on('close', (error) => {
      // The driver only ends its side, which a half-open link never answers.
      destroy(model);
      if (this.#model !== model) return;
      this.#model = undefined;
      this.#retryLater(error === undefined ? why : messageOf(error));
    });
    model.on('blocked', (reason) => this.#set('blocked', reason));
    model.on('unblocked', () => this.#set('up', 'the alarm is over'));
    if (this.#stopped) {
      destroy(model);
      return;
    }
    this.#model = model;
    this.#hasBeenUp = true;
    this.#backoff.reset();
    this.#set('up', 'connected');
  }

  #refuse(error: SetupError): void {
    this.#refused = error;
    this.#why = error.message;
    this.#changes.raise();
  }

  #retryLater(why: string): void {
    if (this.#state !== 'down') this.#set('down', why);
    else if (why !== this.#why) {
      this.#why = why;
      this.#options.onStillDown?.(why);
    }
    if (this.#stopped) return;
    this.#retry = setTimeout(() => {
      this.#attempt = this.#connect();
    }, this.#backoff.nextMs());
  }

  #set(state: BrokerState, why: string): void {
    this.#state = state;
    this.#why = why;
    this.#options.onChange?.(state, why);
    this.#changes.raise();
    for (const tell of this.#watchers) tell();
  }
}

async function dial({ url, name }: BrokerConnectionOptions): Promise<ChannelModel> {
  const { connect: where, socket } = brokerAddress(url);
  const connecting = connect(
    { ...where, heartbeat: HEARTBEAT_SECONDS },
    { ...socket, noDelay: true, timeout: CONNECTS_WITHIN_MS, clientProperties: { connection_name: name } },
  );
  const late = () => new Error(`no connection within ${CONNECTS_WITHIN_MS} ms`);
  try {
    return await withinDeadline(connecting, CONNECTS_WITHIN_MS, late);
  } catch (error) {
    // One that comes after all is nobody's.
    connecting.then(destroy, () => undefined);
    throw error;
  }
}

function destroy(model: ChannelModel): void {
  // Errors of one that is given up have nobody to hear them.
  model.on('error', () => undefined);
  (model.connection as unknown as { readonly stream: Duplex }).stream.destroy();
}
