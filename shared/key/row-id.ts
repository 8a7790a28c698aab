/**
 * A row's id: one path segment, the same text in the URL, in the cache key and in `Content-Location`.
 *
 * The parts in key order, percent-encoded (RFC 3986: all but unreserved characters), joined by commas. So a comma, a
 * slash or a colon inside a part is never mistaken for ringfill's own, and every encoding of the same bytes is one id.
 */
import { RequestRefused } from '../errors/errors.ts';
import { canonicalSpelling, type KeyPart, spellingOfCell } from './key-part.ts';

export interface RowId {
  /** Canonical and percent-encoded, such as `8`, `Foo%20bar` or `1001,2`. */
  readonly segment: string;
  /** The same, part by part, decoded. */
  readonly parts: readonly string[];
}

/** Reads a path segment as it stood in the URL, still encoded. Throws RequestRefused: `bad-encoding`, `bad-id`. */
export function parseRowId(key: readonly KeyPart[], rawSegment: string): RowId {
  const rawParts = rawSegment.split(',');
  if (rawParts.length !== key.length) {
    const wanted = key.map((part) => part.column).join(',');
    throw new RequestRefused('bad-id', `The id has ${rawParts.length} of ${key.length} parts: ${wanted}.`);
  }
  const parts = key.map((part, index) => canonicalSpelling(part, percentDecode(rawParts[index] as string)));
  return { segment: segmentOf(parts), parts };
}

/**
 * Reads a list of ids, such as `1,2,3`; with a key of two parts `1001,1,1001,2` is two ids.
 * Where no key part is text, an encoded comma separates too: URLSearchParams encodes them, and no such id has one.
 */
export function splitRowIds(key: readonly KeyPart[], rawList: string): string[] {
  const hasText = key.some((part) => part.type.kind === 'text');
  const rawParts = rawList.split(hasText ? /,/ : /,|%2C/i);
  if (rawParts.length % key.length !== 0) {
    const wanted = key.map((part) => part.column).join(',');
    throw new RequestRefused(
      'bad-id',
      `ids has ${rawParts.length} parts: not a multiple of ${key.length} (${wanted}).`,
    );
  }
  const segments: string[] = [];
  for (let start = 0; start < rawParts.length; start += key.length) {
    segments.push(rawParts.slice(start, start + key.length).join(','));
  }
  return segments;
}

/** The id of a row, from its own key cells. */
export function rowIdOfCells(key: readonly KeyPart[], cells: readonly Buffer[]): RowId {
  const parts = key.map((part, index) => spellingOfCell(part.type, cells[index] as Buffer));
  return { segment: segmentOf(parts), parts };
}

export function segmentOf(parts: readonly string[]): string {
  return parts.length === 1 ? percentEncode(parts[0] as string) : parts.map(percentEncode).join(',');
}

const UNRESERVED_ONLY = /^[A-Za-z0-9\-._~]*$/;

/** encodeURIComponent leaves `!'()*` alone; RFC 3986 reserves them. */
export function percentEncode(text: string): string {
  if (UNRESERVED_ONLY.test(text)) return text;
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Throws RequestRefused `bad-encoding` where the escapes are broken or are not UTF-8. */
export function percentDecode(raw: string): string {
  if (!raw.includes('%')) return raw;
  try {
    return decodeURIComponent(raw);
  } catch {
    throw new RequestRefused('bad-encoding', 'The percent-encoding is broken, or is not UTF-8.');
  }
}
