// What a demo table is: its columns as the server is told them, and its rows as SQL text. Text rather than values, because
// the extremes are a matter of what the server makes of a literal.

import { escape } from 'mysql2';

export interface DemoServer {
  readonly flavour: 'mariadb' | 'mysql';
  readonly version: string;
}

export interface DemoTable {
  readonly database: 'test' | 'shop';
  readonly name: string;
  /** The inside of CREATE TABLE's parentheses. */
  readonly definition: string;
  readonly columns: readonly string[];
  /** One SQL expression a column. */
  rows(): Iterable<readonly string[]>;
  /** A mirror in the demo's configuration, where there is sync. */
  readonly isMirrored?: true;
  /** Columns that the demo's configuration denies. */
  readonly deny?: readonly string[];
  /** Left out where it says no. */
  readonly isSupportedBy?: (server: DemoServer) => boolean;
}

export function text(value: string): string {
  return escape(value);
}

export function bytes(value: Buffer): string {
  return value.length === 0 ? "''" : `X'${value.toString('hex')}'`;
}

export function number(value: number | bigint): string {
  return String(value);
}

/** A table of a number and one column a type: each row is [label, …one literal a column]. */
export function typeTable(
  name: string,
  types: Readonly<Record<string, string>>,
  rows: readonly (readonly string[])[],
): DemoTable {
  const columns = Object.keys(types);
  for (const row of rows) {
    if (row.length !== columns.length + 1) {
      throw new Error(
        `shop.${name}, row ${String(row[0])}: ${String(row.length - 1)} literals for ${String(columns.length)} columns`,
      );
    }
  }
  return {
    database: 'shop',
    name,
    definition: [
      'id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY',
      'what VARCHAR(60) NOT NULL',
      ...Object.entries(types).map(([column, type]) => `\`${column}\` ${type}`),
    ].join(',\n  '),
    columns: ['what', ...columns],
    rows: () => rows.map(([what = '', ...literals]) => [text(what), ...literals]),
  };
}

/** A row whose columns all hold the same literal. */
export function everywhere(what: string, literal: string, columns: number): string[] {
  return [what, ...Array.from({ length: columns }, () => literal)];
}
