/** The keys of one table that a shard holds, whoever put them there: found by scanning, some at a time. */
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { Shard } from '../../shared/shard/shard.ts';

/** How many keys Redis looks at in one step: it answers nobody else meanwhile. */
export const SCAN_COUNT = 1_000;

/**
 * Each step's; one may come twice (SCAN's own guarantee). Throws ShardUnavailable.
 * @param afterStep waited for after each, also where it found none of the table's.
 */
export async function* tableKeysIn(
  shard: Shard,
  table: ExposedTable,
  afterStep?: () => Promise<void>,
): AsyncGenerator<string[]> {
  const pattern = `${globEscaped(table.keyPrefix)}*`;
  let cursor = '0';
  do {
    const from = cursor;
    const [next, found] = await shard.run('snapshot', (redis) =>
      redis.scan(from, 'MATCH', pattern, 'COUNT', SCAN_COUNT),
    );
    cursor = next;
    const keys = found.filter((key) => table.rowIdOf(key) !== undefined);
    if (keys.length > 0) yield keys;
    await afterStep?.();
  } while (cursor !== '0');
}

function globEscaped(text: string): string {
  return text.replace(/[\\*?[\]^]/g, (character) => `\\${character}`);
}
