/** The metrics of the near cache. What is counted at each hit is counted as a plain number, and read when it is asked for. */
import { Counter, Gauge, type Registry } from 'prom-client';
import { NearCounts, type NearStore } from '../shared/shard/near/near-store.ts';
import type { Shard } from '../shared/shard/shard.ts';

const COUNTS: readonly (readonly [name: keyof NearCounts, help: string])[] = [
  ['hits', 'Rows found in the gateway’s own memory.'],
  ['misses', 'Rows that were looked for there and not found, or not to be believed.'],
  ['admitted', 'Replies of shards that were kept there.'],
  ['rejected', 'Replies of shards that were not: those there are used as often.'],
  ['evicted', 'Rows that left for others.'],
  ['invalidated', 'Rows that left because they were changed.'],
];

export class NearTelemetry {
  /** For as long as the process runs. */
  readonly counts = new NearCounts();
  readonly #feedUp: Gauge;
  #store: NearStore | undefined;
  #shards: readonly Pick<Shard, 'ring' | 'name'>[] = [];

  constructor(registry: Registry) {
    const registers = [registry];
    const { counts } = this;
    for (const [name, help] of COUNTS) {
      // The name says what it is; prom-client keeps it by registering it.
      void new Counter({
        name: `ringfill_near_${name}_total`,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(counts[name]);
        },
      });
    }
    const gauge = (name: string, help: string, value: (store: NearStore) => number) => {
      const valueNow = () => (this.#store === undefined ? 0 : value(this.#store));
      void new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(valueNow());
        },
      });
    };
    gauge('ringfill_near_bytes', 'What the near cache takes, by its own accounts.', ({ bytes }) => bytes);
    gauge('ringfill_near_entries', 'Rows in the near cache.', ({ entries }) => entries);
    this.#feedUp = new Gauge({
      name: 'ringfill_near_feed_up',
      help: '1 while the shard’s Redis tells of changes, 0 while it does not and nothing of it is answered from memory.',
      labelNames: ['ring', 'shard'],
      registers,
    });
  }

  feedIs(ring: string, shard: string, up: boolean): void {
    this.#feedUp.set({ ring, shard }, up ? 1 : 0);
  }

  /** This is in use from now on; nothing: no near cache. */
  storeIs(store: NearStore | undefined, shards: readonly Pick<Shard, 'ring' | 'name' | 'isNear'>[]): void {
    for (const { ring, name: shard } of this.#shards) this.#feedUp.remove({ ring, shard });
    this.#store = store;
    this.#shards = store === undefined ? [] : shards.map(({ ring, name }) => ({ ring, name }));
    if (store === undefined) return;
    for (const { ring, name, isNear } of shards) this.feedIs(ring, name, isNear);
  }
}
