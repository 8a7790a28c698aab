/** Where an answer goes: to a response of Node's, or to the bare socket of a plain request (plain-connection.ts). */
import type { ServerResponse } from 'node:http';
import type { TaggedBody } from '../entry/tagged-body.ts';

export interface Reply {
  /**
   * Once. Where something was sent before, the connection is cut: nobody may take half an answer for a whole one.
   * Throws an Error where a header's value is none.
   * @param headers names in lower case and values, one after the other; none that is about length or connection.
   * @param body nothing where the status says that there is none.
   */
  send(status: number, headers: readonly string[], body?: TaggedBody): void;
}

/**
 * A text goes out with the headers in one write, bytes in one of their own. As latin1 every byte stays what it is. Past this
 * the second copy costs more than the second write.
 */
export const SENT_AS_TEXT_BYTES_MAX = 16_384;

export class NodeReply implements Reply {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  send(status: number, headers: readonly string[], body?: TaggedBody): void {
    const response = this.#response;
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (body === undefined) {
      response.writeHead(status, [...headers]).end();
      return;
    }
    const { length } = body;
    response.writeHead(status, [...headers, 'content-length', String(length)]);
    if (length > SENT_AS_TEXT_BYTES_MAX) response.end(body.bytes);
    else response.end(body.text, 'latin1');
  }
}
