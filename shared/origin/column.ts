/** One column as `information_schema` tells it: what the encoder and the key need to know. */
export interface Column {
  readonly name: string;
  /** DATA_TYPE, lower case: `int`, `varchar`, `json`… */
  readonly dataType: string;
  /** COLUMN_TYPE: `int(10) unsigned`, `enum('a','b')`… */
  readonly columnType: string;
  readonly nullable: boolean;
  /** Of text; null under numbers, times and bytes. */
  readonly charset: string | null;
  readonly collation: string | null;
  /** Characters of a text, bytes of a binary. */
  readonly lengthMax: number | null;
  readonly precision: number | null;
  readonly scale: number | null;
  /** Digits after the second. */
  readonly fraction: number | null;
  /** MySQL's JSON, or MariaDB's: a LONGTEXT that is checked with json_valid. */
  readonly json: boolean;
}

export function isUnsigned(column: Column): boolean {
  return /\bunsigned\b|\bzerofill\b/.test(column.columnType);
}

/** Two texts of this collation are equal only if their bytes are: binary, and trailing spaces count. */
export function isBytewise(collation: string): boolean {
  const noPad = collation === 'binary' || collation.includes('_nopad_') || collation.includes('_0900_');
  return noPad && (collation === 'binary' || collation.endsWith('_bin'));
}
