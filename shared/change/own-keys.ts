/**
 * Which keys a message may change: those of rows, under our prefix. Names and ids are percent-encoded there (cache-key.ts),
 * so what has a character of another kind is the stamp, a lease, another application's: nothing that a message is about.
 */
import { BatchUnreadable, type FramedChange } from './change-batch.ts';

/** RFC 3986's unreserved characters and escapes, and the commas between the parts of a composite key. */
const ROW = /^[A-Za-z0-9\-._~%,]+$/;

/** Throws BatchUnreadable. */
export function requireRowKeys(changes: readonly FramedChange[], keyPrefix: string): void {
  const prefix = Buffer.from(keyPrefix, 'utf8');
  for (const { key } of changes) {
    const isOurs = key.subarray(0, prefix.length).equals(prefix);
    if (!isOurs || !ROW.test(key.toString('latin1', prefix.length))) {
      throw new BatchUnreadable('it changes a key that is no row’s');
    }
  }
}
