/** What the keys of near tables begin with: their changes are told by Redis, and nothing else is kept in memory. */
import type { Config } from '../../config/schema.ts';
import { tableKeyPrefix } from '../../key/cache-key.ts';
import { isNear } from '../../origin/exposed-table.ts';
import { parseTableName } from '../../origin/table-name.ts';

/** None begins with another: Redis refuses to tell a key twice. */
export function nearPrefixes(config: Config): string[] {
  const labels = Object.keys(config.tables).filter((label) => isNear(config.tables[label] ?? {}, config));
  const prefixes = labels.map((label) => {
    const { db, table } = parseTableName(label);
    return tableKeyPrefix(config.keyPrefix, db, table);
  });
  return prefixes.filter((prefix) => !prefixes.some((other) => other !== prefix && prefix.startsWith(other)));
}
