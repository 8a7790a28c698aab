/** A channel and its end. A channel never comes back: whoever used it opens another one. */
import type { Channel, ConfirmChannel } from 'amqplib';
import { messageOf } from '../errors/errors.ts';
import { withinDeadline } from '../lifecycle/deadline.ts';

export interface OpenChannel<C extends Channel = Channel> {
  readonly channel: C;
  /** Settles with the reason when it is closed, by whomever; what was not acked is back in its queue then. */
  readonly closed: Promise<string>;
  /**
   * Settles when the broker has closed it, or is not there to do so.
   * @param withinMs who opens no other one after it need not wait so long.
   */
  readonly close: (withinMs?: number) => Promise<void>;
}

/** Longer than a connection that carries nothing is believed in; see connection.ts. */
const CLOSES_WITHIN_MS = 15_000;

export function watchChannel<C extends Channel | ConfirmChannel>(channel: C): OpenChannel<C> {
  let why = 'the channel was closed';
  let isOpen = true;
  const { promise: closed, resolve } = Promise.withResolvers<string>();
  channel.on('error', (error: Error) => {
    why = messageOf(error);
  });
  channel.on('close', () => {
    isOpen = false;
    resolve(why);
  });
  return {
    channel,
    closed,
    async close(withinMs = CLOSES_WITHIN_MS) {
      if (!isOpen) return;
      // The driver's own promise does not settle where the connection is lost meanwhile; the event comes always.
      channel.close().catch(() => undefined);
      await withinDeadline(closed, withinMs, () => new Error('late')).catch(() => undefined);
    },
  };
}
