/**
 * One connection for as long as it brings plain requests, one after another. What is anything else goes to Node's HTTP
 * with the connection, and with all that has been read of it; it never comes back.
 *
 *     accepted ─▶ a plain request ─▶ answered ─▶ the next …          what else arrives ─▶ handed over
 *                     └─▶ more arrives before the answer ─▶ answered ─▶ handed over
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { TaggedBody } from '../entry/tagged-body.ts';
import { HEAD_BYTES_MAX, plainHeaders, type PlainHeaders, plainTarget } from './plain-request.ts';
import { type Reply, SENT_AS_TEXT_BYTES_MAX } from './reply.ts';

export interface PlainRequest {
  readonly url: string;
  readonly headers: PlainHeaders;
  readonly socket: Socket;
}

export interface PlainConnectionOptions {
  /** @returns whether the request is answered, now or later; else nothing was done. */
  readonly answers: (request: PlainRequest, reply: Reply) => boolean;
  readonly handOver: (socket: Socket) => void;
  /** It has ended, or was handed over. */
  readonly onGone: (connection: PlainConnection) => void;
  readonly keepAliveTimeoutMs: () => number;
  /** As a header's value. */
  readonly date: () => string;
}

/** Who has not sent a request by then is Node's, with its own clocks. */
const FIRST_REQUEST_WITHIN_MS = 1_000;
/** A request may be on its way when the time that was promised is up. Node's own allowance. */
const KEEP_ALIVE_ALLOWANCE_MS = 1_000;
const VALUE = /^[\t -~]*$/;

export class PlainConnection implements Reply {
  readonly #socket: Socket;
  readonly #options: PlainConnectionOptions;
  /** The header lines of the request before: mostly the same again. */
  #fields = '';
  #headers: PlainHeaders | undefined;
  #state: 'fresh' | 'idle' | 'asked' = 'fresh';
  /** Arrived before the answer. */
  #ahead: Buffer[] = [];
  /** No request comes after the one that is being answered. */
  #isLast = false;

  constructor(socket: Socket, options: PlainConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.setTimeout(FIRST_REQUEST_WITHIN_MS);
    socket.on('data', this.#onData).on('end', this.#onEnd).on('timeout', this.#onTimeout);
    socket.on('error', this.#onError).on('close', this.#onClose);
  }

  send(status: number, headers: readonly string[], body?: TaggedBody): void {
    if (this.#state !== 'asked') {
      this.#socket.destroy();
      return;
    }
    const head = this.#head(status, headers, body);
    this.#state = 'idle';
    const socket = this.#socket;
    if (body !== undefined && body.length > SENT_AS_TEXT_BYTES_MAX) {
      socket.cork();
      socket.write(head, 'latin1');
      socket.write(body.bytes);
      socket.uncork();
    } else socket.write(body === undefined ? head : head + body.text, 'latin1');
    // Who does not take answers gets no more of them.
    if (socket.writableNeedDrain) socket.pause().once('drain', () => socket.resume());
    if (this.#isLast) socket.destroySoon();
    else if (this.#ahead.length > 0) this.#handOver();
  }

  /** Ends when nothing is asked any more; now, where nothing is. */
  close(): void {
    this.#isLast = true;
    if (this.#state !== 'asked') this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#state === 'asked') {
      this.#ahead.push(chunk);
      this.#socket.pause();
      return;
    }
    if (this.#isLast) return;
    const request = this.#read(chunk);
    if (request !== undefined) {
      if (this.#state === 'fresh') {
        this.#socket.setTimeout(this.#options.keepAliveTimeoutMs() + KEEP_ALIVE_ALLOWANCE_MS);
      }
      this.#state = 'asked';
      if (this.#options.answers(request, this)) return;
    }
    this.#ahead.push(chunk);
    this.#handOver();
  };

  #read(chunk: Buffer): PlainRequest | undefined {
    if (chunk.length > HEAD_BYTES_MAX) return undefined;
    const head = chunk.toString('latin1');
    const first = plainTarget(head);
    if (first === undefined) return undefined;
    const fields = head.slice(first.fieldsAt);
    if (fields !== this.#fields) {
      this.#headers = plainHeaders(fields);
      this.#fields = fields;
    }
    return this.#headers && { url: first.target, headers: this.#headers, socket: this.#socket };
  }

  #head(status: number, headers: readonly string[], body: TaggedBody | undefined): string {
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
    for (let at = 0; at < headers.length; at += 2) {
      const value = headers[at + 1] as string;
      if (!VALUE.test(value)) throw new Error(`header ${headers[at]} cannot say ${JSON.stringify(value)}`);
      head += `${headers[at]}: ${value}\r\n`;
    }
    if (body !== undefined) head += `content-length: ${body.length}\r\n`;
    const { date, keepAliveTimeoutMs } = this.#options;
    const connection = this.#isLast
      ? 'connection: close'
      : `connection: keep-alive\r\nkeep-alive: timeout=${Math.floor(keepAliveTimeoutMs() / 1_000)}`;
    return `${head}date: ${date()}\r\n${connection}\r\n\r\n`;
  }

  #handOver(): void {
    const socket = this.#socket;
    this.#leave();
    socket.setTimeout(0);
    if (this.#ahead.length > 0) socket.unshift(Buffer.concat(this.#ahead));
    this.#options.handOver(socket);
    socket.resume();
  }

  #leave(): void {
    const socket = this.#socket;
    socket.off('data', this.#onData).off('end', this.#onEnd).off('timeout', this.#onTimeout);
    socket.off('error', this.#onError).off('close', this.#onClose);
    this.#options.onGone(this);
  }

  readonly #onEnd = (): void => {
    this.close();
  };

  readonly #onTimeout = (): void => {
    if (this.#state === 'fresh') this.#handOver();
    else if (this.#state === 'idle') this.#socket.destroy();
  };

  readonly #onError = (): void => {
    this.#socket.destroy();
  };

  readonly #onClose = (): void => {
    this.#leave();
  };
}
