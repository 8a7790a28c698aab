/**
 * What is live, as server-sent events (HTML standard, section 9.2): to a bounded number of listeners, and to none that does
 * not keep up.
 */
import type { ServerResponse } from 'node:http';
import type { Live } from '../operations/live.ts';

const LISTENERS_MAX = 32;
/** A listener that has left so much unread is let go; it comes back by itself. About a quarter of an hour of seconds. */
const UNREAD_BYTES_MAX = 1_048_576;

export class EventStreams {
  readonly #live: Live;
  readonly #open = new Set<ServerResponse>();

  constructor(live: Live) {
    this.#live = live;
  }

  get isFull(): boolean {
    return this.#open.size >= LISTENERS_MAX;
  }

  /** Until the client goes, or `close`. */
  open(response: ServerResponse): void {
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      // nginx would gather events before it passes them on.
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
    });
    const tell = (event: string, data: unknown) => {
      if (response.destroyed) return;
      response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      if (response.writableLength > UNREAD_BYTES_MAX) response.destroy();
    };
    const leave = this.#live.listen({
      about: (about) => tell('about', about),
      history: (history) => tell('history', history),
      now: (now) => tell('now', now),
    });
    this.#open.add(response);
    response.once('close', () => {
      leave();
      this.#open.delete(response);
    });
    // Whoever goes in the middle of a word is gone: `close` follows.
    response.on('error', () => undefined);
  }

  close(): void {
    for (const response of this.#open) response.end();
  }
}
