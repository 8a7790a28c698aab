/** Entity tags of bodies, and `If-None-Match` (RFC 9110, sections 8.8.3 and 13.1.2). */
import { hash } from 'node:crypto';

/** Strong: equal tags mean equal bytes. 120 bits of SHA-1 are no secret and no signature, only a name. */
export function etagOf(body: Buffer): string {
  return `"${hash('sha1', body, 'base64url').slice(0, 20)}"`;
}

/** Weak comparison, as a GET asks for: `W/` makes no difference. */
export function matchesAny(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch.trim() === '*') return true;
  return ifNoneMatch.split(',').some((candidate) => candidate.trim().replace(/^W\//, '') === etag);
}
