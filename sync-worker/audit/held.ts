/**
 * What lies under a key of an audited table, mirrored or cached, in one form. Whether it counts is not said here.
 */
import { hash } from 'node:crypto';
import { decodeEntry, type Exactness } from '../../shared/entry/entry.ts';
import { decodeMirrorEntry, MIRROR_FIELD, mirrorField } from '../../shared/entry/mirror-entry.ts';
import { unpackStrings } from './packed-strings.ts';

export type Held = HeldNothing | HeldForeign | HeldEntry;

export interface HeldNothing {
  readonly kind: 'nothing';
}

/** Not what a table of this mode has under its keys. */
export interface HeldForeign {
  readonly kind: 'foreign';
  /** `list`, `string`, `hash`, … */
  readonly what: string;
  /** It was ours when the table was of the other mode. */
  readonly isOfOtherMode: boolean;
}

export interface HeldEntry {
  readonly kind: 'row' | 'negative' | 'too-large';
  readonly version: string;
  readonly exactness: Exactness;
  readonly shape: string;
  readonly content: HeldContent;
}

export type HeldContent =
  | { readonly kind: 'texts'; readonly texts: ReadonlyMap<string, string> }
  /** `stored`: with its header. */
  | { readonly kind: 'json'; readonly body: Buffer; readonly stored: Buffer };

export const NOTHING: HeldNothing = { kind: 'nothing' };

/** @param reply as audit-read.lua has it. */
export function heldInReply(reply: Buffer): Held {
  if (reply.length === 0) return NOTHING;
  if (reply[0] === FOREIGN) {
    const what = reply.toString('latin1', 1);
    return { kind: 'foreign', what: what === 'ours' ? 'string' : what, isOfOtherMode: what === 'ours' };
  }
  const entry = decodeMirrorEntry(unpackStrings(reply));
  if (entry === undefined) return { kind: 'foreign', what: 'hash', isOfOtherMode: false };
  const { kind, version, shape, texts } = entry;
  return { kind, version, shape, exactness: 'exact', content: { kind: 'texts', texts } };
}

const FOREIGN = '!'.charCodeAt(0);

/** Whether this is the field of ours of a mirrored row. */
export function isMirrorField(field: Buffer): boolean {
  return decodeMirrorEntry([Buffer.from(MIRROR_FIELD), field]) !== undefined;
}

/** Nothing where these are not the bytes of a cached row. */
export function heldInString(stored: Buffer): HeldEntry | undefined {
  const entry = decodeEntry(stored);
  if (entry === undefined) return undefined;
  const { kind, version, shape, exactness, body } = entry;
  return { kind, version, shape, exactness, content: { kind: 'json', body, stored } };
}

export function isEntry(held: Held): held is HeldEntry {
  return held.kind !== 'nothing' && held.kind !== 'foreign';
}

/**
 * By which a script sees that it is still the same (audit-drop.lua): whatever is written there by us meanwhile has another.
 * @param mirrored whether the table is a mirror.
 */
export function markOf(held: Held, mirrored: boolean): string {
  if (held.kind === 'nothing') return '';
  if (held.kind === 'foreign') {
    if (mirrored) return 'not mirrored';
    return held.what === 'string' ? 'not cached' : 'no string';
  }
  const { content, version, shape } = held;
  if (content.kind === 'json') return `string ${hash('sha1', content.stored, 'hex')}`;
  return `row ${mirrorField(held.kind === 'too-large' ? 'too-large' : 'row', version, shape)}`;
}
