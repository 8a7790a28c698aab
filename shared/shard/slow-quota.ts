/**
 * How many shards may be out of use for being slow: at most half of all, rounded up. When more of them are slow at once,
 * it is rather our own network or host that is, and answers that come late are better than none: the origin could not
 * take what all of them hold. One that does not answer within its deadline is out of use in any case.
 */
import type { Shard } from './shard.ts';

export class SlowQuota {
  readonly #shards: Pick<Shard, 'leftForSlowness'>[] = [];

  /** Of all, each once. */
  count(shard: Pick<Shard, 'leftForSlowness'>): void {
    this.#shards.push(shard);
  }

  get mayOneMoreLeave(): boolean {
    const slow = this.#shards.filter(({ leftForSlowness }) => leftForSlowness).length;
    return slow < Math.ceil(this.#shards.length / 2);
  }
}
