/** Whether a table can be a mirror: its keys can be walked in order, and its columns stored one by one. Asked at every look at it. */
import type { Problem } from '../errors/errors.ts';
import { MIRROR_FIELD } from '../entry/mirror-entry.ts';
import type { TableSchema } from './table-schema.ts';

/** ORDER BY goes by a value's number, and `>` by its text: after `b` of ENUM('b', 'a') there would be nothing left. */
const ORDERED_BY_NUMBER: ReadonlySet<string> = new Set(['enum', 'set']);

/** @param label `db.table`. */
export function whyUnmirrorable(
  label: string,
  { keyColumns, columns }: Pick<TableSchema, 'keyColumns' | 'columns'>,
): Problem[] {
  const where = `tables.${label}`;
  const problems = keyColumns
    .filter(({ dataType }) => ORDERED_BY_NUMBER.has(dataType))
    .map(({ name, dataType }): Problem => {
      const message = `${name} is ${dataType === 'set' ? 'a SET' : 'an ENUM'}: a mirror's snapshot goes through the keys in order, and those have two orders`;
      const mend = `key: [other columns], mode: read-through, or ALTER TABLE to a text or a number`;
      return { code: 'key-unsuitable', where: `${where}.key`, message, mend };
    });
  if (columns.some(({ name }) => name === MIRROR_FIELD)) {
    const message = `has a column ${MIRROR_FIELD}, which is ringfill's own field in the hash of a mirrored row`;
    problems.push({ code: 'table-unsupported', where, message, mend: `columns: { deny: ['${MIRROR_FIELD}'] }` });
  }
  return problems;
}
