/**
 * Answers kept for their ETags: the next request for the same path says what is here already, and is told "not modified"
 * instead of being sent it again. Never used without asking: only the gateway hears of changes.
 *
 * The text is kept and parsed anew for each caller. A kept object would be shared by all who ever asked, and what one of
 * them changed in it would be everybody's row.
 */
import { LRUCache } from 'lru-cache';
import type { EtagOptions } from './options.ts';

export interface KeptRow {
  readonly etag: string;
  readonly text: string;
}

export class KeptRows {
  readonly #rows: LRUCache<string, KeptRow>;

  constructor({ entriesMax, bytesMax }: Required<EtagOptions>) {
    this.#rows = new LRUCache<string, KeptRow>({
      max: entriesMax,
      maxSize: bytesMax,
      // The engine keeps texts in one or two bytes a character.
      sizeCalculation: ({ etag, text }, path) => 2 * (path.length + etag.length + text.length),
    });
  }

  find(path: string): KeptRow | undefined {
    return this.#rows.get(path);
  }

  keep(path: string, row: KeptRow): void {
    this.#rows.set(path, row);
  }

  forget(path: string): void {
    this.#rows.delete(path);
  }
}
