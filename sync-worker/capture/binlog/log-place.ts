/**
 * Where in the binlog we are. An event says in 32 bits where it ends, and a file is longer than that where one
 * transaction is; inside a transaction MariaDB says nothing at all.
 */
import type { LogPosition } from '../../../shared/version/version.ts';

const WRAP = 2 ** 32;

export class LogPlace {
  #file: string | undefined;
  /** Where the last event that said so ended. */
  #known = 0;
  /** Bytes since then of events that did not say: where we are is at least so much further. */
  #since = 0;

  /** Nothing before the first file is named. */
  get position(): LogPosition | undefined {
    return this.#file === undefined ? undefined : { file: this.#file, position: this.#known };
  }

  goTo({ file, position }: LogPosition): void {
    this.#file = file;
    this.#known = position;
    this.#since = 0;
  }

  /** Past an event of that length. @param nextPosition 32 bits, or 0 where the event does not say. */
  advance(nextPosition: number, length: number): void {
    this.#since += length;
    if (nextPosition === 0) return;
    const least = this.#known + this.#since;
    const wraps = Math.max(0, Math.ceil((least - nextPosition) / WRAP));
    this.#known = nextPosition + wraps * WRAP;
    this.#since = 0;
  }

  /** What a heartbeat says: never back, and never so far that it would be a guess. */
  reach(file: string, nextPosition: number): void {
    if (file !== this.#file || this.#since > 0) return;
    const reached = this.#known - (this.#known % WRAP) + nextPosition;
    if (nextPosition !== 0 && reached > this.#known) this.#known = reached;
  }
}
