/**
 * The rows that are read: known by their number alone, so that whoever asks for one can tell whether the answer is right.
 * The same JSON lies in Redis for the peers that read it there, and comes out of MySQL for those that encode it.
 */
import type { Pool } from 'mysql2/promise';

/** `bytes` of JSON for each row. */
export type ItemSize = (id: number) => number;

/** What a generator needs to know of a table to check answers; it is told as JSON. */
export type Sizes =
  | { readonly kind: 'fixed'; readonly bytes: number }
  /** Log-uniform: as many rows from 50 to 100 B as from 1 to 2 KB. */
  | { readonly kind: 'spread'; readonly min: number; readonly max: number };

const ROWS_A_STATEMENT = 1_000;
/** What notes are made of, again and again. */
export const NOTE = 'a note of some words that tells what this is about, ';

export function sizeOf(sizes: Sizes): ItemSize {
  if (sizes.kind === 'fixed') return () => sizes.bytes;
  const { min, max } = sizes;
  return (id) => Math.round(min * (max / min) ** fractionOf(id));
}

/** In [0, 1), all over it for neighbours: multiplicative hashing by the golden ratio. */
function fractionOf(id: number): number {
  return (Math.imul(id, 0x9e3779b1) >>> 0) / 2 ** 32;
}

interface Item {
  readonly id: number;
  readonly price: string;
  readonly stock: number;
  readonly note: string;
}

/** Never shorter than about 50 B. */
export function itemJson(id: number, size: ItemSize): string {
  return JSON.stringify(itemOf(id, size));
}

function itemOf(id: number, size: ItemSize): Item {
  const item = { id, price: `${id % 10}.50`, stock: id % 10, note: '' };
  const left = Math.max(0, size(id) - JSON.stringify(item).length);
  return { ...item, note: NOTE.repeat(Math.ceil(left / NOTE.length)).slice(0, left) };
}

/** Rows 1 to `count`. */
export async function createItems(admin: Pool, table: string, count: number, size: ItemSize): Promise<void> {
  await admin.query(
    `CREATE TABLE ${table} (id INT PRIMARY KEY, price DECIMAL(10,2) NOT NULL, stock INT NOT NULL, ` +
      'note VARCHAR(4000) NOT NULL) ENGINE = InnoDB',
  );
  for (let first = 1; first <= count; first += ROWS_A_STATEMENT) {
    const length = Math.min(ROWS_A_STATEMENT, count - first + 1);
    const values = Array.from({ length }, (_, index) => {
      const { id, price, stock, note } = itemOf(first + index, size);
      return `(${id}, ${price}, ${stock}, '${note}')`;
    });
    await admin.query(`INSERT INTO ${table} VALUES ${values.join(', ')}`);
  }
}
