/**
 * Entries in this process's memory, bounded in bytes: what a shard replied under a key, for as long as it holds.
 *
 * Whoever is read once does not push out whoever is read often (TinyLFU): what is least recently used leaves, and only for
 * a key that was asked for more often. How often those here were used stands beside them, of all others in the sketch.
 */
import { LRUCache } from 'lru-cache';
import { bodyText, decodeEntryText, type EntryHead } from '../../entry/entry.ts';
import { TaggedBody } from '../../entry/tagged-body.ts';
import { FREQUENCY_MAX, FrequencySketch } from './frequency-sketch.ts';

/** What a shard's entries hold for: until it is over, all at once. One that is over costs nothing but its room. */
export interface Era {
  isOver: boolean;
}

/** What a shard replied under a key. */
export interface NearEntry {
  /** A character for each byte. */
  readonly stored: string;
  /** Nothing where that is no entry. */
  readonly entry: EntryHead | undefined;
  /** Of the entry; the same each time. */
  readonly body: TaggedBody;
}

/** As text: a Buffer takes some 200 bytes beside its own, and would have to be made a text for each answer. */
class Kept implements NearEntry {
  readonly stored: string;
  readonly era: Era;
  /** How often it was asked for, halved when the sketch is. */
  uses: number;
  age: number;
  #body: TaggedBody | undefined;

  constructor(stored: string, era: Era, uses: number, age: number) {
    this.stored = stored;
    this.era = era;
    this.uses = uses;
    this.age = age;
  }

  get entry(): EntryHead | undefined {
    return decodeEntryText(this.stored);
  }

  get body(): TaggedBody {
    return (this.#body ??= new TaggedBody(bodyText(this.stored)));
  }
}

/** Since the process began; of all generations. */
export class NearCounts {
  /** Read of memory, and of the shard although the table is a near one. */
  hits = 0;
  misses = 0;
  /** Replies of the shards that were kept, and that were not: those here are used as often. */
  admitted = 0;
  rejected = 0;
  /** Entries that left for others; and those that left because they were changed. */
  evicted = 0;
  invalidated = 0;
}

/**
 * What an entry takes beside its bytes and its key's: the Map's and the list's places for it, the objects, and the allocator's
 * own (docs/decisions/2026-11-23-near-cache.md has the measurement). Bytes.
 */
export const OVERHEAD_BYTES = 1_000;
/** With its overhead; the sketch is made for as many as fit. */
const TYPICAL_ENTRY_BYTES = 1_500;

export class NearStore {
  readonly counts: NearCounts;
  readonly #kept: LRUCache<string, Kept>;
  readonly #sketch: FrequencySketch;

  /** @param bytesMax of everything: entries, what they cost beside their bytes, and the sketch. */
  constructor(bytesMax: number, counts = new NearCounts()) {
    this.counts = counts;
    this.#sketch = new FrequencySketch(bytesMax / TYPICAL_ENTRY_BYTES);
    this.#kept = new LRUCache<string, Kept>({
      maxSize: bytesMax - this.#sketch.bytes,
      dispose: (kept, key, reason) => {
        if (reason === 'evict') counts.evicted += 1;
        // It may come back.
        if (reason !== 'set') this.#sketch.atLeast(key, this.#usesOf(kept));
      },
    });
  }

  get entries(): number {
    return this.#kept.size;
  }

  get bytes(): number {
    return this.#kept.calculatedSize + this.#sketch.bytes;
  }

  /** The very same each time, for as long as it is kept. */
  get(key: string, era: Era): NearEntry | undefined {
    const kept = this.#kept.get(key);
    if (kept?.era !== era) return undefined;
    kept.uses = Math.min(this.#usesOf(kept) + 1, FREQUENCY_MAX);
    kept.age = this.#sketch.age;
    this.#sketch.used();
    return kept;
  }

  /** A shard has replied with it: from now on this is what is known of the key, if it is kept. */
  offer(key: string, era: Era, replied: Buffer): void {
    const known = this.#kept.peek(key);
    const stored = replied.toString('latin1');
    if (known?.era === era && known.stored === stored) return;
    if (known !== undefined) this.#kept.delete(key);
    const uses = this.#sketch.note(key);
    const size = stored.length + key.length + OVERHEAD_BYTES;
    if (!this.#isWorth(uses, size)) {
      this.counts.rejected += 1;
      return;
    }
    this.#kept.set(key, new Kept(stored, era, uses, this.#sketch.age), { size });
    this.counts.admitted += 1;
  }

  /** @returns whether it was there. */
  drop(key: string, era: Era): boolean {
    return this.#kept.peek(key)?.era === era && this.#kept.delete(key);
  }

  clear(): void {
    this.#kept.clear();
  }

  /** Whether it was asked for more often than each that would have to leave for it. */
  #isWorth(uses: number, size: number): boolean {
    const { maxSize, calculatedSize } = this.#kept;
    let free = maxSize - calculatedSize;
    if (free >= size) return true;
    for (const victim of this.#kept.rvalues()) {
      if (victim === undefined) break;
      if (!victim.era.isOver && this.#usesOf(victim) >= uses) return false;
      free += victim.stored.length + OVERHEAD_BYTES;
      if (free >= size) return true;
    }
    return false;
  }

  #usesOf({ uses, age }: Kept): number {
    return uses >> Math.min(this.#sketch.age - age, 8);
  }
}
