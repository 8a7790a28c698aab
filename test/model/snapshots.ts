/** The snapshots that are under way: of all but the last, others have taken over, which they do not know. */
import type { Claim } from '../../sync-worker/snapshot/snapshot-shard.ts';
import type { SnapshotPlace } from './keys.ts';
import { Snapshotter, type SnapshotterPorts } from './snapshotter.ts';

interface UnderWay {
  readonly snapshotter: Snapshotter;
  readonly steps: AsyncGenerator<void, void>;
}

const AT_ONCE_MAX = 3;
/** At once, with nothing in between; far more than it has. */
const STEPS_MAX = 200;

export class Snapshots {
  readonly #ports: SnapshotterPorts;
  #underWay: readonly UnderWay[] = [];
  #begun = 0;

  constructor(ports: SnapshotterPorts) {
    this.#ports = ports;
  }

  /** Into some of these places. */
  begin(places: readonly SnapshotPlace[]): void {
    const { random } = this.#ports;
    if (places.length === 0 || this.#underWay.length >= AT_ONCE_MAX) return;
    const some = places.filter(() => random.chance(0.8));
    this.#add(some, random.chance(0.2) ? 'anew' : 'take');
  }

  /** A few steps of the last one, mostly: of the others each may be one too many, and not many are. */
  async advance(): Promise<void> {
    const { random } = this.#ports;
    const one = random.chance(0.8) ? this.#underWay.at(-1) : random.pick(this.#underWay);
    for (let steps = 1 + random.below(6); steps > 0; steps -= 1) await this.#step(one);
  }

  async finishLast(): Promise<void> {
    const last = this.#underWay.at(-1);
    for (let steps = 0; steps < STEPS_MAX && this.#isUnderWay(last); steps += 1) await this.#step(last);
  }

  /** One of them never goes on. */
  abandon(): void {
    const one = this.#ports.random.pick(this.#underWay);
    this.#underWay = this.#underWay.filter((other) => other !== one);
  }

  async finishAll(): Promise<void> {
    while (this.#underWay.length > 0) await this.#step(this.#ports.random.pick(this.#underWay));
  }

  /** @returns the shards that have become complete: all of these, but for bad luck. */
  async finishIn(places: readonly SnapshotPlace[]): Promise<readonly string[]> {
    const snapshotter = this.#add(places, 'take');
    await this.finishAll();
    return snapshotter.complete;
  }

  #add(places: readonly SnapshotPlace[], claim: Claim): Snapshotter {
    this.#begun += 1;
    const snapshotter = new Snapshotter(`s${this.#begun}`, places, claim, this.#ports);
    this.#underWay = [...this.#underWay, { snapshotter, steps: snapshotter.run() }];
    return snapshotter;
  }

  #isUnderWay(one: UnderWay | undefined): one is UnderWay {
    return one !== undefined && this.#underWay.includes(one);
  }

  async #step(one: UnderWay | undefined): Promise<void> {
    if (!this.#isUnderWay(one)) return;
    const { done } = await one.steps.next();
    if (done === true) this.#underWay = this.#underWay.filter((other) => other !== one);
  }
}
