/**
 * A row's id as one path segment: the parts in key order, percent-encoded (RFC 3986: all but unreserved characters),
 * joined by commas. A comma or slash inside a part stays the part's own.
 */

/**
 * One column of a key. A bigint or a safe integer stands for its decimal digits; anything else is text, in the
 * spelling that the gateway calls canonical (decimals with all digits of their scale, binary as lower-case hex, …).
 */
export type IdPart = string | number | bigint;

/** A row's id: the key column's value, or the values of a composite key in the key's order. */
export type Id = IdPart | readonly IdPart[];

/** Throws TypeError for what cannot be an id: an unsafe number, an ill-formed string, no parts at all. */
export function segmentOf(id: Id): string {
  if (!isComposite(id)) return encodePart(id);
  if (id.length === 0) throw new TypeError('an id has at least one part');
  return id.map(encodePart).join(',');
}

export function percentEncode(text: string): string {
  // encodeURIComponent leaves `!'()*` alone; RFC 3986 reserves them.
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function isComposite(id: Id): id is readonly IdPart[] {
  return Array.isArray(id);
}

function encodePart(part: IdPart): string {
  if (typeof part === 'string') {
    if (!part.isWellFormed()) throw new TypeError('an id with half a surrogate pair is no text');
    return percentEncode(part);
  }
  if (typeof part === 'bigint') return String(part);
  // 2 ** 53 + 1 is already another row's id by the time it gets here; undefined would be the text "undefined".
  if (!Number.isSafeInteger(part)) throw new TypeError(`${String(part)} is no id; a string, bigint or safe integer is`);
  return String(part);
}
