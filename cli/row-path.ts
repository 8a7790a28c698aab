/** A row as it is named in a URL: `test/users/8`, `shop/order_items/1001,2`. */
import { InvalidArgumentError } from 'commander';

export interface RowPath {
  /** As it was typed. */
  readonly text: string;
  readonly db: string;
  readonly table: string;
  /** The parts of the key in its order. */
  readonly id: readonly string[];
}

/** For an argument that may be given several times. Throws InvalidArgumentError. */
export function parseRowPath(text: string, before: readonly RowPath[] = []): readonly RowPath[] {
  const [db, table, id, ...more] = text.replace(/^\//, '').split('/');
  if (!db || !table || id === undefined || more.length > 0) throw misspelt();
  try {
    const [dbName, tableName] = [decodeURIComponent(db), decodeURIComponent(table)];
    return [...before, { text, db: dbName, table: tableName, id: id.split(',').map(decodeURIComponent) }];
  } catch {
    throw misspelt();
  }
}

function misspelt(): InvalidArgumentError {
  return new InvalidArgumentError('A row is named as in its URL: DB/TABLE/ID, such as test/users/8.');
}
