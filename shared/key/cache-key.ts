/**
 * Cache keys: the seed's `db_table_id` under an optional prefix, and the keys that stand beside an entry.
 *
 * Names and ids are percent-encoded, so a `:` is always ringfill's own and the lease of one row is never another's entry.
 */
import type { Problem } from '../errors/errors.ts';
import type { KeyPart } from './key-part.ts';
import { percentEncode } from './row-id.ts';

const LEASE = ':lease';

/** All that a table's keys begin with, such as `test_users_`. */
export function tableKeyPrefix(keyPrefix: string, db: string, table: string): string {
  return `${keyPrefix}${percentEncode(db)}_${percentEncode(table)}_`;
}

/** The key of the lease beside an entry. */
export function leaseKey(entryKey: string): string {
  return `${entryKey}${LEASE}`;
}

export function isLeaseKey(key: string): boolean {
  return key.endsWith(LEASE);
}

/** The key of a shard's stamp. */
export function stampKey(keyPrefix: string): string {
  return `${keyPrefix}ringfill:stamp`;
}

export interface KeySpace {
  /** `db.table`, for the message. */
  readonly name: string;
  readonly prefix: string;
  readonly key: readonly KeyPart[];
}

/**
 * Which tables could use one another's keys. `a.b` with the text id `c_1` and `a.b_c` with the id `1` are both
 * `a_b_c_1`; but an id without text never has an underscore, so `a.b` with a number for a key is safe beside `a.b_c`.
 */
export function collidingKeySpaces(spaces: readonly KeySpace[]): Problem[] {
  const problems: Problem[] = [];
  const sorted = spaces.toSorted((a, b) => a.prefix.length - b.prefix.length);
  for (const [index, shorter] of sorted.entries()) {
    for (const longer of sorted.slice(index + 1)) {
      if (!longer.prefix.startsWith(shorter.prefix)) continue;
      const textInShorter = shorter.key.some((part) => part.type.kind === 'text');
      if (longer.prefix !== shorter.prefix && !textInShorter) continue;
      problems.push({
        code: 'keys-collide',
        where: `tables.${longer.name}`,
        message: `its keys (${longer.prefix}…) could be keys of ${shorter.name} (${shorter.prefix}…)`,
        mend: `expose one of the two only, or run a second gateway for ${longer.name} with a keyPrefix of its own`,
      });
    }
  }
  return problems;
}
