/**
 * Events as they came off the connection, waiting to be decoded: bounded in bytes.
 *
 * The driver's listeners must not wait and must not throw, so they only put events here. Past `bytesMax` the connection is
 * paused, below half of it resumed; what one read of the socket brings still comes after a pause, and no more.
 */
export interface Flow {
  pause(): void;
  resume(): void;
}

export class PacketQueue {
  readonly #bytesMax: number;
  #flow: Flow | undefined;
  #packets: Buffer[] = [];
  #taken = 0;
  #bytes = 0;
  #paused = false;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** What is paused when too much waits. */
  drain(flow: Flow): void {
    this.#flow = flow;
  }

  put(packet: Buffer): void {
    if (this.#ended) return;
    this.#packets.push(packet);
    this.#bytes += packet.length;
    if (this.#bytes > this.#bytesMax && !this.#paused) {
      this.#paused = true;
      this.#flow?.pause();
    }
    this.#wake?.();
  }

  /** No more will come; what waits can still be taken. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  clear(): void {
    this.#packets = [];
    this.#taken = 0;
    this.#bytes = 0;
  }

  /** The next one, or nothing once the end is reached. */
  async take(): Promise<Buffer | undefined> {
    while (this.#taken === this.#packets.length) {
      if (this.#ended) return undefined;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      this.#wake = undefined;
    }
    return this.#takeFirst();
  }

  #takeFirst(): Buffer {
    const packet = this.#packets[this.#taken] as Buffer;
    this.#taken += 1;
    this.#bytes -= packet.length;
    // Moved up now and then: shifting each time would move all that wait.
    if (this.#taken === this.#packets.length || this.#taken >= 1024) {
      this.#packets.splice(0, this.#taken);
      this.#taken = 0;
    }
    if (this.#paused && this.#bytes < this.#bytesMax / 2) {
      this.#paused = false;
      this.#flow?.resume();
    }
    return packet;
  }
}
