/**
 * An answer's `Cache-Status` in the parts that the checker and the timeline go by. The words are those of
 * gateway/http/cache-status.ts.
 */
import { outcomeOf, type ToldOutcome } from '../load/story-tally.ts';

export interface ToldStory {
  readonly outcome: ToldOutcome;
  /** `shard/layer`; nothing where no shard was involved. */
  readonly place?: string;
  /** The answer says itself that nobody hears of changes just now. */
  readonly syncLost: boolean;
}

/** Nothing for what is not one of ours. */
export function toldStory(cacheStatus: string | undefined): ToldStory | undefined {
  if (cacheStatus === undefined || !cacheStatus.startsWith('ringfill; ')) return undefined;
  const start = cacheStatus.lastIndexOf('detail="') + 'detail="'.length;
  const detail = cacheStatus.slice(start, cacheStatus.indexOf('"', start));
  const space = detail.indexOf(' ');
  const first = space === -1 ? detail : detail.slice(0, space);
  return {
    outcome: outcomeOf(cacheStatus, detail),
    syncLost: detail.includes('sync-lost='),
    ...(first.includes('/') ? { place: first } : {}),
  };
}
