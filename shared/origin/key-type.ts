/** A column's type -> the type of a key part; nothing where a column cannot identify a row. */
import type { KeyPartType } from '../key/key-part.ts';
import { type Column, isBytewise, isUnsigned } from './column.ts';

const INTEGER_BITS: Readonly<Record<string, bigint>> = {
  tinyint: 8n,
  smallint: 16n,
  mediumint: 24n,
  int: 32n,
  bigint: 64n,
};

export function keyPartType(column: Column): KeyPartType | undefined {
  const bits = INTEGER_BITS[column.dataType];
  if (bits !== undefined) {
    return isUnsigned(column)
      ? { kind: 'integer', min: 0n, max: 2n ** bits - 1n }
      : { kind: 'integer', min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n };
  }
  const lengthMax = column.lengthMax ?? 0;
  const fraction = column.fraction ?? 0;
  switch (column.dataType) {
    case 'decimal':
      return {
        kind: 'decimal',
        precision: column.precision ?? 10,
        scale: column.scale ?? 0,
        unsigned: isUnsigned(column),
      };
    case 'bit':
      return { kind: 'bit', width: column.precision ?? 1 };
    case 'year':
      return { kind: 'year' };
    case 'date':
      return { kind: 'date' };
    case 'time':
      return { kind: 'time', fraction };
    case 'datetime':
    case 'timestamp':
      return { kind: 'datetime', fraction };
    case 'binary':
      return { kind: 'binary', bytesMax: lengthMax, fixed: true };
    case 'varbinary':
    case 'tinyblob':
    case 'blob':
    case 'mediumblob':
    case 'longblob':
      return { kind: 'binary', bytesMax: lengthMax, fixed: false };
    case 'uuid':
    case 'inet4':
    case 'inet6':
      // Many spellings, one value; the server's own is the canonical one, and only a row can show it.
      return { kind: 'text', bytewise: false };
    default:
      // FLOAT and DOUBLE are not equal to what they print; JSON and geometry are not compared by bytes.
      if (column.json || column.collation === null) return undefined;
      return { kind: 'text', bytewise: isBytewise(column.collation) };
  }
}
