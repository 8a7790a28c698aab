/**
 * Inputs from a corpus, by small changes: of bytes, of words, and, where it is JSON, of its values. All of it is drawn from
 * one seed.
 */
import type { Random } from '../model/random.ts';

const CHANGES_MAX = 4;
const BYTES_MAX = 65_536;
/** Where parsers, comparisons and conversions have their edges. */
const NUMBERS = [
  '0',
  '-1',
  '1e999',
  '-0',
  '1.5',
  '9007199254740992',
  '9'.repeat(45),
  '0'.repeat(45),
  '1e-7',
  '00',
  '0x10',
];
const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  -(2 ** 53),
  1e21,
  '',
  '0',
  '9'.repeat(45),
  '0'.repeat(45),
  'x'.repeat(300),
  [],
  {},
  [[]],
  [null],
  { a: 1 },
  { toString: 1 },
  '\u0000',
  '\u2028',
  '\ud800',
  '%',
  "'",
  '"',
];
const NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'length', 'then', '', 'a', '0'];

export class Mutator {
  readonly #random: Random;
  readonly #corpus: readonly Buffer[];
  readonly #words: readonly Buffer[];
  readonly #bytesMax: number;

  constructor(random: Random, corpus: readonly Buffer[], words: readonly string[], bytesMax = BYTES_MAX) {
    this.#random = random;
    this.#corpus = corpus;
    this.#words = [...words, ...NUMBERS, ...NAMES].map((word) => Buffer.from(word, 'latin1'));
    this.#bytesMax = bytesMax;
  }

  next(): Buffer {
    const random = this.#random;
    let input = random.pick(this.#corpus);
    const changes = 1 + random.below(CHANGES_MAX);
    for (let change = 0; change < changes; change += 1) {
      input = random.chance(0.25) ? (this.#changeJson(input) ?? this.#changeBytes(input)) : this.#changeBytes(input);
    }
    return input.length > this.#bytesMax ? input.subarray(0, this.#bytesMax) : input;
  }

  #changeBytes(input: Buffer): Buffer {
    const random = this.#random;
    const at = random.below(input.length + 1);
    const end = Math.min(input.length, at + 1 + random.below(random.chance(0.8) ? 8 : 4_096));
    const replaced = (by: Buffer, to = end) => Buffer.concat([input.subarray(0, at), by, input.subarray(to)]);
    switch (random.below(9)) {
      case 0: {
        const flipped = Buffer.from(input);
        if (at < input.length) flipped[at] = (flipped[at] as number) ^ (1 << random.below(8));
        return flipped;
      }
      case 1:
        return replaced(Buffer.from([random.below(256)]));
      case 2:
        return replaced(Buffer.alloc(0));
      case 3:
        return replaced(random.pick(this.#words), at);
      case 4:
        return replaced(random.pick(this.#words));
      case 5:
        return input.subarray(0, at);
      case 6: {
        const other = random.pick(this.#corpus);
        return Buffer.concat([input.subarray(0, at), other.subarray(random.below(other.length + 1))]);
      }
      case 7: {
        // Again and again: what takes more than linear time shows.
        const piece = input.subarray(at, end);
        const times = random.chance(0.9) ? 2 : 1 + random.below(1_000);
        return piece.length * times > this.#bytesMax ? input : replaced(repeated(piece, times));
      }
      default:
        return replaced(Buffer.from(Array.from({ length: 1 + random.below(4) }, () => random.below(256))), at);
    }
  }

  /** Nothing where there is no JSON in it. */
  #changeJson(input: Buffer): Buffer | undefined {
    // A message begins with its head's length.
    const start = input.indexOf('{');
    const end = input.lastIndexOf('}');
    if (start === -1 || end < start) return undefined;
    let text: string;
    try {
      text = JSON.stringify(this.#changeValue(JSON.parse(input.toString('utf8', start, end + 1)), 0));
    } catch {
      // It is none, or nested more deeply than can be written.
      return undefined;
    }
    if (this.#random.chance(0.1)) text = text.replace(/[0-9]+(?=[,}\]])/, this.#random.pick(NUMBERS));
    const changed = Buffer.from(text, 'utf8');
    const before = Buffer.from(input.subarray(0, start));
    if (before.length === 4) before.writeUInt32BE(changed.length);
    return Buffer.concat([before, changed, input.subarray(end + 1)]);
  }

  #changeValue(value: unknown, depth: number): unknown {
    const random = this.#random;
    if (typeof value !== 'object' || value === null || depth > 6 || random.chance(0.15)) return random.pick(VALUES);
    if (Array.isArray(value)) {
      const list = [...(value as unknown[])];
      const at = random.below(list.length + 1);
      if (random.chance(0.3)) list.splice(at, random.below(2), random.pick(VALUES));
      else if (at < list.length) list[at] = this.#changeValue(list[at], depth + 1);
      return list;
    }
    const entries = Object.entries(value);
    const at = random.below(entries.length + 1);
    const [name, item] = entries[at] ?? [random.pick(NAMES), random.pick(VALUES)];
    switch (random.below(4)) {
      case 0:
        entries.splice(at, 1);
        break;
      case 1:
        entries.splice(at, 1, [random.pick(NAMES), item]);
        break;
      default:
        entries.splice(at, 1, [name, this.#changeValue(item, depth + 1)]);
        break;
    }
    return Object.fromEntries(entries);
  }
}

function repeated(piece: Buffer, times: number): Buffer {
  return Buffer.alloc(piece.length * times, piece.length === 0 ? 0 : piece);
}
