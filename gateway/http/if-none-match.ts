/** `If-None-Match` (RFC 9110, section 13.1.2). */

/** Weak comparison, as a GET asks for: `W/` makes no difference. */
export function matchesAny(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch.trim() === '*') return true;
  return ifNoneMatch.split(',').some((candidate) => candidate.trim().replace(/^W\//, '') === etag);
}
