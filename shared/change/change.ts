/**
 * One row change, made of the binlog for the shards: what becomes of the entry under one key, if there is one.
 *
 * | op        | what apply does to a present, older entry                                           |
 * |-----------|--------------------------------------------------------------------------------------|
 * | `write`   | overwrites it with the row's image                                                    |
 * | `absent`  | overwrites it with "no such row"                                                      |
 * | `remove`  | removes it: strategy `invalidate`, a row too large to be kept, a shape that is not known |
 * | `refresh` | removes it, and has it read back: strategy `refresh`                                   |
 *
 * Whatever the op, the lease beside the entry goes: what is being read under it may be from before the change.
 */
export type ChangeOp = 'write' | 'absent' | 'remove' | 'refresh';

export interface Change {
  readonly op: ChangeOp;
  /** The table's name in the stamp (followedName). */
  readonly table: string;
  /** The entry's key. */
  readonly key: string;
  /** The shape of the body; eight characters. */
  readonly shape: string;
  /** The row as JSON under `write`, empty otherwise. */
  readonly body: Buffer;
}

/** With its place in the binlog. */
export interface VersionedChange extends Change {
  readonly version: string;
}
