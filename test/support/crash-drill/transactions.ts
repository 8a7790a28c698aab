/** Random transactions over all tables: rows made, changed, removed, given other keys, swapped; some of it rolled back. */
import type { SeededRandom } from '../../../stack/demo-data/seeded-random.ts';
import { DRILL_DB, DRILL_TABLES, type DrillTable, insertInto, tuple } from './tables.ts';

const STEPS_MAX = 4;
const MANY = 8;

/** Statements in order; one alone commits by itself. */
export function transaction(random: SeededRandom, writer: number): string[] {
  const steps = Array.from({ length: 1 + random.below(STEPS_MAX) }, () => step(random, writer));
  const [only = [], ...others] = steps;
  if (others.length === 0 && only.length === 1 && random.below(2) === 0) return only;
  if (random.below(6) === 0) {
    // What follows the savepoint is in nobody's binlog.
    return [
      'BEGIN',
      ...only,
      'SAVEPOINT here',
      ...others.flat(),
      'ROLLBACK TO here',
      ...step(random, writer),
      'COMMIT',
    ];
  }
  return ['BEGIN', ...steps.flat(), random.below(8) === 0 ? 'ROLLBACK' : 'COMMIT'];
}

function step(random: SeededRandom, writer: number): string[] {
  const table = random.oneOf(BY_SIZE);
  const name = `${DRILL_DB}.${table.name}`;
  const key = keyOf(table, random);
  const where = `WHERE ${equals(table, key)}`;
  switch (random.below(20)) {
    case 0:
    case 1:
    case 2:
      return [`${insertInto(table, 'INSERT IGNORE INTO')} ${tuple(key, table.values(random))}`];
    case 3:
      return [`${insertInto(table, 'REPLACE INTO')} ${tuple(key, table.values(random))}`];
    case 4: {
      const onDuplicate = `ON DUPLICATE KEY UPDATE counter = UUID_SHORT()`;
      return [`${insertInto(table)} ${tuple(key, table.values(random))} ${onDuplicate}`];
    }
    case 5:
    case 6:
      return [`DELETE FROM ${name} ${where}`];
    case 7:
    case 8:
      return [`UPDATE IGNORE ${name} SET ${assign(table, keyOf(table, random))}, counter = UUID_SHORT() ${where}`];
    case 9: {
      // Two rows change places, over a third key.
      const other = keyOf(table, random);
      const aside = table.aside(writer);
      const move = (from: readonly string[], to: readonly string[]) =>
        `UPDATE ${name} SET ${assign(table, to)}, counter = UUID_SHORT() WHERE ${equals(table, from)}`;
      return [move(key, aside), move(other, key), move(aside, other)];
    }
    case 10: {
      const some = Array.from({ length: 1 + random.below(MANY) }, () => `(${equals(table, keyOf(table, random))})`);
      return [`UPDATE ${name} SET counter = UUID_SHORT() WHERE ${some.join(' OR ')}`];
    }
    default:
      return [`UPDATE ${name} SET ${changes(table, random)}, counter = UUID_SHORT() ${where}`];
  }
}

/** As often as they have keys, about. */
const BY_SIZE = DRILL_TABLES.flatMap((table) =>
  Array.from({ length: Math.ceil(table.keys.length / 40) }, () => table),
) as [DrillTable, ...DrillTable[]];

function keyOf({ keys }: DrillTable, random: SeededRandom): readonly string[] {
  return keys[random.below(keys.length)]?.literals as readonly string[];
}

function changes({ columns, values }: DrillTable, random: SeededRandom): string {
  const all = values(random);
  const first = random.below(columns.length);
  const chosen = columns.map((column, index) => `${column} = ${all[index]}`);
  return chosen.filter((_, index) => index === first || random.below(2) === 0).join(', ');
}

function equals({ keyColumns }: DrillTable, key: readonly string[]): string {
  return keyColumns.map((column, index) => `${column} = ${key[index]}`).join(' AND ');
}

function assign({ keyColumns }: DrillTable, key: readonly string[]): string {
  return keyColumns.map((column, index) => `${column} = ${key[index]}`).join(', ');
}
