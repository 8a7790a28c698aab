/**
 * A shard's queue, applied to the shard: in order, each message in one script call, acked only then.
 *
 *     waiting (shard or broker away) -> consuming -> paused: the channel is closed, and opened again
 *
 * | a message is | then                                                                                              |
 * |--------------|---------------------------------------------------------------------------------------------------|
 * | applied      | it is acked                                                                                       |
 * | fenced       | it is acked: its plan was replaced                                                                |
 * | gap          | the channel is closed once; a gap that is there on redelivery too is real, and gone over by force |
 * | unavailable  | the channel is closed until the shard is back, so that it holds no messages meanwhile             |
 * | unusable     | it is buried among the dead letters, then acked; the next message finds the gap                   |
 *
 * A consumer is retired by closing its channel: the broker then puts what was not acked back in order. After nack-requeue,
 * or a cancel with messages unacked, a quorum queue was seen to hand out later ones first.
 *
 * Redelivery may begin before the gap, with messages that were applied already: behind Sentinels acks are held back. So a
 * gap is remembered until a message takes the stamp past it.
 *
 * Several scripts are under way at once, on one connection, where Redis runs them in the order sent. If one fails, those
 * after it find a gap and change nothing; the channel is closed, and all of them come again.
 */
import type { ConsumeMessage } from 'amqplib';
import { answered } from '../../shared/broker/broker-errors.ts';
import type { BrokerConnection } from '../../shared/broker/connection.ts';
import type { OpenChannel } from '../../shared/broker/open-channel.ts';
import { declareShardQueue, type ShardQueue, type Topology } from '../../shared/broker/topology.ts';
import { WakeUp } from '../../shared/broker/wake-up.ts';
import { BatchUnreadable, type DecodedBatch, decodeBatch } from '../../shared/change/change-batch.ts';
import { requireRowKeys } from '../../shared/change/own-keys.ts';
import { messageOf, ShardUnavailable } from '../../shared/errors/errors.ts';
import { Backoff } from '../../shared/lifecycle/backoff.ts';
import { type ApplyOutcome, Shard, type ShardOptions } from '../../shared/shard/shard.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { describeVersion } from '../../shared/version/version.ts';
import { Acks } from './acks.ts';
import { faultOf } from './fault-of.ts';
import { type ShardApplyStatus, StatusKeeper } from './status.ts';

export interface ShardApplyOptions {
  readonly connection: BrokerConnection;
  readonly topology: Topology;
  readonly queue: ShardQueue;
  /** All that a message may change lies under it. */
  readonly keyPrefix: string;
  readonly shard: Required<Pick<ShardOptions, 'endpoint' | 'followed'>>;
  /** Settles when the message is safe among the dead letters. */
  readonly bury: (from: ShardQueue, why: string, message: Buffer) => Promise<void>;
  /** Entries that were removed and want to be read again. */
  readonly onReadBack: (queue: ShardQueue, keys: readonly string[]) => void;
  /** A message's changes are in the shard, and it is not acked yet. */
  readonly onApplied: (queue: ShardQueue, batch: DecodedBatch) => void;
  readonly log: Log;
}

/** A message whose script has been sent. */
interface Sent {
  readonly message: ConsumeMessage;
  readonly batch: DecodedBatch | undefined;
  readonly outcome: Promise<SentOutcome>;
}

/** Changes that did not come, seen on a channel that was closed for it. */
interface SeenGap {
  /** The stamp's `to` then. */
  readonly after: string;
  /** The `from` of the message that showed it. */
  readonly before: string;
}

type SentOutcome =
  | ApplyOutcome
  | { readonly kind: 'unavailable'; readonly why: string }
  | { readonly kind: 'unusable'; readonly why: string };

/** Why a channel was given up. */
type Ended =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'gap' }
  | { readonly kind: 'unavailable'; readonly why: string }
  | { readonly kind: 'interrupted'; readonly why: string };

/** How many messages the broker sends ahead; what they weigh is bounded by what capture puts into one, mostly 500 kB. */
const PREFETCH = 32;
/**
 * Behind Sentinels: so long, and so many messages beside those, are kept from being acked; see acks.ts. The broker may
 * send all of them ahead, and knows no bound in bytes that a quorum queue keeps: together they are 64 MB.
 */
const SENTINEL_HOLD_MS = 3_000;
const SENTINEL_HELD_MAX = 96;
/** Before the channel is opened again, so that a gap is no reason to open hundreds. */
const PAUSE_AFTER_GAP_MS = 100;
/**
 * How much is under way at once, one message at least. More is faster, and Redis runs all of it that has arrived before
 * it reads from a gateway again: some 10 ms at a thousand changes.
 */
