/** The binlog's bytes, read in order. Reading past the end throws: an event is never read into its neighbour. */

/** The bytes are not what they should be. */
export class Undecodable extends Error {
  constructor(why: string, options?: ErrorOptions) {
    super(why, options);
    this.name = 'Undecodable';
  }
}

export class ByteReader {
  readonly buffer: Buffer;
  offset = 0;

  constructor(buffer: Buffer) {
    this.buffer = buffer;
  }

  get left(): number {
    return this.buffer.length - this.offset;
  }

  /** A view, not a copy. */
  bytes(length: number): Buffer {
    return this.buffer.subarray(this.#take(length), this.offset);
  }

  rest(): Buffer {
    return this.bytes(this.left);
  }

  skip(length: number): void {
    this.#take(length);
  }

  u8(): number {
    return this.buffer[this.#take(1)] as number;
  }

  u16(): number {
    return this.buffer.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.buffer.readUInt32LE(this.#take(4));
  }

  u64(): bigint {
    return this.buffer.readBigUInt64LE(this.#take(8));
  }

  /** 1 to 6 bytes, least significant first. */
  uint(length: number): number {
    return this.buffer.readUIntLE(this.#take(length), length);
  }

  /** 1 to 6 bytes, most significant first. */
  uintBE(length: number): number {
    return this.buffer.readUIntBE(this.#take(length), length);
  }

  /** A length-encoded integer (MySQL manual, "Protocol::LengthEncodedInteger"). */
  lengthEncoded(): number {
    const first = this.u8();
    if (first < 251) return first;
    switch (first) {
      case 252:
        return this.u16();
      case 253:
        return this.uint(3);
      case 254:
        return Number(this.u64());
      default:
        throw new Undecodable(`${first} does not begin a length`);
    }
  }

  utf8(length: number): string {
    return this.bytes(length).toString('utf8');
  }

  #take(length: number): number {
    const start = this.offset;
    if (!(length >= 0) || length > this.left) {
      throw new Undecodable(`${length} bytes wanted where ${this.left} are left`);
    }
    this.offset += length;
    return start;
  }
}

/** Bit i of a bitmap whose first column is the lowest bit. */
export function bitAt(bitmap: Buffer, index: number): boolean {
  return ((bitmap[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
}

export function bitmapBytes(bits: number): number {
  return (bits + 7) >> 3;
}
