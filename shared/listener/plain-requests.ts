/**
 * Plain requests are read and answered on the bare socket: of a hit that costs 12 µs, Node's HTTP would take another 5 and
 * Fastify 3 more (docs/decisions/2026-11-23-plain-requests.md has the measurement). A server's connections come here
 * first; those that bring anything else go on to whoever listened before.
 */
import type { Server } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { Socket } from 'node:net';
import { PlainConnection, type PlainConnectionOptions } from './plain-connection.ts';

export type PlainRequestsOptions = Pick<PlainConnectionOptions, 'answers' | 'keepAliveTimeoutMs'>;

export class PlainRequests {
  readonly #open = new Set<PlainConnection>();
  readonly #options: PlainConnectionOptions;
  #isClosing = false;
  #date = '';
  #dateAtMs = 0;

  /** @param connection the event by which the server tells of one. */
  constructor(server: Server | SecureServer, connection: string, options: PlainRequestsOptions) {
    const others = server.listeners(connection) as ((socket: Socket) => void)[];
    server.removeAllListeners(connection);
    this.#options = {
      ...options,
      handOver: (socket) => {
        for (const listener of others) listener.call(server, socket);
      },
      onGone: (gone) => this.#open.delete(gone),
      date: () => this.#dateNow(),
    };
    server.on(connection, (socket: Socket) => {
      if (this.#isClosing) this.#options.handOver(socket);
      else this.#open.add(new PlainConnection(socket, this.#options));
    });
  }

  /** Each connection ends with the answer that it waits for; one that waits for none, at once. */
  close(): void {
    this.#isClosing = true;
    for (const connection of this.#open) connection.close();
  }

  /** Now, answered or not. */
  destroy(): void {
    for (const connection of this.#open) connection.destroy();
  }

  /** Made once a second. */
  #dateNow(): string {
    const nowMs = Date.now();
    if (nowMs - this.#dateAtMs >= 1_000 || nowMs < this.#dateAtMs) {
      this.#dateAtMs = nowMs - (nowMs % 1_000);
      this.#date = new Date(nowMs).toUTCString();
    }
    return this.#date;
  }
}
