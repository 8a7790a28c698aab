import type { Config } from '../../shared/config/schema.ts';

/**
 * How long a cached row may lie in a shard, in seconds: the longest TTL of the read-through tables, with its grace. What
 * was placed by a former definition has expired so long after the last gateway went over to the new one. 0 if every
 * table is a mirror, whose rows do not expire.
 */
export function longestLifeSeconds({ tables, defaults, sync }: Config): number {
  const lives = Object.values(tables)
    .map((table) => ({ ...defaults, ...table }))
    .filter(({ mode }) => mode === 'read-through')
    .map(({ ttlSeconds, negativeTtlSeconds, followedTtlSeconds, graceSeconds, follow }) => {
      const followed = sync !== undefined && follow ? followedTtlSeconds : 0;
      return Math.max(Math.max(ttlSeconds, followed) + graceSeconds, negativeTtlSeconds);
    });
  return Math.max(0, ...lives);
}

/** When what is cached by today's definitions has expired, as the file says it: whole seconds, in UTC. */
export function expiredBy(config: Config, nowMs: number): string {
  const seconds = Math.ceil(nowMs / 1000) + longestLifeSeconds(config);
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}
