/** The few rows that all rounds are about, and the rings that place them. */
import { ringHash } from '../../shared/stamp/followed.ts';

export interface RowKey {
  /** The followed name of its table. */
  readonly table: string;
  /** The entry's key, without the shard's prefix. */
  readonly name: string;
  readonly number: number;
}

export const TABLES = ['shop.users(id)', 'shop.orders(id)'] as const;

/** Few, so that everything meets everything. */
export const ROW_KEYS: readonly RowKey[] = TABLES.flatMap((table, of) =>
  Array.from({ length: of === 0 ? 3 : 2 }, (_, id) => ({ table, name: `t${of}_${id}`, number: of * 3 + id })),
);

export const SHARDS = ['a', 'b', 'c', 'd'] as const;

export interface Ring {
  readonly hash: string;
  readonly members: readonly string[];
}

const ring = (...members: string[]): Ring => ({ hash: ringHash(members, 'ketama'), members });

/** What each layer's ring was, is and will be. Some shards stand in both layers, which configurations avoid. */
export const LAYERS: readonly (readonly Ring[])[] = [
  [ring('a', 'b', 'c'), ring('a', 'b'), ring('b', 'c')],
  [ring('c', 'd'), ring('d'), ring('a', 'd')],
];

/** Not the real continuum: with so few keys some shards would own none. */
export function ownerOf({ members }: Ring, key: RowKey): string {
  return members[key.number % members.length] as string;
}
