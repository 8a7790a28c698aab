/**
 * One row change, made of the binlog for the shards. Of a read-through table: what becomes of the entry under one key, if
 * there is one.
 *
 * | op        | what apply does to a present, older entry                                           |
 * |-----------|--------------------------------------------------------------------------------------|
 * | `write`   | overwrites it with the row's image                                                    |
 * | `absent`  | overwrites it with "no such row"                                                      |
 * | `remove`  | removes it: strategy `invalidate`, a row too large to be kept, a shape that is not known |
 * | `refresh` | removes it, and has it read back: strategy `refresh`                                   |
 *
 * Whatever the op, the lease beside the entry goes: what is being read under it may be from before the change.
 *
 * Of a mirror: what the shard holds from now on, unless it is newer.
 *
 * | op          | then                                                          |
 * |-------------|---------------------------------------------------------------|
 * | `put`       | the row, with its columns' texts                              |
 * | `too-large` | that there is such a row, and not what is in it               |
 * | `delete`    | nothing; a snapshot under way must not bring it back          |
 */
export type ChangeOp = 'write' | 'absent' | 'remove' | 'refresh' | 'put' | 'too-large' | 'delete';

export interface Change {
  readonly op: ChangeOp;
  /** The table's name in the stamp (followedName). */
  readonly table: string;
  /** The entry's key. */
  readonly key: string;
  /** The shape of the body; eight characters. */
  readonly shape: string;
  /** The row as JSON under `write`, its columns' texts as JSON under `put`; empty otherwise. */
  readonly body: Buffer;
}

/** With its place in the binlog. */
export interface VersionedChange extends Change {
  readonly version: string;
}
