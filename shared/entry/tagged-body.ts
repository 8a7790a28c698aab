/** Bytes that are sent as an answer, and what it takes to send them: made once, for whoever sends them again and again. */
import { hash } from 'node:crypto';

export class TaggedBody {
  readonly bytes: Buffer;
  #etag: string | undefined;
  #text: string | undefined;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /**
   * The entity tag (RFC 9110, section 8.8.3). Strong: equal tags mean equal bytes. 120 bits of SHA-1 are no secret and no
   * signature, only a name.
   */
  get etag(): string {
    return (this.#etag ??= `"${hash('sha1', this.bytes, 'base64url').slice(0, 20)}"`);
  }

  /** A character for each byte (latin1). */
  get text(): string {
    return (this.#text ??= this.bytes.toString('latin1'));
  }
}
