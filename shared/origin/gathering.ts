/**
 * When is a table's next SELECT due? What misses gather until then is read by it together.
 *
 * At the end of the tick if nothing is in flight and nobody else is expected, else when
 *   - as many wait as were under way at once lately: those who are answered together ask again together, so 100 clients
 *     that each read one cold row after another make one or two SELECTs a round, not one each;
 *   - or the first has waited 20 ms, whatever is in flight;
 *   - or a whole batch waits.
 * A reader after a quiet moment waits for nobody. docs/decisions has the rules that were tried, and what they gave.
 */

/** The longest that one waits for company, in ms. */
const COMPANY_WAIT_MS_MAX = 20;
/** Between the starts of two SELECTs, in ms, unless a whole batch waits. Also how often to look whether one is due. */
export const SELECT_SPACING_MS = 5;
/** "Lately": how fast the memory of a crowd fades (to 1/e), in ms. */
const CROWD_MEMORY_MS = 100;

export class Gathering<Item> {
  readonly #batchMax: number;
  readonly #waiting = new Map<string, { readonly item: Item; readonly since: number }>();
  /** SELECTs under way, and the items in them. */
  #inFlight = 0;
  #inFlightItems = 0;
  /** The most items that were under way at once: as of the last SELECT's start, fading since. */
  #crowd = 0;
  #startedAt = -Infinity;

  constructor(batchMax: number) {
    this.#batchMax = batchMax;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** When the first of those who wait came; Infinity if nobody waits. */
  get waitingSince(): number {
    for (const { since } of this.#waiting.values()) return since;
    return Infinity;
  }

  find(name: string): Item | undefined {
    return this.#waiting.get(name)?.item;
  }

  add(name: string, item: Item, now: number): void {
    this.#waiting.set(name, { item, since: now });
  }

  isDue(now: number): boolean {
    if (this.#waiting.size === 0) return false;
    if (this.#waiting.size >= this.#batchMax) return true;
    if (now - this.waitingSince >= COMPANY_WAIT_MS_MAX) return true;
    if (this.#inFlight > 0 || now - this.#startedAt < SELECT_SPACING_MS) return false;
    return this.#waiting.size >= Math.floor(this.#crowdAt(now));
  }

  /** Those who have waited since before `since` go away unread. */
  dropOlderThan(since: number): Item[] {
    const dropped: Item[] = [];
    for (const [name, waiting] of this.#waiting) {
      if (waiting.since >= since) break;
      this.#waiting.delete(name);
      dropped.push(waiting.item);
    }
    return dropped;
  }

  /** The batch that goes now, first come first. Say `landed` with its size when its SELECT has ended. */
  depart(now: number): Item[] {
    const batch: Item[] = [];
    this.#crowd = Math.max(this.#crowdAt(now), this.#inFlightItems + this.#waiting.size);
    this.#startedAt = now;
    for (const [name, { item }] of this.#waiting) {
      if (batch.length === this.#batchMax) break;
      this.#waiting.delete(name);
      batch.push(item);
    }
    this.#inFlight += 1;
    this.#inFlightItems += batch.length;
    return batch;
  }

  landed(size: number): void {
    this.#inFlight -= 1;
    this.#inFlightItems -= size;
  }

  #crowdAt(now: number): number {
    return this.#crowd * Math.exp((this.#startedAt - now) / CROWD_MEMORY_MS);
  }
}
