/**
 * Counts the stories that answers tell in `Cache-Status`: outcomes, and the shards and layers behind them. The words are
 * those of gateway/journey/answer.ts.
 *
 *     ringfill; hit; ttl=27; key="test_users_1"; detail="r2/0"
 *     ringfill; fwd=partial; detail="hit=2 stored=1"               a list: outcomes only
 */
export class StoryTally {
  readonly outcomes = new Map<string, number>();
  /** By `shard/layer`; empty for lists. */
  readonly places = new Map<string, number>();
  rows = 0;

  add(cacheStatus: string): void {
    const start = cacheStatus.lastIndexOf('detail="') + 'detail="'.length;
    const detail = cacheStatus.slice(start, cacheStatus.indexOf('"', start));
    if (cacheStatus.includes('; key="')) this.#addOne(cacheStatus, detail);
    else this.#addMany(detail);
  }

  #addOne(cacheStatus: string, detail: string): void {
    this.rows += 1;
    count(this.outcomes, outcomeOf(cacheStatus, detail), 1);
    const place = detail.split(' ', 1)[0] ?? '';
    if (place.includes('/')) count(this.places, place, 1);
  }

  #addMany(detail: string): void {
    for (const pair of detail.split(' ')) {
      const [outcome = '', times] = pair.split('=');
      this.rows += Number(times);
      count(this.outcomes, outcome, Number(times));
    }
  }
}

export type ToldOutcome = 'hit' | 'expired' | 'stored' | 'collapsed' | 'unstored';

/** @param detail that of the same `Cache-Status`. */
export function outcomeOf(cacheStatus: string, detail: string): ToldOutcome {
  if (cacheStatus.startsWith('ringfill; hit')) return detail.includes(' expired=') ? 'expired' : 'hit';
  if (cacheStatus.includes('; stored; ')) return 'stored';
  return cacheStatus.includes('; collapsed; ') ? 'collapsed' : 'unstored';
}

export function count(counts: Map<string, number>, name: string, times: number): void {
  counts.set(name, (counts.get(name) ?? 0) + times);
}
