/** `db.table`, as the configuration and the messages write it; and quoted, as SQL does. */
export interface TableName {
  readonly db: string;
  readonly table: string;
}

export function parseTableName(text: string): TableName {
  const dot = text.indexOf('.');
  return { db: text.slice(0, dot), table: text.slice(dot + 1) };
}

export function formatTableName({ db, table }: TableName): string {
  return `${db}.${table}`;
}

/** Only ever called with names from the configuration and from the server's own schema, never a client's. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

export function quoteTable({ db, table }: TableName): string {
  return `${quoteName(db)}.${quoteName(table)}`;
}

/** A text literal without anything to escape. */
export function quoteText(text: string): string {
  return `_utf8mb4 X'${Buffer.from(text, 'utf8').toString('hex')}'`;
}

/** `ringfill@10.0.%`, as CURRENT_USER() says it -> `'ringfill'@'10.0.%'`, as GRANT takes it. */
export function quoteAccount(account: string): string {
  const at = account.lastIndexOf('@');
  const quoted = (part: string) => `'${part.replaceAll("'", "''")}'`;
  return `${quoted(account.slice(0, at))}@${quoted(account.slice(at + 1))}`;
}
