/** A mirrored table's keys in order, some at a time: sync-worker/snapshot/key-walk.ts, each of its reads any time later. */
import type { RowKey } from './keys.ts';
import type { Mistakes } from './mistakes.ts';
import type { Origin } from './origin.ts';

export interface KeyStep {
  readonly keys: readonly RowKey[];
  /** Up to where all keys have been told; nothing at the table's end. */
  readonly upTo: RowKey | undefined;
}

/** @param table its possible keys, in their order. */
export async function* nextKeys(
  origin: Origin,
  table: readonly RowKey[],
  after: RowKey | undefined,
  limit: number,
  mistakes: Mistakes,
): AsyncGenerator<void, KeyStep> {
  const select = (isThere: (key: RowKey) => boolean, upTo: RowKey | undefined) => {
    const last = upTo === undefined ? table.length : table.indexOf(upTo) + 1;
    return table
      .slice(after === undefined ? 0 : table.indexOf(after) + 1, last)
      .filter(isThere)
      .slice(0, limit);
  };
  const isWritten = (key: RowKey) => origin.dirty(key) !== undefined;
  const isCommitted = (key: RowKey) => origin.visible(key).content !== undefined;
  let reads = [isWritten, isCommitted];
  if (mistakes.has('the committed keys first')) reads.reverse();
  if (mistakes.has('the committed keys only')) reads = [isCommitted, isCommitted];
  if (mistakes.has('the written keys only')) reads = [isWritten, isWritten];
  const [one, two] = reads as [typeof isWritten, typeof isWritten];
  const first = select(one, undefined);
  const lastFirst = first.length < limit ? undefined : first.at(-1);
  yield;
  const second = select(two, lastFirst);
  return { keys: [...new Set([...first, ...second])], upTo: second.length < limit ? lastFirst : second.at(-1) };
}