const UNDER_WAY_MESSAGES_MAX = 8;
const UNDER_WAY_CHANGES_MAX = 1_000;
/** When we stop, the connection goes too, and the broker learns by that. */
const LAST_CLOSE_WITHIN_MS = 2_000;
/** No client waits for it; but a shard that hangs is to be noticed. */
const APPLY_TIMEOUT_MS = 5_000;

export class ShardApply {
  readonly #options: ShardApplyOptions;
  readonly #log: Log;
  readonly #shard: Shard;
  readonly #status: StatusKeeper;
  readonly #hold: { readonly holdMs: number; readonly heldMax: number };
  readonly #backoff = new Backoff(100, 5_000);
  readonly #wake = new WakeUp();
  #isStopping = false;
  #seenGap: SeenGap | undefined;
  #running: Promise<void> | undefined;

  constructor(options: ShardApplyOptions) {
    const { ring, shard } = options.queue;
    this.#options = options;
    this.#log = options.log.child({ ring, shard });
    this.#status = new StatusKeeper(shard, ring);
    const hasReplicas = typeof options.shard.endpoint !== 'string';
    this.#hold = hasReplicas ? { holdMs: SENTINEL_HOLD_MS, heldMax: SENTINEL_HELD_MAX } : { holdMs: 0, heldMax: 0 };
    this.#shard = new Shard({
      ...options.shard,
      name: shard,
      ring,
      timeoutMs: APPLY_TIMEOUT_MS,
      failuresToOpen: 1,
      onChange: (_, state, reason) => {
        if (state === 'down') this.#log.warn({ reason }, 'shard out of reach; its changes wait in the queue');
        else this.#log.info('shard in reach');
        this.#wake.raise();
      },
      onStillDown: (reason) => this.#log.warn({ reason }, 'shard still out of reach'),
    });
  }

  get status(): ShardApplyStatus {
    return this.#status.read();
  }

  /** Settles when the shard has been tried; applies from then on, whenever shard and broker are there. */
  async start(): Promise<void> {
    await this.#shard.start();
    this.#running ??= this.#run();
  }

  /** Takes no more messages; what Redis has been sent is waited for and acked. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#wake.raise();
    await this.#running;
    this.#shard.stop();
  }

  async #run(): Promise<void> {
    while (!this.#isStopping) {
      const ended = await this.#session();
      switch (ended.kind) {
        case 'stopped':
          return;
        case 'gap':
          await this.#pause(PAUSE_AFTER_GAP_MS);
          break;
        case 'unavailable':
        case 'interrupted':
          if (ended.why !== this.#status.lastError) this.#log.warn({ reason: ended.why }, 'apply paused');
          this.#status.lastError = ended.why;
          await this.#pause(this.#backoff.nextMs());
          break;
      }
    }
  }

  /** From the opening of a channel to its end. */
  async #session(): Promise<Ended> {
    while (this.#shard.state === 'down' && !this.#isStopping) await this.#wake.next();
    let open: OpenChannel | undefined;
    try {
      await this.#brokerIsUp();
      if (this.#isStopping) return { kind: 'stopped' };
      open = await this.#options.connection.openChannel();
      await declareShardQueue(open.channel, this.#options.topology, this.#options.queue.queue);
      return await this.#consume(open);
    } catch (error) {
      return { kind: 'interrupted', why: messageOf(error) };
    } finally {
      this.#status.connected = false;
      await open?.close(this.#isStopping ? LAST_CLOSE_WITHIN_MS : undefined);
    }
  }

  async #brokerIsUp(): Promise<void> {
    const { connection } = this.#options;
    const unwatch = connection.watch(() => this.#wake.raise());
    while (connection.state === 'down' && !this.#isStopping) await this.#wake.next();
    unwatch();
  }

  async #consume({ channel, closed }: OpenChannel): Promise<Ended> {
    const arrived: ConsumeMessage[] = [];
    const sent: Sent[] = [];
    let interrupted: string | undefined;
    void closed.then((why) => {
      interrupted ??= why;
      this.#wake.raise();
    });
    const { holdMs, heldMax } = this.#hold;
    const acks = new Acks(channel, { holdMs, heldMax });
    await channel.prefetch(PREFETCH + heldMax);
    const { queue } = this.#options.queue;
    const consuming = channel.consume(queue, (message) => {
      // The broker says so when the queue is deleted.
      if (message === null) interrupted ??= 'the queue was deleted';
      else arrived.push(message);
      this.#wake.raise();
    });
    await answered(consuming, `no word about ${queue}`);
    this.#status.connected = true;
    // The first goes alone: it may have to bring the script. After a gap all do, until it is known whether it is real.
    let isFirst = true;
    for (;;) {
      if (interrupted !== undefined) return { kind: 'interrupted', why: interrupted };
      while (!this.#isStopping && arrived.length > 0 && hasRoom(sent, isFirst || this.#seenGap !== undefined)) {
        sent.push(this.#send(arrived.shift() as ConsumeMessage, false));
      }
      const next = sent.shift();
      if (next === undefined) {
        if (this.#isStopping) {
          acks.flush();
          return { kind: 'stopped' };
        }
        await this.#wake.next();
        continue;
      }
      const ended = await this.#settle(acks, next, () => interrupted !== undefined);
      if (ended !== undefined) return ended;
      isFirst = false;
    }
  }

  #send(message: ConsumeMessage, force: boolean): Sent {
    let batch: DecodedBatch;
    try {
      batch = decodeBatch(message.content);
      requireRowKeys(batch.changes, this.#options.keyPrefix);
    } catch (error) {
      if (!(error instanceof BatchUnreadable)) throw error;
      return { message, batch: undefined, outcome: Promise.resolve({ kind: 'unusable', why: error.message }) };
    }
    const outcome = this.#shard.apply(batch, force).catch((error: unknown): SentOutcome => {
      if (!(error instanceof ShardUnavailable)) throw error;
      return { kind: faultOf(error) === 'message' ? 'unusable' : 'unavailable', why: error.message };
    });
    return { message, batch, outcome };
  }

  async #settle(acks: Acks, sent: Sent, isInterrupted: () => boolean): Promise<Ended | undefined> {
    const outcome = await sent.outcome;
    // It will come again, and be free of effect.
    if (isInterrupted()) return undefined;
    switch (outcome.kind) {
      case 'applied':
        this.#applied(sent, outcome);
        break;
      case 'fenced':
        this.#status.fenced += 1;
        break;
      case 'gap': {
        const { from } = (sent.batch as DecodedBatch).head;
        const gap = { after: describeVersion(outcome.to), before: describeVersion(from) };
        // What comes later on a later channel shows that nothing came between: the broker delivers in order.
        if (this.#seenGap === undefined || from < this.#seenGap.before) {
          this.#seenGap = { after: outcome.to, before: from };
          this.#log.info(gap, 'changes are missing; looking whether they are delivered after all');
          return { kind: 'gap' };
        }
        this.#status.gaps += 1;
        this.#log.warn(gap, 'changes were lost; all that the shard held counts as absent');
        return await this.#settle(acks, this.#send(sent.message, true), isInterrupted);
      }
      case 'unavailable':
        return outcome;
      case 'unusable':
        this.#log.error(
          { queue: this.#options.queue.queue, reason: outcome.why },
          'a message can never be applied; it goes to the dead letters',
        );
        await this.#options.bury(this.#options.queue, outcome.why, sent.message.content);
        this.#status.deadLetters += 1;
        if (isInterrupted()) return undefined;
        break;
    }
    acks.done(sent.message);
    return undefined;
  }

  #applied({ message, batch }: Sent, { to, readBack }: Extract<ApplyOutcome, { kind: 'applied' }>): void {
    const { head, changes } = batch as DecodedBatch;
    if (this.#seenGap !== undefined && to > this.#seenGap.after) this.#seenGap = undefined;
    this.#status.applied(to, head, changes.length, message.content.length);
    this.#status.lastError = undefined;
    this.#backoff.reset();
    if (readBack.length > 0) this.#options.onReadBack(this.#options.queue, readBack);
    if (changes.length > 0) this.#options.onApplied(this.#options.queue, batch as DecodedBatch);
  }

  /** Less, if it is told to stop. */
  async #pause(ms: number): Promise<void> {
    await this.#wake.pause(ms, () => this.#isStopping);
  }
}

function hasRoom(sent: readonly Sent[], oneByOne: boolean): boolean {
  if (sent.length === 0) return true;
  if (oneByOne || sent.length >= UNDER_WAY_MESSAGES_MAX) return false;
  return sent.reduce((sum, { batch }) => sum + (batch?.changes.length ?? 0), 0) < UNDER_WAY_CHANGES_MAX;
}
