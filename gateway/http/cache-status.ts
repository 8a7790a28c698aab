/**
 * Each answer's story as `Cache-Status` (RFC 9211). Keys hold nothing that a quoted string would have to escape: ids are
 * percent-encoded, and the configuration lets no quote into a prefix.
 *
 *     ringfill; hit; ttl=27; key="test_users_1"; detail="r2/0"
 *     ringfill; hit; ttl=27; key="test_users_1"; detail="r2/0 near"
 *     ringfill; fwd=miss; stored; key="test_users_1"; detail="r2/0"
 *     ringfill; fwd=miss; key="shop_products_FOO"; detail="r1/0 unstored=other-spelling"
 */
import type { Place, Story } from '../journey/answer.ts';

export function cacheStatus(story: Story, cacheKey: string): string {
  const key = `key="${cacheKey}"`;
  switch (story.outcome) {
    case 'hit': {
      const lost = story.syncLost === undefined ? '' : ` sync-lost=${story.syncLost}`;
      const near = story.near === undefined ? '' : ' near';
      const ttl = story.freshSeconds === undefined ? '' : `ttl=${story.freshSeconds}; `;
      return `ringfill; hit; ${ttl}${key}; detail="${at(story.place)}${near}${lost}"`;
    }
    case 'expired':
      return `ringfill; hit; ttl=${story.freshSeconds}; ${key}; detail="${at(story.place)} expired=${story.because}"`;
    case 'stored':
      return `ringfill; fwd=${story.fwd}; stored; ${key}; detail="${at(story.place)}"`;
    case 'collapsed':
      return `ringfill; fwd=${story.fwd}; collapsed; ${key}; detail="${at(story.place)}"`;
    case 'unstored': {
      const place = story.place === undefined ? '' : `${at(story.place)} `;
      return `ringfill; fwd=${story.fwd}; ${key}; detail="${place}unstored=${story.because}"`;
    }
  }
}

/** Of many rows in one answer: how many had which story. */
export function cacheStatusOfMany(stories: readonly Story[]): string {
  const counts = new Map<string, number>();
  for (const { outcome } of stories) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const detail = [...counts].map(([outcome, count]) => `${outcome}=${count}`).join(' ');
  const hits = counts.get('hit') ?? 0;
  if (hits === stories.length) return `ringfill; hit; detail="${detail}"`;
  return `ringfill; fwd=${hits === 0 ? 'miss' : 'partial'}; detail="${detail}"`;
}

function at({ shard, layer }: Place): string {
  return `${shard}/${layer}`;
}
