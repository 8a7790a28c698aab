/** Looks at all that a shard holds: whatever counts by its own stamp is judged, under any ring that places it there. */
import { epochOf } from '../../shared/version/version.ts';
import { entryIn, type Judge, type Said, Violation } from './judge.ts';
import { LAYERS, placesOf, type Ring, type RowKey, type Rows } from './keys.ts';
import { wordOf } from './mirror-journey.ts';
import { mirroredKind } from './mirrored-row.ts';
import type { Origin } from './origin.ts';
import type { ModelShard } from './shard.ts';
import type { TrustRule } from './trust-rule.ts';

export interface AuditPorts {
  readonly rows: Rows;
  readonly origin: Origin;
  readonly judge: Judge;
  readonly trust: TrustRule;
  readonly count: (outcome: string) => void;
}

/** What a shard says of a row. */
type Heard = (key: RowKey, said: Said | 'too large') => void;

export class Audit {
  readonly #ports: AuditPorts;
  readonly #observers = new Map<string, InstanceType<TrustRule['StampReader']>>();

  constructor(ports: AuditPorts) {
    this.#ports = ports;
  }

  async shard(shard: ModelShard): Promise<void> {
    await this.#hear(shard, LAYERS.flat(), () => undefined);
  }

  /** Nothing happens any more: what counts is what the origin says now. */
  async atRest(shard: ModelShard, rings: readonly Ring[]): Promise<void> {
    const { origin, count } = this.#ports;
    await this.#hear(shard, rings, (key, said) => {
      const { content, order } = origin.visible(key);
      // An absence may be any that is not too old: only the last is not.
      const isRight =
        said === 'too large'
          ? content !== undefined && mirroredKind(content) === 'too-large'
          : said.content === content && said.orders.includes(order);
      if (!isRight) {
        const told = said === 'too large' ? said : (said.content ?? 'absent');
        throw new Violation(
          `wrong at rest: ${shard.name} says ${told} of ${key.name}, the origin ${content ?? 'absent'}`,
        );
      }
      count(key.isMirrored ? `at rest: mirrored ${content === undefined ? 'absence' : 'row'} right` : 'at rest: right');
    });
  }

  async #hear(shard: ModelShard, rings: readonly Ring[], heard: Heard): Promise<void> {
    const { rows, trust, judge } = this.#ports;
    const cached = rows.keys.filter(({ isMirrored }) => !isMirrored);
    const [{ stamp: stored, entries }, mirror] = await Promise.all([
      shard.read(cached),
      rows.mirrored.length > 0 ? shard.readMirrored(rows.mirrored) : undefined,
    ]);
    const stamp = new trust.StampReader().read(stored)?.stamp;
    if (stamp === undefined) return;
    const where = `${shard.name}:`;
    const isHere = (key: RowKey) => placesOf(rings, key).filter((place) => place.shard === shard.name);
    for (const [index, key] of cached.entries()) {
      const entry = entryIn(entries[index]);
      if (entry === undefined) continue;
      for (const { ring } of isHere(key)) {
        const floor = trust.floorOf(stamp, key.table, ring.hash);
        if (floor === undefined || !trust.isTrusted(entry, stamp, floor)) continue;
        heard(key, judge.entryCounts(where, key, entry, stamp));
      }
    }
    if (mirror === undefined) return;
    const observer = this.#observerOf(shard);
    const wentBack = observer.read(stored)?.wentBack === true;
    for (const [index, key] of rows.mirrored.entries()) {
      const row = mirror.rows[index] ?? null;
      for (const place of isHere(key)) {
        const word = wordOf(trust, [place.ring], key, row, stamp);
        if (word.kind === 'too-large') heard(key, 'too large');
        if (word.kind !== 'row' && word.kind !== 'absent') continue;
        const said =
          word.kind === 'row'
            ? judge.mirroredCounts(where, key, word.row, stamp)
            : judge.absenceCounts(where, key, stamp);
        heard(key, said);
        // Likewise a gateway that looks now and then, and remembers.
        const name = `whoever looks by ${place.ring.hash}`;
        judge.saw(name, shard.name, stamp);
        const before = judge.begins(name, shard.name, key);
        if (!wentBack && stamp.again === undefined)
          judge.answered(name, shard.name, key, said, epochOf(stamp.to), before);
      }
    }
  }

  #observerOf(shard: ModelShard): InstanceType<TrustRule['StampReader']> {
    const known = this.#observers.get(shard.name);
    if (known !== undefined) return known;
    const observer = new this.#ports.trust.StampReader();
    this.#observers.set(shard.name, observer);
    return observer;
  }
}
