/**
 * Requests of two kinds: raw ones, whole requests with bytes changed, of which most are none any more; and such as are in
 * order as HTTP, with anything for a target and for the headers that the gateway reads. Several of the latter go over one
 * connection.
 */
import type { Random } from '../model/random.ts';
import { Mutator } from './mutator.ts';
import { corpusOf } from './target.ts';

export interface Sent {
  readonly bytes: Buffer;
  /** How many requests were made up for it. */
  readonly requests: number;
}

const IN_ORDER_AT_ONCE = 8;
const METHODS = ['GET', 'GET', 'GET', 'GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'PROPFIND'];
const HEADERS = ['Cache-Control', 'Ringfill-After', 'If-None-Match', 'Pragma', 'Accept', 'Range', 'X-Forwarded-For'];
const WORDS = [
  '?ids=',
  ',',
  '%2C',
  '%00',
  '%',
  '/',
  '//',
  '..',
  '&',
  '=',
  '+',
  '#',
  '%E6%97%A5',
  '__proto__',
  'http://t',
];

export class RequestMaker {
  readonly #random: Random;
  readonly #raw: Mutator;
  readonly #targets: Mutator;
  readonly #values: Mutator;
  readonly #tables: readonly string[];

  /** @param tables as `/db/table`. */
  constructor(random: Random, tables: readonly string[], rawWords: readonly string[]) {
    const targets = [...corpusOf('request-target'), ...corpusOf('row-id'), ...corpusOf('id-list')];
    this.#random = random;
    this.#tables = tables;
    this.#raw = new Mutator(random, corpusOf('http'), rawWords);
    this.#targets = new Mutator(random, targets, WORDS, 4_096);
    this.#values = new Mutator(random, [...corpusOf('headers'), ...corpusOf('write-position')], WORDS, 1_024);
  }

  next(): Sent {
    if (this.#random.chance(0.4)) return { bytes: this.#raw.next(), requests: 1 };
    const requests = Array.from({ length: IN_ORDER_AT_ONCE }, () => this.#inOrder());
    return { bytes: Buffer.from(requests.join(''), 'latin1'), requests: IN_ORDER_AT_ONCE };
  }

  #inOrder(): string {
    const random = this.#random;
    const header = random.chance(0.4) ? `${random.pick(HEADERS)}: ${fieldValue(this.#values.next())}\r\n` : '';
    return `${random.pick(METHODS)} ${this.#target()} HTTP/1.1\r\nHost: t\r\n${header}\r\n`;
  }

  #target(): string {
    const random = this.#random;
    const made = escaped(this.#targets.next());
    if (random.chance(0.3)) return made.startsWith('/') ? made : `/${made}`;
    return `${random.pick(this.#tables)}${random.chance(0.3) ? '?ids=' : '/'}${made.replace(/^\//, '')}`;
  }
}

/** What a target cannot hold at all is escaped. */
function escaped(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replaceAll(/[^\x21-\x7e]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** RFC 9110, section 5.5. */
function fieldValue(bytes: Buffer): string {
  return bytes.toString('latin1').replaceAll(/[^\x20-\x7e\x80-\xff]/g, ' ');
}
