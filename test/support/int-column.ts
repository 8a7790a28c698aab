import type { Column } from '../../shared/origin/column.ts';

/** As information_schema tells of one. */
export const intColumn = (name: string, more: Partial<Column> = {}): Column => ({
  name,
  dataType: 'int',
  columnType: 'int(11)',
  nullable: false,
  charset: null,
  collation: null,
  lengthMax: null,
  precision: null,
  scale: null,
  fraction: null,
  json: false,
  ...more,
});
