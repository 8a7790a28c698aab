/**
 * Cuts off clients that do not read their answers: those that take longer than `sendTimeoutMs` over one, and when more than
 * `unsentMebibytesMax` waits for all clients together, those for which most waits.
 *
 * Looked at once a second, so that a request pays nothing for it.
 */
import type { Socket } from 'node:net';
import type { Config } from '../config/schema.ts';
import type { CutReason } from './listener-metrics.ts';

export type SlowClientBounds = Pick<Config['http'], 'sendTimeoutMs' | 'unsentMebibytesMax'>;

export interface SlowClientsOptions {
  readonly bounds: () => SlowClientBounds;
  readonly onCut: (reason: CutReason, socket: Socket) => void;
  /** Milliseconds; default 1,000. */
  readonly lookEveryMs?: number;
}

interface Reader {
  /** Bytes of answers that it has taken wholly. */
  taken: number;
  /** When that was so first. */
  sinceMs: number;
}

const MIB = 2 ** 20;

export class SlowClients {
  readonly #options: SlowClientsOptions;
  readonly #readers = new Map<Socket, Reader>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: SlowClientsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), options.lookEveryMs ?? 1_000);
    this.#timer.unref();
  }

  watch(socket: Socket): void {
    this.#readers.set(socket, { taken: -1, sinceMs: 0 });
    socket.once('close', () => this.#readers.delete(socket));
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { sendTimeoutMs, unsentMebibytesMax } = this.#options.bounds();
    const nowMs = performance.now();
    const waiting: Socket[] = [];
    let unsent = 0;
    for (const [socket, reader] of this.#readers) {
      if (socket.writableLength === 0) continue;
      // A write counts as waiting until all of it has gone.
      const taken = socket.bytesWritten - socket.writableLength;
      if (taken !== reader.taken) {
        reader.taken = taken;
        reader.sinceMs = nowMs;
      } else if (nowMs - reader.sinceMs > sendTimeoutMs) {
        this.#cut(socket, 'sending-late');
        continue;
      }
      waiting.push(socket);
      unsent += socket.writableLength;
    }
    if (unsent <= unsentMebibytesMax * MIB) return;
    for (const socket of waiting.toSorted((one, other) => other.writableLength - one.writableLength)) {
      if (unsent <= unsentMebibytesMax * MIB) return;
      unsent -= socket.writableLength;
      this.#cut(socket, 'too-much-unsent');
    }
  }

  #cut(socket: Socket, reason: CutReason): void {
    socket.destroy();
    this.#options.onCut(reason, socket);
  }
}
