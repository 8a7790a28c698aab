/**
 * The text of a configuration file and what its rings shall be -> the text with that. What a ring says of its shards is
 * written anew where it differs; all else stays as it is to the byte, comments, order, quotes and line ends included.
 *
 * Values are taken as they stand in the file: a `${NAME}` is never replaced.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  type Alias,
  Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  Pair,
  parseDocument,
  type Range,
  type Scalar,
  visit,
  YAMLMap,
  type YAMLSeq,
} from 'yaml';
import type { RingConfig } from '../../shared/config/schema.ts';

/** The rings stand there in a way that these changes do not reach. Nothing is wrong with it; a person can change it. */
export class UneditableText extends Error {
  constructor(why: string, options?: ErrorOptions) {
    super(why, options);
    this.name = 'UneditableText';
  }
}

const CHANGEABLE = ['placement', 'shards', 'former'] as const;

/** @param rings as many as the file has, in its order. Throws UneditableText. */
export function withRings(text: string, rings: readonly RingConfig[]): string {
  const written = valueOf(text);
  const wanted = { ...written, rings };
  let edited = text;
  if (isJson(text)) {
    edited = JSON.stringify(wanted, undefined, /^\s*\{\r?\n([ \t]+)/.exec(text)?.[1]) + (/\s*$/.exec(text)?.[0] ?? '');
  } else {
    for (const [index, ring] of rings.entries()) {
      for (const key of CHANGEABLE) {
        if (!isDeepStrictEqual(written.rings[index]?.[key], ring[key]))
          edited = withPair(edited, index, key, ring[key]);
      }
    }
  }
  // Whatever is special about the file: what is written is what was meant, and nothing else.
  if (!isDeepStrictEqual(valueOf(edited), wanted)) throw new UneditableText('the text would say something else');
  return edited;
}

/** The rings as they stand there. */
export function writtenRings(text: string): readonly RingConfig[] {
  return valueOf(text).rings;
}

/** @param text of a configuration that has been loaded. */
function valueOf(text: string): { readonly rings: readonly RingConfig[] } {
  const document = parseDocument(text, { prettyErrors: false });
  const [error] = document.errors;
  if (error !== undefined) throw new UneditableText('it would not be YAML any more', { cause: error });
  return document.toJS() as { rings: RingConfig[] };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** A stretch of the text, and what is to stand there. */
interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

function withPair(text: string, index: number, key: (typeof CHANGEABLE)[number], value: unknown): string {
  const document = parseDocument(text, { prettyErrors: false });
  const ring: unknown = document.getIn(['rings', index], true);
  if (!isMap(ring)) throw new UneditableText(`rings.${index} is not written out where it stands`);
  const { start, end, text: replacement } = spliceOf(new Place(text, document, ring), key, value);
  return text.slice(0, start) + replacement + text.slice(end);
}

function spliceOf(place: Place, key: string, value: unknown): Splice {
  const { document, ring } = place;
  const pair = place.pair(key);
  if (ring.flow === true) {
    if (value === undefined) ring.delete(key);
    else ring.set(key, remade(document, pair?.value, value, true));
    const [start, end] = rangeOf(ring);
    ring.comment = null;
    return { start, end, text: place.render(ring, start, end) };
  }
  if (pair === undefined) {
    const shards = place.regionOf(place.pair('shards') as Pair<Node, Node>);
    const added = new Pair(document.createNode(key), newNode(document, value, place.isFlow('shards')));
    const text = place.lineEnd + ' '.repeat(place.columnOf(shards.start)) + place.renderPair(added, shards.start);
    const end = place.endOfCommentsBelow(shards.end, place.columnOf(shards.start));
    return { start: end, end, text };
  }
  const { start, end } = place.regionOf(pair);
  if (value === undefined) {
    const line = place.lineStart(start);
    if (!place.isBlank(line, start)) throw new UneditableText(`${key} stands behind something else`);
    return { start: line, end: place.lineEndFrom(end) + place.lineEnd.length, text: '' };
  }
  pair.value = remade(document, pair.value, value, place.isFlow('shards'));
  return { start, end, text: place.renderPair(pair, start, end) };
}

/** A ring's place in the text. */
class Place {
  readonly #text: string;
  readonly document: Document;
  readonly ring: YAMLMap;
  readonly lineEnd: '\r\n' | '\n';
  readonly #style: Readonly<Record<'indent', number> & Record<'indentSeq' | 'flowCollectionPadding', boolean>>;

  constructor(text: string, document: Document, ring: YAMLMap) {
    this.#text = text;
    this.document = document;
    this.ring = ring;
    this.lineEnd = text.includes('\r\n') ? '\r\n' : '\n';
    // Told by where the nodes stand, before they are changed.
    this.#style = {
      indent: this.#indent(),
      indentSeq: this.#indentsSequences(),
      flowCollectionPadding: this.#isPadded(),
    };
  }

  pair(key: string): Pair<Node, Node> | undefined {
    const pairs = this.ring.items as Pair<Node, Node | null>[];
    const pair = pairs.find((one) => isScalar(one.key) && one.key.value === key);
    if (pair?.value === null) throw new UneditableText(`${key} is empty`);
    return pair as Pair<Node, Node> | undefined;
  }

  isFlow(key: string): boolean {
    const value = this.pair(key)?.value;
    return isCollection(value) && value.flow === true;
  }

  /** From the key to the value's end; of lines, up to the last one's end. */
  regionOf({ key, value }: Pair<Node, Node>): { readonly start: number; readonly end: number } {
    const [start] = rangeOf(key);
    const [valueStart, valueEnd] = rangeOf(value);
    if (!isCollection(value) || value.flow === true) return { start, end: valueEnd };
    const last = valueStart + this.#text.slice(valueStart, valueEnd).trimEnd().length;
    return { start, end: this.lineEndFrom(last) };
  }

  lineStart(offset: number): number {
    return this.#text.lastIndexOf('\n', offset - 1) + 1;
  }

  columnOf(offset: number): number {
    return offset - this.lineStart(offset);
  }

  /** In front of `\n` or `\r\n`. */
  lineEndFrom(offset: number): number {
    const end = this.#text.indexOf('\n', offset);
    if (end === -1) return this.#text.length;
    return this.#text[end - 1] === '\r' ? end - 1 : end;
  }

  /** Comments that stand deeper than a column belong to what they follow. */
  endOfCommentsBelow(offset: number, column: number): number {
    let end = this.lineEndFrom(offset);
    for (let next = end; next < this.#text.length;) {
      const start = next + this.lineEnd.length;
      next = this.lineEndFrom(start);
      const line = this.#text.slice(start, next);
      if (line.trim() === '') continue;
      if (line.search(/\S/) <= column || !line.trimStart().startsWith('#')) break;
      end = next;
    }
    return end;
  }

  isBlank(start: number, end: number): boolean {
    return this.#text.slice(start, end).trim() === '';
  }

  /** What stands above the key and behind the end is not part of it. */
  renderPair(pair: Pair<Node, Node>, start: number, end = start): string {
    pair.key.commentBefore = null;
    pair.key.spaceBefore = false;
    withoutLastComment(pair.value);
    const map = new YAMLMap();
    map.items.push(pair);
    return this.render(map, start, end);
  }

  /** In the style of the ring, as it stands at `start`; lines between there and `end` that say the same are kept. */
  render(node: Node, start: number, end: number): string {
    const rendered = new Document();
    rendered.contents = withoutAliases(node, this.document) as typeof rendered.contents;
    const lines = rendered
      .toString({ ...this.#style, lineWidth: 0 })
      .trimEnd()
      .split('\n');
    const indent = ' '.repeat(this.columnOf(start));
    const indented = lines.map((line, index) => (index === 0 || line === '' ? line : indent + line));
    const old = this.#text.slice(start, end).split(/\r?\n/);
    // A comment behind `shards:` is read as one above the first shard.
    const [head = ''] = old;
    const comment = /:\s+(#.*)$/.exec(head)?.[1];
    if (comment !== undefined && indented[1]?.trim() === comment) indented.splice(0, 2, head);
    const kept = new Map(old.map((line) => [withSingleSpaces(line), line]));
    return indented.map((line) => kept.get(withSingleSpaces(line)) ?? line).join(this.lineEnd);
  }

  /** How much deeper a ring's shards stand than its keys. */
  #indent(): number {
    const shards = this.pair('shards');
    if (shards === undefined || !isMap(shards.value) || shards.value.flow === true) return 2;
    const deeper = this.columnOf(rangeOf(shards.value)[0]) - this.columnOf(rangeOf(shards.key)[0]);
    return Math.max(2, deeper);
  }

  /** Whether a list's dashes stand deeper than its key: as in `former`, else as in `rings`, which stands at the margin. */
  #indentsSequences(): boolean {
    const former = this.pair('former');
    if (former !== undefined && isSeq(former.value) && former.value.flow !== true) {
      return this.columnOf(rangeOf(former.value)[0]) > this.columnOf(rangeOf(former.key)[0]);
    }
    const rings = this.document.get('rings', true);
    return !isSeq(rings) || rings.flow === true || this.columnOf(rangeOf(rings)[0]) > 0;
  }

  #isPadded(): boolean {
    return !/\{(?=[^\s{}])/.test(this.#text.replaceAll('${', ''));
  }
}

/** The node itself where it says so already, else changed as little as possible. */
function remade(document: Document, node: unknown, value: unknown, flow = false): Node {
  if (!isNode(node)) return newNode(document, value, flow);
  if (isDeepStrictEqual(node.toJS(document), value)) return node;
  if (isMap(node) && isRecord(value)) return remadeMap(document, node, value);
  if (isSeq(node) && Array.isArray(value)) return remadeSeq(document, node, value, flow);
  if (isScalar(node) && typeof value === 'string') {
    const scalar = node as Scalar;
    scalar.value = value;
    // What it was read from.
    delete scalar.source;
    return node;
  }
  return newNode(document, value, flow);
}

function remadeMap(document: Document, map: YAMLMap, value: Readonly<Record<string, unknown>>): YAMLMap {
  const pairs = map.items as Pair<Node, Node>[];
  const nameOf = (pair: Pair<Node, Node>) => String(isScalar(pair.key) ? pair.key.value : pair.key);
  map.items = pairs.filter((pair) => Object.hasOwn(value, nameOf(pair)));
  for (const [name, wanted] of Object.entries(value)) {
    const pair = pairs.find((one) => nameOf(one) === name);
    if (pair === undefined) map.items.push(new Pair(document.createNode(name), newNode(document, wanted, false)));
    else pair.value = remade(document, pair.value, wanted);
  }
  return map;
}

function remadeSeq(document: Document, seq: YAMLSeq, values: readonly unknown[], flow: boolean): YAMLSeq {
  const items = seq.items as Node[];
  const isAligned = items.length === values.length;
  seq.items = values.map((value, index) => {
    const same = items.find((item) => isDeepStrictEqual(item.toJS(document), value));
    return same ?? remade(document, isAligned ? items[index] : undefined, value, flow);
  });
  // An empty line between two items.
  for (const first of seq.items.slice(0, 1) as Node[]) first.spaceBefore = false;
  return seq;
}

/** @param flow whether shards are written as {…}. */
function newNode(document: Document, value: unknown, flow: boolean): Node {
  const node = document.createNode(value) as Node;
  visit(node, {
    Pair(_, pair) {
      const { key, value: below } = pair as Pair<Node, Node>;
      if (flow && isScalar(key) && key.value === 'shards' && isMap(below)) below.flow = true;
    },
  });
  return node;
}

/** An alias may name an anchor that stands elsewhere in the file. */
function withoutAliases(node: Node, document: Document): Node {
  visit(node, { Alias: (_, alias: Alias) => document.createNode(alias.toJS(document)) as Node });
  return isAlias(node) ? (document.createNode(node.toJS(document)) as Node) : node;
}

/** Comments below the last line are read as those of what ends there, and are left where they are. */
function withoutLastComment(value: unknown): void {
  if (!isNode(value)) return;
  if (!isCollection(value) || value.flow === true) {
    value.comment = null;
    return;
  }
  for (let last: unknown = value; isCollection(last) && last.flow !== true; last = lastIn(last)) last.comment = null;
}

function lastIn(collection: YAMLMap | YAMLSeq): unknown {
  const last: unknown = collection.items.at(-1);
  return last instanceof Pair ? last.value : last;
}

function rangeOf(node: Node | null): Range {
  if (node?.range) return node.range;
  throw new UneditableText('it has no place in the text');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Apart from its indentation. */
function withSingleSpaces(line: string): string {
  const indent = /^\s*/.exec(line)?.[0] ?? '';
  return indent + line.trim().replaceAll(/\s+/g, ' ');
}
