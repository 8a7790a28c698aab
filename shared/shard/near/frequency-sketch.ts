/**
 * About how often each of very many keys was asked for lately, in a fixed number of bytes: a count-min sketch whose
 * counts are halved every so often (Cormode and Muthukrishnan 2005; as TinyLFU uses it: Einziger, Friedman and Manes 2017).
 * It may say more than is true, where keys share all of their counters, and never less, but for what was halved.
 */

/** Nobody need be told apart who was asked for more often. */
export const FREQUENCY_MAX = 15;

const ROWS = 4;
/** Of those that are asked for once there are many more than of those that are kept: each key has so many places a row. */
const PLACES_A_KEY = 4;
/** After so many uses for each key that there is room for, what was counted before them is halved. */
const USES_A_KEY = 40;

export class FrequencySketch {
  readonly #counts: Uint8Array;
  readonly #mask: number;
  readonly #usesMax: number;
  #uses = 0;
  #age = 0;

  /** @param keys how many are kept; it takes 16 to 32 bytes for each. */
  constructor(keys: number) {
    const width = 2 ** Math.ceil(Math.log2(Math.max(16, keys * PLACES_A_KEY)));
    this.#counts = new Uint8Array(ROWS * width);
    this.#mask = width - 1;
    this.#usesMax = Math.max(1, Math.floor(USES_A_KEY * keys));
  }

  get bytes(): number {
    return this.#counts.length;
  }

  /** How often it was halved; whoever counts for itself halves as often. */
  get age(): number {
    return this.#age;
  }

  /** A key was asked for. @returns how often, by now. */
  note(key: string): number {
    const frequency = this.frequencyOf(key);
    if (frequency < FREQUENCY_MAX) this.atLeast(key, frequency + 1);
    this.used();
    return Math.min(frequency + 1, FREQUENCY_MAX);
  }

  frequencyOf(key: string): number {
    const hash = hashOf(key);
    const step = stepOf(hash);
    let least = FREQUENCY_MAX;
    for (let row = 0; row < ROWS; row += 1) least = Math.min(least, this.#counts[this.#at(row, hash, step)] ?? 0);
    return least;
  }

  /** What was counted elsewhere: it was asked for so often at least. */
  atLeast(key: string, frequency: number): void {
    const hash = hashOf(key);
    const step = stepOf(hash);
    for (let row = 0; row < ROWS; row += 1) {
      const at = this.#at(row, hash, step);
      if ((this.#counts[at] ?? 0) < frequency) this.#counts[at] = frequency;
    }
  }

  /** A key was asked for that is counted elsewhere. */
  used(): void {
    this.#uses += 1;
    if (this.#uses < this.#usesMax) return;
    this.#uses /= 2;
    this.#age += 1;
    for (let at = 0; at < this.#counts.length; at += 1) this.#counts[at] = (this.#counts[at] ?? 0) >> 1;
  }

  #at(row: number, hash: number, step: number): number {
    return row * (this.#mask + 1) + ((hash + Math.imul(row, step)) & this.#mask);
  }
}

/** FNV-1a over UTF-16 units, then the finaliser of MurmurHash3, whose low bits depend on all. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return mixed(hash);
}

/** Odd, so that the rows differ. */
function stepOf(hash: number): number {
  return mixed(hash ^ 0x9e3779b9) | 1;
}

function mixed(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
