/** What is sent as an answer: as bytes or as a text that has a character for each of them (latin1), with its entity tag. */
import { hash } from 'node:crypto';

export class TaggedBody {
  readonly length: number;
  readonly #content: Buffer | string;
  #etag: string | undefined;

  constructor(content: Buffer | string) {
    this.#content = content;
    this.length = content.length;
  }

  get bytes(): Buffer {
    return typeof this.#content === 'string' ? Buffer.from(this.#content, 'latin1') : this.#content;
  }

  get text(): string {
    return typeof this.#content === 'string' ? this.#content : this.#content.toString('latin1');
  }

  /**
   * RFC 9110, section 8.8.3. Strong: equal tags mean equal bytes. 120 bits of SHA-1 are no secret and no signature, only a
   * name. Made once, for whoever sends the body again and again.
   */
  get etag(): string {
    return (this.#etag ??= `"${hash('sha1', this.bytes, 'base64url').slice(0, 20)}"`);
  }
}
