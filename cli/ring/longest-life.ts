import type { Config } from '../../shared/config/schema.ts';

/** A snapshot has to be through before a mirror can do without its former definition. How long it takes nobody knows. */
const MIRROR_SECONDS = 3_600;

/**
 * How long a former definition is of use, in seconds: as long as a cached row may lie in a shard, which is the longest TTL
 * of the read-through tables with its grace. Where there are mirrors, whose rows do not expire, at least an hour.
 */
export function longestLifeSeconds({ tables, defaults, sync }: Config): number {
  const lives = Object.values(tables).map((table) => {
    const settings = { ...defaults, ...table };
    if (settings.mode === 'mirror') return MIRROR_SECONDS;
    const followed = sync !== undefined && settings.follow ? settings.followedTtlSeconds : 0;
    return Math.max(Math.max(settings.ttlSeconds, followed) + settings.graceSeconds, settings.negativeTtlSeconds);
  });
  return Math.max(...lives);
}

/** When what is cached by today's definitions has expired, as the file says it: whole seconds, in UTC. */
export function expiredBy(config: Config, nowMs: number): string {
  const seconds = Math.ceil(nowMs / 1000) + longestLifeSeconds(config);
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}
